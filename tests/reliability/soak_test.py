"""A server at 80 % load does not grow: the slope of its memory after warm-up, by least squares, over calls of every kind.
The same judgement finds a leak of one KiB in so many allocations. Two minutes; GLOWWORM_SOAK_SECONDS for more."""
import itertools
import os
import threading
import unittest

import grpc
import numpy as np

import glowworm_e2e as e2e
import load
import results
from glowworm_e2e import pb

SECONDS = int(os.environ.get("GLOWWORM_SOAK_SECONDS", "120"))
TEST = "soak" if SECONDS == 120 else f"soak_{SECONDS}_s"
AGAIN = {"rerun": ("" if SECONDS == 120 else f"GLOWWORM_SOAK_SECONDS={SECONDS} ") +
         "ctest --test-dir build -R '^reliability_soak$' --output-on-failure"}
CONTROL_SECONDS = 20
WARM_UP = 10
SAMPLE_SECONDS = 0.5
ROWS = 16
LEAK_EVERY = 1000
ONE_CONNECTION = "--connections=1"
MAX_SLOPE = 1.0  # MiB a minute


def slope(sizes):
    """In MiB a minute, by least squares."""
    minutes = np.arange(len(sizes)) * SAMPLE_SECONDS / 60
    return float(np.polyfit(minutes, sizes, 1)[0])


class Visitor(threading.Thread):
    """Does, some times a second, what the generator does not: streams, read and left, bad requests, new connections."""

    def __init__(self, server, x):
        super().__init__(daemon=True)
        self.server, self.x, self.done, self.visits = server, x, threading.Event(), 0

    def run(self):
        os.sched_setaffinity(0, {load.LOAD_CORE})
        kinds = (self.read_stream, self.leave_stream, self.score_stream, self.bad_request, self.unknown_model)
        for kind in itertools.cycle(kinds):
            with self.server.channel() as channel:
                kind(e2e.rpc.DensityServiceStub(channel))
            self.visits += 1
            if self.done.wait(0.1):
                return

    def read_stream(self, stub):
        samples = pb.SampleRequest(num_samples=1000, seed=1, dtype=1)
        assert sum(part.x.shape[0] for part in stub.StreamSamples(samples, timeout=60)) == 1000

    def leave_stream(self, stub):
        call = stub.StreamSamples(pb.SampleRequest(num_samples=1 << 40, seed=1), timeout=60)
        next(call)
        call.cancel()

    def score_stream(self, stub):
        request = pb.LogLikelihoodRequest(x=self.x, request_id="soak")
        assert len(list(stub.StreamLogLikelihood(iter([request] * 5), timeout=60))) == 5

    def bad_request(self, stub):
        bad = pb.LogLikelihoodRequest(x=pb.Tensor(dtype=1, shape=[1, 3], data=b"1"))
        assert e2e.outcome(lambda: stub.LogLikelihood(bad, timeout=60))[0] == "INVALID_ARGUMENT"

    def unknown_model(self, stub):
        unknown = pb.GetModelRequest(model=pb.ModelRef(name="nobody"))
        assert e2e.outcome(lambda: stub.GetModel(unknown, timeout=60))[0] == "NOT_FOUND"

    def finish(self):
        self.done.set()
        self.join()


class SoakTest(unittest.TestCase):
    def period(self, server, calls, rate, seconds):
        """(outcomes, samples of memory) of so long at this rate."""
        generator = load.Load(server, f"--schedule={rate:.3f}:{seconds}", ONE_CONNECTION, *calls)
        self.addCleanup(generator.stop)
        sizes = []
        while not generator.ended(SAMPLE_SECONDS):
            sizes.append(load.memory(server))
        return generator.outcomes(), sizes

    def soak(self, seconds):
        """Slope of memory and what else there is to tell. Memory that steps up once is followed by a second period,
        whose slope is smaller; memory that leaks grows in both."""
        folder = e2e.golden_folder("digits-glow")
        server = load.serve(self, e2e.repository(folder))
        golden = e2e.read_safetensors(folder / "golden.safetensors")["x"]
        x = e2e.tensor(np.resize(golden, (ROWS, *golden.shape[1:])).astype("f4"))
        z = e2e.tensor(np.zeros((ROWS, golden[0].size), "f4"))
        calls = [load.call_argument("LogLikelihood", pb.LogLikelihoodRequest(x=x)),
                 load.call_argument("Encode", pb.EncodeRequest(x=x)),
                 load.call_argument("Decode", pb.DecodeRequest(z=z)),
                 load.call_argument("Sample", pb.SampleRequest(num_samples=ROWS, seed=1)),
                 load.call_argument("GetModel", pb.GetModelRequest())]
        visitor = Visitor(server, x)
        visitor.start()
        # With as many calls at once as one connection carries, which is also what the generator's connection will have
        # under way when the machine stalls: so that no later stall takes more memory than this does.
        capacity = load.closed_loop(server, 5, 100, ONE_CONNECTION, *calls).answered_in(1, 5)
        outcomes, sizes = self.period(server, calls, 0.8 * capacity, seconds)
        slopes = [slope(sizes[int(WARM_UP / SAMPLE_SECONDS):])]
        good, count = outcomes.with_code(load.OK), len(outcomes)
        if slopes[0] > MAX_SLOPE:
            _, sizes = self.period(server, calls, 0.8 * capacity, seconds)
            slopes.append(slope(sizes))
        visitor.finish()
        self.assertGreater(visitor.visits, seconds / 2)
        return {"slope": min(slopes), "calls": count, "capacity": capacity, "good": len(good) / count,
                "memory": sizes[-1]}

    def test_memory_stays(self):
        got = self.soak(SECONDS)
        at = f"{SECONDS} s at 80 % of {got['capacity']:.0f} calls/s"
        results.equal(self, TEST, f"calls that succeeded, of {got['calls']} in {at}", got["good"], 1.0, **AGAIN)
        results.record(TEST, "memory at the end", got["memory"], "none", "MiB", **AGAIN)
        results.at_most(self, TEST, f"slope of memory after {WARM_UP} s", got["slope"], MAX_SLOPE, "MiB/min",
                        **AGAIN)

    def test_the_same_judgement_finds_a_leak(self):
        os.environ.update(LD_PRELOAD=os.environ["GLOWWORM_LEAK"], GLOWWORM_LEAK_EVERY=str(LEAK_EVERY))
        self.addCleanup(lambda: [os.environ.pop(name) for name in ("LD_PRELOAD", "GLOWWORM_LEAK_EVERY")])
        got = self.soak(CONTROL_SECONDS)
        self.assertEqual(got["good"], 1.0)
        results.at_least(self, TEST, f"negative control: slope where each {LEAK_EVERY}th allocation leaks 1 KiB "
                         f"({CONTROL_SECONDS} s)", got["slope"], MAX_SLOPE, "MiB/min", **AGAIN)


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
