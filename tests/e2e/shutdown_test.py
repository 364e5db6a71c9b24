"""Stopping: SIGTERM under load, with open streams, twice, and while models load."""
import collections
import shutil
import signal
import threading
import unittest

import numpy as np

import glowworm_e2e as e2e
from glowworm_e2e import pb


class ShutdownTest(unittest.TestCase):
    def serve(self, *flags, root=None):
        server = e2e.Server(root or e2e.repository(e2e.golden_folder("pendigits-qr")), *flags)
        self.addCleanup(lambda: server.process.poll() is None and server.process.kill())
        return server

    def slow_repository(self, hidden=256):
        root = e2e.repository()
        e2e.write_slow_flow(root / "slow" / "1" / "flow.safetensors", hidden)
        return root

    def arrived(self, server, count):
        """Waits until so many calls have reached the server."""
        while server.metric("glowworm_requests_in_flight") + server.metric("glowworm_requests_total") < count:
            pass

    def test_an_idle_server_exits_with_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            server = self.serve()
            self.assertTrue(server.port_file.exists())
            self.assertEqual(server.stop(number), 0)
            self.assertFalse(server.port_file.exists())

    def test_every_call_in_flight_is_answered(self):
        server = self.serve("--threads=1", root=self.slow_repository())
        request = pb.LogLikelihoodRequest(x=e2e.tensor(np.zeros((4, 2, 32, 32), "f4")))
        stub = server.stub()
        calls = [stub.LogLikelihood.future(request, timeout=120) for _ in range(12)]
        self.arrived(server, 12)
        server.process.send_signal(signal.SIGTERM)
        codes = collections.Counter(call.code().name for call in calls)
        self.assertEqual(codes, {"OK": 12})
        self.assertEqual(server.exit_code(), 0)

    def accept(self, server, stub, request, count):
        """Sends `count` calls of the slow model and returns them once the batcher holds all of them."""
        def held():
            return server.metric("glowworm_pending_bytes", 'model="slow"')

        alone = stub.LogLikelihood.future(request, timeout=120)
        while not (one := held()) and not alone.done():
            pass
        self.assertEqual(alone.code().name, "OK")
        self.assertGreater(one, 0, "the call is slow enough to be seen")
        while held():
            pass
        calls = [stub.LogLikelihood.future(request, timeout=120) for _ in range(count)]
        while (now := held()) < count * one and not calls[0].done():
            pass
        self.assertEqual(now, count * one, "the calls are slow enough to be seen together")
        return calls

    def test_under_load_accepted_calls_are_answered_and_later_ones_end_in_order(self):
        root = self.slow_repository(hidden=128)
        shutil.copytree(e2e.golden_folder("tiny-plu") / "1", root / "tiny-plu" / "1")
        server = self.serve("--threads=1", "--lame_duck_ms=200", root=root)
        request = pb.LogLikelihoodRequest(model=pb.ModelRef(name="tiny-plu"), x=e2e.tensor(np.zeros((2048, 3), "f4")))
        slow = pb.LogLikelihoodRequest(model=pb.ModelRef(name="slow"), x=e2e.tensor(np.zeros((64, 2, 32, 32), "f4")))
        stub, codes = server.stub(), collections.Counter()
        lock, enough = threading.Lock(), threading.Event()

        def client():
            code = "OK"
            while code == "OK":
                code, _ = e2e.outcome(lambda: stub.LogLikelihood(request, timeout=30))
                with lock:
                    codes[code] += 1
                if codes["OK"] >= 40:
                    enough.set()

        clients = [threading.Thread(target=client) for _ in range(16)]
        for thread in clients:
            thread.start()
        self.assertTrue(enough.wait(60))
        accepted = self.accept(server, server.stub(), slow, 4)
        with lock:
            self.assertEqual(set(codes), {"OK"})
            server.process.send_signal(signal.SIGTERM)
        self.assertEqual([call.code().name for call in accepted], ["OK"] * 4)
        self.assertEqual(server.exit_code(), 0)
        for thread in clients:
            thread.join()
        self.assertLessEqual(set(codes), {"OK", "UNAVAILABLE", "CANCELLED"})

    def test_health_says_so_first_and_calls_are_still_taken(self):
        server = self.serve("--lame_duck_ms=3000")
        channel, stub = server.channel(), server.stub()
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=30)
        self.assertEqual(next(watch)[1], 1)
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(next(watch)[1], 2)  # NOT_SERVING
        self.assertEqual(check(b"\x0a\x0cpendigits-qr", timeout=10)[1], 2)
        self.assertEqual(stub.Sample(pb.SampleRequest(num_samples=3), timeout=10).x.shape[0], 3)
        self.assertEqual(server.exit_code(), 0)

    def test_open_streams_end_with_unavailable_where_they_can_be_resumed(self):
        server = self.serve()
        stub = server.stub()
        request = pb.SampleRequest(num_samples=10**9, seed=42, dtype=1)
        chunks = stub.StreamSamples(request, timeout=60)
        first = next(chunks)
        messages = threading.Event()

        def idle():
            yield pb.LogLikelihoodRequest(x=e2e.tensor(np.zeros((1, 16), "f4")), request_id="one")
            messages.wait()  # open, and silent

        scores = stub.StreamLogLikelihood(idle(), timeout=60)
        self.assertEqual(next(scores).request_id, "one")
        server.process.send_signal(signal.SIGTERM)
        code, _ = e2e.outcome(lambda: next(scores))
        self.assertEqual(code, "UNAVAILABLE")
        messages.set()
        end = first.x.shape[0]
        code, text = "OK", ""
        while code == "OK":
            code, text = e2e.outcome(lambda: next(chunks))
            if code == "OK":
                self.assertEqual(text.first_index, end)
                end += text.x.shape[0]
        self.assertEqual(code, "UNAVAILABLE")
        self.assertIn(f"first_index={end}", text)
        self.assertEqual(server.exit_code(), 0)

    def test_a_drain_that_takes_too_long_is_cut_short(self):
        server = self.serve("--threads=1", "--drain_timeout_ms=1", "--precision=float64", root=self.slow_repository())
        request = pb.LogLikelihoodRequest(x=e2e.tensor(np.zeros((64, 2, 32, 32), "f4")))
        call = server.stub().LogLikelihood.future(request, timeout=120)
        self.arrived(server, 1)
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(call.code().name, "UNAVAILABLE")
        self.assertEqual(server.exit_code(), 0)

    def test_a_second_signal_ends_it_at_once(self):
        server = self.serve("--lame_duck_ms=600000")
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("stopping")
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.exit_code(), 128 + signal.SIGTERM)
        self.assertFalse(server.port_file.exists())

    def test_a_signal_while_models_load(self):
        root = self.slow_repository()
        for version in range(2, 12):
            (root / "slow" / str(version)).symlink_to(root / "slow" / "1")
        for first in ("loaded model=slow version=1 ", "loaded model=slow version=2 ") * 4:
            server = e2e.Server(root, wait=False)
            server.wait_for(first)
            self.assertEqual(server.stop(), 0, server.lines[-5:])
            self.assertFalse(server.port_file.exists())


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
