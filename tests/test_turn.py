"""TURN credentials, as coturn takes them."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aioice import turn as client

from fer import turn
from fer.config import Settings
from tests.conftest import ROOT
from tests.postgres import free_port

NOW = 1_700_000_000.0
OURS = Settings(turn_url="turn:turn.example.org:3478", turn_secret="north")


def test_without_a_turn_server_the_ice_servers_are_those_of_the_settings():
    servers = ({"urls": "stun:host"},)
    assert turn.ice_servers(Settings(ice_servers=servers), "a", NOW) == servers


def test_credentials_end_by_themselves_and_are_each_students_own():
    stun = {"urls": "stun:host"}
    first, second = (
        turn.ice_servers(Settings(ice_servers=(stun,), turn_url="turn:t", turn_secret="s"), who, NOW) for who in "ab"
    )
    assert first[0] == second[0] == stun
    assert first[1]["username"] == f"{NOW + turn.LIFE_S:.0f}:a"
    assert first[1]["credential"] != second[1]["credential"]


def test_the_credential_is_the_one_that_openssl_makes_of_name_and_secret():
    # printf '1700043200:ada' | openssl dgst -sha1 -hmac north -binary | base64
    (server,) = turn.ice_servers(OURS, "ada", NOW)
    assert (server["username"], server["credential"]) == ("1700043200:ada", "HTT0qWZsQmFThy3s/QslXETo0B8=")


@pytest.fixture
def coturn(tmp_path: Path) -> Iterator[int]:
    """The port of a real TURN server, set up as deploy/ has it, whose secret is that of OURS."""
    if shutil.which("turnserver") is None:
        pytest.skip("coturn is not installed: sudo apt install coturn")
    port = free_port()
    words = (
        f"-c {ROOT / 'deploy' / 'turnserver.conf'} --listening-port={port} --listening-ip=127.0.0.1 "
        f"--relay-ip=127.0.0.1 --realm=test --static-auth-secret={OURS.turn_secret} --no-stdout-log "
        f"--log-file={tmp_path / 'log'} --simple-log --pidfile={tmp_path / 'pid'} --userdb={tmp_path / 'db'}"
    )
    process = subprocess.Popen(["turnserver", *words.split()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield port
    process.kill()
    process.wait(10)


async def _relay(port: int, username: str, password: str) -> bool:
    """Whether the server at `port` opens a relay for these credentials; tried until it answers."""
    for _ in range(200):
        try:
            transport, _ = await asyncio.wait_for(
                client.create_turn_endpoint(
                    asyncio.DatagramProtocol,
                    server_addr=("127.0.0.1", port),
                    username=username,
                    password=password,
                    transport="tcp",
                ),
                10,
            )
            transport.close()
            return True
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)
        except client.stun.TransactionFailed:
            return False
    raise AssertionError("the TURN server does not answer")


def test_coturn_opens_a_relay_for_them_and_for_no_others(coturn: int):
    (server,) = turn.ice_servers(OURS, "ada", time.time())
    (old,) = turn.ice_servers(OURS, "ada", time.time() - turn.LIFE_S - 60)
    assert asyncio.run(_relay(coturn, server["username"], server["credential"]))
    assert not asyncio.run(_relay(coturn, server["username"], "guess"))
    assert not asyncio.run(_relay(coturn, old["username"], old["credential"]))
