"""Behind a real Envoy with deploy/envoy/envoy.yaml every call works as on the server itself, by TLS; what the
configuration promises of routes, timeouts, connections, certificates and its access log holds."""
import json
import pathlib
import socket
import ssl
import struct
import sys
import threading
import time
import unittest

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import attacks  # noqa: E402
import envoy_proxy  # noqa: E402
import glowworm_e2e as e2e  # noqa: E402
import http2_wire as h2  # noqa: E402
import victim  # noqa: E402
from glowworm_e2e import pb  # noqa: E402

ROWS = e2e.tensor(np.random.default_rng(1).standard_normal((60000, 3)).astype("f4"))  # 720 kB


class CallTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.behind = envoy_proxy.Behind(cls)
        cls.direct = cls.behind.server.stub()
        cls.channel = cls.behind.channel()
        cls.stub = e2e.rpc.DensityServiceStub(cls.channel)

    def test_unary_calls_have_the_same_answers(self):
        z = self.direct.Encode(pb.EncodeRequest(x=ROWS), timeout=30).z
        for method, request in (("ListModels", pb.ListModelsRequest()), ("GetModel", pb.GetModelRequest()),
                                ("LogLikelihood", pb.LogLikelihoodRequest(x=ROWS)),
                                ("Encode", pb.EncodeRequest(x=ROWS)), ("Decode", pb.DecodeRequest(z=z)),
                                ("Sample", pb.SampleRequest(num_samples=50000, seed=1))):
            answers = [getattr(s, method)(request, timeout=30).SerializeToString() for s in (self.direct, self.stub)]
            self.assertEqual(answers[0], answers[1], method)

    def test_refusals_keep_their_code_and_sentence(self):
        for request in (pb.LogLikelihoodRequest(), pb.LogLikelihoodRequest(x=pb.Tensor(dtype=1, shape=[1, 4])),
                        pb.LogLikelihoodRequest(model=pb.ModelRef(name="nope"), x=ROWS)):
            direct, through = (e2e.outcome(lambda s=s: s.LogLikelihood(request, timeout=30))
                               for s in (self.direct, self.stub))
            self.assertEqual(through, direct)
            self.assertNotEqual(through[0], "OK")

    def test_a_stream_of_samples_has_the_same_samples(self):
        request = pb.SampleRequest(num_samples=300000, seed=3)
        direct, through = ([c.SerializeToString() for c in s.StreamSamples(request, timeout=60)]
                           for s in (self.direct, self.stub))
        self.assertGreater(len(through), 1)
        self.assertEqual(through, direct)

    def test_a_stream_of_rows_is_answered_in_order(self):
        names = [str(k) for k in range(50)]
        requests = (pb.LogLikelihoodRequest(x=e2e.tensor(np.zeros((3, 3), "f4")), request_id=name) for name in names)
        replies = list(self.stub.StreamLogLikelihood(requests, timeout=30))
        self.assertEqual([reply.request_id for reply in replies], names)

    def test_health_and_request_ids_pass(self):
        check = self.channel.unary_unary("/grpc.health.v1.Health/Check")
        self.assertEqual(check(b"", timeout=10), b"\x08\x01")  # SERVING
        mine = ("x-request-id", "mine")
        _, call = self.stub.ListModels.with_call(pb.ListModelsRequest(), timeout=10, metadata=[mine])
        self.assertIn(mine, [*call.initial_metadata(), *call.trailing_metadata()])

    def test_a_deadline_holds(self):
        chunks = self.stub.StreamSamples(pb.SampleRequest(num_samples=10**9), timeout=0.5)
        self.assertEqual(e2e.outcome(lambda: [len(chunk.x.data) for chunk in chunks])[0], "DEADLINE_EXCEEDED")

    def test_nothing_else_is_served(self):
        for method in ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                       "/inference.GRPCInferenceService/RepositoryIndex"):
            call = self.channel.unary_unary(method)
            self.assertEqual(e2e.outcome(lambda: call(b"", timeout=10))[0], "UNIMPLEMENTED")
        self.assertEqual(self.behind.envoy.listeners, 1)  # and no admin port

    def test_every_line_of_the_access_log_is_json(self):
        for name in ('"quoted"', "\\\\n{}", "x" * 2000):
            self.stub.ListModels(pb.ListModelsRequest(), timeout=10, metadata=[("x-request-id", name)])
        connection = h2.Connection(self.behind.envoy.host_port, self.behind.envoy.ca)
        self.addCleanup(connection.close)
        connection.send(attacks.headers(1, attacks.SCORE, (b"x-request-id", b'a\n{"forged": true}')))
        self.assertTrue(connection.wait(lambda me: me.resets or me.statuses or me.closed, 10))
        lines = [json.loads(line) for line in self.behind.envoy.access_log()]
        self.assertLessEqual({'"quoted"', "\\\\n{}", "x" * 64}, {line["request_id"] for line in lines})
        self.assertFalse([line for line in lines if "forged" in line])


class TimeoutTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        timeouts = ("stream_idle_timeout: 120s", "request_headers_timeout: 10s", "transport_socket_connect_timeout: 5s")
        cls.behind = envoy_proxy.Behind(cls, {timeout: timeout.split(":")[0] + ": 1s" for timeout in timeouts})

    def setUp(self):
        self.connection = h2.Connection(self.behind.envoy.host_port, self.behind.envoy.ca)
        self.addCleanup(self.connection.close)

    def test_a_stream_of_samples_outlasts_the_idle_timeout(self):
        stub = e2e.rpc.DensityServiceStub(self.behind.channel())
        chunks = stub.StreamSamples(pb.SampleRequest(num_samples=10**9), timeout=60)
        rows, until = 0, time.monotonic() + 3
        while time.monotonic() < until:
            chunk = next(chunks)
            self.assertEqual(chunk.first_index, rows)
            rows += chunk.x.shape[0]
        chunks.cancel()

    def test_a_stream_that_falls_silent_ends(self):
        silence = threading.Event()
        self.addCleanup(silence.set)

        def requests():
            yield pb.LogLikelihoodRequest(x=e2e.tensor(np.zeros((1, 3), "f4")))
            silence.wait()

        stub = e2e.rpc.DensityServiceStub(self.behind.channel())
        code, _ = e2e.outcome(lambda: list(stub.StreamLogLikelihood(requests(), timeout=30)))
        self.assertNotIn(code, ("OK", "DEADLINE_EXCEEDED"))

    def ends(self):
        return self.connection.wait(lambda me: me.resets or me.statuses or me.closed, 20)

    def test_half_a_message_and_silence_ends(self):
        self.connection.send(attacks.headers(1) + h2.data(1, struct.pack(">BI", 0, 1000) + bytes(500)))
        self.assertTrue(self.ends())

    def test_headers_that_never_end_end(self):
        self.connection.send(attacks.headers(1, flags=0))
        self.assertTrue(self.ends())

    def test_a_reply_that_is_not_read_ends(self):
        self.connection.send(h2.settings((h2.INITIAL_WINDOW_SIZE, 0)) + attacks.headers(1, attacks.SAMPLE) +
                             h2.data(1, h2.message(b"\x10" + attacks.varint(50000)), end=True))
        self.assertTrue(self.ends())

    def test_a_handshake_that_does_not_come_is_given_up(self):
        silent = h2.Connection(self.behind.envoy.host_port, preface=b"")
        self.addCleanup(silent.close)
        self.assertTrue(silent.wait_closed(20))


class ConnectionTest(unittest.TestCase):
    def test_connections_beyond_the_limit_are_closed_and_the_others_live(self):
        behind = envoy_proxy.Behind(self, {"max_active_downstream_connections: 1000":
                                           "max_active_downstream_connections: 20"})
        strike = behind.strike("silent_connections", count=60)
        self.assertEqual(strike.good.failures, [])
        self.assertGreaterEqual(strike.seen["closed"], strike.seen["connected"] - 20)
        behind.channel()  # there is room again

    def test_a_full_heap_sheds_load(self):
        def active(envoy):
            return [envoy.stat(f"overload.envoy.overload_actions.{action}.active")
                    for action in ("shrink_heap", "stop_accepting_requests", "stop_accepting_connections")]

        self.assertEqual(active(envoy_proxy.Behind(self).envoy), [0, 0, 0])
        full = envoy_proxy.Behind(self, {"max_heap_size_bytes: 536870912": "max_heap_size_bytes: 1048576"}).envoy
        until = time.monotonic() + 20
        while active(full) != [1, 1, 1] and time.monotonic() < until:
            pass
        self.assertEqual(active(full), [1, 1, 1])

    def test_connections_to_the_server_end_soon_after_their_client(self):
        behind = envoy_proxy.Behind(self)
        for _ in range(20):
            with behind.channel() as channel:
                e2e.rpc.DensityServiceStub(channel).LogLikelihood(victim.GOOD_CALL, timeout=10)
        until = time.monotonic() + 20
        while behind.envoy.stat("cluster.glowworm.upstream_cx_active") and time.monotonic() < until:
            pass
        self.assertEqual(behind.envoy.stat("cluster.glowworm.upstream_cx_active"), 0)
        self.assertGreaterEqual(behind.envoy.stat("cluster.glowworm.upstream_cx_total"), 20)

    def common_name(self, envoy):
        context = ssl.create_default_context(cafile=envoy.ca)
        with socket.create_connection(envoy.host_port, timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname=envoy.host_port[0]) as wrapped:
                return dict(pair[0] for pair in wrapped.getpeercert()["subject"])["commonName"]

    def test_a_renewed_certificate_is_taken_up_without_a_restart(self):
        envoy = envoy_proxy.Behind(self).envoy
        self.assertEqual(self.common_name(envoy), "localhost")
        envoy_proxy.make_certificate(envoy.ca.parent, "renewed")
        until, name = time.monotonic() + 20, ""
        while name != "renewed" and time.monotonic() < until:
            try:
                name = self.common_name(envoy)
            except ssl.SSLError:  # only the new certificate is trusted here
                pass
        self.assertEqual(name, "renewed")


if __name__ == "__main__":
    envoy_proxy.skip_without_envoy()
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main(verbosity=2)
