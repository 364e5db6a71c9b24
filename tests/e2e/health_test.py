"""Health as probes see it: `glowworm-server --healthcheck`."""
import os
import signal
import socket
import subprocess
import unittest

import glowworm_e2e as e2e


class HealthcheckTest(unittest.TestCase):
    def ask(self, *flags, **environment):
        """(exit code, what it said)"""
        done = subprocess.run([e2e.BINARY, "--healthcheck", *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=60, env={**os.environ, **environment})
        return done.returncode, done.stdout

    def serve(self, *flags):
        server = e2e.Server(e2e.repository(e2e.golden_folder("tiny-plu")), *flags)
        self.addCleanup(lambda: server.process.poll() is None and server.process.kill())
        return server

    def assert_refused(self, outcome, text):
        code, said = outcome
        self.assertEqual(code, 1)
        self.assertIn(text, said)
        self.assertEqual(said.count("\n"), 1, said)

    def test_a_server_that_serves_is_healthy(self):
        server = self.serve("--health=127.0.0.1:0")
        self.assertEqual(self.ask(f"--listen={server.address}"), (0, ""))
        # The health listener comes first, whatever --listen says; neither a proxy nor a repository matters.
        self.assertEqual(self.ask("--listen=127.0.0.1:1", f"--health={server.health_address}", "--repository=/nope",
                                  http_proxy="http://127.0.0.1:1"), (0, ""))

    def test_a_server_that_stops_is_not(self):
        server = self.serve("--lame_duck_ms=60000")
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("stopping")
        self.assert_refused(self.ask(f"--listen={server.address}"), "got NOT_SERVING")
        server.process.send_signal(signal.SIGTERM)
        server.exit_code()

    def test_nobody_there_is_not(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = "%s:%d" % silent.getsockname()
            self.assert_refused(self.ask(f"--listen={address}"), "got no answer")
        self.assert_refused(self.ask(f"--listen={address}"), "got no answer")

    def test_what_cannot_be_asked_is_named(self):
        self.assert_refused(self.ask("--tls_cert=a", "--tls_key=b"), "probes need a plaintext --health")
        self.assert_refused(self.ask("--listen=127.0.0.1:0"), "the port of a running server, got 0")
        self.assert_refused(self.ask("--health=nowhere"), "expected HOST:PORT")


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
