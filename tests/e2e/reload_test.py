"""Hot reload of the real server: versions that change under live load, and stops and kills in the middle of it."""
import collections
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest

import numpy as np

import glowworm_e2e as e2e
from glowworm_e2e import pb

SWAPS = 8
POLL = ("--repository_mode=poll", "--poll_interval=50ms")


def publish(source, folder):
    """Puts a flow file into a version's folder as one should: written beside it, then renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / ".flow.safetensors.unfinished"
    shutil.copyfile(source, unfinished)
    unfinished.replace(folder / "flow.safetensors")


def until(condition, seconds=60):
    """Waits for it; a bound rather than a hang."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it did not come true")


class ReloadTest(unittest.TestCase):
    def serve(self, root, *flags, wait=True):
        server = e2e.Server(root, *flags, wait=wait)
        self.addCleanup(lambda: server.process.poll() is None and server.process.kill())
        return server

    def slow_flow(self, name, hidden, seed=1):
        path = e2e.TEMPORARY / name
        e2e.write_slow_flow(path, hidden, seed)
        return path

    def test_versions_swap_under_load_with_no_call_failed_and_no_bit_changed(self):
        flows = [self.slow_flow(f"flow{seed}", 16, seed) for seed in (1, 2)]
        rows = e2e.tensor(np.linspace(-1, 1, 4 * 2 * 32 * 32).reshape(4, 2, 32, 32), "f4")
        root = e2e.repository()
        publish(flows[0], root / "m" / "1")
        server = self.serve(root, *POLL, "--version_policy=latest:1", "--threads=2")
        stop, lock = threading.Event(), threading.Lock()
        answers = collections.defaultdict(set)  # version -> the distinct answers
        problems, newest = [], []

        def client(stub):
            seen = 0
            while not stop.is_set():
                code, reply = e2e.outcome(lambda: stub.LogLikelihood(
                    pb.LogLikelihoodRequest(model=pb.ModelRef(name="m"), x=rows), timeout=30))
                with lock:
                    if code != "OK":
                        problems.append(f"{code}: {reply}")
                        return
                    version = reply.model.version
                    if version < seen:
                        problems.append(f"version {version} after version {seen}")
                    seen = version
                    answers[version].add(tuple(reply.log_likelihood))
                    newest.append(version)

        clients = [threading.Thread(target=client, args=(server.stub(),)) for _ in range(4)]
        for thread in clients:
            thread.start()
        for version in range(2, SWAPS + 2):
            publish(flows[(version - 1) % 2], root / "m" / str(version))
            server.wait_for(f"loaded model=m version={version} ")
            server.wait_for(f"unloaded model=m version={version - 1}")
            until(lambda v=version: problems or (newest and newest[-1] == v))
            shutil.rmtree(root / "m" / str(version - 1))
        stop.set()
        for thread in clients:
            thread.join()
        self.assertEqual(problems, [])
        self.assertEqual(sorted(answers), list(range(1, SWAPS + 2)))
        for parity in (0, 1):  # the same file gives the same bits, whatever the version and the load
            distinct = set().union(*(answers[v] for v in answers if v % 2 == parity))
            self.assertEqual(len(distinct), 1)
        self.assertEqual(len(set().union(*answers.values())), 2)
        self.assertEqual(server.metric("glowworm_model_loads_total", 'result="ok"'), SWAPS + 1)
        self.assertEqual(server.metric("glowworm_model_loads_total", 'result="failed"'), 0)
        self.assertNotIn('version="1"', server.scrape())
        self.assertEqual(server.stop(), 0)

    def test_a_file_replaced_in_its_place_takes_over_and_a_bad_one_does_not(self):
        flows = [self.slow_flow(f"place{seed}", 8, seed) for seed in (1, 2)]
        x = e2e.tensor(np.linspace(-1, 1, 2 * 32 * 32).reshape(1, 2, 32, 32), "f4")
        root = e2e.repository()
        publish(flows[0], root / "m" / "1")
        server = self.serve(root, *POLL)
        stub = server.stub()

        def score():
            return stub.LogLikelihood(pb.LogLikelihoodRequest(x=x), timeout=30).log_likelihood[0]

        first = score()
        (root / "m" / "1" / "flow.safetensors").write_bytes(b"not a flow")
        server.wait_for("failed model=m version=1 ")
        self.assertEqual(score(), first)
        model = stub.GetModel(pb.GetModelRequest(model=pb.ModelRef(name="m", version=1)))
        self.assertEqual(model.state, pb.MODEL_STATE_READY)
        self.assertIn("header", model.error)
        publish(flows[1], root / "m" / "1")
        until(lambda: score() != first)
        self.assertEqual(stub.GetModel(pb.GetModelRequest(model=pb.ModelRef(name="m"))).error, "")
        self.assertEqual(server.stop(), 0)

    def test_sigterm_during_a_load_and_during_a_swap(self):
        big, small = self.slow_flow("big", 512), self.slow_flow("small", 8)
        x = e2e.tensor(np.zeros((1, 2, 32, 32), "f4"))
        for policy in ("all", "latest:1"):
            root = e2e.repository()
            publish(small, root / "m" / "1")
            server = self.serve(root, *POLL, f"--version_policy={policy}", "--precision=float64", "--threads=1")
            stub = server.stub()
            publish(big, root / "m" / "2")
            until(lambda s=stub: len(s.ListModels(pb.ListModelsRequest()).models) == 2)
            if policy == "latest:1":
                server.wait_for("loaded model=m version=2 ")  # version 1 goes now
            calls = [stub.LogLikelihood.future(pb.LogLikelihoodRequest(x=x), timeout=60) for _ in range(4)]
            self.assertEqual(calls[0].code().name, "OK")
            server.process.send_signal(signal.SIGTERM)
            if policy == "all":  # version 2 loads, for longer than these calls would take
                server.wait_for(" stopping ")
                late = [e2e.outcome(lambda s=stub: s.LogLikelihood(pb.LogLikelihoodRequest(x=x), timeout=60))[0]
                        for _ in range(20)]
                self.assertEqual(late[-1], "UNAVAILABLE", "calls that are still taken hold up the load")
            self.assertLessEqual({call.code().name for call in calls}, {"OK", "UNAVAILABLE"})
            self.assertEqual(server.exit_code(), 0, server.lines[-5:])
            self.assertFalse(server.port_file.exists())

    def test_a_writer_that_is_killed_leaves_nothing_that_stops_the_next_start(self):
        flow = self.slow_flow("kept", 8)
        root = e2e.repository()
        publish(flow, root / "m" / "1")
        server = self.serve(root, *POLL)
        # A writer beside it: half of the next version, never renamed; and one that writes into its place.
        writer = ("import sys, time; f = open(sys.argv[1], 'wb'); b = open(sys.argv[2], 'rb').read();"
                  "f.write(b[:len(b) // 2]); f.flush(); print('half', flush=True); time.sleep(60)")
        for name in (".flow.safetensors.unfinished", "flow.safetensors"):
            folder = root / "m" / ("2" if name.startswith(".") else "3")
            folder.mkdir()
            process = subprocess.Popen([sys.executable, "-c", writer, folder / name, flow], stdout=subprocess.PIPE)
            self.assertEqual(process.stdout.readline(), b"half\n")
            process.kill()
            process.wait()
            process.stdout.close()
        server.wait_for("failed model=m version=3 ")
        server.process.kill()
        server.process.wait()
        again = self.serve(root, *POLL)
        stub = again.stub()
        states = {m.ref.version: m.state for m in stub.ListModels(pb.ListModelsRequest()).models}
        self.assertEqual(states, {1: pb.MODEL_STATE_READY, 3: pb.MODEL_STATE_FAILED})
        self.assertEqual(stub.Sample(pb.SampleRequest(num_samples=2, seed=1)).model.version, 1)
        for version in (2, 3):
            publish(flow, root / "m" / str(version))
        for version in (2, 3):
            again.wait_for(f"loaded model=m version={version} ")
        self.assertEqual(again.stop(), 0)


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
