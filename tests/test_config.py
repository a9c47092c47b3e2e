import traceback
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from fer.config import ROOT, Settings
from fer.errors import SettingError

SECRET = "hunter2"


def test_without_variables_everything_has_its_default():
    settings = Settings.from_env({})
    assert settings == Settings()
    assert settings.database_url == f"sqlite:///{ROOT / 'classmood.sqlite3'}"
    assert settings.model == ROOT / "models" / "classmood48"
    assert (settings.detector, settings.min_group, settings.retention_days) == ("auto", 5, 30)
    assert (settings.analyses_per_s, settings.half_life_s, settings.confidence_floor) == (2.0, 1.0, 0.4)
    assert (settings.ice_servers, settings.public_url) == ((), "")


@pytest.mark.parametrize(
    "name, text, field, value",
    [
        (
            "FER_DATABASE_URL",
            "postgresql+psycopg://user@host/name",
            "database_url",
            "postgresql+psycopg://user@host/name",
        ),
        ("FER_MODEL", "other/model", "model", Path("other/model")),
        ("FER_DETECTOR", "cascade", "detector", "cascade"),
        ("FER_YUNET_MODEL", "yunet.onnx", "yunet_model", Path("yunet.onnx")),
        ("FER_MIN_GROUP", "1", "min_group", 1),
        ("FER_ANALYSES_PER_S", "0.2", "analyses_per_s", 0.2),
        ("FER_CAMERA_FPS", "30", "camera_fps", 30),
        ("FER_CAMERA_WIDTH", "640", "camera_width", 640),
        ("FER_HALF_LIFE_S", "0", "half_life_s", 0.0),
        ("FER_CONFIDENCE_FLOOR", " 0.5 ", "confidence_floor", 0.5),
        ("FER_ICE_SERVERS", "[]", "ice_servers", ()),
        ("FER_ICE_SERVERS", '[{"urls": "stun:host:3478"}]', "ice_servers", ({"urls": "stun:host:3478"},)),
        ("FER_ICE_SERVERS", '[{"urls": ["turn:a", "turns:b"]}]', "ice_servers", ({"urls": ["turn:a", "turns:b"]},)),
        ("FER_PUBLIC_URL", "https://classmood.example.org/", "public_url", "https://classmood.example.org"),
        ("FER_RETENTION_DAYS", "7", "retention_days", 7),
        ("FER_LOG_FORMAT", "json", "log_format", "json"),
        ("FER_METRICS_TOKEN", "token", "metrics_token", "token"),
    ],
)
def test_a_variable_sets_its_field_and_no_other(name: str, text: str, field: str, value: Any):
    settings = Settings.from_env({name: text, "HOME": "elsewhere"})
    assert getattr(settings, field) == value
    assert [f.name for f in fields(Settings) if getattr(settings, f.name) != getattr(Settings(), f.name)] in (
        [field],
        [],
    )


@pytest.mark.parametrize(
    "name, text",
    [
        ("FER_DATABASE_URL", f"postgres user {SECRET}"),
        ("FER_MIN_GROUP", "0"),
        ("FER_MIN_GROUP", "4.5"),
        ("FER_MIN_GROUP", "many"),
        ("FER_ANALYSES_PER_S", "31"),
        ("FER_ANALYSES_PER_S", "inf"),
        ("FER_CAMERA_FPS", "0"),
        ("FER_CAMERA_WIDTH", "100"),
        ("FER_HALF_LIFE_S", "-1"),
        ("FER_HALF_LIFE_S", "nan"),
        ("FER_CONFIDENCE_FLOOR", "1.1"),
        ("FER_CONFIDENCE_FLOOR", "40%"),
        ("FER_ICE_SERVERS", f"turn:host {SECRET}"),
        ("FER_ICE_SERVERS", f'{{"urls": "turn:host", "credential": "{SECRET}"}}'),
        ("FER_ICE_SERVERS", f'[{{"url": "turn:host", "credential": "{SECRET}"}}]'),
        ("FER_ICE_SERVERS", f'[{{"urls": "https://host", "credential": "{SECRET}"}}]'),
        ("FER_ICE_SERVERS", f'[{{"urls": [], "credential": "{SECRET}"}}]'),
        ("FER_ICE_SERVERS", f'["turn:host?{SECRET}"]'),
        ("FER_PUBLIC_URL", "classmood.example.org"),
        ("FER_PUBLIC_URL", "ftp://classmood.example.org"),
        ("FER_PUBLIC_URL", "https://"),
        ("FER_PUBLIC_URL", "https://[::1"),
        ("FER_RETENTION_DAYS", "0"),
        ("FER_LOG_FORMAT", "xml"),
        ("FER_TURN_URL", f"stun:user:{SECRET}@host"),
        ("FER_TURN_URL", "turn:host"),
        ("FER_RETENTION_DAYS", "1e3"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_the_name_of_its_variable(name: str, text: str):
    with pytest.raises(SettingError) as error:
        Settings.from_env({name: text})
    message = str(error.value)
    assert message.startswith(f"{name} cannot be used: expected ") and message.endswith(".")
    # Neither the message nor the chain that a traceback prints may show a password.
    assert SECRET not in "".join(traceback.format_exception(error.value))


def test_a_turn_server_and_its_secret_are_set_together():
    settings = Settings.from_env({"FER_TURN_URL": "turns:host", "FER_TURN_SECRET": SECRET})
    assert (settings.turn_url, settings.turn_secret) == ("turns:host", SECRET)
    with pytest.raises(SettingError, match="FER_TURN_SECRET"):
        Settings.from_env({"FER_TURN_SECRET": SECRET})


def test_no_secret_is_in_the_words_for_the_settings():
    names = ("FER_TURN_SECRET", "FER_METRICS_TOKEN")
    urls = {"FER_DATABASE_URL": f"postgresql+psycopg://u:{SECRET}@host/name", "FER_TURN_URL": "turn:host"}
    servers = {"FER_ICE_SERVERS": f'[{{"urls": "turn:host", "credential": "{SECRET}"}}]'}
    assert SECRET not in repr(Settings.from_env({**dict.fromkeys(names, SECRET), **urls, **servers}))


@pytest.mark.parametrize("name", [field.metadata["env"] for field in fields(Settings)])
@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_variable_is_an_unset_one(name: str, empty: str):
    assert Settings.from_env({name: empty}) == Settings()


def test_each_field_names_a_variable_of_its_own_and_says_what_it_does():
    names = [field.metadata["env"] for field in fields(Settings)]
    assert len(set(names)) == len(names) and all(name.startswith("FER_") for name in names)
    assert all(len(field.metadata["help"]) > 20 for field in fields(Settings))
