"""The parts of train_results.py on tiny sizes: AUROC and the known densities are what they are defined as, a training
is scored through a server, each section renders, TRAINING.md is what its sections hold. Skips what needs a library that
is not installed, with the reason."""
import importlib.util
import os
import pathlib
import tempfile
import unittest
import unittest.mock

import numpy as np

import report
import train_anomaly
import train_densities
import train_image
import train_linear
import train_results
import train_tried
from anomaly_data import DATA, Split, auroc, split
from known_densities import DENSITIES
from trained_flow import Trainer, TrainingFailed, served

BINARIES = pathlib.Path(os.environ["GLOWWORM_BINARIES"])
TINY = ["--epochs=2", "--steps=2", "--hidden=8", "--blocks=1"]
needs_trainer = unittest.skipUnless((BINARIES / "glowworm-train").exists(), "glowworm-train is not built: no libtorch")
needs_matplotlib = unittest.skipUnless(importlib.util.find_spec("matplotlib"), "no matplotlib")


def drawn_split(rows=400, features=3):
    """Of normals; anomalies far out."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((rows, features)).astype("<f4")
    cut = [int(0.6 * rows), int(0.8 * rows)]
    return Split(*np.split(x, cut), (x[:30] + 8).astype("<f4"))


class TrainResultsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.trainer = Trainer(BINARIES, self.folder / "flows")

    def report(self):
        return report.render(report.sections(self.folder), train_results.HEAD, "training.png")

    def test_auroc_counts_pairs(self):
        rng = np.random.default_rng(1)
        normal, strange = rng.integers(0, 9, 50), rng.integers(3, 12, 20)
        pairs = np.sign(strange[:, None] - normal[None])
        self.assertAlmostEqual(auroc(normal, strange), (pairs.mean() + 1) / 2, places=12)

    def test_the_image_section_says_what_the_bundled_file_says(self):
        train_image.save(self.folder)
        text = self.report()
        bits = train_image.provenance(train_image.BUNDLED / "fashion" / "1" / "flow.safetensors")["test_bits_per_dim"]
        self.assertIn(f"| {float(bits):.3f} | ≤ 3.3 | met |", text)
        self.assertEqual(train_image.met(3.31, 3.3), "missed")

    @unittest.skipUnless(DATA.exists(), "no shared/data beside the sources")
    def test_a_split_keeps_every_row_once_and_anomalies_apart(self):
        rows = split("thyroid", 0)
        x, y = (np.load(DATA / "thyroid" / f"{name}.npy") for name in "xy")
        normal = np.concatenate([rows.train, rows.validation, rows.test])
        np.testing.assert_array_equal(np.sort(normal, 0), np.sort(x[y == 0], 0))
        np.testing.assert_array_equal(rows.anomalies, x[y == 1])
        self.assertFalse(np.array_equal(rows.train, split("thyroid", 1).train))

    def test_the_known_densities_integrate_to_one_and_their_samples_fit(self):
        for name, make in DENSITIES.items():
            truth = make()
            x = truth.sample(20000, np.random.default_rng(2))
            grid = train_densities.Grid(x, 300)
            log_p = truth.log_p(grid.points)
            self.assertAlmostEqual(grid.integral(log_p), 1, delta=1e-4, msg=name)
            # The entropy from samples and from the grid: five standard errors.
            of_samples = truth.log_p(x)
            of_grid = np.sum(np.exp(log_p) * log_p) * grid.cell
            self.assertLess(abs(of_samples.mean() - of_grid), 5 * of_samples.std() / np.sqrt(len(x)), name)

    def test_normal_quantiles_keep_order_and_ties_and_stay_finite_outside(self):
        train = np.array([[0.], [1.], [1.], [5.]])
        quantiles = train_tried.NormalQuantiles(train)(np.array([[-9.], [0.], [1.], [5.], [99.]]))[:, 0]
        self.assertTrue(np.all(np.diff(quantiles) > 0) and np.all(np.isfinite(quantiles)))
        self.assertAlmostEqual(quantiles[2], 0, places=6)
        self.assertAlmostEqual(quantiles[0], -quantiles[4], places=6)

    @needs_trainer
    def test_a_flow_is_trained_once_and_ranks_what_is_far_out(self):
        rows = drawn_split()
        first = self.trainer.train("far", rows.parts(), *TINY)
        self.assertEqual(first.end["epochs"], 2)
        self.assertGreaterEqual(first.worst_condition, 1)
        self.assertEqual(self.trainer.train("far", rows.parts(), *TINY).end, first.end)
        with served(BINARIES, self.trainer.folder) as server:
            found = train_anomaly.scores(server, first, rows)
            self.assertEqual(server.sample("far", 5, 1).shape, (5, 3))
        self.assertGreater(found.auroc, 0.99)
        # The mean of test rows that the trainer gives, by libtorch, is the server's.
        self.assertAlmostEqual(found.log_likelihood, -first.end["test_nats"], places=4)

    @needs_trainer
    def test_a_refusal_is_the_trainers_sentence(self):
        with self.assertRaisesRegex(TrainingFailed, "--steps"):
            self.trainer.train("never", drawn_split().parts(), "--steps=0")

    @needs_trainer
    def test_the_anomaly_sections_render(self):
        rows, variants = drawn_split(), {name: train_tried.VARIANTS[name] for name in ("default", "quantiles-noise-1")}
        with unittest.mock.patch.object(train_anomaly, "split", lambda *_: rows):
            found = train_anomaly.train_and_score(self.trainer, "thyroid", [0], variants, TINY)
        one = found["default", 0]
        peer = {"auroc": 0.5, "log_likelihood": -1.0, "median": -1.0, "seconds": 1.0, "epochs": 2}
        train_anomaly.save_default({"thyroid": {0: one}}, {"thyroid": [0.5]}, {"thyroid": {0: peer}}, [0], self.folder)
        train_tried.save({"thyroid": found}, {"thyroid": [0.5]}, {"thyroid": ([0.5], [0.5])}, self.folder)
        self.assertIn(f"| thyroid | {one.auroc:.4f} | 0.9833 |", self.report())

    @needs_trainer
    @needs_matplotlib
    def test_the_densities_render(self):
        found = train_densities.measure(self.trainer, "tabular-nsf", TINY, 60, (600, 200, 200))
        train_densities.save(found, "tabular-nsf", TINY, self.folder)
        self.assertIn("| moons | ", self.report())
        self.assertTrue((self.folder / "densities.png").exists())

    @needs_trainer
    def test_every_linear_layer_is_trained_and_timed(self):
        found = train_linear.trainings(self.trainer, drawn_split(), [0], TINY)
        self.assertEqual({name: one for name, one in found.items() if isinstance(one, str)}, {})
        train_linear.save_trainings(found, "rows", TINY, [0], self.folder)
        steps = train_linear.step_times(BINARIES / "glowworm-linear-step", 1, [4, 6])
        for one in steps:
            self.assertGreater(min(one["step_seconds"], one["log_det_seconds"]), 0)
        train_linear.save_step_times(steps, 1, "unknown", self.folder)
        self.assertIn("| learned-permutation | ", self.report())

    def test_the_report_is_what_its_sections_render(self):
        folder = train_results.HERE
        self.assertEqual((folder / "TRAINING.md").read_text(),
                         report.render(report.sections(folder / "training"), train_results.HEAD, "training.png"))


if __name__ == "__main__":
    unittest.main()
