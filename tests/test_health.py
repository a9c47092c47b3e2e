from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fer.health import Health, exposition

FINE = Health(True, True, 3, 2, 40, 1, {"code": 5, "key": 0})


@pytest.mark.parametrize("part", ["model", "database"])
def test_a_process_is_ready_where_every_part_is(part: str):
    assert FINE.ready and not replace(FINE, **{part: False}).ready


def test_prometheus_reads_the_figures_and_those_of_the_process():
    families = {family.name: family for family in text_string_to_metric_families(exposition(FINE).decode())}
    found = {(s.name, *s.labels.values()): s.value for family in families.values() for s in family.samples}
    assert found["classmood_ready", "model"] == found["classmood_ready", "database"] == 1
    assert found["classmood_cameras",] == 3 and found["classmood_pages",] == 2
    assert found["classmood_pending_buckets",] == 40 and found["classmood_dropped_buckets_total",] == 1
    assert found["classmood_refused_tries_total", "code"] == 5
    assert found["process_resident_memory_bytes",] > 1e6


def test_no_figure_is_of_a_class_or_a_person():
    labels = {
        name for f in text_string_to_metric_families(exposition(FINE).decode()) for s in f.samples for name in s.labels
    }
    assert labels == {"part", "kind"}
