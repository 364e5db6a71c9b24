"""Many callers at once: batches form, every answer is the row's own, deadlines hold behind a long batch."""
import time
import unittest

import numpy as np

import glowworm_e2e as e2e
from glowworm_e2e import pb

CALLS, IN_FLIGHT, CONNECTIONS = 3000, 200, 3  # a connection takes 100 streams
DEADLINE_SECONDS = 0.05


class LoadTest(unittest.TestCase):
    def serve(self, root, *flags):
        server = e2e.Server(root, *flags)
        self.addCleanup(server.stop)
        return server

    def concurrent_single_rows(self, *flags):
        """Mean rows a batch; every answer must have the bits of its row sent alone."""
        folder = e2e.golden_folder("digits-glow")
        server = self.serve(e2e.repository(folder), *flags)
        x = e2e.read_safetensors(folder / "golden.safetensors")["x"].astype("f4")
        requests = [pb.LogLikelihoodRequest(x=e2e.tensor(row[None])) for row in x]
        stubs = [server.stub() for _ in range(CONNECTIONS)]
        alone = [stubs[0].LogLikelihood(r, timeout=30).SerializeToString() for r in requests]
        rows, batches = (server.metric(f"glowworm_batch_rows_{n}") for n in ("sum", "count"))
        pending, wrong = [], 0
        for k in range(CALLS + IN_FLIGHT):
            if k < CALLS:
                pending.append((k % len(x), stubs[k % CONNECTIONS].LogLikelihood.future(requests[k % len(x)], timeout=60)))
            if k >= IN_FLIGHT:
                i, call = pending[k - IN_FLIGHT]
                wrong += call.result().SerializeToString() != alone[i]
        self.assertEqual(wrong, 0)
        rows = server.metric("glowworm_batch_rows_sum") - rows
        self.assertEqual(rows, CALLS)
        return rows / (server.metric("glowworm_batch_rows_count") - batches)

    def test_a_queue_delay_gathers_rows(self):
        # Long enough for callers that get little of the machine.
        self.assertGreater(self.concurrent_single_rows("--max_queue_delay_us=20000"), 8)

    def test_without_a_delay_every_answer_is_right_too(self):
        self.assertGreaterEqual(self.concurrent_single_rows(), 1)

    def slow_server(self, *flags, hidden=384):
        root = e2e.repository(e2e.golden_folder("tiny-plu"))
        e2e.write_slow_flow(root / "slow" / "1" / "flow.safetensors", hidden)
        return self.serve(root, "--threads=1", "--precision=float64", *flags)

    def images(self, rows):
        return pb.LogLikelihoodRequest(model=pb.ModelRef(name="slow"), x=e2e.tensor(np.zeros((rows, 2, 32, 32), "f4")))

    def test_a_deadline_holds_behind_a_long_batch_and_its_row_is_never_computed(self):
        server = self.slow_server(hidden=1024)
        stub = server.stub()
        rows = 3
        long_call = stub.LogLikelihood.future(self.images(rows), timeout=240)
        while server.metric("glowworm_pending_bytes", 'model="slow"') == 0:
            pass  # until it has been admitted: the one thread is idle, so it computes
        request = pb.LogLikelihoodRequest(model=pb.ModelRef(name="tiny-plu"), x=e2e.tensor(np.zeros((1, 3), "f4")))
        start = time.monotonic()
        code, _ = e2e.outcome(lambda: stub.LogLikelihood(request, timeout=DEADLINE_SECONDS))
        took = time.monotonic() - start
        self.assertEqual(code, "DEADLINE_EXCEEDED")
        self.assertFalse(long_call.done())
        self.assertLess(took, 0.4)  # far less than the batch it waited for
        long_call.result()
        batches = server.metric("glowworm_compute_seconds_count", 'model="slow"')
        self.assertGreaterEqual(server.metric("glowworm_compute_seconds_sum", 'model="slow"') / batches, 0.5)
        self.assertEqual(server.metric("glowworm_rows_total", 'model="slow"'), rows)
        self.assertEqual(server.metric("glowworm_rows_total", 'model="tiny-plu"'), 0)
        self.assertEqual(server.metric("glowworm_rows_dropped_total", 'model="tiny-plu"', 'work="encode"'), 1)
        self.assertEqual(server.metric("glowworm_requests_total", 'code="DEADLINE_EXCEEDED"'), 1)
        # And the next call is right.
        self.assertEqual(len(stub.LogLikelihood(request, timeout=30).log_likelihood), 1)

    def test_health_answers_while_every_thread_computes(self):
        server = self.slow_server()
        stub = server.stub()
        long_call = stub.LogLikelihood.future(self.images(16), timeout=240)
        check = server.channel().unary_unary("/grpc.health.v1.Health/Check")
        for _ in range(20):
            self.assertEqual(check(b"", timeout=5)[1], 1)
        self.assertFalse(long_call.done())
        long_call.cancel()

    def test_overload_is_refused_at_once_with_advice_and_the_rest_is_answered(self):
        server = self.slow_server("--max_queue_rows=8")
        stub = server.stub()
        calls = [stub.LogLikelihood.future(self.images(4), timeout=240) for _ in range(12)]
        codes = [call.code().name for call in calls]
        self.assertEqual(set(codes), {"OK", "RESOURCE_EXHAUSTED"})
        refused = dict(calls[codes.index("RESOURCE_EXHAUSTED")].trailing_metadata())
        self.assertEqual(refused["glowworm-reason"], "queue_rows")
        self.assertGreater(int(refused["grpc-retry-pushback-ms"]), 0)
        for code in ("OK", "RESOURCE_EXHAUSTED"):
            self.assertEqual(server.metric("glowworm_requests_total", f'code="{code}"'), codes.count(code))


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
