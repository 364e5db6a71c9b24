"""The image, really built by deploy/image/build.sh and run: its size, its user, its entry point, its health check, an
answer by the command inside it, and its end. Needs root, debootstrap and buildah. Prints the seconds of each step."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("GLOWWORM_BUILD_DIR", SOURCE / "build"))
CONTAINER = [sys.executable, "-B", HERE / "container.py"]
MAX_BYTES_ABOVE_BASE = 150 * 10**6
SECONDS = 60  # of anything that the image is asked to do


def missing():
    if os.geteuid() != 0:
        return "building an image without an engine needs root"
    absent = [tool for tool in ("debootstrap", "buildah") if not shutil.which(tool)]
    return f"{absent[0]} is not installed" if absent else None


def buildah(*arguments):
    return subprocess.run([SOURCE / "deploy/image/buildah.sh", BUILD, *arguments], check=True, text=True,
                          stdout=subprocess.PIPE, timeout=120).stdout.strip()


def bytes_below(root):
    """Of every file once, as a layer holds them."""
    seen = {}
    for folder, _, names in os.walk(root):
        for name in names:
            status = os.lstat(os.path.join(folder, name))
            seen[status.st_ino] = status.st_size
    return sum(seen.values())


class Running:
    """A container of the image: its entry point with further arguments."""

    def __init__(self, root, config, *arguments):
        self.user = config["User"].split(":")[0]
        self.process = subprocess.Popen([*CONTAINER, root, self.user, *config["Entrypoint"], *arguments],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.lines = []
        self.serving = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if " serving " in line:
                self.serving.set()
        self.process.stderr.close()
        self.serving.set()

    def pid(self):
        """Of the container's first process, here."""
        return pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().strip()

    def execute(self, *command):
        return subprocess.run([*CONTAINER, "--join", self.pid(), self.user, *command], text=True,
                              capture_output=True, timeout=SECONDS)

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        self.reader.join()
        return code


class Built:
    """A class's image, called `name`: its files below `root`, those of its base, and its configuration."""

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(shutil.rmtree, BUILD / "image/storage", ignore_errors=True)
        cls.addClassCleanup(shutil.rmtree, BUILD / "image/run", ignore_errors=True)
        options = ["--cuda"] if cls.name == "glowworm-cuda" else []
        subprocess.run([SOURCE / "deploy/image/build.sh", *options, BUILD], check=True, timeout=3000)
        cls.addClassCleanup(buildah, "rm", "--all")
        cls.base, cls.root = (buildah("mount", buildah("from", "--pull-never", name)) for name in ("base", cls.name))
        cls.config = json.loads(buildah("inspect", "--type", "image", cls.name))["Docker"]["config"]

    def serve(self, *arguments):
        running = Running(self.root, self.config, *arguments)
        self.addCleanup(running.end, signal.SIGKILL)
        self.assertTrue(running.serving.wait(SECONDS))
        self.assertIsNone(running.process.poll(), running.lines)
        return running


