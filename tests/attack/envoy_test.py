"""The attacks of tests/attack/attacks.py on a server behind a real Envoy with deploy/envoy/envoy.yaml: the server
hardly notices, Envoy stays small, and a good client behind the same Envoy loses no call. Those that gRPC 1.51 cannot
stop by itself, rapid reset and huge headers, are measured before (the server alone) and after (behind Envoy).
GLOWWORM_ATTACK_LONG=1 takes their full size."""
import os
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import envoy_proxy  # noqa: E402
import glowworm_e2e as e2e  # noqa: E402
import victim  # noqa: E402
from victim import LIMIT_MB, MOST, SLACK_MB, results  # noqa: E402

LONG = bool(os.environ.get("GLOWWORM_ATTACK_LONG"))
TEST = "attack_envoy"
RERUN = "GLOWWORM_ATTACK_LONG=1 " * LONG + "ctest --test-dir build -R '^attack_envoy$' --output-on-failure"
SERVER_MB, ENVOY_MB = 32, 64
# Of the server, the good client's calls included: some tenths on an idle machine.
SERVER_SECONDS = 4.0
PREMATURE_RESETS = 100  # the limit in envoy.yaml


class EnvoyTest(unittest.TestCase):
    def setUp(self):
        self.behind = envoy_proxy.Behind(self)

    def strike(self, name, count=None, server_mb=SERVER_MB, good_share=1.0):
        strike = self.behind.strike(name, count)
        print(f"{name}: {strike}", flush=True)
        self.assertIsNone(self.behind.server.process.poll(), "the server lives")
        self.assertIsNone(self.behind.envoy.process.poll(), "Envoy lives")
        what = f"{name.replace('_', ' ')} through Envoy"
        for of, measured, bound, unit in (
                ("the server's memory grows by", strike.grown_mb["server"], server_mb, "MiB"),
                ("the server's processor time", strike.cpu_seconds["server"], SERVER_SECONDS, "s"),
                ("Envoy's memory grows by", strike.grown_mb["Envoy"], ENVOY_MB, "MiB")):
            results.at_most(self, TEST, f"{what}: {of}", measured, bound, unit, rerun=RERUN)
        for of, measured in (("Envoy's processor time", strike.cpu_seconds["Envoy"]),
                             ("a good client's slowest call", strike.good.slowest)):
            results.record(TEST, f"{what}: {of}, in s", measured, "none", rerun=RERUN)
        results.at_least(self, TEST, f"{what}: share of a good client's calls that succeed", strike.good.share(),
                         good_share, rerun=RERUN)
        return strike

    def before(self, name, count):
        server = victim.serve()
        self.addCleanup(server.stop, signal.SIGKILL)
        strike = victim.strike(name, server.address, {"server": server.process.pid}, victim.channel(server.address),
                               count=count)
        print(f"{name} before: {strike}", flush=True)
        what = f"{name.replace('_', ' ')} on the server alone"
        for of, measured, unit in (("its memory grows by", strike.grown_mb["server"], "MiB"),
                                   ("its processor time", strike.cpu_seconds["server"], "s"),
                                   ("a good client's slowest call", strike.good.slowest, "s")):
            results.record(TEST, f"{what}: {of}, in {unit}", measured, "none", rerun=RERUN)
        return strike

    def test_rapid_reset_ends_at_envoy(self):
        count = 100000 if LONG else 20000
        before = self.before("rapid_reset", count)
        # However long the attack, the server alone keeps the connection and takes every stream.
        self.assertEqual((before.seen["connected"], before.seen["closed"], before.seen["goaways"]), (1, 0, {}))
        after = self.strike("rapid_reset", count)
        self.assertEqual(after.seen["closed"], after.seen["connected"])
        self.assertEqual(self.behind.envoy.stat("http.glowworm.downstream_rq_too_many_premature_resets"),
                         after.seen["connected"])
        self.assertGreater(before.grown_mb["server"], after.grown_mb["server"])
        reached = self.behind.envoy.stat("cluster.glowworm.upstream_rq_total") - after.good.ok
        results.at_most(self, TEST, "rapid reset through Envoy: streams that reach the server, of a connection's",
                        reached / after.seen["connected"], PREMATURE_RESETS, rerun=RERUN)

    def test_a_huge_header_ends_at_envoy(self):
        # The server alone mostly reads all of it, for seconds, and sometimes ends the connection at once.
        self.before("huge_header", 16 if LONG else 4)
        reached = self.behind.envoy.stat("cluster.glowworm.upstream_rq_total")
        after = self.strike("huge_header", 16)
        self.assertEqual(after.seen["closed"], 1)
        reached = self.behind.envoy.stat("cluster.glowworm.upstream_rq_total") - reached
        self.assertEqual(reached, after.good.ok, "streams that reach the server are those of the good client")

    def test_floods_of_frames_end_at_envoy(self):
        for name in ("continuation_flood", "empty_continuation_flood", "ping_flood", "settings_flood",
                     "empty_data_flood", "priority_flood", "made_you_reset"):
            with self.subTest(name):
                seen = self.strike(name).seen
                self.assertEqual(seen["closed"], seen["connected"])

    def test_what_is_no_http2_or_no_tls_ends_at_envoy(self):
        for name in ("oversized_frame", "http1", "tls_hello", "plaintext", "random_bytes"):
            with self.subTest(name):
                seen = self.strike(name).seen
                self.assertEqual(seen["closed"], seen["connected"])

    def test_headers_that_never_end_hold_little(self):
        self.strike("headers_without_end")

    def test_odd_headers_do_not_touch_the_calls_of_others(self):
        # One of them makes gRPC 1.51 close its connection: not that of another client.
        stream = victim.OpenStream(self.behind.channel())
        self.addCleanup(stream.close)
        self.assertEqual(stream.ask("before"), "before")
        self.strike("odd_headers")
        self.assertGreater(self.behind.envoy.stat("cluster.glowworm.upstream_cx_destroy_remote"), 0)
        self.assertEqual(stream.ask("after"), "after")

    def test_a_compressed_message_is_refused_unopened(self):
        self.assertEqual(self.strike("gzip_bomb").seen["statuses"], {"grpc 12": 1})  # UNIMPLEMENTED

    # These the server bounds itself: tests/attack/direct_test.py. Envoy must not hold what the server will not take.

    def test_replies_that_are_not_read_are_bounded(self):
        self.strike("window_zero", server_mb=2 * LIMIT_MB + SLACK_MB)

    def test_half_and_huge_messages_are_bounded(self):
        for name in ("half_messages", "huge_message"):
            with self.subTest(name):
                self.strike(name, server_mb=LIMIT_MB + SLACK_MB, good_share=MOST)


if __name__ == "__main__":
    envoy_proxy.skip_without_envoy()
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main(verbosity=2)
