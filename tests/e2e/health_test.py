"""Health as probes see it: what --health answers through start, service and drain, and `glowworm-server
--healthcheck`."""
import os
import signal
import socket
import subprocess
import unittest

import grpc
import numpy as np

import glowworm_e2e as e2e
from glowworm_e2e import pb

SERVING, NOT_SERVING = 1, 2
CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"


def asked(service):
    """A HealthCheckRequest."""
    return bytes([1 << 3 | 2, len(service)]) + service.encode() if service else b""


class HealthListenerTest(unittest.TestCase):
    def serve(self, root, *flags, **more):
        server = e2e.Server(root, *flags, **more)
        self.addCleanup(self.end, server)
        return server

    @staticmethod
    def end(server):
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()

    def channel(self, address):
        channel = grpc.insecure_channel(address, options=[  # it tries again every 100 ms, the least there is
            ("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 100)])
        self.addCleanup(channel.close)
        return channel

    def answers(self, channel, wait=True):
        """What each service but the models' is."""
        check = channel.unary_unary(CHECK)
        return {name: check(asked(name), timeout=30, wait_for_ready=wait)[1]
                for name in ("", "readiness", "startup", "liveness")}

    def free_address(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            return "%s:%d" % free.getsockname()

    def slow_repository(self, hidden=256):
        root = e2e.repository()
        e2e.write_slow_flow(root / "slow" / "1" / "flow.safetensors", hidden)
        return root

    def test_from_the_first_moment_the_process_is_alive_and_the_rest_waits_for_the_models(self):
        root = self.slow_repository(hidden=512)
        for version in range(2, 17):
            (root / "slow" / str(version)).symlink_to(root / "slow" / "1")
        server = self.serve(root, f"--health={(address := self.free_address())}", wait=False)
        channel = self.channel(address)
        first = self.answers(channel)
        self.assertFalse(any(" serving " in line for line in server.lines), "the load is long enough to be seen")
        self.assertEqual(first, {"": NOT_SERVING, "readiness": NOT_SERVING, "startup": NOT_SERVING,
                                 "liveness": SERVING})
        server.wait_for(" serving ")
        self.assertEqual(self.answers(channel), dict.fromkeys(first, SERVING))
        self.assertEqual(server.stop(), 0)

    def test_it_has_the_models_and_nothing_else(self):
        root = e2e.repository(e2e.golden_folder("tiny-plu"))
        broken = root / "broken" / "1" / "flow.safetensors"
        broken.parent.mkdir(parents=True)
        broken.write_bytes(b"not a flow at all")
        server = self.serve(root, "--health=127.0.0.1:0")
        channel = self.channel(server.health_address)
        check = channel.unary_unary(CHECK)
        self.assertEqual(check(asked("tiny-plu"), timeout=30)[1], SERVING)
        self.assertEqual(check(asked("broken"), timeout=30)[1], NOT_SERVING)
        self.assertEqual(e2e.outcome(lambda: check(asked("nope"), timeout=30))[0], "NOT_FOUND")
        density = e2e.rpc.DensityServiceStub(channel)
        self.assertEqual(e2e.outcome(lambda: density.ListModels(pb.ListModelsRequest(), timeout=30))[0],
                         "UNIMPLEMENTED")
        reflection = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        self.assertEqual(e2e.outcome(lambda: next(reflection(iter([b""]), timeout=30)))[0], "UNIMPLEMENTED")

    def test_while_the_server_drains_it_is_alive_and_not_ready(self):
        server = self.serve(self.slow_repository(), "--threads=1", "--lame_duck_ms=200", "--health=127.0.0.1:0")
        channel = self.channel(server.health_address)
        ready = channel.unary_stream(WATCH)(asked("readiness"), timeout=60)
        self.assertEqual(next(ready)[1], SERVING)
        rows = pb.LogLikelihoodRequest(x=e2e.tensor(np.zeros((64, 2, 32, 32), "f4")))
        stub = server.stub()
        calls = [stub.LogLikelihood.future(rows, timeout=120) for _ in range(4)]
        while server.metric("glowworm_requests_in_flight") + server.metric("glowworm_requests_total") < len(calls):
            pass
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(next(ready)[1], NOT_SERVING)
        seen = []
        while not calls[-1].done():
            code, answers = e2e.outcome(lambda: self.answers(channel, wait=False))
            if code != "OK":  # the drain is over, which the caller may learn a moment later
                break
            seen.append(answers)
        self.assertEqual([call.code().name for call in calls], ["OK"] * len(calls))
        self.assertGreater(len(seen), 0, "the calls are slow enough")
        for answers in seen:
            self.assertEqual(answers, {"": NOT_SERVING, "readiness": NOT_SERVING, "startup": NOT_SERVING,
                                       "liveness": SERVING})
        self.assertEqual(server.exit_code(), 0)


class HealthcheckTest(unittest.TestCase):
    def ask(self, *flags, **environment):
        """(exit code, what it said)"""
        done = subprocess.run([e2e.BINARY, "--healthcheck", *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=60, env={**os.environ, **environment})
        return done.returncode, done.stdout

    def serve(self, *flags):
        server = e2e.Server(e2e.repository(e2e.golden_folder("tiny-plu")), *flags)
        self.addCleanup(HealthListenerTest.end, server)
        return server

    def assert_refused(self, outcome, text):
        code, said = outcome
        self.assertEqual(code, 1)
        self.assertIn(text, said)
        self.assertEqual(said.count("\n"), 1, said)

    def test_a_server_that_serves_is_healthy(self):
        server = self.serve("--health=127.0.0.1:0")
        self.assertEqual(self.ask(f"--listen={server.address}"), (0, ""))
        # The health listener comes first, whatever --listen says; neither a proxy nor a repository matters.
        self.assertEqual(self.ask("--listen=127.0.0.1:1", f"--health={server.health_address}", "--repository=/nope",
                                  http_proxy="http://127.0.0.1:1"), (0, ""))

    def test_a_server_that_stops_is_not(self):
        server = self.serve("--lame_duck_ms=60000")
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("stopping")
        self.assert_refused(self.ask(f"--listen={server.address}"), "got NOT_SERVING")
        server.process.send_signal(signal.SIGTERM)
        server.exit_code()

    def test_nobody_there_is_not(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = "%s:%d" % silent.getsockname()
            self.assert_refused(self.ask(f"--listen={address}"), "got no answer")
        self.assert_refused(self.ask(f"--listen={address}"), "got no answer")

    def test_what_cannot_be_asked_is_named(self):
        self.assert_refused(self.ask("--tls_cert=a", "--tls_key=b"), "probes need a plaintext --health")
        self.assert_refused(self.ask("--listen=127.0.0.1:0"), "the port of a running server, got 0")
        self.assert_refused(self.ask("--health=nowhere"), "expected HOST:PORT")


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
