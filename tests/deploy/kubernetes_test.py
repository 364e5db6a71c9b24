"""The Kubernetes manifests, without a cluster: their schema in the oldest and the newest version, that they fit one
another and the server's flags, and the autoscaler's metric, computed by promtool. Also tests kustomize.py, which puts
them together."""
import copy
import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import deployments
import jsonschema
import kubernetes_validate
import kustomize
import yaml

FOLDER = deployments.SOURCE / "deploy/kubernetes"
OLDEST = "1.27"  # the first whose gRPC probes are stable
# What the namespace's label asks of a pod and its containers.
POD_SECURITY = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER_SECURITY = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                      "capabilities": {"drop": ["ALL"]}}


def contains(whole, part):
    return all(whole.get(key) == value for key, value in part.items())


class Manifests:
    """The objects of the kustomization `name`, and the server that they start."""

    @classmethod
    def setUpClass(cls):
        cls.objects = kustomize.build(FOLDER / cls.name)
        cls.start = next(s for s in deployments.starts() if s.name == f"kubernetes/{cls.name}")
        cls.pod = deployments.pod(cls.objects)
        cls.container, = cls.pod["containers"]

    def of_kind(self, kind, name=None):
        return next(o for o in self.objects if o["kind"] == kind and name in (None, o["metadata"]["name"]))

    def test_every_object_follows_its_schema(self):
        for version in (OLDEST, kubernetes_validate.latest_version()):
            for document in self.objects:
                kubernetes_validate.validate(document, version, strict=True)

    def test_the_schema_refuses_what_is_wrong(self):
        wrong = copy.deepcopy(self.of_kind("Deployment"))
        wrong["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["grpc"]["prot"] = 1
        with self.assertRaises(jsonschema.ValidationError):
            kubernetes_validate.validate(wrong, OLDEST, strict=True)

    def test_every_file_is_part_of_the_kustomization(self):
        spec = yaml.safe_load((FOLDER / self.name / "kustomization.yaml").read_text())
        named = set(spec["resources"]) | {p["path"] for p in spec.get("patches", [])}
        files = {p.name for p in (FOLDER / self.name).glob("*.yaml")} - {"kustomization.yaml"}
        self.assertEqual({n for n in named if n.endswith(".yaml")}, files)

    def test_the_namespace_is_restricted_and_holds_everything(self):
        namespace = self.of_kind("Namespace")["metadata"]
        self.assertEqual(namespace["labels"]["pod-security.kubernetes.io/enforce"], "restricted")
        for document in self.objects:
            if document["kind"] != "Namespace":
                self.assertEqual(document["metadata"]["namespace"], namespace["name"])

    def test_the_pod_is_as_a_restricted_namespace_asks(self):
        self.assertTrue(contains(self.pod["securityContext"], POD_SECURITY))
        self.assertTrue(contains(self.container["securityContext"], CONTAINER_SECURITY))
        self.assertIs(self.pod["automountServiceAccountToken"], False)
        self.assertFalse({"hostNetwork", "hostPID", "hostIPC"} & set(self.pod))
        for volume in self.pod["volumes"]:
            self.assertNotIn("hostPath", volume)
        for mount in self.container["volumeMounts"]:
            self.assertIs(mount["readOnly"], True)

    def test_selectors_select_the_pods(self):
        deployment = self.of_kind("Deployment")["spec"]
        labels = deployment["template"]["metadata"]["labels"]
        selectors = [deployment["selector"]["matchLabels"], self.of_kind("Service")["spec"]["selector"],
                     self.of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]]
        selectors += [c["labelSelector"]["matchLabels"] for c in self.pod["topologySpreadConstraints"]]
        selectors += [o["spec"]["podSelector"].get("matchLabels", {}) for o in self.objects
                      if o["kind"] == "NetworkPolicy"]
        for selector in selectors:
            self.assertTrue(contains(labels, selector), selector)

    def test_ports_are_those_of_the_flags(self):
        ports = {p["name"]: p["containerPort"] for p in self.container["ports"]}
        self.assertEqual(ports, {name: self.start.port(flag) for name, flag in (
            ("grpc", "listen"), ("health", "health"), ("metrics", "metrics"))})
        service, = self.of_kind("Service")["spec"]["ports"]
        self.assertEqual((service["port"], ports[service["targetPort"]]), (ports["grpc"], ports["grpc"]))
        annotations = self.of_kind("Deployment")["spec"]["template"]["metadata"]["annotations"]
        self.assertEqual(int(annotations["prometheus.io/port"]), ports["metrics"])

    def test_probes_ask_the_health_port_each_its_own_service(self):
        for kind in ("startup", "readiness", "liveness"):
            probe = self.container[f"{kind}Probe"]
            self.assertEqual(probe["grpc"], {"port": self.start.port("health"), "service": kind})
            self.assertLessEqual(probe["timeoutSeconds"], probe["periodSeconds"])

    def test_readiness_fails_within_the_lame_duck(self):
        probe = self.container["readinessProbe"]
        until_noticed = probe["failureThreshold"] * probe["periodSeconds"] + probe["timeoutSeconds"]
        self.assertLess(until_noticed, float(self.start.flags["lame_duck_ms"]) / 1000)

    def test_network_policies_open_nothing_else(self):
        deny = self.of_kind("NetworkPolicy", "default-deny")["spec"]
        self.assertEqual(deny, {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
        opened = {}
        for policy in (o["spec"] for o in self.objects if o["kind"] == "NetworkPolicy"):
            self.assertNotIn("egress", policy)
            for rule in policy.get("ingress", []):
                self.assertTrue(rule["from"])
                for port in rule["ports"]:
                    opened[port["port"]] = rule["from"]
        self.assertEqual(set(opened), {self.start.port("listen"), self.start.port("metrics")})
        caller, = opened[self.start.port("listen")]
        self.assertTrue(caller["podSelector"]["matchLabels"])

    def test_a_rollout_and_a_drained_node_leave_replicas(self):
        deployment = self.of_kind("Deployment")["spec"]
        self.assertEqual(deployment["strategy"]["rollingUpdate"]["maxUnavailable"], 0)
        self.assertEqual(deployment["replicas"], 2)
        self.assertLess(self.of_kind("PodDisruptionBudget")["spec"]["maxUnavailable"], deployment["replicas"])
        self.assertIn("max_connection_age", self.start.flags)

    def test_requests_equal_limits(self):
        resources = self.container["resources"]
        self.assertEqual(resources["requests"], resources["limits"])

    def test_models_and_credentials_are_where_the_flags_say(self):
        mounts = {m["mountPath"]: m["name"] for m in self.container["volumeMounts"]}
        volumes = {v["name"]: v for v in self.pod["volumes"]}
        self.assertEqual(set(mounts.values()), set(volumes))
        claim = volumes[mounts[self.start.flags["repository"]]]["persistentVolumeClaim"]["claimName"]
        self.assertEqual(claim, self.of_kind("PersistentVolumeClaim")["metadata"]["name"])
        files = {flag: pathlib.PurePath(self.start.flags[flag]) for flag in
                 ("tls_cert", "tls_key", "tls_client_ca", "tokens") if flag in self.start.flags}
        self.assertEqual(len(files), 4 if self.name == "overlays/tls" else 0)
        for path in files.values():
            sources = volumes[mounts[str(path.parent)]]["projected"]["sources"]
            self.assertIn(path.name, [item["path"] for s in sources for item in s["secret"]["items"]])
        if files:  # what the page tells to make is what is mounted
            text = (FOLDER / "README.md").read_text()
            for source in sources:
                self.assertIn(f" {source['secret']['name']} ", text)

    def test_no_secret_is_in_the_repository(self):
        self.assertNotIn("Secret", [o["kind"] for o in self.objects])

    def test_the_autoscaler_scales_the_deployment_on_the_adapters_metric(self):
        rule, = yaml.safe_load((FOLDER / "prometheus-adapter.yaml").read_text())["rules"]
        spec = self.of_kind("HorizontalPodAutoscaler")["spec"]
        target = self.of_kind("Deployment")
        self.assertEqual(spec["scaleTargetRef"], {"apiVersion": target["apiVersion"], "kind": target["kind"],
                                                  "name": target["metadata"]["name"]})
        self.assertEqual(spec["minReplicas"], target["spec"]["replicas"])
        metric, = spec["metrics"]
        self.assertEqual(metric["pods"]["metric"]["name"], rule["name"]["as"])


class BaseTest(Manifests, unittest.TestCase):
    name = "base"


class TlsTest(Manifests, unittest.TestCase):
    name = "overlays/tls"


class GpuTest(Manifests, unittest.TestCase):
    name = "overlays/gpu"

    def test_a_replica_has_one_gpu_of_a_node_that_has_some(self):
        self.assertEqual(self.container["resources"]["limits"]["nvidia.com/gpu"], 1)
        self.assertEqual(self.pod["nodeSelector"], {"nvidia.com/gpu.present": "true"})
        self.assertEqual(self.pod["tolerations"], [{"key": "nvidia.com/gpu", "operator": "Exists",
                                                    "effect": "NoSchedule"}])
        self.assertEqual(self.start.flags["device"], "cuda")

    def test_it_is_the_base_but_for_the_device_and_has_longer_to_start(self):
        base = deployments.pod(kustomize.build(FOLDER / "base"))["containers"][0]
        different = {key for key in self.container if self.container[key] != base[key]}
        self.assertEqual(different, {"args", "image", "resources", "startupProbe"})
        self.assertEqual(self.container["args"], base["args"] + ["--device=cuda"])
        self.assertGreater(self.container["startupProbe"]["failureThreshold"],
                           base["startupProbe"]["failureThreshold"])


class AdapterTest(unittest.TestCase):
    def test_the_adapters_metric_is_the_mean_wait_of_each_pod(self):
        if not shutil.which("promtool"):
            self.skipTest("promtool is not installed")
        rule, = yaml.safe_load((FOLDER / "prometheus-adapter.yaml").read_text())["rules"]
        query = rule["metricsQuery"].replace("<<.GroupBy>>", "pod")
        query = query.replace("<<.LabelMatchers>>", 'namespace="glowworm"')
        self.assertNotIn("<<", query)
        series = rule["seriesQuery"].partition("{")[0].removesuffix("_count")
        labels = 'model="{}",namespace="glowworm",pod="{}"'
        # Pod a: a call a second on two models together, which wait 0.03 s and 0.01 s. Pod b is idle.
        values = {("m", "a", "sum"): "0+0.9x10", ("m", "a", "count"): "0+30x10", ("n", "a", "sum"): "0+0.3x10",
                  ("n", "a", "count"): "0+30x10", ("m", "b", "sum"): "5+0x10", ("m", "b", "count"): "9+0x10"}
        test = {"tests": [{
            "interval": "1m",
            "input_series": [{"series": f"{series}_{kind}{{{labels.format(model, pod)}}}", "values": numbers}
                             for (model, pod, kind), numbers in values.items()],
            "promql_expr_test": [{"expr": f"round({query}, 1e-6)", "eval_time": "10m", "exp_samples": [
                {"labels": '{pod="a"}', "value": 0.02}, {"labels": '{pod="b"}', "value": 0}]}]}]}
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "test.yml"
            path.write_text(json.dumps(test))
            done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class KustomizeTest(unittest.TestCase):
    def test_a_merge_finds_list_elements_by_their_key_and_keeps_the_others(self):
        base = {"containers": [{"name": "a", "image": "x", "args": ["1", "2"]}, {"name": "b"}], "n": 1}
        out = kustomize.merge(base, {"containers": [{"name": "a", "args": ["3"]}, {"name": "c"}], "n": None})
        self.assertEqual(out, {"containers": [{"name": "a", "image": "x", "args": ["3"]}, {"name": "b"},
                                              {"name": "c"}]})

    def test_a_json_patch_stops_where_its_test_fails(self):
        document = {"args": ["--insecure"]}
        operation = {"op": "test", "path": "/args/0", "value": "--insecure"}
        self.assertEqual(kustomize.json_patch(document, [operation]), document)
        with self.assertRaises(ValueError):
            kustomize.json_patch(document, [{**operation, "value": "--listen"}])

    def test_what_it_does_not_know_it_refuses(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "kustomization.yaml").write_text("resources: []\nnamePrefix: x-\n")
            with self.assertRaisesRegex(ValueError, "namePrefix"):
                kustomize.build(folder)


if __name__ == "__main__":
    unittest.main()
