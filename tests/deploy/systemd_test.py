"""The systemd unit and its drop-in for a GPU: systemd accepts them and finds them confined, and the server needs no
system call that the unit forbids."""
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import deployments

import glowworm_e2e as e2e

UNIT = deployments.SOURCE / "deploy/systemd/glowworm.service"
DROP_IN = UNIT.with_name("gpu.conf")
MAX_EXPOSURE = 2.0  # of 10; a unit without any of these options has 9.6


def analyze(*arguments):
    done = subprocess.run(["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def system_calls(group):
    """What a group such as @system-service allows."""
    _, text = analyze("syscall-filter", group)
    out = set()
    for name in re.findall(r"^ {4}(@?[\w-]+)$", text, re.MULTILINE):
        out |= system_calls(name) if name.startswith("@") else {name}
    return out


class SystemdTest(unittest.TestCase):
    def setUp(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")
        self.service = deployments.unit()["Service"]

    def install(self, name, change="", drop_in=None):
        """A folder's unit, with its drop-in, and with a binary that is here: that it exists is asked too."""
        path = pathlib.Path(tempfile.mkdtemp(dir=e2e.TEMPORARY)) / f"{name}.service"
        text = UNIT.read_text().replace("/usr/bin/glowworm-server", deployments.BINARY)
        path.write_text(text.replace("[Install]", f"{change}\n[Install]"))
        if drop_in is not None:
            folder = path.with_name(f"{name}.service.d")
            folder.mkdir()
            (folder / "gpu.conf").write_text(drop_in)
        return path

    def test_systemd_accepts_it(self):
        for name, change, accepted in (("good", "", True), ("bad", "NoSuchOption=yes", False)):
            code, said = analyze("verify", "--man=no", self.install(name, change))
            self.assertEqual((code, said) == (0, ""), accepted, said)

    def test_systemd_accepts_its_drop_in(self):
        text = DROP_IN.read_text()
        for name, change, accepted in (("good", "", True), ("bad", "NoSuchOption=yes\n", False)):
            code, said = analyze("verify", "--man=no", self.install(name, drop_in=text + change))
            self.assertEqual((code, said) == (0, ""), accepted, said)

    def exposure(self, path):
        code, said = analyze("security", "--offline=yes", path)
        self.assertEqual(code, 0, said)
        exposure = float(re.search(r"Overall exposure level for glowworm.service: ([\d.]+)", said)[1])
        print(f"exposure {exposure} of 10")
        return exposure

    def test_it_is_confined(self):
        alone = self.exposure(UNIT)
        self.assertLessEqual(alone, MAX_EXPOSURE)
        on_gpu = self.exposure(self.install("glowworm", drop_in=DROP_IN.read_text()))
        self.assertGreater(on_gpu, alone)  # it was read
        self.assertLessEqual(on_gpu, MAX_EXPOSURE)

    def test_on_a_gpu_it_opens_the_drivers_devices_and_no_others(self):
        service = deployments.unit("gpu.conf")["Service"]
        self.assertEqual((service["PrivateDevices"], service["DevicePolicy"]), ("no", "closed"))
        self.assertEqual(service["DeviceAllow"], "char-nvidia* rw")
        self.assertEqual(service["Environment"], "GLOWWORM_ARGUMENTS=--device=cuda")
        opened = {"Environment", "PrivateDevices", "DevicePolicy", "DeviceAllow", "ExecStartPre", "SupplementaryGroups"}
        self.assertEqual(set(service), opened)

    def test_generated_code_may_run(self):
        self.assertNotIn("MemoryDenyWriteExecute", self.service)
        self.assertIn("oneDNN", UNIT.read_text())

    def test_it_waits_and_starts_again(self):
        self.assertEqual((self.service["Type"], self.service["Restart"]), ("exec", "on-failure"))
        self.assertGreaterEqual(int(self.service["LimitNOFILE"]), 65536)

    def test_the_server_needs_no_system_call_that_it_forbids(self):
        allowed = set().union(*(system_calls(g) for g in self.service["SystemCallFilter"].split()))
        self.assertGreater(len(allowed), 100)
        self.assertNotIn("mount", allowed)
        log, traced = (pathlib.Path(tempfile.mktemp(dir=e2e.TEMPORARY)) for _ in range(2))
        # With -D the server is the process that the test started, and strace watches from aside.
        traced.write_text(f'#!/bin/sh\nexec strace -D -f -o {log} {deployments.BINARY} "$@"\n')
        traced.chmod(0o755)
        start = next(s for s in deployments.starts() if s.name == "systemd")
        server = e2e.Server(deployments.SOURCE / "deploy/repository", *start.arguments, "--listen=127.0.0.1:0",
                            "--health=127.0.0.1:0", "--metrics=127.0.0.1:0", "--lame_duck_ms=0", binary=traced)
        self.addCleanup(server.stop)
        request = e2e.pb.SampleRequest(model=e2e.pb.ModelRef(name="digits"), num_samples=100)
        self.assertEqual(server.stub().Sample(request, timeout=60).x.shape[0], 100)
        server.scrape()
        self.assertEqual(server.stop(), 0)
        called = set(re.findall(r"^\d+ +(\w+)\(", log.read_text(), re.MULTILINE))
        self.assertLessEqual({"accept4", "futex", "exit_group"}, called)
        self.assertEqual(called - allowed, set())


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
