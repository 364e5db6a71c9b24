"""The benchmark harness in seconds: glowworm-bench runs and reports, its rounds answer, FlowWriter's files are read as
their numbers say, the report is what its sections hold. Needs numpy, not PyTorch."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import numpy as np

import log_det
import report
import section
from bench_process import BenchError, BenchProcess
from flow_writer import FlowWriter

SOURCE = pathlib.Path(os.environ["GLOWWORM_SOURCE_DIR"])
BINARY = os.environ["GLOWWORM_BENCH"]
DIGITS = SOURCE / "deploy" / "repository" / "digits" / "1" / "flow.safetensors"


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class SmallGlow:
    """One Glow step on five features and a permutation, drawn from a seed: as a file, and in numpy."""

    def __init__(self, path):
        rng = np.random.default_rng(5)
        self.scale, self.shift = np.exp(rng.normal(0, 0.1, 5)), rng.normal(0, 0.1, 5)
        self.order = rng.permutation(5)
        lower, upper = (f(rng.normal(0, 0.3, (5, 5)), k) for f, k in ((np.tril, -1), (np.triu, 1)))
        self.s, self.bias = np.array([1.1, -0.9, 0.8, 1.2, 1.0]), rng.normal(0, 0.1, 5)
        self.w = np.eye(5)[self.order] @ (np.eye(5) + lower) @ (upper + np.diag(self.s))
        self.index = rng.permutation(5)
        self.net = [rng.normal(0, 0.5, s).astype("<f4")
                    for s in ((8, 3), (8,), (8, 8), (8,), (8, 8), (8,), (4, 8), (4,))]
        w0, b0, w1, b1, w2, b2, w3, b3 = self.net
        self.writer = FlowWriter("small", "For a test.", [5], {"library": "none"})
        self.writer.affine(self.scale, self.shift)
        self.writer.plu(self.order, lower, upper, self.s, self.bias)
        self.writer.permutation(self.index)
        self.writer.coupling([0, 2, 4], [1, 3], [("dense", w0, b0), ("residual", [
            "RELU", ("dense", w1, b1), "RELU", ("dense", w2, b2)]), ("dense", w3, b3)], affine={
                "scale_map": "SIGMOID", "order": "SCALE_THEN_SHIFT", "offset": 2.0, "epsilon": 1e-3, "clamp": 0.0})
        self.writer.standard_normal()
        self.writer.save(path)

    def log_prob(self, x):
        y = ((self.scale * x + self.shift) @ self.w.T + self.bias)[:, self.index]
        w0, b0, w1, b1, w2, b2, w3, b3 = (part.astype("<f8") for part in self.net)
        h = y[:, [0, 2, 4]] @ w0.T + b0
        h = h + np.maximum(np.maximum(h, 0) @ w1.T + b1, 0) @ w2.T + b2
        out = h @ w3.T + b3
        scale = sigmoid(out[:, 2:] + 2) + 1e-3
        y[:, [1, 3]] = scale * y[:, [1, 3]] + out[:, :2]
        log_det = np.log(self.scale).sum() + np.log(np.abs(self.s)).sum() + np.log(scale).sum(1)
        return -0.5 * (y**2).sum(1) - 2.5 * np.log(2 * np.pi) + log_det


class SmokeTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_the_bundled_flow_is_timed(self):
        run = subprocess.run([BINARY, f"--flow={DIGITS}", "--batches=1,5", "--threads=1,2", "--benchmark_min_time=0.01",
                              "--benchmark_format=json"], capture_output=True, text=True, timeout=120)
        self.assertEqual(run.returncode, 0, run.stderr)
        timed = json.loads(run.stdout)["benchmarks"]
        self.assertEqual(len(timed), 4 * 2 * 2, "methods x batches x threads")
        for entry in timed:
            self.assertNotIn("error_occurred", entry)
            self.assertGreater(entry["rows_per_second"], 0)

    def test_a_missing_flow_is_refused(self):
        run = subprocess.run([BINARY, "--flow=nowhere"], capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, 1)
        self.assertIn("nowhere", run.stderr)

    def test_rounds_answer_on_request(self):
        with BenchProcess(BINARY, DIGITS) as bench:
            for method in ("log_likelihood", "encode", "decode", "sample"):
                self.assertGreater(bench.seconds(method, 33, 2, 0.01), 0)
            self.assertGreater(float(bench.ask("product", 64, 128, 128, 2, 0.01)[1]), 0)
            with self.assertRaisesRegex(BenchError, "method"):
                bench.seconds("guess", 1, 1, 0.01)
            with self.assertRaisesRegex(BenchError, "positive"):
                bench.seconds("encode", 0, 1, 0.01)
            x = bench.draw(4, [1, 8, 8])
            again = bench.evaluate("decode", bench.evaluate("encode", x)).reshape(x.shape)
            np.testing.assert_allclose(again, x, rtol=1e-3, atol=1e-3)  # parity_test.py's gate for float32 decodes

    def test_a_written_flow_has_the_density_that_its_numbers_say(self):
        path = self.folder / "flow.safetensors"
        flow = SmallGlow(path)
        self.assertEqual(flow.writer.weights, 25 + 8 * 3 + 2 * 8 * 8 + 4 * 8)
        self.assertEqual(flow.writer.flops, 2 * (25 + 8 * 3 + 2 * 8 * 8 + 4 * 8))
        x = np.random.default_rng(6).normal(0, 1, (40, 5)).astype("<f4")
        want = flow.log_prob(x.astype("<f8"))
        with BenchProcess(BINARY, path, "--precision=float64") as bench:
            got = bench.evaluate("log_likelihood", x)
            operations, weight_bytes, _ = map(float, bench.ask("cost", path))
        self.assertEqual(operations, flow.writer.flops)
        self.assertEqual(weight_bytes, 4 * flow.writer.weights)
        self.assertLessEqual(np.max(np.abs(got - want) / np.maximum(1, np.abs(want))), 1e-8)

    def test_a_device_that_is_not_there_is_refused_in_one_sentence(self):
        for spec, code, text in (("tpu", 2, "--device=cpu|cuda[:N[,M]]|auto"),
                                 ("cuda:0", 1, "--device=cuda:0: the CUDA plug-in that GLOWWORM_CUDA_PLUGIN names")):
            done = subprocess.run([BINARY, f"--flow={DIGITS}", f"--device={spec}"], capture_output=True, text=True,
                                  timeout=60, env={**os.environ, "GLOWWORM_CUDA_PLUGIN": "nowhere.so"})
            self.assertEqual(done.returncode, code)
            self.assertIn(text, done.stderr)

    def test_a_wrong_flow_is_not_written(self):
        writer = FlowWriter("wrong", "", [3], {})
        with self.assertRaisesRegex(ValueError, "shape"):
            writer.affine(np.ones(2), np.ones(2))
        with self.assertRaisesRegex(ValueError, "finite"):
            writer.affine(np.array([1, np.nan, 1]), np.ones(3))
        with self.assertRaisesRegex(ValueError, "no base"):
            writer.save(self.folder / "flow.safetensors")

    def test_the_held_log_determinant_is_cheaper_than_a_determinant(self):
        (c, held, determinant, plu, full), = log_det.measure(BINARY, [64], 0.01, 3)
        self.assertLess(held, determinant)
        self.assertGreater(min(plu, full), 0)

    def test_the_report_shows_its_sections(self):
        section.save("10-a", "First", ["Why."], [section.table(["x", "y"], [[1, "2 ± 3"]], "A caption.")],
                     folder=self.folder)
        section.save("05-b", "Second", [], [], folder=self.folder)
        text = report.render(report.sections(self.folder))
        self.assertIn("| x | y |\n|---|---|\n| 1 | 2 ± 3 |\n", text)
        self.assertLess(text.index("## Second"), text.index("## First"))
        with self.assertRaisesRegex(ValueError, "cells"):
            report.render([{**report.sections(self.folder)[0], "tables": [section.table(["x"], [[1, 2]])]}])

    def test_the_results_are_what_their_sections_render(self):
        self.assertEqual((report.HERE / "RESULTS.md").read_text(),
                         report.render(report.sections(report.HERE / "results")))


if __name__ == "__main__":
    unittest.main()
