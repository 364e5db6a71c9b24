"""TRAINING.md's anomaly detection: AUROC of -log p of a flow that has seen normal rows only, beside the fixtures', an
isolation forest and nflows. Entry: train_and_score(), save_default(). Tested by tests/bench/train_smoke_test.py."""
import dataclasses
import json

import numpy as np

import section
from anomaly_data import auroc, split
from trained_flow import processes, served

# The fixtures' table; mammography's flow had a context.
FIXTURES = {"thyroid": 0.9833, "shuttle": 0.9995, "mammography": 0.8625, "cardio": 0.9039}
SLACK = 0.01
# What is not the preset's: shuttle has ten times the rows of the others.
FLAGS = {"shuttle": ["--epochs=10"]}


def merged(*lists):
    """Flags of several lists; of two for one thing the later holds."""
    return list({flag.partition("=")[0]: flag for flags in lists for flag in flags}.values())


@dataclasses.dataclass
class Scores:
    """Of one flow, by the server."""
    auroc: float             # of -log p
    typical: float           # of |log p - its median over the validation rows|
    log_likelihood: float    # mean log p of the test's normal rows, nats
    log_likelihood_error: float
    median: float            # log p of the test's normal rows
    seconds: float           # of training
    epochs: int
    best_epoch: int


def scores(server, training, rows):
    of = {part: server.score(training.name, getattr(rows, part))[0] for part in ("validation", "test", "anomalies")}
    middle = np.median(of["validation"])
    return Scores(auroc(-of["test"], -of["anomalies"]), auroc(abs(of["test"] - middle), abs(of["anomalies"] - middle)),
                  float(of["test"].mean()), float(of["test"].std(ddof=1) / np.sqrt(len(of["test"]))),
                  float(np.median(of["test"])), training.end["seconds"], training.end["epochs"],
                  training.end["best_epoch"])


def train_and_score(trainer, data, seeds, variants, more_flags=()):
    """(variant, seed) -> Scores, of each of `variants`: name -> Variant."""
    trainings, prepared = {}, {}
    for name, variant in variants.items():
        for seed in seeds:
            rows = variant.prepare(split(data, seed))
            prepared[name, seed] = rows
            trainings[name, seed] = trainer.train(f"{name}-{seed}", variant.parts(rows, seed), f"--seed={seed}",
                                                  *merged(FLAGS.get(data, []), variant.flags, more_flags))
            print(data, name, seed, flush=True)
    with served(trainer.binaries, trainer.folder) as server:
        return {key: scores(server, training, prepared[key]) for key, training in trainings.items()}


def forest_auroc(data, seed):
    from sklearn.ensemble import IsolationForest
    rows = split(data, seed)
    forest = IsolationForest(random_state=seed).fit(rows.train)
    return rows.auroc(lambda x: -forest.score_samples(x))


def mean_and_spread(values, digits):
    """The mean, in parentheses the least and the most."""
    text = f"{np.mean(values):.{digits}f}"
    return text if len(values) < 2 else f"{text} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def peer_scores(data, seed, cache, epochs):
    """nflows on the same rows; what was found is kept in the file `cache`."""
    if not cache.exists():
        import train_nflows
        rows = split(data, seed)
        log_p, seconds, taken = train_nflows.held_out_log_p(rows, seed, epochs)
        of_test = log_p(rows.test)
        cache.write_text(json.dumps({"auroc": rows.auroc(lambda x: -log_p(x)), "log_likelihood": float(of_test.mean()),
                                     "median": float(np.median(of_test)), "seconds": seconds, "epochs": taken}))
    return json.loads(cache.read_text())


def versions(trainer, name):
    """Of what was compared, for the section's machine."""
    import sklearn
    spec = processes.read_header(trainer.folder / name / "1" / "flow.safetensors")[1]
    return {"libtorch": spec["provenance"]["libtorch_version"], "scikit-learn": sklearn.__version__, "nflows": "0.14"}


def save_default(found, forests, peers, seeds, folder, **compared):
    """`found`: data -> {seed: Scores}; `forests`: data -> [auroc]; `peers`: data -> {seed: peer_scores()}."""
    rows, likelihoods = [], []
    for data, of_seed in found.items():
        ours, goal = [one.auroc for one in of_seed.values()], FIXTURES[data] - SLACK
        behind = np.mean(ours) < np.mean(forests[data])
        rows.append([data, mean_and_spread(ours, 4), f"{FIXTURES[data]:.4f}",
                     "met" if np.mean(ours) >= goal else "missed", mean_and_spread(forests[data], 4),
                     "the forest" if behind else "ours",
                     mean_and_spread([one.typical for one in of_seed.values()], 4),
                     mean_and_spread([one.seconds for one in of_seed.values()], 0),
                     " ".join(FLAGS.get(data, [])) or "–"])
        for seed, peer in peers[data].items():
            one = of_seed[seed]
            likelihoods.append([data, seed, f"{one.log_likelihood:.2f} ± {one.log_likelihood_error:.2f}",
                                f"{peer['log_likelihood']:.2f}", f"{one.median:.2f}", f"{peer['median']:.2f}",
                                f"{one.auroc:.4f}", f"{peer['auroc']:.4f}", f"{one.epochs} / {peer['epochs']}",
                                f"{one.seconds:.0f} / {peer['seconds']:.0f}"])
    section.save(
        "10-anomaly", "Anomaly detection with the default preset",
        [f"Normal rows, drawn by a seed: 60 % to train, 10 % to validate, 30 % to test; anomalies are only tested on. "
         f"AUROC of -log p of the test's normal rows and all anomalies: what `glowworm score` prints, from a server in "
         f"float64. Means of seeds {', '.join(map(str, seeds))}, in parentheses the least and the most. The forest: "
         "scikit-learn's IsolationForest as it comes, trained on the same rows. Goal: the fixture's AUROC (of its own "
         f"split, mammography's with a context) minus {SLACK}. Typicality: |log p - median of the validation rows| in "
         "the place of -log p. Columns that are constant in a part are left out (cardio's sixth). Trained with "
         "--threads=1; seconds are wall time of a machine that did other work too."],
        [section.table(["data", "AUROC", "fixture's", "goal", "isolation forest", "ahead", "typicality", "seconds",
                        "flags beside the preset"], rows),
         section.table(["data", "seed", "test log-likelihood, ours", "nflows'", "median, ours", "nflows'",
                        "AUROC, ours", "nflows'", "epochs", "seconds"], likelihoods,
                       "Beside nflows 0.14: ActNorm, LULinear, AffineCouplingTransform with a ResidualNet of the same "
                       "size, the same rows, batches, rates, clipping and early stopping; nats of the raw data, mean "
                       "over the test's normal rows with its standard error, and their median, which a few far rows "
                       "do not move.")], folder=folder, **compared)
