"""deploy/nginx.conf as it is, on loopback: only its addresses, its certificate and its patience are the test's."""

import datetime
import ipaddress
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.browser import wait_for
from tests.conftest import ROOT
from tests.postgres import free_port

ABSENT = "nginx is not installed: sudo apt install nginx"
PATIENCE_S = 1


def binary() -> str | None:
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


@dataclass(frozen=True)
class Proxy:
    """A running nginx. `log` has a line for each request: who answered, the status, the path."""

    port: int
    plain_port: int
    log: Path
    tls: ssl.SSLContext

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@contextmanager
def running(folder: Path, replicas: Sequence[str]) -> Iterator[Proxy]:
    """nginx before two replicas, each "host:port"."""
    found, port, plain_port = binary(), free_port(), free_port()
    assert found is not None, ABSENT
    certificate, key = _certificate(folder)
    log, text = folder / "access.log", (ROOT / "deploy" / "nginx.conf").read_text()
    temporary = "".join(
        f"{kind}_temp_path {folder};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    for ours, theirs in (
        ("app1:8501", replicas[0]),
        ("app2:8501", replicas[1]),
        ("listen 80;", f"listen 127.0.0.1:{plain_port};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/nginx/tls/fullchain.pem", str(certificate)),
        ("/etc/nginx/tls/privkey.pem", str(key)),
        ("client_header_timeout 10s", f"client_header_timeout {PATIENCE_S}s"),
        ("client_body_timeout 10s", f"client_body_timeout {PATIENCE_S}s"),
        (
            "access_log off;",
            f"log_format who '$upstream_addr $status $request_uri';\naccess_log {log} who;\n{temporary}",
        ),
    ):
        assert ours in text, ours
        text = text.replace(ours, theirs)
    (folder / "nginx.conf").write_text(text)
    user = "user root;" if os.getuid() == 0 else ""
    options = f"{user} daemon off; pid {folder}/pid; error_log {folder}/error.log;"
    process = subprocess.Popen([found, "-p", folder, "-c", folder / "nginx.conf", "-g", options])
    try:
        wait_for((folder / "pid").is_file, 20, "nginx")
        yield Proxy(port, plain_port, log, ssl.create_default_context(cafile=str(certificate)))
    finally:
        process.terminate()
        process.wait(20)


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(alternative, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(private)
    return folder / "cert.pem", folder / "key.pem"
