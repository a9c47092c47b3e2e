"""The container files, read without a container: what they name is there, and they agree with each other."""

import re
import subprocess
from dataclasses import fields
from fnmatch import fnmatch
from pathlib import PurePosixPath

import pytest

from fer.config import Settings
from fer.store.database import INSERTS
from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE, NGINX, IMAGE, TURN = (
    (DEPLOY / name).read_text() for name in ("compose.yaml", "nginx.conf", "Dockerfile", "turnserver.conf")
)
REPLICAS = dict(re.findall(r"^ +server (\w+):(\d+) ", NGINX, re.M))
SERVICES = set(re.findall(r"^  (\w+):", COMPOSE.split("\nservices:")[1].split("\nvolumes:")[0], re.M))
ENVIRON = {name: value.strip('"') for name, value in re.findall(r"^ +([A-Z_]+): (\S+)", COMPOSE, re.M)}


def test_the_compose_file_names_what_nginx_and_the_settings_know() -> None:
    assert set(REPLICAS) <= SERVICES
    named = {name for name in ENVIRON if name.startswith("FER_")}
    assert named and named <= {field.metadata["env"] for field in fields(Settings)}
    assert Settings.from_env({"FER_REPLICAS": ENVIRON["FER_REPLICAS"]}).replicas == len(REPLICAS) == 2


def test_the_database_and_the_turn_server_are_where_the_replicas_look_for_them() -> None:
    scheme, _, host, name = re.match(r"(\w+)\+\w+://(\S+)@(\w+)/(\w+)", ENVIRON["FER_DATABASE_URL"]).groups()  # type: ignore[union-attr]
    assert scheme in INSERTS and host in SERVICES and name == ENVIRON["POSTGRES_DB"]
    assert ENVIRON["FER_TURN_URL"].split(":")[-1] == re.search(r"^listening-port=(\d+)", TURN, re.M).group(1)  # type: ignore[union-attr]


def test_every_file_that_is_mounted_or_built_from_is_there() -> None:
    mounted = re.findall(r"(\./[\w./]+):/", COMPOSE)
    assert len(mounted) == 3
    assert all((DEPLOY / path).is_file() for path in mounted if path != "./tls")  # which the operator puts there
    certificates = set(re.findall(r"/etc/nginx/tls/\S+(?=;)", NGINX))
    assert "./tls:/etc/nginx/tls:ro" in COMPOSE and len(certificates) == 2
    (built_by,) = re.findall(r"dockerfile: (\S+)", COMPOSE)
    assert (ROOT / built_by).is_file() and (ROOT / f"{built_by}.dockerignore").is_file()


def test_the_image_listens_where_nginx_asks_and_is_asked_for_its_health_where_it_answers() -> None:
    (port,) = re.findall(r"STREAMLIT_SERVER_PORT=(\d+)", IMAGE)
    assert {port} == set(REPLICAS.values()) == set(re.findall(r"^EXPOSE (\d+)", IMAGE, re.M))
    (checked, path) = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", IMAGE)[0]
    assert checked == port and f'Route("{path}"' in (ROOT / "serve.py").read_text()
    assert "STREAMLIT_SERVER_ADDRESS=0.0.0.0" in IMAGE


def test_the_user_of_the_image_is_not_root_and_owns_the_place_of_its_database() -> None:
    (user,) = re.findall(r"^USER (\d+)", IMAGE, re.M)
    assert int(user) > 0 and f"--uid {user} classmood" in IMAGE
    (place,) = re.findall(r"FER_DATABASE_URL=sqlite:///(/\S+)/\S+", IMAGE)
    assert f"install --directory --owner=classmood {place}" in IMAGE and f"VOLUME {place}\n" in IMAGE


def ignored(path: str) -> bool:
    """Whether Docker leaves a file of the repository out of the image; no pattern is taken back by another."""
    patterns = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    above = [str(part) for part in (PurePosixPath(path), *PurePosixPath(path).parents)]
    return any(fnmatch(part, pattern.removeprefix("**/")) for part in above for pattern in patterns)


def test_the_image_holds_the_app_and_nothing_secret() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not tracked:
        pytest.skip("this is no git checkout")
    needed = [path for path in tracked if path.startswith(("fer/", "pages/", "models/"))]
    needed += ["app.py", "serve.py", "requirements.txt", ".streamlit/config.toml"]
    assert set(needed) <= set(tracked) and not any(map(ignored, needed))
    secret = (".env", "deploy/.env", "deploy/tls/privkey.pem", ".streamlit/secrets.toml", "classmood.sqlite3-wal")
    assert all(map(ignored, (*secret, ".git/config", ".mypy_cache/x")))
    for source in re.findall(r"^COPY (\S+) ", IMAGE, re.M):
        assert source == "." or source in tracked
