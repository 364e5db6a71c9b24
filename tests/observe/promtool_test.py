"""The rules and the configuration of Prometheus in deploy/prometheus/, by promtool; every alert says how bad it is and
what to do, and has a unit test that fires it and one that does not."""
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import yaml

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
UNIT_TESTS = ("rules_test.yml", "drift_test.yml")
SEVERITIES = {"critical", "warning"}


def promtool(*arguments):
    return subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=280, check=False)


def alerts():
    groups = yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


class PromtoolTest(unittest.TestCase):
    def accepts(self, *arguments):
        done = promtool(*arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_rules_are_well_formed(self):
        self.accepts("check", "rules", "--lint=all", "--lint-fatal", "rules.yml")

    def test_the_configuration_is_well_formed_and_finds_the_rules(self):
        self.accepts("check", "config", "prometheus.yml")

    def test_every_alert_fires_and_stays_silent_as_its_unit_tests_say(self):
        self.accepts("test", "rules", *UNIT_TESTS)

    def test_promtool_refuses_what_is_wrong(self):  # or the tests above would prove nothing
        self.assertNotEqual(promtool("check", "rules", "prometheus.yml").returncode, 0)

    def test_every_alert_has_a_severity_a_summary_and_a_sentence_on_what_to_do(self):
        self.assertTrue(alerts())
        for name, rule in alerts().items():
            with self.subTest(alert=name):
                self.assertIn(rule["labels"]["severity"], SEVERITIES)
                self.assertEqual(set(rule["annotations"]), {"summary", "runbook"})
                self.assertRegex(rule["annotations"]["runbook"], r"^[A-Z].* .*\.$")
                if not re.search(r"\[\w+\]", rule["expr"]):  # a window of its own already waits
                    self.assertIn("for", rule)

    def test_every_alert_has_a_unit_test_that_fires_it_and_one_that_does_not(self):
        fired, silent = set(), set()
        for name in UNIT_TESTS:
            for test in yaml.safe_load((FOLDER / name).read_text())["tests"]:
                for case in test.get("alert_rule_test", ()):
                    (fired if case["exp_alerts"] else silent).add(case["alertname"])
        self.assertEqual(fired, set(alerts()))
        self.assertEqual(silent, set(alerts()))

    def test_the_page_for_operators_has_every_alert(self):
        told = re.findall(r"^\| `(Glowworm\w+)` \| (\w+) \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
        self.assertEqual(sorted(told), sorted((name, rule["labels"]["severity"]) for name, rule in alerts().items()))


if __name__ == "__main__":
    if shutil.which("promtool") is None:
        print("SKIP: promtool is not installed (Debian package prometheus)")
        sys.exit(77)
    unittest.main()
