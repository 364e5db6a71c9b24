"""The commands of deploy/README.md, run as they stand there: only ports and intervals are the test's."""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

import glowworm_e2e as e2e

TEXT = (e2e.SOURCE / "deploy" / "README.md").read_text()
BIN = pathlib.Path(e2e.BINARY).parent


def blocks(heading, language="sh"):
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)[1]
    return [b.replace("\\\n", "") for b in re.findall(rf"^```{language}\n(.*?)^```", section, re.M | re.S)]


class DeployDocsTest(unittest.TestCase):
    def setUp(self):
        """A folder that looks like the clone's root."""
        self.root = pathlib.Path(tempfile.mkdtemp(dir=e2e.TEMPORARY))
        (self.root / "build").mkdir()
        for name, target in (("build/bin", BIN), ("deploy", e2e.SOURCE / "deploy"), ("proto", e2e.SOURCE / "proto")):
            (self.root / name).symlink_to(target)
        self.server = None

    def run_all_but_the_server(self, script):
        """What the commands print."""
        script = "".join(line for line in script.splitlines(True) if "glowworm-server " not in line)
        server = {"GLOWWORM_SERVER": self.server.address} if self.server else {}
        done = subprocess.run(["sh", "-e", "-c", script], cwd=self.root, env={**os.environ, **server},
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def serve(self, script, *flags):
        line = next(line for line in script.splitlines() if "glowworm-server " in line)
        command, *named, background = shlex.split(line)
        self.assertEqual((command, background), ("build/bin/glowworm-server", "&"))
        named = [flag.replace("=build/", f"={self.root}/build/") for flag in named]
        self.server = e2e.Server(None, *named, *flags)
        self.addCleanup(self.server.stop)

    def test_a_version_is_published(self):
        start, publish = blocks("Publish a model")
        self.run_all_but_the_server(start)
        self.serve(start, "--poll_interval=100ms")
        self.run_all_but_the_server(publish)
        self.server.wait_for("loaded model=digits version=2")
        listed = self.run_all_but_the_server("build/bin/glowworm models\n")
        self.assertRegex(listed, r"(?m)^digits +2 +READY ")
        self.assertRegex(listed, r"(?m)^digits +1 +READY ")

    def test_a_model_is_loaded_by_call(self):
        self.run_all_but_the_server(blocks("Publish a model")[0])
        start, compile_proto = blocks("Load by call")
        self.serve(start, "--admin=127.0.0.1:0")
        self.run_all_but_the_server(compile_proto)
        (script,) = blocks("Load by call", "python")
        self.assertIn("127.0.0.1:50052", script)
        script = script.replace("127.0.0.1:50052", self.server.admin_address)
        done = subprocess.run([sys.executable, "-B", "-c", script], cwd=self.root, capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("digits 1 READY", done.stdout)
        self.assertIn("fashion 1 READY", done.stdout)
        self.server.wait_for("unloaded model=digits version=1")

    def test_certificates_and_tokens_are_made_and_rotated(self):
        certificates, tokens, use = blocks("Certificates")
        self.run_all_but_the_server(certificates)
        self.run_all_but_the_server(tokens)
        self.serve(use, "--credentials_poll=1s")
        self.assertIn("digits", self.run_all_but_the_server(use))
        self.assertEqual([line for line in self.server.lines if " warning " in line], [])
        old = (self.root / "build/credentials/alice.token").read_text()
        (rotate,) = blocks("Rotate")
        both, then = re.split(r"(?=mv alice\.token\.new)", rotate)
        self.run_all_but_the_server(both)
        self.server.wait_for("credentials loaded what=tokens count=3")
        self.assertIn("digits", self.run_all_but_the_server(use))
        self.run_all_but_the_server("cd build/credentials\n" + then)
        self.server.wait_for("credentials loaded what=tokens count=2", count=2)
        self.assertIn("digits", self.run_all_but_the_server(use))
        (self.root / "build/credentials/alice.token").write_text(old)
        with self.assertRaisesRegex(AssertionError, "UNAUTHENTICATED: the token is not known here"):
            self.run_all_but_the_server(use)


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
