#!/usr/bin/env python3
"""Makes the bundled flows of deploy/repository anew, from the split of the data to the model card; nothing in a card is
typed. Needs build/bin and numpy; breast-cancer also scikit-learn (a virtual environment: pip install scikit-learn),
fashion the Debian package dataset-fashion-mnist.

  tests/bench/bundled_flows.py breast-cancer           # splits, trains, scores: flow, deploy/demo and card, a minute
  tests/bench/bundled_flows.py fashion                 # trains for --max_minutes of its flags, then samples
  tests/bench/bundled_flows.py fashion --from=FOLDER   # the flow that glowworm-train wrote there, and its log
  tests/bench/bundled_flows.py digits                  # the card alone: that flow comes from a public library

Tested by tests/e2e/bundled_test.py, which holds every card to its file.
"""
import argparse
import csv
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
REPOSITORY = ROOT / "deploy" / "repository"
DEMO = ROOT / "deploy" / "demo"
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")

sys.path.insert(0, str(pathlib.Path(__file__).parent / "service"))
from processes import glowworm_server  # noqa: E402

HELD_OUT_BENIGN, SPLIT_SEED = 71, 0  # a fifth of the 357 benign rows
SAMPLES, SAMPLE_SEED, LOW_TEMPERATURE = 64, 1, 0.7

# Chosen among a dozen by the log-likelihood of validation rows, the mean over four splits.
BREAST_CANCER_FLAGS = ["--steps=4", "--hidden=16", "--blocks=1", "--noise=0.05", "--weight_decay=1", "--batch=32",
                       "--learning_rate=0.003", "--epochs=150", "--patience=30", "--validation_fraction=0.2",
                       "--threads=1"]
FASHION_FLAGS = ["--preset=image-glow-small", "--validation_fraction=0.02", "--pad=2", "--max_minutes=50",
                 "--threads=1"]

TITLES = {
    "breast-cancer": "Breast cancer: 30 measurements of cell nuclei, benign ones only",
    "fashion": "Fashion-MNIST: grey images of clothes",
    "digits": "Digits: 8x8 handwritten digits",
}
DATA = {
    "breast-cancer": """\
Breast Cancer Wisconsin (Diagnostic), W. H. Wolberg, W. N. Street, O. L. Mangasarian, 1995: 569 rows of 30 measurements
of cell nuclei in images of fine needle aspirates, 357 benign and 212 malignant. The copy is scikit-learn's
(BSD 3-Clause); the UCI Machine Learning Repository publishes the data under CC BY 4.0.""",
    "fashion": """\
Fashion-MNIST, H. Xiao, K. Rasul, R. Vollgraf, Zalando Research, 2017 (arXiv:1708.07747): 60,000 training and 10,000
test images of 28x28 grey pixels. MIT licence, copyright Zalando SE; the copy is that of the Debian package
`dataset-fashion-mnist`. The flow takes them with 2 black pixels added on each side: 1x32x32, values 0 to 255.""",
    "digits": """\
Optical Recognition of Handwritten Digits, E. Alpaydin, C. Kaynak, 1998: the 1,797 images of its test part, as
scikit-learn ships them (BSD 3-Clause); the UCI Machine Learning Repository publishes the data under CC BY 4.0. The flow
takes 1x8x8 images with values 0 to 16 plus 0.5, the middle of the bins it was trained on.""",
}
USE = {
    "breast-cancer": """\
It shows anomaly ranking on real rows, and is for demonstrations, tests and teaching. It is not a medical device: some
hundred rows from one hospital, decades old, say nothing about a patient, and no decision about anybody's health may
rest on it.""",
    "fashion": """\
It shows density estimation and sampling of images, and is for demonstrations, tests and teaching. It is small and was
trained briefly: its samples are no product images, and its log p alone does not tell clothes from other pictures.""",
    "digits": """\
It shows the four questions a flow answers, and is for demonstrations, tests and teaching. It is small, and no reader of
handwriting.""",
}


