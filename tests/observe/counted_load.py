"""Calls of every kind against a server, counted as the caller saw them. Used by tests/observe/live_test.py."""
import collections
import threading

import numpy as np

import glowworm_e2e as e2e
from glowworm_e2e import pb

QUEUE_ROWS = 64
SLOW_HIDDEN = 64  # some milliseconds a row
BURST_CALLS, BURST_ROWS = 24, 8  # three times what the queue takes
FLOOD_IN_FLIGHT = 160


def repository():
    """Two flows, a slow one, and one that is no flow."""
    root = e2e.repository(e2e.golden_folder("tiny-plu"), e2e.golden_folder("digits-glow"))
    e2e.write_slow_flow(root / "slow" / "1" / "flow.safetensors", SLOW_HIDDEN)
    broken = root / "broken" / "1" / "flow.safetensors"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no flow")
    return root


def server():
    return e2e.Server(repository(), "--threads=2", "--precision=float64", f"--max_queue_rows={QUEUE_ROWS}")


def slow_request(rows):
    return pb.LogLikelihoodRequest(model=pb.ModelRef(name="slow"), x=e2e.tensor(np.zeros((rows, 2, 32, 32), "f4")))


class CountedLoad:
    """calls: (method, code, model) -> calls; refusals: (model, reason) -> calls; rows: model -> rows answered."""

    def __init__(self, served):
        self.stub = served.stub()
        self.calls, self.refusals, self.rows = (collections.Counter() for _ in range(3))
        self.rng = np.random.default_rng(5)
        self.digits = e2e.read_safetensors(e2e.golden_folder("digits-glow") / "golden.safetensors")["x"]

    def round(self):
        """Some hundred milliseconds of calls: good, wrong and too many."""
        for _ in range(4):
            x = self.digits[self.rng.integers(len(self.digits), size=QUEUE_ROWS)]
            self._unary("LogLikelihood", "digits-glow", pb.LogLikelihoodRequest, x=e2e.tensor(x))
        tiny = self.rng.normal(size=(6, 3))
        tiny[2, 1] = np.nan
        self._unary("LogLikelihood", "tiny-plu", pb.LogLikelihoodRequest, x=e2e.tensor(tiny))
        self._unary("Encode", "tiny-plu", pb.EncodeRequest, x=e2e.tensor(tiny))
        self._unary("Decode", "tiny-plu", pb.DecodeRequest, z=e2e.tensor(tiny[:2]))
        self._unary("Sample", "digits-glow", pb.SampleRequest, num_samples=16)
        self._unary("Sample", "tiny-plu", pb.SampleRequest, num_samples=0)
        self._unary("Encode", "tiny-plu", pb.EncodeRequest, x=e2e.tensor(np.zeros((1, 5))))
        self._unary("Encode", "broken", pb.EncodeRequest, x=e2e.tensor(tiny))
        self._unary("Encode", "nobody", pb.EncodeRequest, counted_as="", x=e2e.tensor(tiny))
        self._streams(tiny)
        self._burst()

    def _unary(self, method, model, message, counted_as=None, **fields):
        request = message(model=pb.ModelRef(name=model), **fields)
        code, reply = e2e.outcome(lambda: getattr(self.stub, method)(request, timeout=60))
        self.calls[method, code, model if counted_as is None else counted_as] += 1
        if code == "OK":
            rows = getattr(reply, {"LogLikelihood": "log_likelihood", "Encode": "log_likelihood"}.get(method, "x"))
            self.rows[model] += len(rows) if hasattr(rows, "__len__") else rows.shape[0]

    def _streams(self, rows):
        model = pb.ModelRef(name="tiny-plu")
        messages = iter([pb.LogLikelihoodRequest(model=model, x=e2e.tensor(rows))] * 3)
        for reply in self.stub.StreamLogLikelihood(messages, timeout=60):
            self.rows["tiny-plu"] += len(reply.log_likelihood)
        for reply in self.stub.StreamSamples(pb.SampleRequest(model=model, num_samples=100), timeout=60):
            self.rows["tiny-plu"] += reply.x.shape[0]
        for method in ("StreamLogLikelihood", "StreamSamples"):
            self.calls[method, "OK", "tiny-plu"] += 1

    def _burst(self):
        """More rows at once than the queue takes."""
        pending = [self.stub.LogLikelihood.future(slow_request(BURST_ROWS), timeout=60) for _ in range(BURST_CALLS)]
        for call in pending:
            code = call.code().name
            self.calls["LogLikelihood", code, "slow"] += 1
            self.rows["slow"] += BURST_ROWS if code == "OK" else 0
            reason = dict(call.trailing_metadata()).get("glowworm-reason")
            if reason:
                self.refusals["slow", reason] += 1


class Flood:
    """Keeps FLOOD_IN_FLIGHT calls of the slow flow open, refused ones sent anew at once, while the block runs."""

    def __init__(self, served):
        self.stubs = [served.stub() for _ in range(2)]  # a connection takes 100 streams
        self.request = slow_request(BURST_ROWS)
        self._change = threading.Condition()
        self._stopping, self._open = False, 0

    def __enter__(self):
        for i in range(FLOOD_IN_FLIGHT):
            self._send(self.stubs[i % len(self.stubs)])
        return self

    def _send(self, stub):
        with self._change:
            if self._stopping:
                return
            self._open += 1
        stub.LogLikelihood.future(self.request, timeout=60).add_done_callback(lambda _: self._ended(stub))

    def _ended(self, stub):
        with self._change:
            self._open -= 1
            self._change.notify_all()
        self._send(stub)

    def __exit__(self, *_):
        with self._change:
            self._stopping = True
            if not self._change.wait_for(lambda: self._open == 0, 60):
                raise AssertionError(f"{self._open} calls of the flood never ended")
