"""A real PostgreSQL server of the test's own, on loopback: it can be stopped and started."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ABSENT = "PostgreSQL is not installed: sudo apt install postgresql"


def binary(name: str) -> str | None:
    """A program of the newest PostgreSQL here, or None; Debian keeps them off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(found[-1]) if found else shutil.which(name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Server:
    """A server whose files lie in `folder`."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://fer@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-w", "-D", self.data, "-l", self.folder / "log", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """`mode` "immediate" is a crash."""
        self._run("pg_ctl", "-w", "-D", self.data, "-m", mode, "stop")

    def make(self) -> None:
        self._run("initdb", "-D", self.data, "-U", "fer", "--auth=trust", "--encoding=UTF8", "--no-sync")

    def client(self, name: str, *words: str | Path) -> bytes:
        """What a client program such as pg_dump prints."""
        address = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "fer")
        return self._run(name, *address, *words)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def _run(self, name: str, *words: str | Path) -> bytes:
        """PostgreSQL refuses to run as root; its messages go to a file, since the server would keep a pipe open."""
        found = binary(name)
        assert found is not None, ABSENT
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.getuid() == 0 else []
        output = self.folder / f"{name}.out"
        with output.open("wb") as sink:
            result = subprocess.run(
                [*as_postgres, found, *map(str, words)],
                cwd=self.folder,
                stdout=sink,
                stderr=subprocess.STDOUT,
                timeout=60,
                check=False,
            )
        content = output.read_bytes()
        assert result.returncode == 0, f"{name}: {content.decode(errors='replace')}"
        return content


@contextmanager
def running() -> Iterator[Server]:
    """A new server; its folder is no pytest's, which the user postgres could not enter."""
    folder = Path(tempfile.mkdtemp(prefix="classmood-postgres-"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    server = Server(folder, free_port())
    try:
        server.make()
        server.start()
        yield server
        server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
