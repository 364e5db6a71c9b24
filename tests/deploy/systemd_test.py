"""The systemd unit: systemd accepts it and finds it confined, and the server needs no system call that it forbids."""
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import deployments

import glowworm_e2e as e2e

UNIT = deployments.SOURCE / "deploy/systemd/glowworm.service"
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

    def test_systemd_accepts_it(self):
        folder = tempfile.mkdtemp(dir=e2e.TEMPORARY)
        # With a binary that is here: that it exists is asked too.
        text = UNIT.read_text().replace("/usr/bin/glowworm-server", deployments.BINARY)
        for name, change, accepted in (("good", "", True), ("bad", "NoSuchOption=yes", False)):
            path = f"{folder}/{name}.service"
            with open(path, "w") as file:
                file.write(text.replace("[Install]", f"{change}\n[Install]"))
            code, said = analyze("verify", "--man=no", path)
            self.assertEqual((code, said) == (0, ""), accepted, said)

    def test_it_is_confined(self):
        code, said = analyze("security", "--offline=yes", UNIT)
        self.assertEqual(code, 0, said)
        exposure = float(re.search(r"Overall exposure level for glowworm.service: ([\d.]+)", said)[1])
        print(f"exposure {exposure} of 10")
        self.assertLessEqual(exposure, MAX_EXPOSURE)

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
