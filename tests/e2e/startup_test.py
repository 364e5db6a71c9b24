"""Starting: flags, ports, repositories that are empty or broken, the port file, health and reflection."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import glowworm_e2e as e2e
from glowworm_e2e import pb


def varint_field(number, value):
    return bytes([number << 3, value])


def text_field(number, text):
    return bytes([number << 3 | 2, len(text)]) + text.encode()


class StartupTest(unittest.TestCase):
    def run_server(self, *flags, environment=None):
        """(exit code, standard error) of a server that ends by itself."""
        done = subprocess.run([e2e.BINARY, *flags], capture_output=True, text=True, timeout=60,
                              env={**os.environ, **(environment or {})})
        return done.returncode, done.stderr

    def good_repository(self):
        return e2e.repository(e2e.golden_folder("tiny-plu"))

    def folder_with_a_broken_model(self):
        root = self.good_repository()
        broken = root / "broken" / "1" / "flow.safetensors"
        broken.parent.mkdir(parents=True)
        broken.write_bytes(b"not a flow at all")
        return root

    def serve(self, root, *flags):
        server = e2e.Server(root, *flags)
        self.addCleanup(server.stop)
        return server

    def health(self, server, name):
        """1 SERVING, 2 NOT_SERVING, or the code's name."""
        call = server.channel().unary_unary("/grpc.health.v1.Health/Check")
        code, reply = e2e.outcome(lambda: call(text_field(1, name) if name else b"", timeout=10))
        return reply[1] if code == "OK" else code

    def test_bad_flags_end_with_one_clear_line(self):
        root = f"--repository={self.good_repository()}"
        for flag, text in (("--threads=-1", "--threads"), ("--precision=float16", "float32, float64 or bfloat16"),
                           ("--device=tpu", "expected cpu, cuda"),
                           ("--listen=50051", "HOST:PORT"), ("--metrics=a:b", "HOST:PORT"),
                           ("--max_batch_rows=0", "1 .. 1024"), ("--max_reply_bytes=5", "--max_reply_bytes"),
                           ("--log_level=loud", "--log_level"), ("--drain_timeout_ms=-1", "--drain_timeout_ms"),
                           ("extra", "flags only")):
            with self.subTest(flag):
                code, errors = self.run_server(root, flag)
                self.assertEqual(code, 2)
                self.assertEqual(len(errors.splitlines()), 1, errors)
                self.assertIn(text, errors)

    def test_bfloat16_is_refused_where_the_processor_has_none(self):
        code, errors = self.run_server(f"--repository={self.good_repository()}", "--precision=bfloat16",
                                       environment={"DNNL_MAX_CPU_ISA": "AVX2"})
        self.assertEqual(code, 2)
        self.assertEqual(errors.splitlines(), ["glowworm-server: --precision=bfloat16: bfloat16 needs a processor with "
                                               "AVX512-BF16 or AMX, and this one has neither"])

    def test_a_flag_that_does_not_exist_is_refused(self):
        code, errors = self.run_server("--no_such_flag=1")
        self.assertNotEqual(code, 0)
        self.assertIn("no_such_flag", errors)

    def test_help_tells_of_the_flags(self):
        done = subprocess.run([e2e.BINARY, "--help"], capture_output=True, text=True, timeout=60)
        for flag in ("--repository", "--max_queue_delay_us", "--max_reply_bytes", "--port_file"):
            self.assertIn(flag, done.stdout)

    def test_two_servers_cannot_share_a_port(self):
        first = self.serve(self.good_repository())
        for flag in (f"--listen={first.address}", f"--metrics={first.metrics_address}"):
            address = flag.split("=")[1]
            others = [f"--{name}=127.0.0.1:0" for name in ("listen", "metrics") if not flag.startswith(f"--{name}")]
            code, errors = self.run_server(f"--repository={self.good_repository()}", flag, *others)
            self.assertEqual(code, 1)
            self.assertEqual(len(errors.splitlines()), 1, errors)
            self.assertIn(f"{address}: the port is taken", errors)

    def test_a_start_that_fails_leaves_the_port_file_of_the_server_that_runs(self):
        first = self.serve(self.good_repository())
        code, _ = self.run_server(f"--repository={self.good_repository()}", f"--listen={first.address}", "--metrics=",
                                  f"--port_file={first.port_file}")
        self.assertEqual(code, 1)
        self.assertEqual(first.port_file.read_text().split(), [first.address, first.metrics_address, "none", "none"])

    def test_the_bundled_repository_is_found_from_the_binary(self):
        for place in ("share/glowworm/repository", "../deploy/repository"):
            tree = pathlib.Path(tempfile.mkdtemp(dir=e2e.TEMPORARY)) / "tree"
            binary = tree / "bin" / "glowworm-server"
            binary.parent.mkdir(parents=True)
            shutil.copy(e2e.BINARY, binary)
            shutil.copytree(self.good_repository(), tree / place)
            server = e2e.Server(None, binary=binary)
            self.addCleanup(server.stop)
            models = server.stub().ListModels(pb.ListModelsRequest(), timeout=10).models
            self.assertEqual([m.ref.name for m in models], ["tiny-plu"])

    def test_without_any_repository_it_says_so(self):
        binary = pathlib.Path(tempfile.mkdtemp(dir=e2e.TEMPORARY)) / "glowworm-server"
        shutil.copy(e2e.BINARY, binary)
        done = subprocess.run([binary], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--repository: not given", done.stderr)

    def test_a_repository_that_is_not_there(self):
        code, errors = self.run_server("--repository=/no/such/folder", "--listen=127.0.0.1:0", "--metrics=")
        self.assertEqual(code, 1)
        self.assertIn("repository cannot be read", errors)

    def test_an_empty_repository(self):
        code, errors = self.run_server(f"--repository={tempfile.mkdtemp(dir=e2e.TEMPORARY)}", "--listen=127.0.0.1:0",
                                       "--metrics=")
        self.assertEqual(code, 1)
        self.assertIn("holds no <model>/<version>/flow.safetensors", errors)

    def test_a_repository_of_which_nothing_loads(self):
        root = self.folder_with_a_broken_model()
        (root / "tiny-plu" / "1" / "flow.safetensors").write_bytes(b"")
        port_file = pathlib.Path(tempfile.mktemp(dir=e2e.TEMPORARY))
        code, errors = self.run_server(f"--repository={root}", "--listen=127.0.0.1:0", "--metrics=",
                                       f"--port_file={port_file}")
        self.assertEqual(code, 1)
        self.assertIn("no model could be loaded", errors)
        self.assertFalse(port_file.exists())

    def test_a_broken_model_stays_listed_and_the_others_serve(self):
        server = self.serve(self.folder_with_a_broken_model())
        models = server.stub().ListModels(pb.ListModelsRequest(), timeout=10).models
        self.assertEqual([(m.ref.name, m.state) for m in models],
                         [("broken", pb.MODEL_STATE_FAILED), ("tiny-plu", pb.MODEL_STATE_READY)])
        self.assertGreater(len(models[0].error), 12)
        code, text = e2e.outcome(lambda: server.stub().Sample(
            pb.SampleRequest(model=pb.ModelRef(name="broken"), num_samples=1), timeout=10))
        self.assertEqual(code, "FAILED_PRECONDITION")
        self.assertIn("failed to load", text)
        self.assertEqual(self.health(server, "broken"), 2)
        self.assertEqual(self.health(server, "tiny-plu"), 1)
        self.assertEqual(self.health(server, ""), 1)
        self.assertEqual(server.metric("glowworm_model_loaded", 'model="broken"'), 0)
        self.assertEqual(server.metric("glowworm_model_loaded", 'model="tiny-plu"'), 1)

    def test_a_broken_model_ends_a_server_that_is_told_so(self):
        code, errors = self.run_server(f"--repository={self.folder_with_a_broken_model()}", "--listen=127.0.0.1:0",
                                       "--metrics=", "--exit_on_load_error")
        self.assertEqual(code, 1)
        self.assertIn("1 of the models could not be loaded", errors)

    def test_health_knows_no_other_names(self):
        self.assertEqual(self.health(self.serve(self.good_repository()), "nope"), "NOT_FOUND")

    def test_reflection_lists_the_services(self):
        server = self.serve(self.good_repository())
        call = server.channel().stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        reply = next(call(iter([text_field(7, "")]), timeout=10))  # list_services
        for name in (b"glowworm.v1.DensityService", b"grpc.health.v1.Health"):
            self.assertIn(name, reply)
        reply = next(call(iter([text_field(4, "glowworm.v1.DensityService")]), timeout=10))
        self.assertIn(b"LogLikelihoodRequest", reply)

    def test_limits_are_visible(self):
        server = self.serve(self.good_repository(), "--max_samples=77", "--max_queue_rows=1000",
                            "--max_message_bytes=100000", "--max_reply_bytes=50000")
        limits = server.stub().GetModel(pb.GetModelRequest(), timeout=10).limits
        self.assertEqual((limits.max_rows, limits.max_samples, limits.max_message_bytes, limits.max_reply_bytes),
                         (1000, 77, 100000, 50000))

    def test_metrics_can_be_switched_off(self):
        server = self.serve(self.good_repository(), "--metrics=")
        self.assertEqual(server.metrics_address, "none")

    def test_request_ids_are_echoed_and_logged_on_one_line(self):
        server = self.serve(self.good_repository())
        call = server.stub().ListModels.with_call
        _, details = call(pb.ListModelsRequest(), timeout=10, metadata=[("x-request-id", "a1 \"b\" " + "c" * 500)])
        echoed = dict(details.initial_metadata())["x-request-id"]
        self.assertTrue(echoed.startswith("a1__b__ccc"))
        self.assertLessEqual(len(echoed), 128)
        self.assertIn("method=ListModels code=OK", server.wait_for(f"request_id={echoed}"))


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
