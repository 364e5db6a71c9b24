"""A real Prometheus with the rules of deploy/prometheus/ scrapes a real glowworm-server under load: every query of the
dashboard draws something, no rule errs, the counters are what the callers counted, and a scrape in the middle of an
overload is quick."""
import pathlib
import shutil
import subprocess
import sys
import time
import unittest

if shutil.which("prometheus") is None or shutil.which("promtool") is None:
    print("SKIP: prometheus and promtool are not installed (Debian package prometheus)")
    sys.exit(77)

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "e2e"), str(TESTS / "reliability")]
import glowworm_e2e as e2e  # noqa: E402
import results  # noqa: E402

import counted_load  # noqa: E402
import dashboard  # noqa: E402
from prometheus_server import SCRAPE_SECONDS, Prometheus, wait_until  # noqa: E402

SCRAPES = 12  # during the load: more than the drift's faster windows span
OVERLOAD_SCRAPES = 20
SCRAPE_BOUND_SECONDS = 1.0
# Panels that are empty for a server on the CPU, without tokens and without TLS: each with its metric, which must not
# exist.
EMPTY = {"Device memory": "glowworm_device_memory_used_bytes",
         "Device utilization": "glowworm_device_utilization_ratio",
         "Device time": "glowworm_device_compute_seconds_total",
         "Calls refused for their token": "glowworm_auth_failures_total",
         "Certificate": "glowworm_tls_certificate_expiry_timestamp_seconds"}
RERUN = "ctest --test-dir build -R '^observe_live$' --output-on-failure"


class LiveTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = counted_load.server()
        cls.addClassCleanup(cls.server.stop)
        cls.prometheus = Prometheus(cls.server.metrics_address)
        cls.addClassCleanup(cls.prometheus.stop)
        cls.prometheus.scraped_after(0)
        cls.begin = time.time()
        cls.load = counted_load.CountedLoad(cls.server)
        while cls.scrapes() < SCRAPES:
            cls.load.round()
        cls.end = time.time()
        cls.prometheus.scraped_after(cls.end)

    @classmethod
    def scrapes(cls):
        """Since the load began."""
        window = int(time.time() - cls.begin) + 1
        return cls.prometheus.instant(f"sum(count_over_time(up[{window}s])) or vector(0)")[0][1]

    def counted(self, expr, *labels):
        return {tuple(series.get(label, "") for label in labels): value
                for series, value in self.prometheus.instant(expr)}

    def test_counters_are_what_the_callers_counted(self):
        calls = self.counted("sum by (method, code, model) (glowworm_requests_total)", "method", "code", "model")
        self.assertEqual(calls, dict(self.load.calls))
        codes = {code for _, code, _ in calls}
        self.assertEqual(codes, {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED"})
        refusals = self.counted("sum by (model, reason) (glowworm_refusals_total) > 0", "model", "reason")
        self.assertEqual(refusals, dict(self.load.refusals))
        self.assertEqual(sum(refusals.values()), self.load.calls["LogLikelihood", "RESOURCE_EXHAUSTED", "slow"])
        rows = self.counted("sum by (model) (glowworm_rows_total) > 0", "model")
        self.assertEqual(rows, {(model,): count for model, count in self.load.rows.items()})

    def draws(self, query):
        if query.instant:
            return len(self.prometheus.instant(query.expr))
        return self.prometheus.finite_values(query.expr, self.begin, self.end)

    def test_every_query_of_the_dashboard_draws_something(self):
        instance = self.server.metrics_address
        for selection in ({"job": None, "instance": None, "model": None, "version": None},
                          {"job": ["glowworm"], "instance": [instance], "model": ["slow"], "version": ["1"]},
                          {"job": None, "instance": [instance], "model": ["digits-glow", "slow"], "version": None}):
            queries = dashboard.queries(dashboard.load(), selection, SCRAPE_SECONDS, SCRAPE_SECONDS)
            self.assertGreater(len(queries), 30)
            empty = {query.panel for query in queries if self.draws(query) == 0}
            self.assertEqual(empty, set(EMPTY), selection)
            for query in dashboard.annotations(dashboard.load(), selection, SCRAPE_SECONDS, SCRAPE_SECONDS):
                self.assertEqual(self.draws(query), 0, "the server has not started anew")
        for metric in EMPTY.values():
            self.assertEqual(self.prometheus.instant(f"absent({metric})"), [({}, 1.0)], metric)

    def test_every_variable_of_the_dashboard_lists_what_there_is(self):
        want = {"job": ["glowworm"], "instance": [self.server.metrics_address],
                "model": ["broken", "digits-glow", "slow", "tiny-plu"], "version": ["1"]}
        everything = dict.fromkeys(want)
        for name, query in dashboard.variables(dashboard.load()).items():
            selector, label = query[len("label_values("):-1].rsplit(", ", 1)
            selector = dashboard.filled(selector, everything, SCRAPE_SECONDS, SCRAPE_SECONDS)
            self.assertEqual(self.prometheus.api(f"label/{label}/values", **{"match[]": selector}), want[name])

    def rules(self):
        return [rule for group in self.prometheus.api("rules")["groups"] for rule in group["rules"]]

    def test_no_rule_errs_and_every_one_that_records_does(self):
        wait_until(lambda: all(rule["health"] != "unknown" for rule in self.rules()), "every rule was evaluated")
        for rule in self.rules():
            self.assertEqual((rule["health"], rule.get("lastError", "")), ("ok", ""), rule["name"])
            self.prometheus.instant(rule["query"])
            if rule["type"] == "recording":
                self.assertGreater(self.prometheus.finite_values(rule["name"], self.begin, self.end), 0, rule["name"])

    def test_alerts_see_what_is_wrong_here_and_nothing_else(self):
        seen = {alert["labels"]["alertname"] for alert in self.prometheus.api("alerts")["alerts"]}
        # The broken model, refusals of a third of the calls and failed calls; a busy machine may be slow, too.
        self.assertLessEqual({"GlowwormModelNotServed", "GlowwormErrorBudgetBurnsFast", "GlowwormRefusesCalls",
                              "GlowwormErrorBudgetBurnsSlowly"}, seen)
        for name in ("TargetDown", "Absent", "Restarts", "DescriptorsNearLimit", "ConditionNumberHigh",
                     "ModelVersionNotLoaded"):
            self.assertNotIn("Glowworm" + name, seen)

    def test_promtool_finds_no_fault_in_the_scrape(self):
        done = subprocess.run(["promtool", "check", "metrics"], input=self.server.scrape(), capture_output=True,
                              text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))


class OverloadTest(unittest.TestCase):
    def setUp(self):
        self.server = counted_load.server()
        self.addCleanup(self.server.stop)
        self.prometheus = Prometheus(self.server.metrics_address)
        self.addCleanup(self.prometheus.stop)

    def refusals(self):
        return self.server.metric("glowworm_refusals_total", 'model="slow"')

    def test_a_scrape_in_the_middle_of_an_overload_is_quick(self):
        self.prometheus.scraped_after(0)
        took = []
        with counted_load.Flood(self.server):
            wait_until(lambda: self.refusals() > 0, "calls are refused")
            begin, refused = time.time(), self.refusals()
            for _ in range(OVERLOAD_SCRAPES):
                start = time.monotonic()
                self.server.scrape()
                took.append(time.monotonic() - start)
            self.prometheus.scraped_after(time.time())
            self.assertGreater(self.refusals(), refused)  # it was an overload to the end
            seconds = time.time() - begin
        results.at_most(self, "observe", "slowest scrape under overload, by a caller in the flooding process",
                        max(took), SCRAPE_BOUND_SECONDS, "s", rerun=RERUN)
        by_prometheus = self.prometheus.instant(f"max_over_time(scrape_duration_seconds[{int(seconds) + 1}s])")[0][1]
        results.at_most(self, "observe", "slowest scrape under overload, by Prometheus", by_prometheus,
                        SCRAPE_BOUND_SECONDS, "s", rerun=RERUN)
        missed = self.prometheus.instant(f"count_over_time((up == 0)[{int(seconds) + 1}s:1s]) or vector(0)")[0][1]
        results.equal(self, "observe", "scrapes missed under overload", missed, 0, rerun=RERUN)


class StoppedServerTest(unittest.TestCase):
    def test_a_server_that_stops_is_noticed(self):
        server = counted_load.server()
        self.addCleanup(server.stop)
        prometheus = Prometheus(server.metrics_address)
        self.addCleanup(prometheus.stop)
        prometheus.scraped_after(0)
        server.stop()

        def noticed():
            return any(alert["labels"]["alertname"] == "GlowwormTargetDown"
                       for alert in prometheus.api("alerts")["alerts"])
        wait_until(noticed, "GlowwormTargetDown is pending")


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main(verbosity=2)
