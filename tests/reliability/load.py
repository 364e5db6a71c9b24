"""What the tests here share: a server on a core of its own, glowworm-open-loop on another, and what came of each call.

ctest sets GLOWWORM_OPEN_LOOP (the binary) beside what glowworm_e2e.py needs. Used by tests/reliability/*_test.py.
"""
import contextlib
import os
import pathlib
import subprocess
import tempfile

import numpy as np

import glowworm_e2e as e2e
from glowworm_e2e import pb

OPEN_LOOP = os.environ["GLOWWORM_OPEN_LOOP"]
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]
OK, RESOURCE_EXHAUSTED = 0, 8  # gRPC's codes
SERVICE = "/glowworm.v1.DensityService/"


@contextlib.contextmanager
def on_core(core):
    """What is started inside, from this thread, runs on this core only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def serve(case, root, *flags, **more):
    """A server with one compute thread, on its own core, stopped after the test."""
    with on_core(SERVER_CORE):
        server = e2e.Server(root, "--threads=1", *flags, **more)
    case.addCleanup(server.stop)
    return server


def call_argument(method, request):
    """METHOD=FILE for the generator."""
    path = pathlib.Path(tempfile.mktemp(dir=e2e.TEMPORARY))
    path.write_bytes(request.SerializeToString())
    return f"{SERVICE}{method}={path}"


def slow_repository(hidden):
    root = pathlib.Path(tempfile.mkdtemp(dir=e2e.TEMPORARY))
    e2e.write_slow_flow(root / "slow" / "1" / "flow.safetensors", hidden)
    return root


def slow_call(rows=1):
    return call_argument("LogLikelihood", pb.LogLikelihoodRequest(
        model=pb.ModelRef(name="slow"), x=e2e.tensor(np.zeros((rows, 2, 32, 32), "f4"))))


class Outcomes:
    """Calls by the time at which they were due: arrays of seconds and of gRPC's codes."""

    def __init__(self, due, sent, ended, code):
        self.due, self.sent, self.ended, self.code = due, sent, ended, code

    def __len__(self):
        return len(self.code)

    def where(self, mask):
        return Outcomes(self.due[mask], self.sent[mask], self.ended[mask], self.code[mask])

    def due_in(self, begin, end):
        return self.where((self.due >= begin) & (self.due < end))

    def with_code(self, code):
        return self.where(self.code == code)

    def answered_in(self, begin, end):
        """Good answers a second that came in this time."""
        return np.count_nonzero((self.code == OK) & (self.ended >= begin) & (self.ended < end)) / (end - begin)

    def latency(self, share):
        """Since the call was due, so that neither a slow server nor a slow generator hides anything."""
        return float(np.quantile(self.ended - self.due, share, method="higher"))

    def since_sent(self, share):
        return float(np.quantile(self.ended - self.sent, share, method="higher"))

    def lateness(self, share):
        """Of the generator."""
        return float(np.quantile(self.sent - self.due, share, method="higher"))


class Load:
    """A generator that runs."""

    def __init__(self, server, *arguments):
        with on_core(LOAD_CORE):
            self.process = subprocess.Popen([OPEN_LOOP, f"--address={server.address}", *arguments],
                                            stdout=subprocess.PIPE)
        self.text = None

    def ended(self, seconds):
        """Waits so long at most; whether every call has ended."""
        try:
            self.text = self.process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            return False
        return True

    def outcomes(self):
        """Waits until every call has ended."""
        while self.text is None:
            self.ended(None)
        if self.process.returncode != 0:
            raise AssertionError(f"the generator ended with {self.process.returncode}")
        table = np.array(self.text.split(), "f8").reshape(-1, 4)
        return Outcomes(table[:, 0], table[:, 1], table[:, 2], table[:, 3].astype(int))

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def closed_loop(server, seconds, in_flight, *calls):
    return Load(server, f"--seconds={seconds}", f"--in_flight={in_flight}", *calls).outcomes()


def open_loop(server, phases, *calls):
    """`phases`: (calls a second, seconds) each."""
    return Load(server, "--schedule=" + ",".join(f"{r:.3f}:{s}" for r, s in phases), *calls).outcomes()


def memory(server, field="VmRSS"):
    """MiB; VmHWM is the peak since reset_peak()."""
    for line in pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"no {field} of the server")


def reset_peak(server):
    pathlib.Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")


class CoreShare:
    """How much of the server's core other processes left to it since this was made, as a share: 1 on a quiet machine.
    A capacity measured beside others is divided by it."""

    def __init__(self, server):
        self.pid, self.before = server.process.pid, None
        self.before = self._read()

    def _read(self):
        with open("/proc/stat", encoding="ascii") as file:
            core = next(line.split() for line in file if line.startswith(f"cpu{SERVER_CORE} "))
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        busy, idle = sum(map(int, core[1:4] + core[6:9])), sum(map(int, core[4:6]))
        return np.array([busy, idle, int(fields[11]) + int(fields[12])], "f8")  # in the kernel's ticks

    def left(self):
        busy, idle, server = self._read() - self.before
        return float(min(1, max(0.05, 1 - (busy - server) / (busy + idle))))


def best_of(rounds, measure):
    """The claims of the first round in which all hold, else of the last: other processes of the machine can only make
    a server look worse. measure() returns (holds, whatever)."""
    for _ in range(rounds):
        holds, measured = measure()
        if holds:
            break
    return measured
