"""A flow as a user gets it: trained by glowworm-train, served by glowworm-server, scored by `glowworm score`. Entry:
Trainer, served(). Tested by tests/bench/train_smoke_test.py."""
import contextlib
import csv
import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "service"))
import processes  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass
class Training:
    """What training.jsonl says."""
    name: str     # of the model in its repository
    epochs: list  # a record each
    end: dict     # the summary

    @property
    def worst_condition(self):
        """The largest cond(W) over training, of all linear layers."""
        return max(epoch["conditioning"]["max_condition_number"] for epoch in self.epochs)


class TrainingFailed(Exception):
    pass


class Trainer:
    """Trains into folder/<name>/1, a repository. A flow that is there already is not trained again."""

    def __init__(self, binaries, folder):
        self.binaries, self.folder = pathlib.Path(binaries), pathlib.Path(folder)

    def train(self, name, parts, *flags):
        """`parts`: {"data": rows, "validation": rows, "test": rows}, float arrays. Raises TrainingFailed with the
        trainer's sentence."""
        out = self.folder / name / "1"
        if not (out / "flow.safetensors").exists():
            shutil.rmtree(out, ignore_errors=True)
            with tempfile.TemporaryDirectory() as files:
                paths = [f"--{part}={pathlib.Path(files) / part}.npy" for part in parts]
                for path, rows in zip(paths, parts.values()):
                    np.save(path.partition("=")[2], np.ascontiguousarray(rows))
                run = subprocess.run([self.binaries / "glowworm-train", *paths, f"--out={out}", "--threads=1", *flags],
                                     capture_output=True, text=True, check=False)
            if run.returncode != 0:
                raise TrainingFailed(run.stderr.strip())
        return self.read(name)

    def read(self, name):
        records = [json.loads(line) for line in (self.folder / name / "1" / "training.jsonl").read_text().splitlines()]
        return Training(name, [r for r in records if r["event"] == "epoch"], records[-1])


class Served:
    def __init__(self, binaries, address):
        self.binaries, self.address = binaries, address

    def score(self, name, rows):
        """(log p, tail probability) of each row, as `glowworm score` prints them; -inf where the row has none."""
        with tempfile.TemporaryDirectory() as folder:
            rows_file, scores = pathlib.Path(folder) / "rows.npy", pathlib.Path(folder) / "scores.csv"
            np.save(rows_file, np.ascontiguousarray(rows))
            subprocess.run([self.binaries / "glowworm", "score", f"--server={self.address}", f"--model={name}",
                            f"--input={rows_file}", f"--output={scores}"], check=True)
            with open(scores, newline="") as file:
                read = [(float(row["log_likelihood"]), float(row["tail_probability"] or "nan"))
                        for row in csv.DictReader(file)]
        log_p, tail = np.array(read).T
        return np.where(np.isnan(log_p), -np.inf, log_p), tail

    def sample(self, name, count, seed):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "samples.npy"
            subprocess.run([self.binaries / "glowworm", "sample", f"--server={self.address}", f"--model={name}",
                            f"--num={count}", f"--seed={seed}", f"--output={path}"], check=True)
            return np.load(path).astype("<f8")


@contextlib.contextmanager
def served(binaries, folder):
    """A server of the repository `folder` on a free loopback port."""
    binaries = pathlib.Path(binaries)
    server = processes.glowworm_server(binaries, folder, "--precision=float64")
    try:
        yield Served(binaries, server.address)
    finally:
        server.stop()
