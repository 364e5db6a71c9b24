"""TLS, client certificates and tokens, against the real server and by the real command."""
import os
import pathlib
import queue
import signal
import subprocess
import tempfile
import time
import unittest

import certificates
import glowworm_e2e as e2e
import grpc
import http2_frames
from glowworm_e2e import pb

COMMAND = os.environ["GLOWWORM_COMMAND"]
READ, ADMIN, NEXT = "read-token-0123456789", "admin-token-0123456789", "next-token-0123456789"
LIST = "/glowworm.v1.DensityService/ListModels"
SCORE = "/glowworm.v1.DensityService/LogLikelihood"
CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
INDEX = "/inference.GRPCInferenceService/RepositoryIndex"
SERVING = b"\x08\x01"


def bearer(token):
    return [("authorization", f"Bearer {token}")]


class SecurityTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(dir=e2e.TEMPORARY))
        cls.authority = certificates.Authority(cls.folder)
        cls.stranger = certificates.Authority(cls.folder, "stranger")
        cls.root = e2e.repository(e2e.golden_folder("tiny-plu"))
        cls.server_pair = cls.authority.issue("server")
        cls.client_pair = cls.authority.issue("client")

    def setUp(self):
        self.files = pathlib.Path(tempfile.mkdtemp(dir=e2e.TEMPORARY))
        self.cert, self.key, self.ca, self.tokens = (self.files / n for n in ("cert", "key", "ca", "tokens"))

    def serve(self, *flags):
        server = e2e.Server(self.root, "--credentials_poll=1s", *flags)
        self.addCleanup(lambda: server.process.poll() is None and server.stop(signal.SIGKILL))
        return server

    def tls_flags(self, pair=None):
        (pair or self.server_pair).install(self.cert, self.key)
        return [f"--tls_cert={self.cert}", f"--tls_key={self.key}"]

    def mutual_flags(self):
        certificates.replace(self.ca, self.authority.cert.read_bytes())
        return [*self.tls_flags(), f"--tls_client_ca={self.ca}"]

    def token_flags(self):
        certificates.replace(self.tokens, f"# the tests' own\nread alice {READ}\nadmin root {ADMIN}\n")
        return [f"--tokens={self.tokens}"]

    def channel(self, address, root=None, pair=None, plaintext=False):
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        if plaintext:
            channel = grpc.insecure_channel(address, options)
        else:
            own = {"private_key": pair.key.read_bytes(), "certificate_chain": pair.cert.read_bytes()} if pair else {}
            credentials = grpc.ssl_channel_credentials((root or self.authority).cert.read_bytes(), **own)
            channel = grpc.secure_channel(address, credentials, options)
        self.addCleanup(channel.close)
        return channel

    def ask(self, channel, token=None, method=LIST, request=b"", metadata=None):
        """(code name, text) of a call"""
        metadata = metadata if metadata is not None else bearer(token) if token else []
        return e2e.outcome(lambda: channel.unary_unary(method)(request, metadata=metadata, timeout=20))

    def assert_code(self, code, outcome, text=""):
        self.assertEqual(outcome[0], code, outcome)
        self.assertIn(text, str(outcome[1]))

    def glowworm(self, server, *flags, **environment):
        """(exit code, output, errors) of the command"""
        command, *flags = flags if flags and not flags[0].startswith("--") else ("models", *flags)
        done = subprocess.run([COMMAND, command, f"--server={server.address}", "--retries=0", *flags],
                              capture_output=True, text=True, timeout=60, env={**os.environ, **environment})
        return done.returncode, done.stdout, done.stderr


