"""--device: every reason why there is none, in one sentence; a server on toy devices, and on the CUDA executor with the
fake device under it. ctest sets GLOWWORM_TOY_PLUGINS (a folder), and GLOWWORM_CUDA_FAKE and GLOWWORM_CUDA_REAL (files;
may not be there)."""
import csv
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest
from unittest import mock

import numpy as np

import glowworm_e2e as e2e
from glowworm_e2e import pb

TOYS = pathlib.Path(os.environ["GLOWWORM_TOY_PLUGINS"])
FAKE = pathlib.Path(os.environ.get("GLOWWORM_CUDA_FAKE", ""))
REAL = pathlib.Path(os.environ.get("GLOWWORM_CUDA_REAL", ""))
COMMAND = os.environ["GLOWWORM_COMMAND"]
VARIABLE = "GLOWWORM_CUDA_PLUGIN"
FAILED = "the device failed: an illegal memory access was encountered"
MEMORY = "expected at least [0-9]+ bytes of a device's memory for each worker, got [0-9]+"
# What the fake is told to be, and what the CUDA executor says of it.
FAKE_REFUSALS = {
    "driver=0": "the device could not be found: the driver is missing or older than the runtime",
    "devices=0": "the device could not be found: no device was found",
    "major=7": "expected compute capability 8.0 or later, got 7.0 of CUDA device 0, Fake CUDA device",
}
# The gate of float64 answers: off by at most this share of log p, or of a nat.
GATE = 1e-8


def toy(variant):
    return str(TOYS / f"libglowworm_cuda_{variant}.so")


def repository(name="tiny-plu"):
    return e2e.repository(e2e.golden_folder(name))


