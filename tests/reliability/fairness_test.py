"""A client that floods the server does not push another one out, whether that came before it or comes later."""
import unittest

import glowworm_e2e as e2e
import load
import results

HIDDEN = 224  # some 10 ms a call
QUEUE_ROWS, BATCH_ROWS = 16, 4
FLOOD, OF_CAPACITY = 5, 0.2
SECONDS = 10
ROUNDS = 3


class FairnessTest(unittest.TestCase):
    def start(self, source, rate, seconds, call):
        generator = load.Load(self.server, f"--source={source}", f"--schedule={rate:.3f}:{seconds}", "--connections=4",
                              call)
        self.addCleanup(generator.stop)
        return generator

    def capacity(self, call):
        """Good answers a second, for the whole core."""
        share = load.CoreShare(self.server)
        return load.closed_loop(self.server, 2, QUEUE_ROWS // 2, call).answered_in(0.5, 2) / share.left()

    def measure(self):
        call = load.slow_call()
        capacity = self.capacity(call)
        share = load.CoreShare(self.server)
        # The flood lasts beyond the light client's last call.
        light = self.start("127.0.0.3", OF_CAPACITY * capacity, SECONDS, call)
        flood = self.start("127.0.0.2", FLOOD * capacity, SECONDS + 1, call)
        light, flood = light.outcomes(), flood.outcomes()
        figures = {"capacity": capacity, "light": len(light.with_code(load.OK)) / len(light),
                   "flood": len(flood.with_code(load.OK)) / len(flood), "calls": len(light),
                   "latency": light.with_code(load.OK).latency(0.99),
                   "latency_bound": 2 * (QUEUE_ROWS + BATCH_ROWS) / capacity / share.left()}
        holds = figures["light"] >= 0.99 and figures["latency"] <= figures["latency_bound"]
        return holds and figures["flood"] < 0.5, figures  # it was one

    def setUp(self):
        self.server = load.serve(self, load.slow_repository(HIDDEN), f"--max_queue_rows={QUEUE_ROWS}",
                                 f"--max_batch_rows={BATCH_ROWS}")

    def test_a_light_client_is_served_beside_a_flood(self):
        got = load.best_of(ROUNDS, self.measure)
        self.assertLess(got["flood"], 0.5)
        results.at_least(self, "fairness", f"success of a client at {OF_CAPACITY:.0%} of capacity ({got['calls']} calls) "
                         f"while another offers {FLOOD}x", got["light"], 0.99)
        results.at_most(self, "fairness", "p99 of its calls", got["latency"], got["latency_bound"], "s")
        results.record("fairness", "success of the flooding client's calls", got["flood"], "none")

    def test_a_client_that_comes_later_gets_in(self):
        call = load.slow_call()
        capacity = self.capacity(call)
        flood = self.start("127.0.0.2", FLOOD * capacity, 5, call)
        while self.server.metric("glowworm_requests_total", 'code="RESOURCE_EXHAUSTED"') < 100:
            pass  # until the flood has all of the queue
        late = self.start("127.0.0.4", OF_CAPACITY * capacity, 2, call).outcomes()
        flood.outcomes()
        served = late.with_code(load.OK)
        self.assertGreater(len(served), 0)
        # At most what was queued before it goes first, and each of its calls that is refused makes the flood's share
        # smaller.
        results.at_most(self, "fairness", "a client that comes in the middle of a flood is first admitted after",
                        float(served.due.min()), 2 * QUEUE_ROWS / capacity, "s")


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
