"""The dashboard's form: what Grafana would refuse, hide or draw over another. Its queries: live_test.py."""
import json
import pathlib
import re
import unittest

import yaml

import dashboard

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLUMNS = 24  # of Grafana's grid
KINDS = {"timeseries", "stat", "heatmap", "table", "row"}


class DashboardTest(unittest.TestCase):
    def setUp(self):
        self.dashboard = dashboard.load()
        self.panels = list(dashboard.panels(self.dashboard))

    def test_every_panel_is_of_a_current_kind_has_an_id_of_its_own_and_says_what_it_shows(self):
        everything = self.dashboard["panels"]
        self.assertEqual(len({p["id"] for p in everything}), len(everything))
        for panel in everything:
            self.assertIn(panel["type"], KINDS)
            self.assertTrue(panel["title"])
        for panel in self.panels:
            self.assertTrue(panel["description"], panel["title"])
            self.assertTrue(panel["fieldConfig"]["defaults"].get("unit") or panel["type"] in ("heatmap", "table"))

    def test_no_two_panels_have_the_same_title(self):
        titles = [p["title"] for p in self.panels]
        self.assertEqual(len(set(titles)), len(titles))

    def test_no_panel_lies_on_another_or_beside_the_grid(self):
        taken = set()
        for panel in self.dashboard["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            self.assertTrue(cells and max(x for x, _ in cells) < COLUMNS, panel["title"])
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells

    def test_every_query_asks_the_chosen_data_source_under_a_letter_of_its_own(self):
        for panel in self.panels:
            self.assertTrue(panel["targets"], panel["title"])
            letters = [target["refId"] for target in panel["targets"]]
            self.assertEqual(len(set(letters)), len(letters), panel["title"])
            for datasource in [panel["datasource"], *(target["datasource"] for target in panel["targets"])]:
                self.assertEqual(datasource, {"type": "prometheus", "uid": "${datasource}"}, panel["title"])

    def test_every_variable_is_used_and_every_one_that_is_used_exists(self):
        names = [v["name"] for v in self.dashboard["templating"]["list"]]
        self.assertEqual(names, ["datasource", "job", "instance", "model", "version"])
        used = set(re.findall(r"\$\{?(\w+)", json.dumps(self.dashboard["panels"]))) - {"__rate_interval"}
        self.assertEqual(used, set(names))

    def test_every_query_keeps_to_the_chosen_servers(self):
        for panel in self.panels:
            for target in panel["targets"]:
                if "ALERTS" not in target["expr"]:
                    metrics = len(re.findall(r"(?:glowworm|process)_\w+(?:\{|\[)|\bup\{|:\w+\{", target["expr"]))
                    self.assertEqual(target["expr"].count('job=~"$job"'), metrics, target["expr"])

    def test_a_rate_is_over_the_interval_that_fits_the_scrapes(self):
        for panel in self.panels:
            for target in panel["targets"]:
                self.assertEqual(set(re.findall(r"\[(.+?)\]", target["expr"])) - {"$__rate_interval"}, set())

    def test_a_variable_of_many_values_is_filled_in_as_a_regular_expression(self):
        selection = {"instance": ["10.0.0.1:9464", "b:9464"], "model": None}
        self.assertEqual(dashboard.filled('x{i=~"$instance",m=~"$model"}[$__rate_interval]', selection, 15, 30),
                         r'x{i=~"(10\\.0\\.0\\.1:9464|b:9464)",m=~".*"}[60s]')
        self.assertRaises(ValueError, dashboard.filled, "x{v='$version'}", selection, 15, 30)


class ProvisioningTest(unittest.TestCase):
    def test_grafana_knows_how_often_prometheus_scrapes(self):
        source, = yaml.safe_load(
            (dashboard.GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())["datasources"]
        prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
        self.assertEqual(source["jsonData"]["timeInterval"], prometheus["global"]["scrape_interval"])
        self.assertEqual(source["type"], "prometheus")

    def test_the_dashboards_are_read_from_a_folder(self):
        provider, = yaml.safe_load(
            (dashboard.GRAFANA / "provisioning/dashboards/glowworm.yaml").read_text())["providers"]
        self.assertEqual((provider["type"], pathlib.PurePath(provider["options"]["path"]).name), ("file", "dashboards"))


if __name__ == "__main__":
    unittest.main()