class Binaries:
    def __init__(self, folder):
        self.folder = folder

    def run(self, name, *words):
        """Standard output, of a program that must succeed."""
        done = subprocess.run([self.folder / name, *map(str, words)], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{name} failed with exit code {done.returncode}")
        return done.stdout

    def train(self, out, *flags):
        print(f"training {out.parent.name}")
        return self.run("glowworm-train", f"--out={out}", *flags)

    def log_p(self, server, model, rows):
        """(log p, tail probability) of each row of a file."""
        lines = self.run("glowworm", "score", f"--server={server.address}", f"--model={model}", f"--input={rows}")
        table = list(csv.DictReader(lines.splitlines()))
        return tuple(np.array([float(row[k]) for row in table]) for k in ("log_likelihood", "tail_probability"))


# What a card tells.

def read_spec(flow):
    """The flow's description and its number of weights."""
    raw = flow.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    head = json.loads(raw[8:8 + size])
    metadata = head.pop("__metadata__")
    weights = sum(int(np.prod(t["shape"])) for t in head.values() if t["dtype"].startswith("F"))
    return json.loads(metadata["glowworm.flow"]), weights


def read_end(folder):
    """The last line of a training's log; None without a log."""
    log = folder / "training.jsonl"
    return json.loads(log.read_text().splitlines()[-1]) if log.exists() else None


def wrap(text, width=110):
    """Lines of at most `width`, for flags."""
    lines = [""]
    for word in text.split():
        lines[-1:] = [f"{lines[-1]} {word}".strip()] if len(lines[-1]) + len(word) < width else [lines[-1], word]
    return "\n".join(lines)


def provenance_rows(provenance, image, end):
    """The table's rows of a flow that glowworm-train wrote."""
    rows = [("trained by", f"glowworm-train {provenance['glowworm_version']}, libtorch "
                           f"{provenance['libtorch_version']}, {provenance['date']}"),
            ("data file", f"`{provenance['data']}`, SHA-256 `{provenance['data_sha256']}`"),
            ("rows", "{:,} to train on, {:,} to validate, {:,} to test".format(
                *(int(provenance[part + "_rows"]) for part in ("train", "validation", "test")))),
            ("test log-likelihood", f"{float(provenance['test_log_likelihood']):.3f} ± "
                                    f"{float(provenance['test_standard_error']):.2g} nats a row")]
    if image:
        rows += [("test bits per dimension", f"{float(provenance['test_bits_per_dim']):.3f}")]
    if end:
        seconds = end["seconds"]
        time = f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"
        rows += [("training", f"{time} on one core, {end['steps']:,} steps in "
                              f"{end['epochs']} epochs, the best was {end['best_epoch']}; {end['stopped_because']}"),
                 ("two implementations", f"log p of libtorch and of the server agree to "
                                         f"{end['test_disagreement']:.1e}, in float64")]
    return rows


def card(name, end=None, results=""):
    flow = REPOSITORY / name / "1" / "flow.safetensors"
    spec, weights = read_spec(flow)
    provenance = spec["provenance"]
    kinds = [next(k for k in layer if k not in ("name", "context")) for layer in spec["layers"]]
    counts = ", ".join(f"{kinds.count(k)} {k.replace('_', ' ')}" for k in dict.fromkeys(kinds))
    rows = [("file", f"`1/flow.safetensors`, {flow.stat().st_size:,} bytes"),
            ("event", "x".join(map(str, spec["event_shape"]))), ("layers", counts),
            ("numbers in the file", f"{weights:,}")]
    flags = ""
    if "flags" in provenance:
        rows += provenance_rows(provenance, len(spec["event_shape"]) == 3, end)
        flags = f"\nFlags of the training:\n\n```\n{wrap(provenance['flags'])}\n```\n"
    else:
        rows += [(key.replace("_", " "), value) for key, value in provenance.items()]
    table = "\n".join(f"| {key} | {value} |" for key, value in rows)
    text = (f"# {TITLES[name]}\n\n{spec['description']}\n\n| | |\n|---|---|\n{table}\n{flags}{results}\n"
            f"## Data\n\n{DATA[name]}\n\n## Use\n\n{USE[name]}\n\n"
            f"Written by `tests/bench/bundled_flows.py {name}`.\n")
    (REPOSITORY / name / "README.md").write_text(text)
    print(f"wrote deploy/repository/{name}/README.md")


def install(name, folder):
    """The flow of a finished training becomes the bundled one."""
    target = REPOSITORY / name / "1" / "flow.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / "flow.safetensors", target)


# Breast cancer.

def write_csv(path, names, rows):
    with open(path, "w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)


def breast_cancer_split():
    """(names, training rows, held-out benign rows, malignant rows)."""
    from sklearn.datasets import load_breast_cancer
    data = load_breast_cancer()
    benign = np.flatnonzero(data.target == 1)
    held_out = np.sort(np.random.default_rng(SPLIT_SEED).permutation(benign)[:HELD_OUT_BENIGN])
    rest = np.setdiff1d(benign, held_out)
    return list(data.feature_names), data.data[rest], data.data[held_out], data.data[data.target == 0]


def auroc(normal, anomalous):
    """P(an anomalous row's log p is below a normal one's), ties count half."""
    below = (anomalous[:, None] < normal).sum() + 0.5 * (anomalous[:, None] == normal).sum()
    return below / (len(normal) * len(anomalous))


def isolation_forest(train, normal, anomalous):
    """(mean, smallest, largest) AUROC over five seeds, on the same rows."""
    from sklearn.ensemble import IsolationForest
    forests = [IsolationForest(random_state=seed).fit(train) for seed in range(5)]
    all_of = [auroc(f.score_samples(normal), f.score_samples(anomalous)) for f in forests]
    return np.mean(all_of), min(all_of), max(all_of)


def breast_cancer_results(binaries, held_out, malignant, forest):
    server = glowworm_server(binaries.folder, REPOSITORY)
    normal, normal_tail = binaries.log_p(server, "breast-cancer", held_out)
    anomalous, anomalous_tail = binaries.log_p(server, "breast-cancer", malignant)
    server.stop()
    log_p, kind = np.concatenate([normal, anomalous]), ["benign"] * len(normal) + ["malignant"] * len(anomalous)
    top = [kind[i] for i in np.argsort(log_p)[:len(anomalous)]]
    return f"""
## Held-out rows

Scored by the server: {len(normal)} benign rows that it was not trained on, and all {len(anomalous)} malignant ones, of
which it saw none. Low log p means anomalous. Tail probabilities are calibrated on these benign rows and the
validation rows.

| | |
|---|---|
| AUROC of -log p for malignant rows | {auroc(normal, anomalous):.3f} |
| AUROC of an isolation forest on the same rows | {forest[0]:.3f} ({forest[1]:.3f} to {forest[2]:.3f} over five seeds) |
| malignant among the {len(anomalous)} rows of lowest log p | {top.count('malignant')} |
| tail probability at most 0.05 | {(anomalous_tail <= 0.05).mean():.0%} of malignant rows, \
{(normal_tail <= 0.05).mean():.0%} of benign ones |

`deploy/demo/breast-cancer.csv` holds these rows and their class; `deploy/quickstart.sh` ranks them.
"""


def make_breast_cancer(binaries, finished):
    names, train, held_out, malignant = breast_cancer_split()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        files = {"benign": train, "held_out_benign": held_out, "malignant": malignant}
        for name, rows in files.items():
            write_csv(folder / f"{name}.csv", names, rows)
        classed = [[*row, "benign"] for row in held_out] + [[*row, "malignant"] for row in malignant]
        write_csv(DEMO / "breast-cancer.csv", [*names, "class"], classed)
        if finished is None:
            finished = folder / "breast-cancer" / "1"
            binaries.train(finished, f"--data={folder}/benign.csv", f"--test={folder}/held_out_benign.csv",
                           "--description=30 measurements of cell nuclei of benign breast masses (Breast Cancer "
                           "Wisconsin, Diagnostic): rows of low log p are unlike them. Not a medical device.",
                           *BREAST_CANCER_FLAGS)
        install("breast-cancer", finished)
        results = breast_cancer_results(binaries, folder / "held_out_benign.csv", folder / "malignant.csv",
                                        isolation_forest(train, held_out, malignant))
        card("breast-cancer", read_end(finished), results)


# Fashion-MNIST.

def make_fashion(binaries, finished):
    with tempfile.TemporaryDirectory() as temporary:
        if finished is None:
            finished = pathlib.Path(temporary) / "fashion" / "1"
            binaries.train(finished, f"--data={FASHION}/train-images-idx3-ubyte.gz",
                           f"--test={FASHION}/t10k-images-idx3-ubyte.gz",
                           "--description=Fashion-MNIST, 28x28 grey pixels padded with 2 black ones on each side to "
                           "32x32.", *FASHION_FLAGS)
        install("fashion", finished)
        end = read_end(finished)
    server = glowworm_server(binaries.folder, REPOSITORY)
    pictures = {LOW_TEMPERATURE: "samples-low.png", 1: "samples.png"}
    for temperature, picture in pictures.items():
        binaries.run("glowworm", "sample", f"--server={server.address}", "--model=fashion", f"--num={SAMPLES}",
                     f"--seed={SAMPLE_SEED}", f"--temperature={temperature}", "--png_range=0:255", "--png_scale=1",
                     f"--png={REPOSITORY / 'fashion' / picture}", "--format=csv", "--output=/dev/null")
    server.stop()
    shown = " | ".join(f"![samples at temperature {t}]({picture})" for t, picture in pictures.items())
    heads = " | ".join(f"temperature {t}" for t in pictures)
    card("fashion", end, f"""
Bits per dimension are of an original pixel: total bits of the 32x32 image / 784. Pixels are dequantised with uniform
noise, so that they bound those of the discrete image from above.

## Samples

{SAMPLES} samples of seed {SAMPLE_SEED}, by `glowworm sample`:

| {heads} |
|---|---|
| {shown} |
""")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flow", choices=sorted(TITLES))
    parser.add_argument("--from", dest="finished", type=pathlib.Path, metavar="FOLDER",
                        help="take the flow in FOLDER, which glowworm-train wrote, instead of training")
    parser.add_argument("--binaries", type=pathlib.Path, default=ROOT / "build" / "bin", metavar="FOLDER")
    arguments = parser.parse_args()
    binaries = Binaries(arguments.binaries)
    if arguments.flow == "breast-cancer":
        make_breast_cancer(binaries, arguments.finished)
    elif arguments.flow == "fashion":
        make_fashion(binaries, arguments.finished)
    else:
        card("digits")


if __name__ == "__main__":
    main()
