"""What loading a big model does to the calls on another: their p99 with and without, in turns within one run, with the
compute thread, gRPC's threads and the loader all on one core."""
import os
import time
import unittest

import numpy as np

import glowworm_e2e as e2e
import load
import results
from glowworm_e2e import oip

SMALL, BIG = 96, 640  # hidden channels: some 2 ms a call; a file of 15 MB
WINDOWS, WINDOW = 12, 1.0  # every second one with loads; seconds each, or until the load ends
SETTLE = 0.1  # seconds at the begin of each window that do not count
OF_CAPACITY = 0.4
BOUND = 1.5
ROUNDS = 3


class ReloadLatencyTest(unittest.TestCase):
    def setUp(self):
        root = e2e.repository()
        e2e.write_slow_flow(root / "slow" / "1" / "flow.safetensors", SMALL)
        self.file = root / "big" / "1" / "flow.safetensors"
        e2e.write_slow_flow(self.file, BIG)
        self.server = load.serve(self, root, "--repository_mode=explicit", "--admin=127.0.0.1:0")
        self.admin = self.server.admin()

    def reload(self):
        os.utime(self.file)
        self.admin.RepositoryModelLoad(oip.RepositoryModelLoadRequest(model_name="big"), timeout=120)

    def alternate(self, seconds):
        """The windows, [without, with] loads, as (begin, end) since now; how many loads."""
        began, windows, loads = time.monotonic(), ([], []), 0
        now = 0.0
        while now < seconds:
            loading, begin = len(windows[1]) < len(windows[0]), now
            while loading and time.monotonic() - began < begin + WINDOW:
                self.reload()
                loads += 1
            time.sleep(max(0, began + begin + WINDOW - time.monotonic()))  # waits for nothing: it is the window
            now = time.monotonic() - began
            windows[loading].append((begin + SETTLE, min(now, seconds)))
        return windows, loads

    def measure(self):
        call = load.slow_call()
        capacity = load.closed_loop(self.server, 1.5, 4, call).answered_in(0.5, 1.5)
        seconds = WINDOWS * WINDOW
        generator = load.Load(self.server, f"--schedule={OF_CAPACITY * capacity:.3f}:{seconds}", call)
        self.addCleanup(generator.stop)
        windows, loads = self.alternate(seconds)
        calls = generator.outcomes()
        tails = [[calls.due_in(*window).latency(0.99) for window in of_kind if len(calls.due_in(*window)) > 0]
                 for of_kind in windows]
        without, with_loads = (float(np.median(of_kind)) for of_kind in tails)
        figures = {"rate": OF_CAPACITY * capacity, "loads": loads, "without": 1000 * without,
                   "ratio": with_loads / without, "failed": len(calls) - len(calls.with_code(load.OK))}
        return figures["ratio"] <= BOUND, figures

    def test_a_load_leaves_the_latency_of_other_models(self):
        got = load.best_of(ROUNDS, self.measure)
        results.equal(self, "reload_latency", f"calls failed during {got['loads']} loads", got["failed"], 0)
        results.at_most(self, "reload_latency",
                        f"p99 while a model of {self.file.stat().st_size >> 20} MiB is loaded, on the core that serves, of "
                        f"the p99 without: {got['without']:.1f} ms at {got['rate']:.0f} calls/s", got["ratio"], BOUND)


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
