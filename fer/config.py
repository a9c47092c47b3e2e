"""The settings, read once from a mapping such as os.environ."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from fer.errors import SettingError

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
YUNET_FILE = CACHE / "face_detection_yunet_2023mar.onnx"


def _setting(name: str, default: Any, parse: Callable[[str], Any], help: str, secret: bool = False) -> Any:
    factory = {"default_factory": default} if callable(default) else {"default": default}
    return field(**factory, repr=not secret, metadata={"env": name, "parse": parse, "help": help})


def _number(low: float, high: float, kind: Callable[[str], Any] = float) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise SettingError(f"expected a {'whole ' if kind is int else ''}number from {low:g} to {high:g}")
        return value

    return parse


def _ice_servers(text: str) -> tuple[dict[str, Any], ...]:
    """A JSON list as browsers take it: [{"urls": "turn:host:3478", "username": "…", "credential": "…"}]."""
    try:
        servers = json.loads(text)
    except ValueError:
        servers = None
    if not isinstance(servers, list) or not all(isinstance(s, dict) and _is_ice_url(s.get("urls")) for s in servers):
        raise SettingError('expected a JSON list such as [{"urls": "stun:host:3478"}]')
    return tuple(servers)


def _is_ice_url(urls: Any) -> bool:
    urls = urls if isinstance(urls, list) else [urls]
    return bool(urls) and all(isinstance(u, str) and u.startswith(("stun:", "stuns:", "turn:", "turns:")) for u in urls)


def _database_url(text: str) -> str:
    if "://" not in text:
        raise SettingError("expected a URL such as sqlite:///classmood.sqlite3 or postgresql+psycopg://user@host/name")
    return text


def _public_url(text: str) -> str:
    try:
        parsed = urlparse(text)
    except ValueError:
        parsed = urlparse("")
    if parsed.scheme not in ("http", "https") or not parsed.netloc:
        raise SettingError("expected an address such as https://classmood.example.org")
    return text.rstrip("/")


def _turn_url(text: str) -> str:
    if not text.startswith(("turn:", "turns:")):
        raise SettingError("expected an address such as turn:turn.example.org:3478")
    return text


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise SettingError(f"expected one of {', '.join(choices)}")
        return text

    return parse


@dataclass(frozen=True)
class Settings:
    """What an operator may set; each field's metadata names its environment variable and says what it does."""

    database_url: str = _setting(
        "FER_DATABASE_URL",
        lambda: f"sqlite:///{ROOT / 'classmood.sqlite3'}",
        _database_url,
        "Where classes and journals are kept, as an SQLAlchemy URL; default a SQLite file beside app.py",
        secret=True,
    )
    model: Path = _setting(
        "FER_MODEL", ROOT / "models" / "classmood48", Path, "The model: a path to its .tflite, with its card beside it"
    )
    detector: str = _setting(
        "FER_DETECTOR",
        "auto",
        str,
        "The face detector: tiny (our own), yunet, cascade, or auto (the first of them that can be used)",
    )
    tiny_model: Path = _setting(
        "FER_TINY_MODEL",
        ROOT / "models" / "detectors" / "tiny",
        Path,
        "Our own face detector: a path to its .tflite without the ending, with its card beside it",
    )
    yunet_model: Path = _setting(
        "FER_YUNET_MODEL", YUNET_FILE, Path, "YuNet's .onnx file; default the one that `python -m fer fetch` leaves"
    )
    min_group: int = _setting(
        "FER_MIN_GROUP", 5, _number(1, 1000, int), "The class mood is withheld while fewer students contribute"
    )
    analyses_per_s: float = _setting(
        "FER_ANALYSES_PER_S", 2.0, _number(0.2, 30), "How often each student's picture is analysed, per second"
    )
    camera_fps: int = _setting(
        "FER_CAMERA_FPS", 8, _number(1, 30, int), "The most pictures per second that a student's browser sends"
    )
    camera_width: int = _setting(
        "FER_CAMERA_WIDTH", 320, _number(160, 1280, int), "The picture width asked of a student's camera, in pixels"
    )
    capacity: int = _setting(
        "FER_CAPACITY",
        50,
        _number(1, 10_000, int),
        "The most cameras at once, an emoji mirror counting as ten; students who come later can join without",
    )
    replicas: int = _setting(
        "FER_REPLICAS",
        1,
        _number(1, 100, int),
        "How many replicas share the database; each hears its share of the wrong codes and keys that are allowed",
    )
    half_life_s: float = _setting(
        "FER_HALF_LIFE_S", 1.0, _number(0, 60), "After how many seconds an old reading counts half; 0 does not smooth"
    )
    confidence_floor: float = _setting(
        "FER_CONFIDENCE_FLOOR", 0.4, _number(0, 1), "Below this probability a reading is shown as uncertain"
    )
    baseline_s: float = _setting(
        "FER_BASELINE_S",
        0.0,
        _number(0, 60),
        "A face's first seconds count as its neutral look, and correct its later readings; 0 does not correct",
    )
    ice_servers: tuple[dict[str, Any], ...] = _setting(
        "FER_ICE_SERVERS",
        (),
        _ice_servers,
        "STUN and TURN servers as a JSON list; none are needed on one network",
        secret=True,
    )
    turn_url: str = _setting(
        "FER_TURN_URL", "", _turn_url, "A TURN server whose credentials are made from FER_TURN_SECRET for each student"
    )
    turn_secret: str = _setting(
        "FER_TURN_SECRET", "", str, "The secret that is that TURN server's static-auth-secret as well", secret=True
    )
    public_url: str = _setting(
        "FER_PUBLIC_URL", "", _public_url, "The address that join links begin with; default the instructor's own"
    )
    retention_days: int = _setting(
        "FER_RETENTION_DAYS", 30, _number(1, 3650, int), "A class is deleted this many days after it was made"
    )
    log_format: str = _setting(
        "FER_LOG_FORMAT", "text", _one_of("text", "json"), "How serve.py logs: text, or json for one JSON object a line"
    )
    metrics_token: str = _setting(
        "FER_METRICS_TOKEN",
        "",
        str,
        "Who sends it as a bearer token may read /metrics of serve.py; without one nobody may",
        secret=True,
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises SettingError, which names the variable and what it may hold. An empty variable is an unset one."""
        values: dict[str, Any] = {}
        for item in fields(cls):
            if text := environ.get(name := item.metadata["env"], "").strip():
                try:
                    values[item.name] = item.metadata["parse"](text)
                except SettingError as error:
                    # The value itself stays out of the message: a database URL or a TURN server holds a password.
                    raise SettingError(f"{name} cannot be used: {error}.") from None
        if bool(values.get("turn_url")) != bool(values.get("turn_secret")):
            raise SettingError("FER_TURN_URL cannot be used: expected FER_TURN_SECRET with it, and not one alone.")
        return cls(**values)
