import io
import json
import logging

import pytest

from fer import logs


@pytest.fixture
def lines() -> tuple[logging.Logger, io.StringIO]:
    """A logger of its own, and what it writes."""
    out, logger = io.StringIO(), logging.Logger("fer.test")
    handler = logging.StreamHandler(out)
    handler.setFormatter(logs.JsonLines())
    logger.addHandler(handler)
    return logger, out


def test_a_line_is_an_object_with_time_level_logger_and_message(lines):
    logger, out = lines
    logger.warning("%d buckets wait\nin memory", 3)
    (line,) = out.getvalue().splitlines()
    found = json.loads(line)
    assert found.pop("time").endswith("+00:00")
    assert found == {"level": "warning", "logger": "fer.test", "message": "3 buckets wait\nin memory"}


def test_an_exception_is_told_by_its_type_and_place_and_not_by_what_was_typed(lines):
    logger, out = lines
    try:
        raise ValueError("Ada Lovelace asked for help")
    except ValueError:
        logger.exception("a frame could not be analysed")
    assert "Ada" not in out.getvalue()
    found = json.loads(out.getvalue())
    assert found["error"] == "ValueError" and "test_logs.py" in found["at"][0]


def test_text_leaves_every_handler_as_it_is():
    before = list(logging.getLogger().handlers)
    logs.configure("text")
    assert logging.getLogger().handlers == before
