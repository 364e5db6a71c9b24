"""Clients that ask for much and read nothing (HTTP/2 windows of 0), and one that dies in the middle of a stream, hold no
more memory than the limits say, and the others are served."""
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import numpy as np

import glowworm_e2e as e2e
import http2
import load
import results
from glowworm_e2e import pb

D = 1024
ROWS = 480  # of 8 KiB in float64: replies of 3.75 MiB
QUEUE_MIB, PROCESS_MIB = 64, 128
CONNECTIONS, STREAMS = 4, 100
SECONDS = 30
# A reply's bytes exist twice: as the message, and as gRPC's, until they are sent. And what gRPC keeps of each call.
BOUND = 2 * PROCESS_MIB + CONNECTIONS * STREAMS * 64 / 1024


def wide_repository():
    root = pathlib.Path(tempfile.mkdtemp(dir=e2e.TEMPORARY))
    spec = {"format": 1, "name": "wide", "description": "wide rows", "event_shape": [D], "context_size": 0,
            "layers": [{"name": "reverse", "permutation": {"index": "index"}}], "base": {"standard_normal": {}},
            "provenance": {}}
    e2e.write_flow(root / "wide" / "1" / "flow.safetensors", spec, {"index": np.arange(D)[::-1].copy()})
    return root


# Reads one chunk of each of 20 streams, says so, and goes on until it is killed.
KILLED_CLIENT = """
import sys
import grpc
import glowworm_e2e as e2e
stub = e2e.rpc.DensityServiceStub(grpc.insecure_channel(sys.argv[1]))
streams = [stub.StreamSamples(e2e.pb.SampleRequest(num_samples=1 << 40, seed=1)) for _ in range(20)]
for stream in streams:
    next(stream)
e2e.remove_temporary_files()
print("reads", flush=True)
for part in streams[0]:
    pass
"""


