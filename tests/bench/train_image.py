"""TRAINING.md's image flow: Fashion-MNIST, from what glowworm-train left in the bundled flow's folder: its log and the
provenance in its file. Entry: save(). Tested by tests/bench/train_smoke_test.py."""
import json
import pathlib

import section
from trained_flow import ROOT, Trainer

BUNDLED = ROOT / "deploy" / "repository"
GOAL_BITS, GOAL_BYTES, GOAL_MINUTES = 3.3, 8 << 20, 60


def provenance(path):
    """Of a flow file: what its training says of itself."""
    data = pathlib.Path(path).read_bytes()
    header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["glowworm.flow"])["provenance"]


def met(value, goal):
    return "met" if value <= goal else "missed"


def save(results, name="fashion"):
    training = Trainer(ROOT, BUNDLED).read(name)
    file = BUNDLED / name / "1" / "flow.safetensors"
    of_file, end = provenance(file), training.end
    bits, minutes, size = end["test_bits_per_dim"], end["seconds"] / 60, file.stat().st_size
    goals = section.table(["", "reached", "goal", ""], [
        ["test bits per original pixel (total bits / 784)", f"{bits:.3f}", f"≤ {GOAL_BITS}", met(bits, GOAL_BITS)],
        ["minutes of training", f"{minutes:.0f}", f"≤ {GOAL_MINUTES}", met(minutes, GOAL_MINUTES)],
        ["bytes of the file", f"{size:,}", f"≤ {GOAL_BYTES:,}", met(size, GOAL_BYTES)],
        ["test log-likelihood, nats an image", f"{-end['test_nats']:.1f} ± {end['test_standard_error']:.1f}", "–", ""],
        ["largest cond(W) over training", f"{training.worst_condition:.2f}", "–", ""],
        ["server and libtorch differ by, float64", f"{end['test_disagreement']:.1e}", "1e-8", ""]])
    epochs = section.table(
        ["epoch", "train nats", "validation nats", "validation bits per pixel", "images/s", "minutes"],
        [[one["epoch"], f"{one['train_nats']:.1f}", f"{one['validation_nats']:.1f}",
          f"{one['validation_bits_per_dim']:.3f}", f"{one['rows_per_second']:.0f}", f"{one['seconds'] / 60:.0f}"]
         for one in training.epochs])
    prose = [f"{int(of_file['train_rows']):,} images to train on, {int(of_file['test_rows']):,} to test, 28 x 28 padded "
             "to 32 x 32; one thread, on a machine that did other work too. The flow is bundled: "
             "[its card](../../deploy/repository/fashion/README.md), with samples.",
             "", f"`{of_file['flags']}`"]
    section.save("40-fashion", "Fashion-MNIST", prose, [goals, epochs], folder=results)
