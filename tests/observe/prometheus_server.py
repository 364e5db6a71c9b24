"""A real Prometheus on a free loopback port, with the configuration of deploy/prometheus/ made fast enough for a test.
Used and tested by tests/observe/live_test.py."""
import json
import math
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
SCRAPE_SECONDS = 1
START_SECONDS = 60
POLL_SECONDS = 0.05  # between two looks at a condition
# Of the group that looks back a week: the same rules over seconds, from fewer rows.
FASTER_DRIFT = {"interval: 4m": "interval: 1s", "increase4m[1h]": "increase4m[5s]",
                'increase4m{le="+Inf"}[1h]': 'increase4m{le="+Inf"}[5s]', "[7d] offset 1h": "[1h] offset 5s",
                "_bucket[4m]": "_bucket[4s]", ">= 10000": ">= 100", ">= 1000\n": ">= 10\n"}


def wait_until(condition, what, seconds=60):
    """The condition's first true value; AssertionError after that many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(POLL_SECONDS)


def replaced(text, pairs):
    for old, new in pairs.items():
        if old not in text:
            raise AssertionError(f"expected '{old}' in the file that is adapted")
        text = text.replace(old, new)
    return text


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Prometheus:
    """Scrapes `target` (host:port) once a second as job glowworm and evaluates rules.yml as often."""

    def __init__(self, target):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="glowworm-prometheus-"))
        self._configure(target)
        for _ in range(5):  # another process may take the port between the look and the start
            self.url = f"http://127.0.0.1:{free_port()}"
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data",
                 f"--web.listen-address={self.url[len('http://'):]}", "--log.level=warn"],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            self.lines = []
            threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
            if wait_until(lambda: self._ready() or self.process.poll() is not None, "Prometheus is ready",
                          START_SECONDS) is True and self.process.poll() is None:
                return
        self.stop()
        raise AssertionError(f"Prometheus does not start: {self.lines[-5:]}")

    def _configure(self, target):
        config = replaced((FOLDER / "prometheus.yml").read_text(),
                          {"scrape_interval: 15s": f"scrape_interval: {SCRAPE_SECONDS}s",
                           "evaluation_interval: 15s": f"evaluation_interval: {SCRAPE_SECONDS}s",
                           "scrape_timeout: 10s": f"scrape_timeout: {SCRAPE_SECONDS}s", "glowworm:9464": target})
        (self.folder / "prometheus.yml").write_text(config)
        before, drift, after = re.fullmatch(r"(.*)(  - name: glowworm-drift\n.*?)(  - name: .*)",
                                            (FOLDER / "rules.yml").read_text(), re.DOTALL).groups()
        (self.folder / "rules.yml").write_text(before + replaced(drift, FASTER_DRIFT) + after)

    def _read(self, process):
        for line in process.stderr:
            self.lines.append(line.rstrip("\n"))
        process.stderr.close()

    def _ready(self):
        try:
            with urllib.request.urlopen(self.url + "/-/ready", timeout=10) as reply:
                return reply.status == 200
        except OSError:
            return False

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def api(self, path, **parameters):
        """The reply's data. AssertionError with Prometheus' own words if it is an error."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as reply:
                body = json.load(reply)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None
        if body["status"] != "success" or body.get("warnings"):
            raise AssertionError(f"{parameters}: {body}")
        return body["data"]

    def instant(self, expr):
        """[(labels, value)] of an expression now."""
        result = self.api("query", query=expr)["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]

    def finite_values(self, expr, begin, end):
        """How many numbers a panel with this query would draw between two moments."""
        result = self.api("query_range", query=expr, start=begin, end=end, step=SCRAPE_SECONDS)["result"]
        return sum(math.isfinite(float(value)) for series in result for _, value in series["values"])

    def last_scrape(self):
        """When the newest scrape began, by this machine's clock; 0 before the first."""
        return max((value for _, value in self.instant("timestamp(glowworm_build_info)")), default=0.0)

    def scraped_after(self, moment):
        wait_until(lambda: self.last_scrape() > moment, "a scrape")
