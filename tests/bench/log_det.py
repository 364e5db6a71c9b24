#!/usr/bin/env python3
"""The seed idea, measured: log|det W| as the sum over factors held since load, against a determinant per call, and
what a load costs. Usage: log_det.py [--bench=BINARY] [--seconds=S] [--results=FOLDER]. Needs numpy only.
Tested by tests/bench/smoke_test.py."""
import argparse
import pathlib
import tempfile

import numpy as np

import section
from bench_process import BenchProcess
from flow_writer import FlowWriter

ROOT = pathlib.Path(__file__).resolve().parents[2]


def write_linear_flow(path, channels, kind):
    """A flow of one linear layer, `plu` (factors) or `full` (a matrix that load must factor)."""
    rng = np.random.default_rng(channels)
    lower = np.tril(rng.normal(0, 0.3 / np.sqrt(channels), (channels, channels)), -1)
    upper = np.triu(rng.normal(0, 0.3 / np.sqrt(channels), (channels, channels)), 1)
    s = np.exp(rng.normal(0, 0.1, channels))
    writer = FlowWriter(f"linear-{channels}", "One linear layer.", [channels], {"library": "none, seeded weights"})
    if kind == "plu":
        writer.plu(rng.permutation(channels), lower, upper, s)
    else:
        writer.full((np.eye(channels) + lower) @ (upper + np.diag(s)))
    writer.standard_normal()
    writer.save(path)


def duration(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def measure(binary, sizes, seconds, rounds):
    """(C, median seconds of: the sum, the determinant, loading factors, loading a matrix) for each C."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {(c, kind): pathlib.Path(folder) / f"{kind}{c}" / "flow.safetensors"
                 for c in sizes for kind in ("plu", "full")}
        for (c, kind), path in paths.items():
            write_linear_flow(path, c, kind)
        with BenchProcess(binary, paths[sizes[0], "plu"]) as bench:
            for c in sizes:
                took = [[*map(float, bench.ask("log_det", c, seconds)),
                         *(float(bench.ask("load", paths[c, kind], seconds)[0]) for kind in ("plu", "full"))]
                        for _ in range(rounds)]
                yield (c, *np.median(took, axis=0))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", default=ROOT / "build" / "bin" / "glowworm-bench")
    parser.add_argument("--sizes", default="64,256,512,1024")
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--results", default=section.RESULTS)
    flags = parser.parse_args()
    sizes = [int(c) for c in flags.sizes.split(",")]
    rows, curves = [], {"Σ log|s|, held": [], "determinant per call": [], "load (factors)": []}
    for c, held, determinant, plu, full in measure(flags.bench, sizes, flags.seconds, flags.rounds):
        rows.append([c, duration(held), duration(determinant), f"{determinant / held:,.0f}x", duration(plu),
                     duration(full)])
        for curve, value in zip(curves.values(), (held, determinant, plu)):
            curve.append(value * 1e6)
        print(*rows[-1], sep="\t")
    section.save(
        "50-log-det", "log|det W|: factors held since load, or a determinant per call",
        [f"One C x C linear layer, one thread, float64, medians of {flags.rounds} rounds of {flags.seconds} s. The "
         "determinant is Eigen's partial-pivoting LU. A served flow adds Σ log|s| once, at load, to its constant; the "
         "sum's time is what a call would pay if it did not. A load reads the file, composes W and its inverse, "
         "estimates its condition number and compiles; `full` also factors W."],
        [section.table(["C", "Σ log|s|", "determinant", "ratio", "load, plu", "load, full"], rows)],
        {"kind": "lines", "x": sizes, "series": curves, "x_label": "C", "y_label": "µs", "log": True}, flags.results)


if __name__ == "__main__":
    main()
