"""What was tried to rank anomalies better than the default preset does, as a table of TRAINING.md. Entry: VARIANTS,
save(). Tested by tests/bench/train_smoke_test.py."""
import dataclasses
import statistics

import numpy as np

import section
from anomaly_data import Split
from train_anomaly import mean_and_spread


class NormalQuantiles:
    """Each feature to the normal quantile of its rank among the training rows, ties to their middle."""

    def __init__(self, train):
        self.columns = [np.sort(column) for column in train.T]
        self.quantile = np.vectorize(statistics.NormalDist().inv_cdf)

    def __call__(self, rows):
        ranks = [np.searchsorted(column, values, "left") + np.searchsorted(column, values, "right")
                 for column, values in zip(self.columns, rows.T)]
        # Twice a rank, from 0 to 2n.
        return self.quantile((np.stack(ranks, 1) + 1) / (2 * len(self.columns[0]) + 2)).astype("<f4")


@dataclasses.dataclass
class Variant:
    flags: list = dataclasses.field(default_factory=list)
    quantiles: bool = False      # the trainer is given NormalQuantiles of the rows
    validation_noise: float = 0  # deviations; so that the best epoch is that of the density that --noise trains

    def prepare(self, rows):
        if not self.quantiles:
            return rows
        quantiles = NormalQuantiles(rows.train)
        return Split(*(quantiles(part) for part in (rows.train, rows.validation, rows.test, rows.anomalies)))

    def parts(self, rows, seed):
        parts = rows.parts()
        noise = np.random.default_rng(seed).standard_normal(rows.validation.shape) * rows.train.std(0)
        return {**parts, "validation": (parts["validation"] + self.validation_noise * noise).astype("<f4")}

    def __str__(self):
        said = " ".join(self.flags) or "the preset as it is"
        return (said + (", the same noise on validation" if self.validation_noise else "") +
                (", of normal quantiles" if self.quantiles else ""))


SMALL = ["--hidden=16", "--blocks=1", "--steps=4"]
VARIANTS = {
    "default": Variant(),
    "weight-decay": Variant(["--weight_decay=1"]),
    "dropout": Variant(["--dropout=0.5"]),
    "short": Variant(["--epochs=20"]),
    "small": Variant(SMALL),
    "noise-0.2": Variant(["--noise=0.2"]),
    "noise-1": Variant(["--noise=1"]),
    "noise-1-both": Variant(["--noise=1"], validation_noise=1),
    "small-noise-1": Variant([*SMALL, "--noise=1"]),
    "quantiles": Variant(quantiles=True),
    "quantiles-noise-1": Variant(["--noise=1"], True, 1),
    "quantiles-noise-2": Variant(["--noise=2"], True, 2),
}
# Not those of the first table, but for shuttle; and for the larger sets not everything.
SEEDS = {"thyroid": (10, 11), "cardio": (10, 11), "mammography": (10,), "shuttle": (0,)}
NOT_RUN = {"mammography": ("weight-decay", "dropout", "noise-0.2", "noise-1-both", "quantiles"),
           "shuttle": ("weight-decay", "dropout", "short", "small", "noise-0.2", "noise-1-both", "small-noise-1",
                       "quantiles", "quantiles-noise-2")}


# What ranked best, on seeds that did not choose it, where the forest is ahead.
BEST, CONFIRMED, CONFIRMING_SEEDS = "quantiles-noise-2", ("thyroid", "cardio"), (0, 1, 2)


def variants_of(data):
    return {name: variant for name, variant in VARIANTS.items() if name not in NOT_RUN.get(data, ())}


def mean_of(found, name, what, digits):
    """A cell: of one data set's {(variant, seed): Scores}."""
    values = [getattr(one, what) for (variant, _), one in found.items() if variant == name]
    return f"{np.mean(values):.{digits}f}" if values else "–"


def verdict(data, found, forest):
    """What closes the gap to the forest on one data set, where there is one."""
    auroc = {str(variant): float(mean_of(found, name, "auroc", 4)) for name, variant in VARIANTS.items()
             if name in variants_of(data) and mean_of(found, name, "auroc", 4) != "–"}
    default, best = auroc[str(VARIANTS["default"])], max(auroc, key=auroc.get)
    ahead = [flags for flags, value in auroc.items() if value >= forest]
    if default >= forest:
        return (f"- {data}: the preset ({default:.4f}) is not behind the forest ({forest:.4f}). Best: {best} "
                f"({auroc[best]:.4f}).")
    if not ahead:
        return f"- {data}: the forest ({forest:.4f}) stays ahead of all. Nearest: {best} ({auroc[best]:.4f})."
    return (f"- {data}: the preset ({default:.4f}) is behind the forest ({forest:.4f}). The gap is closed by: "
            + "; ".join(f"{flags} ({auroc[flags]:.4f})" for flags in ahead) + ".")


def save(found, forests, confirmed, folder):
    """`found`: data -> {(variant, seed): Scores}; `forests`: data -> [AUROC]; `confirmed`: data -> ([AUROC], [forest's])
    of each of CONFIRMING_SEEDS."""
    ranked = [[str(variant), *(mean_of(of, name, "auroc", 4) for of in found.values())]
              for name, variant in VARIANTS.items()]
    ranked.append(["the preset as it is, ranked by typicality",
                   *(mean_of(of, "default", "typical", 4) for of in found.values())])
    ranked.append(["isolation forest", *(f"{np.mean(values):.4f}" for values in forests.values())])
    likely = [[str(variant), *(mean_of(of, name, "log_likelihood", 2) for of in found.values())]
              for name, variant in VARIANTS.items() if not variant.quantiles]
    seeds = "; ".join(f"{data} {', '.join(map(str, sorted({seed for _, seed in of})))}" for data, of in found.items())
    section.save("11-anomaly-tried", "What was tried to rank anomalies better",
                 [f"Means of seeds: {seeds}. A dash was not run. Typicality: |log p - median of "
                  "the validation rows| in the place of -log p. Normal quantiles: each feature is first replaced by the "
                  "normal quantile of its rank among the training rows; such a density is not of the raw data, so that "
                  "its log-likelihood is not compared.", "",
                  *(verdict(data, of, np.mean(forests[data])) for data, of in found.items())],
                 [section.table(["flags", *found], ranked, "AUROC"),
                  section.table(["flags", *found], likely, "Test log-likelihood, nats of the raw data"),
                  section.table(["data", "AUROC", "isolation forest"],
                                [[data, *(mean_and_spread(values, 4) for values in both)]
                                 for data, both in confirmed.items()],
                                f"Confirmed: {VARIANTS[BEST]}, on seeds that did not choose it: "
                                f"{', '.join(map(str, CONFIRMING_SEEDS))}")], folder=folder)