class SlowReaderTest(unittest.TestCase):
    FLAGS = ()

    def setUp(self):
        self.server = load.serve(self, wide_repository(), f"--max_queue_bytes={QUEUE_MIB << 20}",
                                 f"--max_process_bytes={PROCESS_MIB << 20}", *self.FLAGS)
        self.stub = self.server.stub()
        self.sample = pb.SampleRequest(num_samples=ROWS, seed=1)
        self.stub.Sample(self.sample, timeout=SECONDS)  # what is made once has been made
        load.reset_peak(self.server)
        self.before = load.memory(self.server)

    def wait_until(self, condition, what, seconds=SECONDS):
        until = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), until, what)

    def read_nothing(self, method, request):
        connections = [http2.Connection(self.server.address, "127.0.0.2") for _ in range(CONNECTIONS)]
        for connection in connections:
            self.addCleanup(connection.close)
            for _ in range(STREAMS):
                connection.call(load.SERVICE + method, request.SerializeToString())
        return connections

    def in_flight(self):
        return self.server.metric("glowworm_requests_in_flight")

    def pending(self):
        return self.server.metric("glowworm_pending_bytes") / (1 << 20)

    def grown(self):
        return load.memory(self.server, "VmHWM") - self.before

    def others(self):
        """The outcome of another client's small calls."""
        x = pb.LogLikelihoodRequest(x=e2e.tensor(np.zeros((1, D), "f4")))
        return (e2e.outcome(lambda: self.stub.LogLikelihood(x, timeout=SECONDS))[0],
                e2e.outcome(lambda: self.stub.Sample(pb.SampleRequest(num_samples=1), timeout=SECONDS))[0])

    def close(self, connections):
        for connection in connections:
            connection.close()
        self.wait_until(lambda: self.pending() == 0, "the bytes of a closed connection are still held")

    def test_unary_replies_that_nobody_reads(self):
        asked = CONNECTIONS * STREAMS * ROWS * D * 8 / (1 << 20)
        for _ in range(2):
            connections = self.read_nothing("Sample", self.sample)
            def ended():
                return (self.server.metric("glowworm_requests_total", 'method="Sample"') >= CONNECTIONS * STREAMS and
                        self.server.metric("glowworm_pending_rows") == 0)
            self.wait_until(ended, "the calls are neither refused nor computed")
            self.assertEqual(self.others(), ("OK", "OK"))
            self.assertGreater(self.pending(), QUEUE_MIB / 4)  # replies are held
            self.close(connections)
        results.at_most(self, "slow_reader", f"growth of peak memory while {asked:.0f} MiB of unary replies, twice, are "
                        "asked for and none is read", self.grown(), BOUND, "MiB")
        self.assertEqual(self.others(), ("OK", "OK"))

    def test_streams_that_nobody_reads(self):
        connections = self.read_nothing("StreamSamples", pb.SampleRequest(num_samples=1 << 40, seed=1))
        # They may have half of the bytes; a chunk is at most 2 MiB.
        self.wait_until(lambda: self.pending() > QUEUE_MIB / 2 - 2.1 and
                        self.server.metric("glowworm_pending_rows") == 0, "the streams do not take what they may")
        self.assertEqual(self.others(), ("OK", "OK"))
        results.at_most(self, "slow_reader", "bytes of the queue that streams hold whom nobody reads", self.pending(),
                        QUEUE_MIB / 2, "MiB")
        results.at_most(self, "slow_reader", f"growth of peak memory with {CONNECTIONS * STREAMS} such streams",
                        self.grown(), BOUND, "MiB")
        self.close(connections)
        self.assertEqual(self.others(), ("OK", "OK"))

    def test_a_client_that_is_killed_in_the_middle_of_a_stream_holds_nothing(self):
        for _ in range(5):
            client = subprocess.Popen([sys.executable, "-B", "-c", KILLED_CLIENT, self.server.address],
                                      stdout=subprocess.PIPE)
            self.assertEqual(client.stdout.readline(), b"reads\n")
            client.send_signal(signal.SIGKILL)
            client.wait()
            client.stdout.close()
            start = time.monotonic()
            self.wait_until(lambda: self.pending() == 0 and self.in_flight() == 0, "a dead client's calls go on")
            took = time.monotonic() - start
        results.at_most(self, "slow_reader", "calls and bytes of a client killed in the middle of 20 streams are gone "
                        "after", took, 5.0, "s")
        results.at_most(self, "slow_reader", "growth of peak memory over five such clients", self.grown(), BOUND, "MiB")
        self.assertEqual(self.others(), ("OK", "OK"))


class ReplyTimeoutTest(SlowReaderTest):
    """A reply that is not read in time is given up, and with it what it holds."""
    FLAGS = ("--reply_timeout=2s",)

    def test_unary_replies_that_nobody_reads(self):
        self.read_nothing("Sample", self.sample)
        self.wait_until(lambda: self.pending() > QUEUE_MIB / 4, "no reply is held")
        start = time.monotonic()
        self.server.wait_for("reply not read")
        self.wait_until(lambda: self.pending() == 0, "replies that nobody reads are kept")
        results.at_most(self, "slow_reader", "with --reply_timeout=2s, all bytes of replies that nobody reads are free "
                        "after", time.monotonic() - start, 10.0, "s")

    def test_streams_that_nobody_reads(self):
        self.read_nothing("StreamSamples", pb.SampleRequest(num_samples=1 << 40, seed=1))
        self.wait_until(lambda: self.pending() > QUEUE_MIB / 4, "no chunk is held")
        self.wait_until(lambda: self.pending() == 0 and self.in_flight() == 0, "streams that nobody reads are kept")

    def test_a_client_that_reads_slowly_but_reads_is_served(self):
        parts = self.stub.StreamSamples(pb.SampleRequest(num_samples=8 * ROWS, seed=1), timeout=SECONDS)
        rows, pause = 0, threading.Event()
        for part in parts:
            rows += part.x.shape[0]
            pause.wait(0.25)
        self.assertEqual(rows, 8 * ROWS)

    test_a_client_that_is_killed_in_the_middle_of_a_stream_holds_nothing = None  # as above


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
