"""docker-compose.yml and compose.gpu.yaml, without an engine: their schema, the files they mount, and what keeps their
containers confined."""
import importlib.util
import json
import pathlib
import unittest

import deployments
import jsonschema
import yaml

FOLDER = deployments.SOURCE / "deploy/compose"


def schema():
    package = pathlib.Path(importlib.util.find_spec("compose").origin).parent
    out = json.loads((package / "config/compose_spec.json").read_text())
    del out["$schema"]  # a draft that jsonschema knows by another address; its newest one will do
    return out


def mounts(service):
    """(here, there, mode) of each; `here` has its variable's default."""
    for mount in service["volumes"]:
        if mount.startswith("${"):
            mount = mount[mount.index(":-") + 2:].replace("}", "", 1)
        yield (mount.split(":") + ["rw"])[:3]


class ComposeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.file = deployments.compose()
        cls.services = cls.file["services"]

    def test_there_are_three_services(self):
        self.assertEqual(set(self.services), {"glowworm", "prometheus", "grafana"})

    def test_it_follows_the_specification(self):
        jsonschema.validate(self.file, schema())
        self.file["services"]["glowworm"]["read_onyl"] = True
        self.addCleanup(self.file["services"]["glowworm"].pop, "read_onyl")
        with self.assertRaises(jsonschema.ValidationError):
            jsonschema.validate(self.file, schema())

    def test_on_a_gpu_it_is_the_same_server_with_another_image_and_one_device_more(self):
        override = deployments.compose("compose.gpu.yaml")
        jsonschema.validate(override, schema())
        (name, service), = override["services"].items()
        self.assertEqual(name, "glowworm")
        self.assertEqual(set(service), {"image", "build", "command", "mem_limit", "deploy"})
        self.assertEqual(service["build"], {"context": self.services[name]["build"], "args": {"CUDA": 1}})
        self.assertEqual(service["command"], self.services[name]["command"] + ["--device=cuda"])
        self.assertEqual(service["deploy"], {"resources": {"reservations": {"devices": [
            {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]}}})
        service["deploy"]["resources"]["reservations"]["devices"][0].pop("capabilities")  # which engines insist on
        service["deploy"]["resources"]["reservations"]["device"] = []
        with self.assertRaises(jsonschema.ValidationError):
            jsonschema.validate(override, schema())

    def test_every_container_is_confined(self):
        for name, service in self.services.items():
            with self.subTest(name):
                self.assertIs(service["read_only"], True)
                self.assertEqual(service["cap_drop"], ["ALL"])
                self.assertEqual(service["security_opt"], ["no-new-privileges:true"])
                self.assertIn("mem_limit", service)
                self.assertIn("pids_limit", service)
                self.assertFalse({"privileged", "cap_add", "network_mode", "pid", "devices"} & set(service))

    def test_every_port_is_published_on_loopback(self):
        for name, service in self.services.items():
            with self.subTest(name):
                for port in service["ports"]:
                    self.assertEqual(port.split(":")[0], "127.0.0.1")

    def test_what_it_mounts_is_there_and_read_only(self):
        for name, service in self.services.items():
            with self.subTest(name):
                for here, _, mode in mounts(service):
                    if here.startswith("."):
                        self.assertTrue((FOLDER / here).exists(), here)
                        self.assertEqual(mode, "ro", here)
                    else:
                        self.assertIn(here, self.file["volumes"])

    def test_the_published_port_is_the_servers(self):
        start = next(s for s in deployments.starts() if s.name == "compose")
        self.assertIn(f"127.0.0.1:{start.port('listen')}:{start.port('listen')}", self.services["glowworm"]["ports"])

    def test_the_model_folder_that_it_mounts_is_the_one_served(self):
        start = next(s for s in deployments.starts() if s.name == "compose")
        self.assertIn(start.flags["repository"], [there for _, there, _ in mounts(self.services["glowworm"])])

    def test_prometheus_scrapes_the_servers_metrics(self):
        start = next(s for s in deployments.starts() if s.name == "compose")
        config = yaml.safe_load((FOLDER / "../prometheus/prometheus.yml").read_text())
        targets = [t for job in config["scrape_configs"] for group in job["static_configs"] for t in group["targets"]]
        self.assertIn(f"glowworm:{start.port('metrics')}", targets)
        mounted = [pathlib.PurePath(there).name for _, there, _ in mounts(self.services["prometheus"])]
        for rules in config["rule_files"]:
            self.assertIn(rules, mounted)

    def test_grafana_finds_prometheus_and_the_dashboard(self):
        provisioning = FOLDER / "../grafana/provisioning"
        sources = [yaml.safe_load(p.read_text()) for p in (provisioning / "datasources").glob("*.y*ml")]
        self.assertEqual([d["url"] for s in sources for d in s["datasources"]], ["http://prometheus:9090"])
        there = [there for _, there, _ in mounts(self.services["grafana"])]
        providers = [yaml.safe_load(p.read_text()) for p in (provisioning / "dashboards").glob("*.y*ml")]
        paths = [p["options"]["path"] for f in providers for p in f["providers"]]
        self.assertGreater(len(paths), 0)
        self.assertLessEqual(set(paths), set(there))
        home = self.services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
        self.assertTrue((FOLDER / "../grafana/dashboards" / pathlib.PurePath(home).name).exists())


if __name__ == "__main__":
    unittest.main()
