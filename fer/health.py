"""What a process says of itself: whether it is ready, and figures for Prometheus. None is of a person or a class."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True)
class Health:
    """One process at one moment: `model` and `database` are whether it can use them.

    `cameras` are the places of FER_CAPACITY that connected ones have, `pages` those of students that are open.
    `pending` buckets wait to be written and `dropped` were given up; `refused` counts tries by their kind.
    """

    model: bool
    database: bool
    cameras: int
    pages: int
    pending: int
    dropped: int
    refused: Mapping[str, int]

    @property
    def ready(self) -> bool:
        return self.model and self.database


def exposition(health: Health) -> bytes:
    """The figures in Prometheus's text format, with memory, processor time and open files of the process."""
    registry = CollectorRegistry()
    registry.register(_Figures(health))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Figures(Collector):
    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        health = self._health
        ready = GaugeMetricFamily("classmood_ready", "Whether the process can use it", labels=["part"])
        ready.add_metric(["model"], health.model)
        ready.add_metric(["database"], health.database)
        yield ready
        yield GaugeMetricFamily(
            "classmood_cameras", "Cameras connected to this process, an emoji mirror counting as ten", health.cameras
        )
        yield GaugeMetricFamily("classmood_pages", "Students' pages open on this process", health.pages)
        yield GaugeMetricFamily("classmood_pending_buckets", "Buckets that wait to be written", health.pending)
        yield CounterMetricFamily("classmood_dropped_buckets", "Buckets that were given up", health.dropped)
        refused = CounterMetricFamily("classmood_refused_tries", "Tries of codes and keys not heard", labels=["kind"])
        for kind, count in health.refused.items():
            refused.add_metric([kind], count)
        yield refused