class TlsTest(SecurityTest):
    def handshake(self, server, *arguments):
        """What openssl's client says of one."""
        done = subprocess.run(["openssl", "s_client", "-connect", server.address, "-CAfile",
                               str(self.authority.cert), "-alpn", "h2", *arguments],
                              input="", capture_output=True, text=True, errors="replace", timeout=20)
        return done.stdout + done.stderr

    def test_a_client_that_knows_the_authority_is_served(self):
        server = self.serve(*self.tls_flags())
        self.assert_code("OK", self.ask(self.channel(server.address)))
        self.assert_code("OK", self.ask(self.channel(server.address), method=CHECK))

    def test_a_client_refuses_a_server_that_is_not_whom_it_asked_for(self):
        for name, pair in (("authority", self.stranger.issue("server")),
                           ("name", self.authority.issue("elsewhere", "DNS:elsewhere.test,IP:127.9.9.9")),
                           ("expired", self.authority.issue("expired", days=-1))):
            with self.subTest(name):
                server = self.serve(*self.tls_flags(pair))
                self.assert_code("UNAVAILABLE", self.ask(self.channel(server.address)))
                server.stop()

    def test_plaintext_is_refused(self):
        server = self.serve(*self.tls_flags())
        self.assert_code("UNAVAILABLE", self.ask(self.channel(server.address, plaintext=True)))
        self.assert_code("OK", self.ask(self.channel(server.address)))

    def test_tls_is_1_2_or_newer(self):
        server = self.serve(*self.tls_flags())
        old = ["-cipher", "ALL:@SECLEVEL=0"]  # or openssl itself refuses to speak it
        for version in ("-tls1", "-tls1_1"):
            self.assertIn("Cipher is (NONE)", self.handshake(server, version, *old))
        for version in ("-tls1_2", "-tls1_3"):
            self.assertIn("Verification: OK", self.handshake(server, version))

    def test_client_certificates(self):
        server = self.serve(*self.mutual_flags(), "--log_level=debug")
        self.assert_code("OK", self.ask(self.channel(server.address, pair=self.client_pair)))
        for name, pair in (("none", None), ("authority", self.stranger.issue("client")),
                           ("expired", self.authority.issue("late", days=-1))):
            with self.subTest(name):
                self.assert_code("UNAVAILABLE", self.ask(self.channel(server.address, pair=pair)))
        self.assertIn("source=cert:localhost", server.wait_for(" call "))
        self.assert_code("OK", self.ask(self.channel(server.address, pair=self.client_pair), method=CHECK))
        self.assert_code("UNAVAILABLE", self.ask(self.channel(server.address), method=CHECK))

    def test_a_new_certificate_is_used_without_a_restart_while_a_stream_stays_open(self):
        server = self.serve(*self.tls_flags())
        self.assertIn("CN = server", self.handshake(server))
        rows = e2e.read_safetensors(e2e.golden_folder("tiny-plu") / "golden.safetensors")["x"][:2]
        request = pb.LogLikelihoodRequest(x=e2e.tensor(rows, "<f8"))
        requests = queue.Queue()
        stream = e2e.rpc.DensityServiceStub(self.channel(server.address)).StreamLogLikelihood(
            iter(requests.get, None), timeout=60)
        requests.put(request)
        before = next(stream)

        # Half of a new pair keeps the old one; all of it is taken.
        new = self.authority.issue("renewed")
        certificates.replace(self.cert, new.cert.read_bytes())
        self.assertIn("the key does not belong to the certificate", server.wait_for("credentials kept what=tls"))
        self.assertIn("CN = server", self.handshake(server))
        certificates.replace(self.key, new.key.read_bytes())
        server.wait_for("credentials loaded what=tls", 2)
        self.assertIn("CN = renewed", self.handshake(server))
        self.assert_code("OK", self.ask(self.channel(server.address)))

        requests.put(request)
        self.assertEqual(next(stream), before)
        requests.put(None)
        self.assertEqual(list(stream), [])
        self.assertGreaterEqual(server.metric("glowworm_credentials_kept_total", 'what="tls"'), 1)
        expiry = server.metric("glowworm_tls_certificate_expiry_timestamp_seconds")
        self.assertAlmostEqual(expiry, time.time() + 86400, delta=600)

    def test_a_new_authority_decides_over_the_next_client(self):
        server = self.serve(*self.mutual_flags())
        newcomer = self.stranger.issue("newcomer")
        self.assert_code("UNAVAILABLE", self.ask(self.channel(server.address, pair=newcomer)))
        certificates.replace(self.ca, self.stranger.cert.read_bytes())
        server.wait_for("credentials loaded what=tls", 2)
        self.assert_code("OK", self.ask(self.channel(server.address, pair=newcomer)))
        self.assert_code("UNAVAILABLE", self.ask(self.channel(server.address, pair=self.client_pair)))

    def test_the_watchdog_and_the_port_of_the_probes_do_without_tls(self):
        server = self.serve(*self.mutual_flags(), "--watchdog_interval=1s", "--health=127.0.0.1:0", "--log_level=debug")
        server.wait_for("Handshake_failed", 4)  # three in a row would have ended it
        self.assert_code("OK", self.ask(self.channel(server.health_address, plaintext=True), method=CHECK))
        self.assert_code("OK", self.ask(self.channel(server.address, pair=self.client_pair)))
        self.assertEqual(server.stop(), 0)

    def test_the_command_says_what_to_try_when_a_handshake_fails(self):
        trust = f"--tls_ca={self.authority.cert}"
        own = [f"--tls_cert={self.client_pair.cert}", f"--tls_key={self.client_pair.key}"]
        mutual, plain = self.serve(*self.mutual_flags()), self.serve()
        for server, flags, hint in ((mutual, [], "may speak TLS: --tls or --tls_ca"),
                                    (mutual, [trust], "may ask for a certificate: --tls_cert, --tls_key"),
                                    (plain, [trust, *own], "may speak plaintext: leave out the --tls flags")):
            code, _, errors = self.glowworm(server, *flags)
            self.assertEqual(code, 1)
            self.assertIn(hint, errors)
        self.assertEqual(self.glowworm(mutual, trust, *own)[0], 0)
        stopped = plain.address
        plain.stop()
        done = subprocess.run([COMMAND, "models", f"--server={stopped}", "--retries=0"], capture_output=True, text=True,
                              timeout=60)
        self.assertNotIn(" may ", done.stderr)

    def test_the_command_says_so_at_an_address_of_another_service(self):
        server = self.serve("--health=127.0.0.1:0")
        server.address = server.health_address
        self.assertIn("UNIMPLEMENTED: --server takes the address of glowworm-server's --listen", self.glowworm(server)[2])

    def test_the_command_speaks_tls(self):
        server = self.serve(*self.mutual_flags())
        own = [f"--tls_cert={self.client_pair.cert}", f"--tls_key={self.client_pair.key}"]
        trust = f"--tls_ca={self.authority.cert}"
        code, out, errors = self.glowworm(server, trust, *own)
        self.assertEqual((code, errors), (0, ""))
        self.assertIn("tiny-plu", out)
        for flags in ([], [trust], [f"--tls_ca={self.stranger.cert}", *own], ["--tls", *own],
                      [trust, *own, "--tls_server_name=elsewhere.test"]):
            self.assertEqual(self.glowworm(server, *flags)[0], 1, flags)
        self.assertEqual(self.glowworm(server, trust, *own, "--tls_server_name=localhost")[0], 0)
        self.assertEqual(self.glowworm(server, "bench", "--calls=20", trust, *own)[0], 0)


