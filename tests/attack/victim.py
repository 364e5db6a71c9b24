"""What the attack tests share: an attack in a process of its own, and meanwhile the memory and processor time of those
attacked and the luck of a good client. Tested by tests/attack/direct_test.py."""
import contextlib
import dataclasses
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time

import grpc
import numpy as np

import glowworm_e2e as e2e
from glowworm_e2e import pb

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reliability"))
import results  # noqa: E402,F401

ATTACKS = pathlib.Path(__file__).resolve().parent / "attacks.py"
FLOW = "tiny-plu"
LIMIT_MB = 128  # --max_process_bytes of serve(): of arriving messages, and again of replies not yet taken
SLACK_MB = 64  # connections, gRPC's buffers, what the allocator keeps
# When gRPC must reset streams to keep to its memory, some are a good client's: some hundredths of its calls.
MOST = 0.5
PACE_SECONDS = 0.005  # between a good client's calls, so that its own load is none to speak of
GOOD_CALL = pb.LogLikelihoodRequest(x=e2e.tensor(np.zeros((4, 3), "f4")))


class Meter:
    """What a process takes from this moment on."""

    def __init__(self, pid):
        self._pid = pid
        with contextlib.suppress(OSError):  # then the peak is that of its whole life, which is no less
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
        self._start_mb, self._start_seconds = self._status("VmRSS"), self._seconds()

    def _status(self, key):
        text = pathlib.Path(f"/proc/{self._pid}/status").read_text()
        return int(text.split(key + ":")[1].split()[0]) / 1024

    def _seconds(self):
        fields = pathlib.Path(f"/proc/{self._pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def grown_mb(self):
        """The peak of its resident memory over what it had, in MiB."""
        return self._status("VmHWM") - self._start_mb

    def cpu_seconds(self):
        return self._seconds() - self._start_seconds


class GoodClient:
    """Some hundred calls a second over one channel from start to end, each with a deadline of 10 s."""

    def __init__(self, channel):
        self.ok, self.failures, self.slowest = 0, [], 0.0
        self._stub, self._stop = e2e.rpc.DensityServiceStub(channel), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def share(self):
        """Of its calls, those that succeeded."""
        return self.ok / max(1, self.ok + len(self.failures))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        while not self._stop.is_set():
            start = time.monotonic()
            code, text = e2e.outcome(lambda: self._stub.LogLikelihood(GOOD_CALL, timeout=10))
            self.slowest = max(self.slowest, time.monotonic() - start)
            if code == "OK":
                self.ok += 1
            else:
                self.failures.append(f"{code}: {text}")
            self._stop.wait(PACE_SECONDS)


class OpenStream:
    """A StreamLogLikelihood call that stays open between its questions."""

    def __init__(self, channel):
        self._questions = queue.Queue()
        stub = e2e.rpc.DensityServiceStub(channel)
        self._replies = stub.StreamLogLikelihood(iter(self._questions.get, None), timeout=60)

    def ask(self, name):
        """Sends a row with this request_id; that of the reply."""
        self._questions.put(pb.LogLikelihoodRequest(x=GOOD_CALL.x, request_id=name))
        return next(self._replies).request_id

    def close(self):
        self._questions.put(None)


@dataclasses.dataclass
class Strike:
    """An attack and what it did; `grown_mb` and `cpu_seconds` by the name of the process attacked."""
    seen: dict
    grown_mb: dict
    cpu_seconds: dict
    good: GoodClient

    def __str__(self):
        grown = ", ".join(f"{k} +{v:.0f} MiB {self.cpu_seconds[k]:.2f} CPU-s" for k, v in self.grown_mb.items())
        return (f"{grown}; good client {self.good.ok} ok, {len(self.good.failures)} failed {self.good.failures[:1]}, "
                f"slowest {self.good.slowest:.2f} s; attacker saw {self.seen}")


def strike(name, address, pids, channel, ca=None, count=None):
    """Runs an attack of attacks.py. `pids` are the processes attacked, by name."""
    arguments = [f"--ca={ca}"] * bool(ca) + [f"--count={count}"] * bool(count)
    meters = {key: Meter(pid) for key, pid in pids.items()}
    with GoodClient(channel) as good:
        with subprocess.Popen([sys.executable, "-B", ATTACKS, name, address, *arguments], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as attacker:
            line = attacker.stdout.readline()
            if line == "holding\n":
                before = good.ok
                until = time.monotonic() + 10
                while good.ok < before + 20 and not good.failures and time.monotonic() < until:
                    pass  # some good calls under the weight of what is held
                attacker.stdin.close()
                line = attacker.stdout.readline()
            attacker.stdin.close()
        if attacker.returncode:
            raise AssertionError(f"the attack {name} itself failed with {attacker.returncode}")
    return Strike(json.loads(line), {key: meter.grown_mb() for key, meter in meters.items()},
                  {key: meter.cpu_seconds() for key, meter in meters.items()}, good)


def serve():
    """A server with small limits, so that attacks on its memory show early."""
    return e2e.Server(e2e.repository(e2e.golden_folder(FLOW)), f"--max_process_bytes={LIMIT_MB << 20}")


def channel(address, ca=None):
    """A channel of its own connection, ready."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    if ca:
        credentials = grpc.ssl_channel_credentials(pathlib.Path(ca).read_bytes())
        out = grpc.secure_channel(address, credentials, options=options)
    else:
        out = grpc.insecure_channel(address, options=options)
    grpc.channel_ready_future(out).result(timeout=20)
    return out