class RefusalTest(unittest.TestCase):
    """What stands in the way before a device is there."""

    def run_server(self, *flags, plugin=None, binary=e2e.BINARY):
        """(exit code, standard error) of a server that ends by itself."""
        environment = {k: v for k, v in os.environ.items() if k != VARIABLE}
        done = subprocess.run([binary, f"--repository={repository()}", "--listen=127.0.0.1:0", "--metrics=", *flags],
                              capture_output=True, text=True, timeout=60,
                              env={**environment, **({VARIABLE: plugin} if plugin else {})})
        return done.returncode, done.stderr

    def assert_refused(self, sentence, plugin, device="cuda", **more):
        code, errors = self.run_server(f"--device={device}", plugin=plugin, **more)
        self.assertEqual(code, 1)
        self.assertEqual(len(errors.splitlines()), 1, errors)
        self.assertIn(f" error --device={device}: {sentence}", errors)
        self.assertNotIn(str(e2e.TEMPORARY), errors)
        self.assertNotIn(str(TOYS), errors)

    def folder(self):
        folder = pathlib.Path(tempfile.mkdtemp(dir=e2e.TEMPORARY))
        self.addCleanup(shutil.rmtree, folder)
        return folder

    def test_no_plugin(self):
        binary = self.folder() / "bin" / "glowworm-server"
        binary.parent.mkdir()
        shutil.copy(e2e.BINARY, binary)
        self.assert_refused("there is no CUDA plug-in: libglowworm_cuda.so lies neither beside the program nor in "
                            "../lib/glowworm", None, binary=binary)

    def test_a_plugin_is_found_beside_the_server_and_in_lib(self):
        for place in ("bin", "lib/glowworm"):
            root = self.folder()
            for folder in ("bin", place):
                (root / folder).mkdir(parents=True, exist_ok=True)
            binary = root / "bin" / "glowworm-server"
            shutil.copy(e2e.BINARY, binary)
            shutil.copy(toy("no_driver"), root / place / "libglowworm_cuda.so")
            self.assert_refused("there is no NVIDIA driver", None, binary=binary)

    def test_a_plugin_that_is_named_and_not_there(self):
        self.assert_refused("the CUDA plug-in that GLOWWORM_CUDA_PLUGIN names does not exist",
                            str(self.folder() / "none.so"))

    def test_a_file_that_is_no_library(self):
        path = self.folder() / "text.so"
        path.write_text("not a library")
        self.assert_refused("the CUDA plug-in does not load: text.so: ", str(path))

    def test_another_library(self):
        self.assert_refused("the file that should be the CUDA plug-in is another library", toy("other_library"))

    def test_a_plugin_of_another_build(self):
        self.assert_refused("the CUDA plug-in was built of another source than this program", toy("other_build"))

    def test_no_driver(self):
        self.assert_refused("there is no NVIDIA driver", toy("no_driver"), device="cuda:0")

    def test_no_device(self):
        self.assert_refused("the CUDA driver sees no device", toy("no_device"))

    def test_no_such_device(self):
        self.assert_refused("there is no CUDA device 2: the driver sees 2, the first of them 0", toy("toy"),
                            device="cuda:0,2")

    @unittest.skipUnless(REAL.is_file(), "skipped: libglowworm_cuda.so is not in this build")
    def test_the_real_plugin_opens_and_finds_no_device(self):
        """It must load first: a function that is missing, or the stamp of another build, gives another sentence."""
        with mock.patch.dict(os.environ, {"CUDA_VISIBLE_DEVICES": ""}):
            self.assert_refused("the device could not be found: ", str(REAL))

    def test_bad_spellings(self):
        for flags, text in ((("--device=tpu",), "--device: expected cpu, cuda, cuda:N, cuda:N,M or auto, got 'tpu'"),
                            (("--device=cuda:",), "got 'cuda:'"), (("--device=cuda:-1",), "got 'cuda:-1'"),
                            (("--device=CUDA",), "got 'CUDA'"), (("--device=cuda:1,1",), "each device once"),
                            (("--device=cuda:0", "--precision=bfloat16"), "bfloat16 is computed on the CPU only")):
            with self.subTest(flags):
                code, errors = self.run_server(*flags, plugin=toy("toy"))
                self.assertEqual(code, 2)
                self.assertEqual(len(errors.splitlines()), 1, errors)
                self.assertIn(text, errors)

    @unittest.skipUnless(FAKE.is_file(), "skipped: libglowworm_cuda_fake.so is not in this build")
    def test_the_executor_tells_what_it_is_not_given(self):
        for fake, sentence in FAKE_REFUSALS.items():
            with self.subTest(fake), mock.patch.dict(os.environ, {"GLOWWORM_FAKE_CUDA": fake}):
                self.assert_refused(sentence, str(FAKE))


class ServingTest(unittest.TestCase):
    def serve(self, root, plugin, *flags):
        with mock.patch.dict(os.environ, {VARIABLE: str(plugin)}):
            server = e2e.Server(root, *flags)
        self.addCleanup(server.stop)
        return server

    def devices_of(self, server):
        return {model.device for model in server.stub().ListModels(pb.ListModelsRequest(), timeout=10).models}


