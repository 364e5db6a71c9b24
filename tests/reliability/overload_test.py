"""A server that is offered two, five and ten times what it can do: it does what it can, in bounded time, refuses the rest
at once, keeps its memory, and is itself again when the load falls."""
import unittest

import glowworm_e2e as e2e
import load
import results

HIDDEN = 400  # some 25 ms a call, and a refusal some 0.2 ms: nine of them take less than a tenth of the core
QUEUE_ROWS, BATCH_ROWS = 16, 1
CONNECTIONS = 4
SETTLE = 0.5  # seconds at the begin of each phase that do not count
ROUNDS = 3
# What gRPC keeps of a call (arena, message, buffers), times the calls that the connections can carry.
MEMORY_BOUND = CONNECTIONS * 100 * 64 / 1024


class OverloadTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root, cls.call = load.slow_repository(HIDDEN), load.slow_call()

    def setUp(self):
        self.server = load.serve(self, self.root, f"--max_queue_rows={QUEUE_ROWS}", f"--max_batch_rows={BATCH_ROWS}")

    def capacity(self, seconds=2.5):
        """Good answers a second with the queue never empty nor full, for the whole core."""
        share = load.CoreShare(self.server)
        calls = load.closed_loop(self.server, seconds, QUEUE_ROWS // 2, self.call)
        self.last_capacity = calls.answered_in(SETTLE, seconds) / share.left()
        return self.last_capacity

    def offer(self, *phases):
        return load.open_loop(self.server, phases, f"--connections={CONNECTIONS}", self.call)

    def overload(self, factor, seconds=3.5):
        before = self.last_capacity
        share = load.CoreShare(self.server)
        calls = self.offer((factor * before, seconds))
        left = share.left()
        capacity = (before + self.capacity()) / 2
        accepted, refused = calls.with_code(load.OK), calls.with_code(load.RESOURCE_EXHAUSTED)
        figures = {
            "capacity": capacity,
            "sent": len(calls.where(calls.sent < seconds)) / len(calls),
            "goodput": calls.answered_in(SETTLE, seconds) / left / capacity,
            "accepted": accepted.latency(0.99),
            # Its place in the queue, and the batch that was running; half as much again for the refusals' work.
            "accepted_bound": 1.5 * (QUEUE_ROWS + BATCH_ROWS) / capacity / left,
            "refused": 1000 * refused.since_sent(0.99),
            # The generator asks for next to nothing: when it is late, so late is every thread of this machine, the
            # server's that refuses and the generator's that hears of it.
            "refused_bound": 5 + 2000 * calls.lateness(0.99),
            "others": len(calls) - len(accepted) - len(refused),
        }
        holds = (figures["goodput"] >= 0.9 and figures["accepted"] <= figures["accepted_bound"] and
                 figures["refused"] <= figures["refused_bound"] and figures["sent"] >= 0.98)
        return holds, figures

    def test_goodput_stays_and_the_rest_is_refused_at_once(self):
        self.capacity()  # everything that is made once has been made
        load.reset_peak(self.server)
        before = load.memory(self.server)
        failures = []
        for factor in (2, 5, 10):
            got = load.best_of(ROUNDS, lambda factor=factor: self.overload(factor))
            at = f"at {factor}x capacity ({factor * got['capacity']:.0f} calls/s)"
            for check, claim, figure, bound, unit in (
                    (results.at_least, "offered on time, of the calls", "sent", 0.98, ""),
                    (results.at_least, "goodput, of the capacity", "goodput", 0.9, ""),
                    (results.at_most, "p99 of accepted calls", "accepted", got["accepted_bound"], "s"),
                    (results.at_most, "p99 of refusals", "refused", got["refused_bound"], "ms"),
                    (results.equal, "calls neither answered nor RESOURCE_EXHAUSTED", "others", 0, "")):
                try:
                    check(self, "overload", f"{claim}, {at}", got[figure], bound, unit)
                except AssertionError as error:  # the other claims are measured all the same
                    failures.append(str(error))
        results.at_most(self, "overload", "growth of the server's peak memory through all of it",
                        load.memory(self.server, "VmHWM") - before, MEMORY_BOUND, "MiB")
        self.assertFalse(failures, "\n".join(failures))

    def recovery(self):
        quiet, heavy, after = 3, 4, 7
        capacity = self.capacity()
        calls = self.offer((capacity / 2, quiet), (10 * capacity, heavy), (capacity / 2, after))
        # A call at half load meets no queue, so twice the usual is a queue of one.
        usual = calls.due_in(SETTLE, quiet).with_code(load.OK).latency(0.99)
        end = quiet + heavy
        later = calls.due_in(end, end + after)
        late = later.where((later.ended - later.due > 2 * usual) | (later.code != load.OK))
        back = float(late.due.max() - end) if len(late) else 0.0
        return back <= 5, {"capacity": capacity, "usual": usual, "back": back,
                           "after": later.due_in(end + 5, end + after).latency(0.99)}

    def test_latency_is_back_within_five_seconds(self):
        got = load.best_of(ROUNDS, self.recovery)
        results.record("overload", "p99 at half the capacity before the overload", got["usual"], "none", "s")
        results.record("overload", "p99 at half the capacity from 5 s after 10x on", got["after"],
                       f"<= {results.rounded(2 * got['usual'])}", "s", got["after"] <= 2 * got["usual"])
        results.at_most(self, "overload", "last refusal or call above twice that p99, after the end of 10x", got["back"],
                        5.0, "s")


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
