#!/usr/bin/env python3
"""What glowworm-train reaches: trains, scores through a server, and writes TRAINING.md from training/*.json. A part
that has its JSON is kept, a flow in --work that is trained is not trained again; both are made anew with --anew.

  tests/bench/train_results.py [--parts=anomaly,tried,densities,linear,step,image] [--anew] [--quick]

Run by the Python of tests/bench/setup.sh's environment. Tested by tests/bench/train_smoke_test.py."""
import argparse
import os
import pathlib
import shutil

import report
import train_anomaly
import train_densities
import train_image
import train_linear
import train_tried
from anomaly_data import split
from trained_flow import ROOT, Trainer

HERE = pathlib.Path(__file__).resolve().parent
HEAD = """# What the trainer reaches

Made by `train_results.py` from `training/*.json`, which it writes; do not edit. To measure anew:
`tests/bench/setup.sh && build/bench-venv/bin/python tests/bench/train_results.py --anew`.
"""
DATA_SETS = ("thyroid", "cardio", "mammography", "shuttle")
PRESET_2D = "tabular-nsf"


class Parts:
    """Each method measures one part and writes its JSON into `results`."""

    def __init__(self, binaries, work, results, quick):
        self.binaries, self.work, self.results, self.quick = (pathlib.Path(binaries), pathlib.Path(work),
                                                              pathlib.Path(results), quick)
        self.seeds = (0,) if quick else (0, 1, 2)
        self.data_sets = DATA_SETS[:1] if quick else DATA_SETS
        self.epochs = ["--epochs=3"] if quick else []

    def trainer(self, name):
        return Trainer(self.binaries, self.work / name)

    def anomaly(self):
        found, forests, peers = {}, {}, {}
        for data in self.data_sets:
            default = {"default": train_tried.VARIANTS["default"]}
            of = train_anomaly.train_and_score(self.trainer(data), data, self.seeds, default, self.epochs)
            found[data] = {seed: one for (_, seed), one in of.items()}
            forests[data] = [train_anomaly.forest_auroc(data, seed) for seed in self.seeds]
            flags = train_anomaly.merged(train_anomaly.FLAGS.get(data, []), self.epochs)
            epochs = next((int(flag.partition("=")[2]) for flag in flags if flag.startswith("--epochs")), None)
            peers[data] = {seed: train_anomaly.peer_scores(data, seed, self.work / f"nflows-{data}-{seed}.json", epochs)
                           for seed in self.seeds[:1]}
        train_anomaly.save_default(found, forests, peers, self.seeds, self.results,
                                   **train_anomaly.versions(self.trainer(data), f"default-{self.seeds[0]}"))

    def tried(self):
        found, forests = {}, {}
        for data in self.data_sets:
            seeds = train_tried.SEEDS[data][:1 if self.quick else None]
            found[data] = train_anomaly.train_and_score(self.trainer(data), data, seeds, train_tried.variants_of(data),
                                                        self.epochs)
            forests[data] = [train_anomaly.forest_auroc(data, seed) for seed in seeds]
        confirmed = {data: self.confirm(data) for data in train_tried.CONFIRMED if not self.quick}
        train_tried.save(found, forests, confirmed, self.results)

    def confirm(self, data):
        seeds, best = train_tried.CONFIRMING_SEEDS, {train_tried.BEST: train_tried.VARIANTS[train_tried.BEST]}
        of = train_anomaly.train_and_score(self.trainer(data), data, seeds, best)
        return [one.auroc for one in of.values()], [train_anomaly.forest_auroc(data, seed) for seed in seeds]

    def densities(self):
        flags = ["--epochs=2"] if self.quick else ["--epochs=30"]
        found = train_densities.measure(self.trainer("densities"), PRESET_2D, flags, 100 if self.quick else 400)
        train_densities.save(found, PRESET_2D, flags, self.results)

    def linear(self):
        seeds, data, flags = self.seeds[:2], "pendigits", ["--epochs=3" if self.quick else "--epochs=40"]
        found = train_linear.trainings(self.trainer("linear"), split(data, 0), seeds, flags)
        train_linear.save_trainings(found, data, flags, seeds, self.results)

    def step(self):
        rounds, sizes = (2, [12, 48]) if self.quick else (25, [12, 48, 192, 512])
        before = os.getloadavg()[0]
        found = train_linear.step_times(self.binaries / "glowworm-linear-step", rounds, sizes)
        train_linear.save_step_times(found, rounds, f"{before:.2f} and {os.getloadavg()[0]:.2f}", self.results)

    def image(self):
        train_image.save(self.results)


# Part -> the section's file, without .json.
FILES = {"anomaly": "10-anomaly", "tried": "11-anomaly-tried", "densities": "20-densities",
         "linear": "30-linear-training", "step": "31-linear-step", "image": "40-fashion"}


def write_report(results, out):
    """TRAINING.md, and training.png where matplotlib is installed."""
    found = report.sections(results)
    (out / "TRAINING.md").write_text(report.render(found, HEAD, "training.png"))
    print(f"{out / 'TRAINING.md'}: {len(found)} sections")
    if any("plot" in one for one in found):
        report.draw(found, out / "training.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(FILES))
    parser.add_argument("--anew", action="store_true")
    parser.add_argument("--quick", action="store_true", help="sizes that only show that every part runs")
    parser.add_argument("--binaries", type=pathlib.Path, default=ROOT / "build" / "bin")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "training")
    parser.add_argument("--results", type=pathlib.Path, default=HERE / "training")
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    flags = parser.parse_args()
    if flags.quick and flags.results == HERE / "training":
        parser.error("--quick is not for the report: give --results, --out and --work too")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if flags.anew:
        shutil.rmtree(flags.work, ignore_errors=True)
    for folder in (flags.work, flags.results, flags.out):
        folder.mkdir(parents=True, exist_ok=True)
    parts = Parts(flags.binaries, flags.work, flags.results, flags.quick)
    for part in flags.parts.split(","):
        if flags.anew or not (flags.results / f"{FILES[part]}.json").exists():
            print(f"-- {part}", flush=True)
            getattr(parts, part)()
    write_report(flags.results, flags.out)


if __name__ == "__main__":
    main()