class ToyTest(ServingTest):
    """A server on devices that compute a toy: what stands before the executor."""

    def test_auto_goes_on_with_the_cpu_and_says_why_once(self):
        server = self.serve(repository(), toy("no_driver"), "--device=auto")
        self.assertIn('computing device=cpu reason="there is no NVIDIA driver"', server.wait_for("computing"))
        self.assertEqual(self.devices_of(server), {"cpu"})
        self.assertEqual(len([line for line in server.lines if "NVIDIA" in line]), 1)
        self.assertNotIn("glowworm_device_", server.scrape())

    def test_auto_takes_every_device_with_two_threads_each(self):
        server = self.serve(repository(), toy("toy"), "--device=auto", "--metrics=")
        self.assertIn('device=cuda:1 name="Toy 2"', server.wait_for("computing", count=2))
        self.assertIn("device=cuda:0,1 threads=4", server.wait_for(" serving "))
        self.assertEqual(self.devices_of(server), {"cuda:0,1"})

    def test_threads_that_are_asked_for_stand(self):
        server = self.serve(repository(), toy("toy"), "--device=cuda:1", "--threads=3", "--metrics=")
        self.assertIn("device=cuda:1 threads=3", server.wait_for(" serving "))

    def test_a_failing_device_is_told_of_once_and_counted_each_time(self):
        server = self.serve(repository(), toy("toy"), "--device=cuda")
        stub = server.stub()
        size = stub.GetModel(pb.GetModelRequest(model=pb.ModelRef(name="tiny-plu")), timeout=10).latent_size
        x = np.zeros((2, size), "f4")
        x[0, 0] = 666
        request = pb.LogLikelihoodRequest(model=pb.ModelRef(name="tiny-plu"), x=e2e.tensor(x))
        for _ in range(5):
            self.assertEqual(e2e.outcome(lambda: stub.LogLikelihood(request, timeout=10)), ("INTERNAL", FAILED))
        self.assertEqual(server.metric("glowworm_requests_total", 'code="INTERNAL"'), 5)
        server.stop()
        server.wait_for("stopped")
        self.assertEqual(len([line for line in server.lines if "illegal memory access" in line]), 1)


