"""The writer: takes what streams hand it without waiting, and writes it from a thread of its own."""

import logging
import threading
import time
from collections.abc import Callable

from fer.errors import StoreError
from fer.store import Store
from fer.types import Bucket, Presence

log = logging.getLogger(__name__)

FLUSH_S = 0.5
RETRY_S = 2.0  # after a failure; a locked database has already made the attempt wait
MOST_PENDING = 200_000  # buckets: five hours of fifty students, about 60 MB
DAY_S = 86_400.0


class Writer:
    """Holds the newest version of each bucket and presence until the store has taken it.

    Its methods return at once and may be called from any thread. While the store is out of reach everything
    waits in memory; beyond MOST_PENDING buckets the oldest are given up, counted and logged.
    """

    def __init__(
        self, store: Callable[[], Store], retention_days: int = 30, clock: Callable[[], float] = time.time
    ) -> None:
        """`store` is called for each write: it may raise StoreError until the database can be opened."""
        self._store, self._retention_s, self._clock = store, retention_days * DAY_S, clock
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._buckets: dict[tuple[int, str, int, float], Bucket] = {}
        self._presences: dict[str, Presence] = {}
        self._left: set[str] = set()
        self._wake = threading.Event()
        self._stopping = False
        self._purged_at = 0.0
        self._thread: threading.Thread | None = None
        self.dropped = 0
        self.problem = ""  # a sentence while the last write failed

    @property
    def pending(self) -> int:
        """How many buckets wait to be written."""
        return len(self._buckets)

    def put(self, buckets: list[Bucket], presence: Presence) -> None:
        """Hand over a stream's buckets and its presence."""
        with self._lock:
            for bucket in buckets:
                key = (bucket.class_id, bucket.stream_id, bucket.face_id, bucket.start)
                if key not in self._buckets or bucket.n >= self._buckets[key].n:  # a clock may step back into a slot
                    self._buckets[key] = bucket
            self._presences[presence.stream_id] = presence
            self._left.discard(presence.stream_id)
            self._bound()
        self.start()

    def leave(self, stream_id: str) -> None:
        """The stream has ended: it is gone from the count at the next write, which is made now."""
        with self._lock:
            self._presences.pop(stream_id, None)
            self._left.add(stream_id)
        self.start()
        self._wake.set()

    def forget(self, stream_id: str) -> None:
        """Throw away what waits of a stream that asked to be deleted."""
        with self._lock:
            self._buckets = {key: bucket for key, bucket in self._buckets.items() if key[1] != stream_id}
        self.leave(stream_id)

    def flush(self) -> bool:
        """Write what waits; whether the store took it. What it did not take is kept.

        Waits for a write under way.
        """
        with self._writing:
            return self._flush()

    def _flush(self) -> bool:
        with self._lock:
            buckets, here, left = dict(self._buckets), dict(self._presences), set(self._left)
        try:
            store = self._store()
            store.put(list(buckets.values()), list(here.values()), sorted(left))
            self._purge(store)
        except StoreError as error:
            if not self.problem:
                log.warning("%s %d buckets wait in memory", error, len(buckets))
            self.problem = str(error)
            return False
        if self.problem:
            log.warning("the database is back; %d buckets were written", len(buckets))
        self.problem = ""
        with self._lock:
            self._buckets = {k: b for k, b in self._buckets.items() if buckets.get(k) is not b}
            self._presences = {k: p for k, p in self._presences.items() if here.get(k) is not p}
            self._left -= left
        return True

    def start(self) -> None:
        """Start the thread, unless it runs: from then on old classes are deleted when their time is over."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="fer-writer", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Stop the thread after a last write."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        if self._waiting():  # it came in during the last write
            self.flush()

    def _work(self) -> None:
        while not self._stopping:
            self._wake.wait(RETRY_S if self.problem else FLUSH_S)
            self._wake.clear()
            if self._waiting() or self._purge_due():
                self.flush()

    def _waiting(self) -> bool:
        return bool(self._buckets or self._presences or self._left)

    def _bound(self) -> None:
        while len(self._buckets) > MOST_PENDING:
            self._buckets.pop(next(iter(self._buckets)))
            self.dropped += 1
            if self.dropped % 1000 == 1:
                log.error("the database has been away for too long: %d buckets were given up", self.dropped)

    def _purge_due(self) -> bool:
        return self._clock() - self._purged_at > DAY_S

    def _purge(self, store: Store) -> None:
        """Delete the classes that are past their time, once a day."""
        if self._purge_due():
            if gone := store.purge(self._clock() - self._retention_s):
                log.info("%d classes were deleted: their time was over", gone)
            self._purged_at = self._clock()
