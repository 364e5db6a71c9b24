"""The anomaly data sets of shared/data, split by a seed, and how well a score ranks them. Tested by
tests/bench/train_smoke_test.py."""
import dataclasses
import pathlib

import numpy as np

DATA = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data"
TRAIN, VALIDATION = 0.6, 0.1  # of the normal rows; the rest is the test


@dataclasses.dataclass
class Split:
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray       # normal rows
    anomalies: np.ndarray  # all of them

    def parts(self):
        """As Trainer.train() takes them."""
        return {"data": self.train, "validation": self.validation, "test": self.test}

    def auroc(self, score):
        """Of `score`(rows), high where a row is strange: the chance that an anomaly's is above a normal row's."""
        return auroc(score(self.test), score(self.anomalies))


def split(name, seed):
    """Normal rows in a drawn order, cut into three; anomalies apart. Columns that are constant in one of the three are
    left out: they have no density, and the trainer refuses them."""
    x, anomaly = np.load(DATA / name / "x.npy"), np.load(DATA / name / "y.npy") == 1
    normal = np.random.default_rng(seed).permutation(x[~anomaly])
    parts = np.split(normal, [round(TRAIN * len(normal)), round((TRAIN + VALIDATION) * len(normal))])
    varied = np.all([np.ptp(part, axis=0) > 0 for part in parts], axis=0)
    return Split(*(rows[:, varied] for rows in (*parts, x[anomaly])))


def auroc(normal, strange):
    """P(strange > normal) + P(strange == normal) / 2 over all pairs."""
    ordered = np.sort(normal)
    below, not_above = (np.searchsorted(ordered, strange, side) for side in ("left", "right"))
    return float(np.mean(below + not_above) / (2 * len(normal)))