@unittest.skipUnless(FAKE.is_file(), "skipped: libglowworm_cuda_fake.so is not in this build")
class FakeDeviceTest(ServingTest):
    """The whole server on the CUDA executor, with the fake device under it."""

    @classmethod
    def setUpClass(cls):
        with open(e2e.SOURCE / "deploy" / "demo" / "breast-cancer.csv", newline="") as file:
            _, *rows = csv.reader(file)
        cls.x = np.array([row[:-1] for row in rows], "f8")
        cls.input = e2e.TEMPORARY / "rows.npy"
        np.save(cls.input, cls.x)
        cls.root = e2e.repository(e2e.SOURCE / "deploy" / "repository" / "breast-cancer")

    def score(self, server):
        """log p of the bundled flow's demo rows, through the client."""
        done = subprocess.run([COMMAND, "score", f"--server={server.address}", "--model=breast-cancer",
                               f"--input={self.input}"],
                              capture_output=True, text=True, timeout=60, check=True)
        rows = list(csv.DictReader(done.stdout.splitlines()))
        self.assertEqual({row["status"] for row in rows}, {"OK"})
        return np.array([float(row["log_likelihood"]) for row in rows])

    def truth(self):
        """log p by the CPU in float64, and the least that its terms' sizes add up to: of the base, and of all else."""
        stub = self.serve(self.root, FAKE, "--precision=float64", "--metrics=").stub()
        request = pb.EncodeRequest(model=pb.ModelRef(name="breast-cancer"), x=e2e.tensor(self.x))
        reply = stub.Encode(request, timeout=60)
        log_p, z = np.array(reply.log_likelihood), e2e.array_of(reply.z)
        base = -0.5 * (z**2 + np.log(2 * np.pi)).sum(1)
        return log_p, np.abs(base) + np.abs(log_p - base)

    def test_its_float32_answers_are_within_their_gate(self):
        log_p, terms = self.truth()
        server = self.serve(self.root, FAKE, "--device=cuda", "--metrics=")
        got = self.score(server)
        self.assertEqual(len(got), len(self.x))
        self.assertLessEqual(np.max(np.abs(got - log_p) / (2e-6 * terms + 1e-5)), 1)
        self.assertEqual(server.stop(), 0)

    def test_its_float64_answers_are_the_cpus(self):
        x = np.random.default_rng(4).normal(size=(300, 6)).astype("f4")
        root, name = repository("thyroid-glow"), "thyroid-glow"
        request = pb.EncodeRequest(model=pb.ModelRef(name=name), x=e2e.tensor(x))
        on_cpu = self.serve(root, FAKE, "--precision=float64").stub().Encode(request, timeout=60)
        server = self.serve(root, FAKE, "--device=cuda:0", "--precision=float64")
        on_device = server.stub().Encode(request, timeout=60)
        self.assertEqual(self.devices_of(server), {"cuda:0"})
        want, got = np.array(on_cpu.log_likelihood), np.array(on_device.log_likelihood)
        self.assertEqual(len(got), len(x))
        self.assertLessEqual(np.max(np.abs(got - want) / np.maximum(1, np.abs(want))), GATE)
        self.assertFalse(on_device.row_status)
        for metric in ("memory_used_bytes", "memory_total_bytes", "compute_seconds_total", "transfer_seconds_total"):
            self.assertGreater(server.metric(f"glowworm_device_{metric}", 'device="cuda:0"'), 0, metric)
        self.assertEqual(server.stop(), 0)

    def test_auto_goes_on_with_the_cpu_where_it_is_refused(self):
        for fake, sentence in FAKE_REFUSALS.items():
            with self.subTest(fake), mock.patch.dict(os.environ, {"GLOWWORM_FAKE_CUDA": fake}):
                server = self.serve(repository(), FAKE, "--device=auto", "--metrics=")
                self.assertIn(f'device=cpu reason="{sentence}"', server.wait_for("computing"))
                self.assertEqual(self.devices_of(server), {"cpu"})

    def test_a_model_that_its_memory_does_not_hold_is_failed_and_the_other_goes_on(self):
        """With --device=auto too: it has chosen by then. Of 120 MB, two workers of the first flow leave 52."""
        root = e2e.TEMPORARY / "memory"
        shutil.copytree(self.root, root)
        with mock.patch.dict(os.environ, {"GLOWWORM_FAKE_CUDA": "memory=120000000"}):
            server = self.serve(root, FAKE, "--device=auto", "--metrics=", "--repository_mode=explicit")
        shutil.copytree(e2e.SOURCE / "deploy" / "repository" / "fashion", root / "fashion")
        load = e2e.oip.RepositoryModelLoadRequest(model_name="fashion")
        _, why = e2e.outcome(lambda: server.admin().RepositoryModelLoad(load, timeout=60))
        self.assertRegex(why, MEMORY)
        self.assertRegex(server.wait_for("failed model=fashion"), MEMORY)
        states = {model.ref.name: model for model in
                  server.stub().ListModels(pb.ListModelsRequest(), timeout=10).models}
        self.assertEqual(states["fashion"].state, pb.MODEL_STATE_FAILED)
        self.assertRegex(states["fashion"].error, MEMORY)
        self.assertEqual(states["breast-cancer"].device, "cuda:0")
        self.assertEqual(len(self.score(server)), len(self.x))

    def test_a_server_whose_memory_holds_no_model_ends(self):
        with mock.patch.dict(os.environ, {"GLOWWORM_FAKE_CUDA": "memory=1000000", VARIABLE: str(FAKE)}):
            server = e2e.Server(repository(), "--device=auto", wait=False)
        self.addCleanup(server.stop)
        self.assertRegex(server.wait_for("failed model="), MEMORY)
        server.wait_for("no model could be loaded")
        self.assertEqual(server.exit_code(), 1)

    def test_a_server_whose_device_is_lost_ends_so_that_another_starts(self):
        lost = pathlib.Path(tempfile.mkdtemp(dir=e2e.TEMPORARY)) / "lost"
        with mock.patch.dict(os.environ, {"GLOWWORM_FAKE_CUDA_LOST": str(lost)}):
            server = self.serve(repository(), FAKE, "--device=cuda", "--watchdog_interval=1s", "--lame_duck_ms=0")
        server.stub().ListModels(pb.ListModelsRequest(), timeout=10)
        lost.touch()
        self.assertIn("cuda:0: ", server.wait_for("cannot serve any more and ends"))
        self.assertEqual(server.process.wait(timeout=60), 3)


if __name__ == "__main__":
    try:
        unittest.main()
    finally:
        e2e.remove_temporary_files()