class TokenTest(SecurityTest):
    def test_who_may_do_what(self):
        server = self.serve(*self.token_flags(), "--log_level=debug")
        channel = self.channel(server.address, plaintext=True)
        for token in (READ, ADMIN):
            self.assert_code("OK", self.ask(channel, token))
        self.assert_code("UNAUTHENTICATED", self.ask(channel), "expected the metadata 'authorization: Bearer TOKEN'")
        self.assert_code("UNAUTHENTICATED", self.ask(channel, NEXT), "not known")
        for value in ("", "Bearer", "Bearer x", READ, f"Basic {READ}", f"Bearer {READ} {READ}", "Bearer " + "x" * 7000):
            self.assert_code("UNAUTHENTICATED", self.ask(channel, metadata=[("authorization", value)]))
        self.assert_code("UNAUTHENTICATED", self.ask(channel, metadata=bearer(READ) + bearer(ADMIN)))
        for reason, count in (("missing", 1), ("unknown", 1), ("malformed", 8)):
            self.assertEqual(server.metric("glowworm_auth_failures_total", f'reason="{reason}"'), count)
        self.assertEqual(server.metric("glowworm_requests_total"), 2)  # what is refused here is no request yet
        self.assertEqual(server.stop(), 0)
        log = "\n".join(server.lines)
        self.assertIn("source=token:alice", log)
        self.assertIn("source=token:root", log)
        for token in (READ, ADMIN, NEXT):
            self.assertNotIn(token, log)

    def test_the_admin_listener_wants_an_admin(self):
        server = self.serve(*self.token_flags(), "--repository_mode=explicit", "--admin=127.0.0.1:0")
        channel = self.channel(server.admin_address, plaintext=True)
        self.assert_code("PERMISSION_DENIED", self.ask(channel, READ, INDEX), "admin role")
        self.assert_code("UNAUTHENTICATED", self.ask(channel, None, INDEX))
        self.assert_code("OK", self.ask(channel, ADMIN, INDEX))
        self.assert_code("OK", self.ask(channel, None, CHECK))
        self.assertEqual(server.metric("glowworm_auth_failures_total", 'reason="forbidden"'), 1)

    def test_health_needs_no_token_and_reflection_does(self):
        server = self.serve(*self.token_flags())
        channel = self.channel(server.address, plaintext=True)
        self.assertEqual(self.ask(channel, method=CHECK), ("OK", SERVING))
        watch = channel.unary_stream(WATCH)(b"", timeout=20)
        self.assertEqual(next(watch), SERVING)
        watch.cancel()

        def reflect(metadata):  # what services are there?
            return e2e.outcome(lambda: list(channel.stream_stream(REFLECTION)(iter([b"\x3a\x01*"]), timeout=20,
                                                                             metadata=metadata)))
        self.assert_code("UNAUTHENTICATED", reflect([]))
        self.assert_code("OK", reflect(bearer(READ)), "glowworm.v1.DensityService")

    def test_tokens_are_checked_before_the_payload_is_parsed(self):
        server = self.serve(*self.token_flags())
        channel = self.channel(server.address, plaintext=True)
        for payload in (b"\xff" * 100, b"\x12\xff\xff\xff\xff\x0f", b"\0" * (5 << 20)):
            self.assert_code("UNAUTHENTICATED", self.ask(channel, NEXT, SCORE, payload))
            # With a token the payload decides: gRPC's own answers to what is no message, or too long a one.
            self.assertIn(self.ask(channel, READ, SCORE, payload)[0], ("UNIMPLEMENTED", "RESOURCE_EXHAUSTED"))
        self.assert_code("UNAUTHENTICATED", self.ask(channel, NEXT, "/no.such.Service/Method"))
        self.assert_code("UNIMPLEMENTED", self.ask(channel, READ, "/no.such.Service/Method"))

    def test_tokens_are_checked_before_the_payload_has_come(self):
        server = self.serve(*self.token_flags())
        # The headers, and ten bytes of a message that announces a million: the answer does not wait for the rest.
        part = http2_frames.message(b"\x12" * 10, size=1 << 20)
        for token, seconds, refused in ((NEXT, 20, True), (READ, 0.5, False)):
            begun = http2_frames.call(SCORE, {"authorization": f"Bearer {token}"}, part, end=False)
            answer = http2_frames.exchange(server.address, begun, http2_frames.UNAUTHENTICATED, seconds)
            self.assertEqual(http2_frames.UNAUTHENTICATED in answer, refused)

    def test_new_tokens_are_taken_and_a_bad_file_keeps_the_old_ones(self):
        server = self.serve(*self.token_flags())
        channel = self.channel(server.address, plaintext=True)
        certificates.replace(self.tokens, f"read alice {NEXT}\nread {READ}\n")
        self.assertIn("line 2: expected a role, a name and a token", server.wait_for("credentials kept what=tokens"))
        self.assert_code("OK", self.ask(channel, READ))
        self.assert_code("UNAUTHENTICATED", self.ask(channel, NEXT))
        self.tokens.unlink()
        server.wait_for("the file does not exist")
        self.assert_code("OK", self.ask(channel, READ))
        certificates.replace(self.tokens, f"read alice {NEXT}\n")
        server.wait_for("credentials loaded what=tokens count=1")
        self.assert_code("OK", self.ask(channel, NEXT))
        self.assert_code("UNAUTHENTICATED", self.ask(channel, READ))
        self.assertNotIn(NEXT, "\n".join(server.lines))

    def test_tokens_and_tls_together(self):
        server = self.serve(*self.tls_flags(), *self.token_flags())
        self.assert_code("OK", self.ask(self.channel(server.address), READ))
        self.assert_code("UNAUTHENTICATED", self.ask(self.channel(server.address)))

    def test_the_command_sends_its_token(self):
        server = self.serve(*self.token_flags())
        token = self.files / "mine"
        certificates.replace(token, READ + "\n")
        self.assertEqual(self.glowworm(server, f"--token_file={token}")[::2], (0, ""))
        self.assertEqual(self.glowworm(server, GLOWWORM_TOKEN_FILE=str(token))[::2], (0, ""))
        self.assertEqual(self.glowworm(server, "bench", "--calls=20", f"--token_file={token}")[0], 0)
        code, _, errors = self.glowworm(server)
        self.assertEqual(code, 1)
        self.assertIn("UNAUTHENTICATED", errors)
        certificates.replace(token, NEXT)
        code, _, errors = self.glowworm(server, f"--token_file={token}")
        self.assertEqual(code, 1)
        self.assertIn("UNAUTHENTICATED: the token is not known here", errors)
        self.assertNotIn(NEXT, errors)

    def test_the_command_keeps_its_token_out_of_plaintext(self):
        token = self.files / "mine"
        certificates.replace(token, READ)
        done = subprocess.run([COMMAND, "models", "--server=192.0.2.1:50051", f"--token_file={token}"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--tls", done.stderr)
        self.assertNotIn(READ, done.stderr)


class StartTest(SecurityTest):
    def assert_refused(self, code, text, *flags):
        done = subprocess.run([e2e.BINARY, f"--repository={self.root}", "--listen=127.0.0.1:0", "--metrics=", *flags],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn(text, done.stderr)
        self.assertNotIn(str(self.files), done.stderr)

    def test_bad_files_end_the_start_with_one_clear_sentence(self):
        self.tls_flags()
        certificates.replace(self.ca, "nonsense")
        nothing = self.files / "nothing"
        other = self.authority.issue("other").key
        pair = [f"--tls_cert={self.cert}", f"--tls_key={self.key}"]
        for text, flags in (("--tls_cert: the file does not exist", [f"--tls_cert={nothing}", pair[1]]),
                            ("--tls_key: the file does not exist", [pair[0], f"--tls_key={nothing}"]),
                            ("--tls_cert: expected certificates in PEM form", [f"--tls_cert={self.key}", pair[1]]),
                            ("--tls_key: expected a private key", [pair[0], f"--tls_key={self.cert}"]),
                            ("--tls_key: the key does not belong to the certificate", [pair[0], f"--tls_key={other}"]),
                            ("--tls_client_ca: expected certificates", [*pair, f"--tls_client_ca={self.ca}"]),
                            ("--tokens: the file does not exist", [f"--tokens={nothing}"]),
                            ("--tokens: line 1: expected a role", [f"--tokens={self.ca}"]),
                            ("--tokens: expected a regular file", [f"--tokens={self.files}"])):
            with self.subTest(text):
                self.assert_refused(1, text, *flags)

    def test_flags_that_would_leave_a_door_open_are_refused(self):
        for text, flags in (("--insecure for plaintext", ["--listen=0.0.0.0:0"]),
                            ("would travel in the clear", ["--listen=0.0.0.0:0", "--insecure", *self.token_flags()]),
                            ("anybody could load", ["--admin=0.0.0.0:0", "--insecure"]),
                            ("expected both or neither", [f"--tls_cert={self.cert}"])):
            with self.subTest(text):
                self.assert_refused(2, text, *flags)


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
