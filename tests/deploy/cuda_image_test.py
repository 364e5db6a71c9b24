"""The image that is made with CUDA=1. Always: that the Dockerfile, cuda.sh, cuda.txt and build.sh fit one another, and
what cuda.sh does, with wheels of a few bytes. With GLOWWORM_NIGHTLY=1: the image, really built by build.sh --cuda and
run where there is no GPU, as image_test.py does with the other."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
import zipfile

import deployments
import image_test

FOLDER = deployments.SOURCE / "deploy/image"
PINNED = re.compile(r"(nvidia-[a-z-]+)==([\d.]+) --hash=sha256:([0-9a-f]{64})")
MAX_BYTES_ABOVE_BASE = 700 * 10**6
CUBLAS = ("libcublas.so.13", "libcublasLt.so.13")


def pinned():
    """(name, version, hash) of each line of cuda.txt."""
    lines = [line for line in (FOLDER / "cuda.txt").read_text().splitlines() if not line.startswith("#")]
    matches = [PINNED.fullmatch(line) for line in lines]
    assert all(matches), lines
    return [m.groups() for m in matches]


def run_instructions():
    """Of every stage, as one line each."""
    text = re.sub(r"\\\n", " ", (deployments.SOURCE / "Dockerfile").read_text())
    return re.findall(r"^RUN (.*)$", text, re.MULTILINE)


class RecipeTest(unittest.TestCase):
    def test_every_wheel_is_pinned_and_all_are_of_one_release(self):
        names = {name: version for name, version, _ in pinned()}
        self.assertLessEqual({"nvidia-cuda-nvcc", "nvidia-nvvm", "nvidia-cuda-runtime", "nvidia-cublas"}, set(names))
        self.assertEqual(len(names), len(pinned()))
        releases = {version.rpartition(".")[0] for name, version in names.items() if name != "nvidia-cublas"}
        self.assertEqual(releases, {"13.0"})
        self.assertEqual(names["nvidia-cublas"].split(".")[0], CUBLAS[0].rpartition(".")[2])

    def test_the_image_and_its_builder_read_one_list(self):
        dockerfile = (deployments.SOURCE / "Dockerfile").read_text()
        self.assertIn("COPY deploy/image/cuda.sh deploy/image/cuda.txt deploy/image/\n", dockerfile)
        self.assertIn("deploy/image/cuda.sh /usr/local/cuda", dockerfile)
        self.assertIn("-r deploy/image/cuda.txt", (FOLDER / "build.sh").read_text())
        ignored = (deployments.SOURCE / ".dockerignore").read_text().splitlines()
        self.assertLessEqual({"!deploy/image/cuda.sh", "!deploy/image/cuda.txt"}, set(ignored))
        for path in ("Dockerfile", "deploy/image/build.sh", "deploy/image/cuda.sh"):  # no version of their own
            text = (deployments.SOURCE / path).read_text()
            for name, version, _ in pinned():
                self.assertNotIn(version, text, path)
                self.assertNotIn(name, text, path)

    def test_the_last_stage_is_the_one_that_cuda_chooses(self):
        text = (deployments.SOURCE / "Dockerfile").read_text()
        self.assertIn("\nARG CUDA=0\n", text[:text.index("\nFROM ")])
        stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", text, re.MULTILINE)
        self.assertEqual(stages, [("${BASE}", "builder"), ("${BASE}", "image-0"), ("image-0", "image-1"),
                                  ("image-${CUDA}", "")])
        self.assertRegex((FOLDER / "build.sh").read_text(), r'--target "image-\$cuda"')

    def test_what_it_runs_is_a_shells(self):
        self.assertEqual(len(run_instructions()), 4)
        for command in run_instructions():
            done = subprocess.run(["sh", "-n", "-c", command], capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, ""), command)

    def test_only_with_cuda_it_asks_for_pip_the_toolkit_and_the_plug_in(self):
        builder = [command for command in run_instructions() if "${CUDA}" in command]
        self.assertEqual(len(builder), 3)
        outside = re.sub(r"if \[ \$\{CUDA\} = 1 \]; then .*?; fi", "", " ".join(builder))
        for word in ("python3-pip", "cuda.sh", "cublas", "=glowworm_cuda"):
            self.assertIn(word, " ".join(builder))
            self.assertNotIn(word, outside)
        self.assertIn("-DGLOWWORM_CUDA=${CUDA}", outside)


class ToolkitTest(unittest.TestCase):
    """cuda.sh with wheels of its own."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copy(FOLDER / "cuda.sh", self.folder)
        (self.folder / "wheels").mkdir()
        self.listed = []

    def wheel(self, name, files):
        info = f"{name}-1.0.dist-info"
        path = self.folder / "wheels" / f"{name}-1.0-py3-none-any.whl"
        described = {f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
                     f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
        with zipfile.ZipFile(path, "w") as archive:
            for file, text in {**files, **described}.items():
                archive.writestr(file, text)
            archive.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in [*files, *described]))
        self.listed.append((f"{name}==1.0", hashlib.sha256(path.read_bytes()).hexdigest()))

    def lay_out(self):
        (self.folder / "cuda.txt").write_text("".join(f"{n} --hash=sha256:{h}\n" for n, h in self.listed))
        path = f"{deployments.BUILD}/deploy-venv/bin:{os.environ['PATH']}"  # whose Python has pip
        return subprocess.run([self.folder / "cuda.sh", self.folder / "toolkit", self.folder / "wheels"], text=True,
                              capture_output=True, timeout=120, env={**os.environ, "PATH": path})

    def test_several_wheels_make_one_toolkit_with_the_names_that_a_linker_looks_for(self):
        self.wheel("nvidia_one", {"nvidia/cu13/bin/nvcc": "1", "nvidia/cu13/lib/libone.so.13": "2"})
        self.wheel("nvidia_two", {"nvidia/cu13/lib/libtwo.so.4": "3", "nvidia/cu13/nvvm/bin/cicc": "4"})
        done = self.lay_out()
        self.assertEqual(done.returncode, 0, done.stderr)
        toolkit = self.folder / "toolkit"
        for path, text in (("bin/nvcc", "1"), ("lib/libone.so", "2"), ("lib64/libtwo.so", "3"), ("nvvm/bin/cicc", "4")):
            self.assertEqual((toolkit / path).read_text(), text)
        self.assertTrue((toolkit / "dist-info/nvidia_one-1.0.dist-info/METADATA").exists())

    def test_a_wheel_of_another_hash_is_refused(self):
        self.wheel("nvidia_one", {"nvidia/cu13/bin/nvcc": "1"})
        self.listed = [(name, "0" * 64) for name, _ in self.listed]
        done = self.lay_out()
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout + done.stderr, "(?i)do not match the hashes")
        self.assertFalse((self.folder / "toolkit").exists())


