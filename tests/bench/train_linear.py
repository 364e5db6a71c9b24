"""TRAINING.md's comparison of the linear layers: what each kind reaches and how well conditioned it stays, and what a
training step of the layer costs. Entry: trainings(), step_times(). Tested by tests/bench/train_smoke_test.py."""
import json
import subprocess

import numpy as np

import section
from trained_flow import TrainingFailed

NORMALIZE = "--normalize_s_every=20"
# What each kind can be told: only plu and qr have an s.
KINDS = {f"{kind}, {scale}{', normalised' if normalize else ''}":
         [f"--linear={kind}", f"--scale={scale}", *([NORMALIZE] if normalize else [])]
         for kind in ("plu", "qr") for scale in ("exp", "softplus") for normalize in (False, True)}
KINDS.update({"full": ["--linear=full"], "learned-permutation": ["--linear=learned-permutation"]})


def trainings(trainer, split, seeds, flags):
    """name -> {"validation": [...], "test": [...], "condition": [...], "seconds": [...], "steps": [...]}, a number a
    seed; or the trainer's sentence, where a training failed."""
    found = {}
    for name, kind in KINDS.items():
        short = name.replace(", ", "-")
        try:
            runs = [trainer.train(f"{short}-{seed}", split.parts(), *kind, *flags, f"--seed={seed}") for seed in seeds]
        except TrainingFailed as error:
            found[name] = str(error)
            continue
        found[name] = {"validation": [run.end["validation_nats"] for run in runs],
                       "test": [run.end["test_nats"] for run in runs],
                       "condition": [run.worst_condition for run in runs],
                       "seconds": [run.end["seconds"] for run in runs], "steps": [run.end["steps"] for run in runs]}
    return found


def list_of(values, form):
    return " / ".join(format(value, form) for value in values)


def above_best(good):
    means = {part: [np.mean(one[part]) for one in good.values()] for part in ("validation", "test")}
    return {part: [mean - min(of_part) for mean in of_part] for part, of_part in means.items()}


def save_trainings(found, data, flags, seeds, folder):
    rows = []
    for name, one in found.items():
        if isinstance(one, str):
            rows.append([name, one, "–", "–", "–", "–"])
            continue
        rows.append([name, list_of(one["validation"], ".3f"), list_of(one["test"], ".3f"),
                     list_of(one["condition"], ".2f"), list_of(one["seconds"], ".0f"), list_of(one["steps"], "d")])
    good = {name: one for name, one in found.items() if not isinstance(one, str)}
    section.save(
        "30-linear-training", "The linear layer: what each kind reaches",
        [f"tabular-glow with {' '.join(flags)} on the normal rows of {data}, seeds {', '.join(map(str, seeds))}: one "
         "number each; one thread. Nats are those of the best validation; less is better. cond(W) is the largest over "
         f"all layers and all epochs. Normalised: {NORMALIZE}. `full` and `learned-permutation` have no s. Seconds are "
         "wall time of a machine that did other work too."],
        [section.table(["linear layer", "validation nats", "test nats", "largest cond(W)", "seconds", "steps"], rows)],
        {"kind": "bars", "x": list(good), "series": above_best(good), "x_label": "linear layer",
         "y_label": "nats above the best kind, mean"}, folder)


def step_times(binary, rounds, sizes):
    """A dict for each kind and size, as glowworm-linear-step prints it."""
    run = subprocess.run([binary, str(rounds), ",".join(map(str, sizes))], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def save_step_times(found, rounds, load, folder):
    sizes = sorted({one["channels"] for one in found})
    kinds = list(dict.fromkeys(one["kind"] for one in found))
    at = {(one["kind"], one["channels"]): one for one in found}
    rows = []
    for kind in kinds:
        row = [kind]
        for size in sizes:
            one = at[kind, size]
            row += [f"{one['step_seconds'] * 1e3:.3g}", f"{100 * one['log_det_seconds'] / one['step_seconds']:.2g} %"]
        rows.append(row)
    alone = [[kind, *(f"{at[kind, size]['log_det_seconds'] * 1e6:,.0f}" for size in sizes)] for kind in kinds]
    section.save(
        "31-linear-step", "The linear layer: time of a training step",
        ["Forward, log-det, backward (to x too) and Adam of one layer, 32 images of C x 8 x 8, float32, one thread: the "
         f"least processor time of {rounds} rounds in which the kinds take turns; milliseconds. The log-det's share is "
         "the least time of log|det W| and its gradient alone over that: Σ log s of C numbers, or a determinant (of "
         "learned-permutation while it is soft, the first 60 % of training). "
         f"Load average before and after: {load}."],
        [section.table(["kind", *(f"C = {size}, {what}" for size in sizes for what in ("ms", "log-det"))], rows),
         section.table(["kind", *(f"C = {size}" for size in sizes)], alone,
                       "The log-det with its gradient alone, µs")],
        {"kind": "lines", "x": sizes, "x_label": "C", "y_label": "ms a step", "log": True, "series": {
            kind: [at[kind, size]["step_seconds"] * 1e3 for size in sizes] for kind in kinds}}, folder)