class ImageTest(Built, unittest.TestCase):
    name = "glowworm"

    def test_it_adds_at_most_150_mb_to_its_base(self):
        above = bytes_below(self.root) - bytes_below(self.base)
        print(f"{above / 1e6:.1f} MB above a base of {bytes_below(self.base) / 1e6:.1f} MB")
        self.assertGreater(above, 0)
        self.assertLessEqual(above, MAX_BYTES_ABOVE_BASE)

    def test_it_says_how_to_run_it(self):
        self.assertEqual(self.config["User"], "65532:65532")
        self.assertEqual(self.config["StopSignal"], "SIGTERM")
        self.assertEqual(sorted(self.config["ExposedPorts"]), ["50051/tcp", "50053/tcp", "9464/tcp"])
        self.assertNotIn("/bin/sh", [*self.config["Entrypoint"], *self.config["Healthcheck"]["Test"]])
        version = subprocess.run([*CONTAINER, self.root, "65532", "/usr/bin/glowworm-server", "--version"],
                                 capture_output=True, text=True, timeout=SECONDS).stdout.split()[1]
        self.assertEqual(self.config["Labels"]["org.opencontainers.image.version"], version)

    def test_it_holds_no_compiler_no_sources_and_no_package_lists(self):
        root = pathlib.Path(self.root)
        for path in ("usr/bin/c++", "usr/bin/cmake", "usr/include/grpcpp", str(SOURCE).lstrip("/"), "src"):
            self.assertFalse((root / path).exists(), path)
        for path in ("var/lib/apt/lists", "var/cache/apt", "mnt", "tmp"):
            self.assertEqual(os.listdir(root / path), [], path)
        added = set(os.listdir(root)) - set(os.listdir(self.base))
        self.assertEqual(added, set())

    def test_it_holds_nothing_of_cuda(self):
        root = pathlib.Path(self.root)
        for name in ("cuda", "cublas", "nvidia"):
            self.assertEqual([p for p in root.rglob(f"*{name}*") if p.is_file()], [])
        self.assertNotIn("NVIDIA", " ".join(self.config["Env"]))
        self.assertNotIn("--device", " ".join(self.config["Entrypoint"]))

    def test_its_binaries_are_stripped_and_nobody_but_root_may_write_them(self):
        for name in ("glowworm-server", "glowworm"):
            binary = pathlib.Path(self.root) / "usr/bin" / name
            self.assertEqual(binary.stat().st_mode & 0o777, 0o755)
            self.assertEqual(binary.stat().st_uid, 0)
            sections = subprocess.run(["readelf", "-SW", binary], check=True, capture_output=True, text=True).stdout
            self.assertNotIn(".symtab", sections)
            self.assertNotIn(".debug", sections)

    def test_it_serves_the_bundled_flows_and_answers_its_own_command(self):
        running = self.serve("--insecure", "--lame_duck_ms=0")
        done = running.execute("/usr/bin/glowworm", "models")
        self.assertEqual(done.returncode, 0, done.stderr)
        for flow in os.listdir(SOURCE / "deploy/repository"):
            self.assertIn(flow, done.stdout)
        done = running.execute("/usr/bin/glowworm", "sample", "--model=digits", "--num=3", "--seed=1")
        self.assertEqual((done.returncode, len(done.stdout.splitlines())), (0, 3), done.stderr)
        self.assertEqual(running.end(), 0, running.lines)

    def test_its_health_check_tells_a_server_that_serves_from_none(self):
        check = self.config["Healthcheck"]["Test"]
        self.assertEqual(check[0], "CMD")
        running = self.serve("--insecure", "--lame_duck_ms=0")
        done = running.execute(*check[1:])
        self.assertEqual(done.returncode, 0, done.stderr)
        # In a container of its own nobody serves.
        alone = subprocess.run([*CONTAINER, self.root, running.user, *check[1:]], timeout=SECONDS, capture_output=True)
        self.assertEqual(alone.returncode, 1)
        self.assertEqual(running.end(), 0, running.lines)

    def test_without_tls_it_does_not_leave_loopback_unless_told(self):
        running = Running(self.root, self.config)
        self.addCleanup(running.end, signal.SIGKILL)
        self.assertEqual(running.process.wait(SECONDS), 2)
        running.reader.join()
        self.assertEqual(len(running.lines), 1, running.lines)
        self.assertIn("--insecure", running.lines[0])

    def test_the_container_of_these_tests_confines(self):
        """Otherwise the others would show nothing."""
        running = self.serve("--insecure", "--lame_duck_ms=0")
        process = pathlib.Path("/proc", running.pid())
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        self.assertEqual(status["NSpid"].split()[1:], ["1"])
        self.assertEqual(set(status["Uid"].split()), {"65532"})
        self.assertEqual(set(status["Gid"].split()), {"65532"})
        self.assertEqual([int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")], [0] * 4)
        self.assertEqual(status["NoNewPrivs"].strip(), "1")
        for path in ("/tmp/x", "/var/tmp/x", "/dev/x", "/x"):
            self.assertNotEqual(running.execute("/usr/bin/touch", path).returncode, 0, path)
        self.assertIn("lo", running.execute("/bin/cat", "/proc/net/dev").stdout)
        self.assertNotEqual(os.readlink(process / "ns/net"), os.readlink("/proc/self/ns/net"))
        self.assertEqual(running.end(), 0, running.lines)


if __name__ == "__main__":
    if missing():
        print(f"skipped: {missing()}")
        sys.exit(77)
    unittest.main()
