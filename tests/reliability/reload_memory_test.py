"""A model that is loaded anew again and again, while it is called: the memory of one model more at most, no descriptor.
GLOWWORM_RELOADS says how often; tests/nightly.sh does it 1000 times."""
import os
import pathlib
import threading
import unittest

import numpy as np

import glowworm_e2e as e2e
import load
import results
from glowworm_e2e import oip, pb

RELOADS = int(os.environ.get("GLOWWORM_RELOADS", "200"))
WARM_UP = 10
HIDDEN = 64
PAUSE = 0.01  # seconds between calls: a load waits for idle cores


class ReloadMemoryTest(unittest.TestCase):
    def setUp(self):
        self.root = e2e.repository()
        self.file = self.root / "m" / "1" / "flow.safetensors"
        e2e.write_slow_flow(self.file, HIDDEN)
        e2e.write_slow_flow(self.root / "other" / "1" / "flow.safetensors", 4)
        self.server = load.serve(self, self.root, "--repository_mode=explicit", "--admin=127.0.0.1:0")
        self.admin = self.server.admin()

    def load(self, model="m"):
        self.admin.RepositoryModelLoad(oip.RepositoryModelLoadRequest(model_name=model), timeout=60)

    def unload(self, model="m"):
        self.admin.RepositoryModelUnload(oip.RepositoryModelUnloadRequest(model_name=model), timeout=60)

    def reload(self):
        os.utime(self.file)
        self.load()

    def memory(self):
        """With nothing left of what was replaced: an unload ends when that has been freed."""
        self.load("other")
        self.unload("other")
        return load.memory(self.server)

    def descriptors(self):
        return len(os.listdir(pathlib.Path("/proc", str(self.server.process.pid), "fd")))

    def test_memory_and_descriptors_stay(self):
        stop, codes = threading.Event(), set()
        call = pb.LogLikelihoodRequest(model=pb.ModelRef(name="m"), x=e2e.tensor(np.zeros((1, 2, 32, 32), "f4")))
        stub = self.server.stub()

        def client():
            while not stop.wait(PAUSE):
                codes.add(e2e.outcome(lambda: stub.LogLikelihood(call, timeout=60))[0])

        caller = threading.Thread(target=client)
        caller.start()
        self.addCleanup(caller.join)
        self.addCleanup(stop.set)
        for _ in range(WARM_UP):
            self.reload()
        descriptors, before = self.descriptors(), self.memory()
        for _ in range(RELOADS):
            self.reload()
        after, descriptors_after = self.memory(), self.descriptors()
        stop.set()
        caller.join()
        self.unload()
        model = before - load.memory(self.server)  # what goes with it
        results.equal(self, "reload_memory", f"codes of the calls during {RELOADS} reloads", sorted(codes), ["OK"])
        self.assertEqual(self.server.metric("glowworm_model_loads_total", 'model="m"', 'result="ok"'),
                         RELOADS + WARM_UP + 1)
        results.at_most(self, "reload_memory", f"growth of memory by {RELOADS} reloads; a model takes {model:.1f} MiB",
                        after - before, model, "MiB")
        results.equal(self, "reload_memory", "descriptors more", descriptors_after - descriptors, 0)


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
