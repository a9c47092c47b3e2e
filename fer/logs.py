"""What is logged as JSON lines: one object a line, and nothing that a person typed."""

import json
import logging
import traceback
from datetime import UTC, datetime


class JsonLines(logging.Formatter):
    """Of an exception its type and place are told and not its words, which may repeat what was typed."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and (error := record.exc_info[1]):
            line["error"] = type(error).__name__
            line["at"] = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
        return json.dumps(line, ensure_ascii=False)


def configure(style: str) -> None:
    """Make every handler that there is write JSON lines where `style` is "json"."""
    if style != "json":
        return
    logging.basicConfig(level=logging.INFO)
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.Logger.manager.loggerDict)]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        handler.setFormatter(JsonLines())