@unittest.skipUnless(os.environ.get("GLOWWORM_NIGHTLY"), "its build downloads half a gigabyte: set GLOWWORM_NIGHTLY=1")
class BuiltTest(image_test.Built, unittest.TestCase):
    name = "glowworm-cuda"

    @classmethod
    def setUpClass(cls):
        if image_test.missing():
            raise unittest.SkipTest(image_test.missing())
        super().setUpClass()

    def test_it_adds_the_plug_in_and_cublas_and_nothing_else_of_cuda(self):
        library = pathlib.Path(self.root) / "usr/lib/glowworm"
        sizes = {path.name: path.stat().st_size for path in library.iterdir()}
        above = image_test.bytes_below(self.root) - image_test.bytes_below(self.base)
        print(f"{above / 1e6:.1f} MB above the base: {({n: round(s / 1e6, 1) for n, s in sizes.items()})}")
        self.assertEqual(set(sizes), {"libglowworm_cuda.so", *CUBLAS})
        self.assertLessEqual(above, MAX_BYTES_ABOVE_BASE)
        self.assertLessEqual(above - sum(sizes.values()), image_test.MAX_BYTES_ABOVE_BASE)
        for path in ("usr/local/cuda", "usr/bin/python3", "usr/bin/c++"):
            self.assertFalse((pathlib.Path(self.root) / path).exists(), path)
        self.assertTrue((pathlib.Path(self.root) / "usr/share/glowworm/cublas-license.txt").exists())

    def test_the_plug_in_finds_cublas_beside_it_whatever_the_environment(self):
        done = subprocess.run([*image_test.CONTAINER, self.root, "65532", "/lib64/ld-linux-x86-64.so.2", "--list",
                               "/usr/lib/glowworm/libglowworm_cuda.so"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in CUBLAS:
            self.assertIn(f"{name} => /usr/lib/glowworm/{name}", done.stdout)
        self.assertNotIn("not found", done.stdout)

    def test_it_tells_nvidias_runtime_what_it_needs(self):
        self.assertLessEqual({"NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"},
                             set(self.config["Env"]))
        self.assertEqual(self.config["Entrypoint"], ["/usr/bin/glowworm-server", *deployments.entry_point(1)])
        self.assertEqual(self.config["User"], "65532:65532")
        self.assertEqual(self.config["Healthcheck"]["Test"], ["CMD", *deployments.health_check()])

    def test_without_a_gpu_it_serves_on_the_cpu_and_says_why(self):
        running = self.serve("--insecure", "--lame_duck_ms=0")
        self.assertIn("driver", "\n".join(running.lines))
        done = running.execute("/usr/bin/glowworm", "sample", "--model=digits", "--num=3", "--seed=1")
        self.assertEqual((done.returncode, len(done.stdout.splitlines())), (0, 3), done.stderr)
        self.assertEqual(running.end(), 0, running.lines)

    def test_told_to_use_a_gpu_it_ends_and_says_why(self):
        running = image_test.Running(self.root, self.config, "--insecure", "--device=cuda")
        self.addCleanup(running.end, signal.SIGKILL)
        self.assertNotEqual(running.process.wait(image_test.SECONDS), 0)
        running.reader.join()
        self.assertIn("driver", running.lines[-1])


if __name__ == "__main__":
    unittest.main()
