"""A real registry (Debian's docker-registry) on a port of its own, open, behind a password, or behind tokens."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

import image_kit

USER, PASSWORD = "ada", "s3cret"
_LINE = "ada:$2b$04$VzEmu1a5Yg3qmLHRIT7cE.Aec6kMBgh2s5JFIsTPhiMF2B81vfnPK"
START_TIMEOUT_S = 20


class Registry:
    """One registry; its images lie in `folder`."""

    def __init__(self, folder: Path, auth: Mapping[str, object] | None = None) -> None:
        """`auth`: the part of its configuration that says who may do what."""
        program = shutil.which("docker-registry")
        if program is None:
            pytest.skip("docker-registry is not on this machine")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{free.getsockname()[1]}"
        settings: dict[str, object] = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(folder / "images")}},
            "http": {"addr": self.host},
        }
        if auth is not None:
            settings["auth"] = auth
        (folder / "config.yml").write_text(json.dumps(settings))  # JSON is YAML
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [program, "serve", str(folder / "config.yml")], stdout=self._log, stderr=subprocess.STDOUT
        )
        transport = httpx.HTTPTransport(retries=0)
        self.client = httpx.Client(base_url=f"http://{self.host}", transport=transport, timeout=30)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.client.get("/v2/")
            except httpx.ConnectError:
                continue
            return
        self.stop()
        pytest.fail("the registry did not start")

    def stop(self) -> None:
        """Ends it."""
        self.client.close()
        self._process.terminate()
        self._process.wait(10)
        self._log.close()

    def push(self, name: str, tag: str, image: image_kit.Built, headers: dict[str, str] | None = None) -> None:
        """Uploads an image, blob by blob."""
        told = headers or {}
        for digest, data in image.blobs.items():
            if f"sha256:{digest}" == image.manifest["digest"]:
                continue
            begun = self.client.post(f"/v2/{name}/blobs/uploads/", headers=told)
            assert begun.status_code == 202, begun.text
            where = begun.headers["location"]
            url = f"{where}{'&' if '?' in where else '?'}digest=sha256:{digest}"
            content = {"content-type": "application/octet-stream", **told}
            assert self.client.put(url, content=data, headers=content).status_code == 201
        data = image.blobs[image.manifest["digest"].removeprefix("sha256:")]
        kind = {"content-type": image.manifest["mediaType"], **told}
        made = self.client.put(f"/v2/{name}/manifests/{tag}", content=data, headers=kind)
        assert made.status_code == 201, made.text


def with_password(folder: Path) -> Registry:
    """Only `USER` may do anything."""
    (folder / "htpasswd").write_text(f"{_LINE}\n")
    return Registry(folder, {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}})


class Tokens:
    """The server that hands out tokens; the registry trusts its certificate, and checks each."""

    def __init__(self, folder: Path) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tokens")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._certificate = base64.b64encode(made.public_bytes(Encoding.DER)).decode()
        (folder / "tokens.pem").write_bytes(made.public_bytes(Encoding.PEM))
        self.asked: list[str] = []
        """The scopes that were asked for."""
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
                if self.headers.get("authorization") != basic:
                    self.send_error(401)
                    return
                body = json.dumps({"token": tokens.token(query["scope"][0])}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """The test's own output is enough."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.auth = {
            "token": {
                "realm": f"http://127.0.0.1:{self._server.server_port}/token",
                "service": "registry",
                "issuer": "tokens",
                "rootcertbundle": str(folder / "tokens.pem"),
            }
        }

    def token(self, scope: str) -> str:
        """A token for `repository:NAME:ACTIONS`."""
        self.asked.append(scope)
        kind, name, actions = scope.split(":")
        now = datetime.now(UTC)
        access = [{"type": kind, "name": name, "actions": actions.split(",")}]
        claims = {"iss": "tokens", "aud": "registry", "sub": USER, "access": access, "jti": "1"}
        times = {"exp": now + timedelta(minutes=5), "nbf": now - timedelta(minutes=5), "iat": now}
        return jwt.encode(claims | times, self._key, "RS256", headers={"x5c": [self._certificate]})

    def stop(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
