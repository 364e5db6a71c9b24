"""The scrape: promtool is content, the counters are the client's own, and half-open connections do not block it."""
import collections
import shutil
import socket
import subprocess
import unittest

import numpy as np

import glowworm_e2e as e2e
from glowworm_e2e import pb

HALF_OPEN_CONNECTIONS = 7


class MetricsTest(unittest.TestCase):
    def setUp(self):
        self.server = e2e.Server(e2e.repository(e2e.golden_folder("thyroid-glow"), e2e.golden_folder("tiny-plu")))
        self.addCleanup(self.server.stop)
        self.stub = self.server.stub()
        self.counted = collections.Counter()

    def call(self, method, request, model=""):
        """Counts the call as the server should: unknown models under no name."""
        code, reply = e2e.outcome(lambda: getattr(self.stub, method)(request, timeout=30))
        self.counted[method, code, model] += 1
        return reply

    def mixed_calls(self):
        """Good and bad calls of every unary method; the rows of each status that LogLikelihood and Encode met."""
        x = np.zeros((4, 6), "f8")
        x[1, 2], x[2, 0] = np.nan, np.inf
        thyroid = pb.ModelRef(name="thyroid-glow")
        for _ in range(7):
            self.call("LogLikelihood", pb.LogLikelihoodRequest(model=thyroid, x=e2e.tensor(x)), "thyroid-glow")
        for _ in range(3):
            self.call("Encode", pb.EncodeRequest(model=thyroid, x=e2e.tensor(x[:1])), "thyroid-glow")
        for _ in range(2):
            self.call("Sample", pb.SampleRequest(model=thyroid, num_samples=10), "thyroid-glow")
            self.call("Sample", pb.SampleRequest(model=thyroid, num_samples=0), "thyroid-glow")
        self.call("Decode", pb.DecodeRequest(model=thyroid, z=e2e.tensor(x[:1])), "thyroid-glow")
        self.call("Decode", pb.DecodeRequest(model=thyroid, z=e2e.tensor(x[:1, :5])), "thyroid-glow")
        self.call("LogLikelihood", pb.LogLikelihoodRequest(model=pb.ModelRef(name="nope"), x=e2e.tensor(x)))
        self.call("LogLikelihood", pb.LogLikelihoodRequest(x=e2e.tensor(x)))  # two models, no name
        self.call("ListModels", pb.ListModelsRequest())
        self.call("GetModel", pb.GetModelRequest(model=thyroid), "thyroid-glow")

    def test_counters_equal_what_the_client_counted(self):
        self.mixed_calls()
        for (method, code, model), count in self.counted.items():
            labels = (f'method="{method}"', f'code="{code}"', f'model="{model}"')
            self.assertEqual(self.server.metric("glowworm_requests_total", *labels), count, labels)
        self.assertEqual(self.server.metric("glowworm_requests_total"), sum(self.counted.values()))
        self.assertEqual(self.server.metric("glowworm_request_seconds_count"), sum(self.counted.values()))
        encode = ('model="thyroid-glow"', 'work="encode"')
        self.assertEqual(self.server.metric("glowworm_rows_total", *encode), 7 * 4 + 3)
        self.assertEqual(self.server.metric("glowworm_rows_total", *encode, 'status="NON_FINITE_INPUT"'), 7 * 2)
        self.assertEqual(self.server.metric("glowworm_negative_log_likelihood_nats_per_dim_count"), 7 * 2 + 3)
        self.assertEqual(self.server.metric("glowworm_rows_total", 'work="sample"'), 20)
        self.assertEqual(self.server.metric("glowworm_batch_rows_sum"), self.server.metric("glowworm_rows_total"))
        self.assertEqual(self.server.metric("glowworm_pending_rows"), 0)

    def test_the_likelihood_histogram_sums_what_was_answered(self):
        x = np.random.default_rng(3).normal(size=(300, 6))
        reply = self.call("LogLikelihood", pb.LogLikelihoodRequest(model=pb.ModelRef(name="thyroid-glow"),
                                                                   x=e2e.tensor(x)), "thyroid-glow")
        want = -np.sum(reply.log_likelihood) / 6
        got = self.server.metric("glowworm_negative_log_likelihood_nats_per_dim_sum", 'model="thyroid-glow"')
        # Summation order differs; each of the 300 additions may round.
        self.assertLess(abs(got - want), 300 * np.finfo("f8").eps * np.sum(np.abs(reply.log_likelihood)) / 6)

    def test_promtool_finds_no_fault(self):
        promtool = shutil.which("promtool")
        if promtool is None:
            self.skipTest("promtool is not installed (Debian package prometheus)")
        self.mixed_calls()
        done = subprocess.run([promtool, "check", "metrics"], input=self.server.scrape(), capture_output=True,
                              text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_half_open_connections_do_not_block_a_scrape(self):
        host, port = self.server.metrics_address.split(":")
        connections = [socket.create_connection((host, int(port)), timeout=10) for _ in range(HALF_OPEN_CONNECTIONS)]
        for connection in connections:
            self.addCleanup(connection.close)
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")  # and no more
        self.assertIn("glowworm_build_info", self.server.scrape())

    def test_the_metrics_port_serves_nothing_else(self):
        host, port = self.server.metrics_address.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"GET /etc/passwd HTTP/1.0\r\n\r\n")
            reply = connection.makefile("rb").read()
        self.assertIn(b" 404 ", reply.split(b"\r\n")[0])

    def test_streams_are_counted_once(self):
        model = pb.ModelRef(name="tiny-plu")
        request = pb.LogLikelihoodRequest(model=model, x=e2e.tensor(np.zeros((5, 3), "f4")))
        self.assertEqual(len(list(self.stub.StreamLogLikelihood(iter([request] * 20), timeout=30))), 20)
        list(self.stub.StreamSamples(pb.SampleRequest(model=model, num_samples=5000), timeout=30))
        for method in ("StreamLogLikelihood", "StreamSamples"):
            labels = (f'method="{method}"', 'code="OK"', 'model="tiny-plu"')
            self.assertEqual(self.server.metric("glowworm_requests_total", *labels), 1)
        self.assertEqual(self.server.metric("glowworm_rows_total", 'work="encode"', 'model="tiny-plu"'), 100)
        self.assertEqual(self.server.metric("glowworm_rows_total", 'work="sample"', 'model="tiny-plu"'), 5000)


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
