"""Every way in which the Dockerfile and deploy/ start the server, held against the server: its flags exist, a server
started with them serves, answers the probes and exits in time, and what they say of one another is true."""
import pathlib
import re
import subprocess
import tempfile
import unittest

import deployments

import glowworm_e2e as e2e

MARGIN_SECONDS = 5
MODELS_BYTES = 512 << 20  # and what the process needs besides requests and replies
DEVICE_BYTES = 1 << 30  # the pages of cuBLAS, 0.6 GB, and what the driver keeps of a device
SHUTDOWN_SECONDS = 1  # the server's own, after the drain
ANY_PORT = [f"--{name}=127.0.0.1:0" for name in ("listen", "health", "metrics")]


def certificates():
    """A folder as a kubelet fills it: every file behind two symbolic links."""
    root = pathlib.Path(tempfile.mkdtemp(dir=e2e.TEMPORARY))
    real = root / "..2020_01_01"
    real.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", real / "tls.key", "-out", real / "tls.crt"], check=True, stderr=subprocess.DEVNULL)
    (real / "ca.crt").write_bytes((real / "tls.crt").read_bytes())
    (real / "tokens").write_text("read tester 0123456789abcdef0123456789abcdef\n")
    (root / "..data").symlink_to(real.name)
    for path in real.iterdir():
        (root / path.name).symlink_to(f"..data/{path.name}")
    return root


class StartsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.starts = deployments.starts()
        cls.help = subprocess.run([deployments.BINARY, "--help"], capture_output=True, text=True, timeout=60).stdout

    def test_there_are_five_and_four_with_cuda(self):
        self.assertEqual([s.name for s in self.starts],
                         ["Dockerfile", "Dockerfile/cuda", "compose", "compose/gpu", "kubernetes/base",
                          "kubernetes/overlays/tls", "kubernetes/overlays/gpu", "systemd", "systemd/gpu"])
        self.assertEqual([s.name for s in self.starts if s.on_gpu],
                         ["compose/gpu", "kubernetes/overlays/gpu", "systemd/gpu"])

    def test_the_version_is_the_servers_everywhere(self):
        version = subprocess.run([deployments.BINARY, "--version"], capture_output=True, text=True).stdout.split()[1]
        self.assertIn(f"VERSION={version}", deployments.dockerfile()["ARG"])
        for name, suffix in (("docker-compose.yml", ""), ("compose.gpu.yaml", "-cuda")):
            image = deployments.compose(name)["services"]["glowworm"]["image"]
            self.assertEqual(image, f"glowworm:{version}{suffix}")
        for name, suffix in (("base", ""), ("overlays/tls", ""), ("overlays/gpu", "-cuda")):
            objects = deployments.kustomize.build(deployments.SOURCE / "deploy/kubernetes" / name)
            self.assertEqual(deployments.pod(objects)["containers"][0]["image"], f"glowworm:{version}{suffix}")

    def test_every_flag_is_one_of_the_servers(self):
        known = set(re.findall(r"^ *--(\w+)", self.help, re.MULTILINE))
        self.assertIn("listen", known)
        for start in self.starts:
            with self.subTest(start.name):
                self.assertEqual(set(start.flags) - known, set())
        check = deployments.Start("check", deployments.health_check()[1:], None, None, None)
        self.assertEqual(set(check.flags), {"healthcheck", "health"})
        self.assertLessEqual(set(check.flags), known)

    def test_every_flag_that_a_page_names_is_one_of_the_servers(self):
        known = set(re.findall(r"^ *--(\w+)", self.help, re.MULTILINE))
        for page in ("image", "kubernetes"):
            text = (deployments.SOURCE / f"deploy/{page}/README.md").read_text()
            named = set(re.findall(r"`--(\w+)[=`]", text))
            self.assertGreater(len(named), 3)
            self.assertEqual(named - known, set(), page)

    def test_every_refusal_that_the_page_explains_is_in_the_source(self):
        page = (deployments.SOURCE / "deploy/README.md").read_text()
        section = page[page.index("\n## GPU\n"):]
        said = re.findall(r"^\| `([^`]+)`", section, re.MULTILINE)
        self.assertGreater(len(said), 5)
        sources = "".join(p.read_text() for p in (deployments.SOURCE / "model").rglob("*.cc"))
        could_not = "the device could not "  # and what, from another place: model/cuda/device_memory.cc
        self.assertIn(f'"{could_not}', sources)
        for sentence in said:
            part = f'"{sentence[len(could_not):]}"' if sentence.startswith(could_not) else f'"{sentence}'
            self.assertTrue(part in sources, sentence)

    def number(self, start, flag):
        """A flag's value, or else its default."""
        default = re.search(rf"--{flag} .*?default: (\d+);", self.help, re.DOTALL)[1]
        return int(start.flags.get(flag, default))

    def test_the_memory_holds_what_arrives_what_is_queued_and_models(self):
        for start in self.starts:
            with self.subTest(start.name):
                # As much as --max_process_bytes may be arriving besides: server/listener.h.
                spent = 2 * self.number(start, "max_process_bytes") + MODELS_BYTES + start.on_gpu * DEVICE_BYTES
                if start.memory_bytes is not None:
                    self.assertGreaterEqual(start.memory_bytes, spent)

    def test_the_time_to_stop_holds_lame_duck_drain_and_a_margin(self):
        for start in self.starts:
            with self.subTest(start.name):
                spent = sum(self.number(start, flag) for flag in ("lame_duck_ms", "drain_timeout_ms")) / 1000
                if start.grace_seconds is not None:
                    self.assertGreaterEqual(start.grace_seconds, spent + SHUTDOWN_SECONDS + MARGIN_SECONDS)

    def test_the_user_is_the_images_everywhere(self):
        for start in self.starts:
            with self.subTest(start.name):
                if start.user is not None:
                    self.assertEqual(start.user, "65532")

    def test_off_loopback_it_is_tls_or_plaintext_on_purpose(self):
        for start in self.starts:
            with self.subTest(start.name):
                loopback = start.flags["listen"].startswith("127.")
                tls = {"tls_cert", "tls_key"} <= set(start.flags)
                insecure = "insecure" in start.flags
                if start.name.startswith("Dockerfile"):  # left to whoever runs it
                    self.assertFalse(loopback or tls or insecure)
                else:
                    self.assertEqual([loopback, tls, insecure].count(True), 1)

    def test_the_health_check_asks_where_the_image_answers(self):
        start = self.starts[0]
        check = deployments.Start("check", deployments.health_check()[1:], None, None, None)
        self.assertEqual(check.port("health"), start.port("health"))

    def test_with_cuda_the_image_takes_a_gpu_if_there_is_one_and_is_otherwise_the_same(self):
        self.assertEqual(self.starts[1].arguments, self.starts[0].arguments + ["--device=auto"])
        stage = deployments.dockerfile(1)
        self.assertEqual(set(stage), {"ENV", "ENTRYPOINT", "CMD"})
        self.assertEqual(stage["CMD"], ["[]"])
        self.assertEqual(set(stage["ENV"][0].split()),
                         {"NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"})

    def test_one_made_for_a_gpu_ends_with_a_reason_where_there_is_none(self):
        nothing = tempfile.mkdtemp(dir=e2e.TEMPORARY)
        for start in self.starts:
            if start.on_gpu:
                with self.subTest(start.name):
                    done = subprocess.run(
                        [deployments.BINARY, *start.arguments, *ANY_PORT, f"--repository={nothing}"], text=True,
                        capture_output=True, timeout=60, env={"CUDA_VISIBLE_DEVICES": "", "PATH": "/usr/bin"})
                    self.assertNotEqual(done.returncode, 0)
                    self.assertRegex(done.stderr.splitlines()[-1], "(?i)cuda")

    def test_the_image_exposes_the_ports_of_its_flags(self):
        start = self.starts[0]
        self.assertEqual(set(map(int, deployments.dockerfile()["EXPOSE"][0].split())),
                         {start.port(flag) for flag in ("listen", "health", "metrics")})

    def test_a_server_started_with_them_serves_answers_the_probes_and_ends(self):
        repository, credentials = e2e.repository(e2e.golden_folder("tiny-plu")), certificates()
        for start in self.starts:
            if start.on_gpu:
                continue
            with self.subTest(start.name):
                arguments = [a.replace("/credentials/", f"{credentials}/") for a in start.arguments]
                arguments = [f"--repository={repository}" if a.startswith("--repository=") else a for a in arguments]
                server = e2e.Server(repository, *arguments, *ANY_PORT, "--lame_duck_ms=0")
                self.addCleanup(server.stop)
                if start.flags.get("device") == "auto":
                    self.assertTrue(any(" computing device=" in line for line in server.lines), server.lines)
                for service in self.probed():
                    self.assertEqual(self.health(server, service), b"\x08\x01", service)  # SERVING
                self.assertIn("glowworm_queue_seconds_count{", server.scrape())  # the autoscaler's metric
                self.assertEqual(server.stop(), 0, server.lines)

    def probed(self):
        container = deployments.pod(deployments.kustomize.build(
            deployments.SOURCE / "deploy/kubernetes/base"))["containers"][0]
        return [container[f"{kind}Probe"]["grpc"]["service"] for kind in ("startup", "readiness", "liveness")]

    def health(self, server, service):
        with e2e.grpc.insecure_channel(server.health_address) as channel:
            call = channel.unary_unary("/grpc.health.v1.Health/Check")
            return call(bytes([10, len(service)]) + service.encode(), timeout=20)


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
