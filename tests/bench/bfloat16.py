#!/usr/bin/env python3
"""What --precision=bfloat16 gains and costs: rows per second against float32 on the flows that peers.py times, and the
error of log p on every fixture, which tests/model/bfloat16_test.cc prints. Usage: bfloat16.py [--build=FOLDER]
[--seconds=S] [--rounds=N] [--results=FOLDER], with a Python that has what tests/bench/setup.sh makes."""
import argparse
import os
import pathlib
import subprocess
import tempfile

import numpy as np

import peer_flows
import section
from bench_process import BenchProcess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BATCHES = {"image-glow": (1, 32)}
OTHER_BATCHES = (1, 64, 1024)


def speeds(binary, path, batches, seconds, rounds):
    """(batch, rows/s in float32, rows/s in bfloat16, ratio's spread) on one thread, medians of interleaved rounds."""
    with BenchProcess(binary, path) as single, BenchProcess(binary, path, "--precision=bfloat16") as half:
        for batch in batches:
            took = np.array([[bench.seconds("log_likelihood", batch, 1, seconds) for bench in (single, half)]
                             for _ in range(rounds)])
            ratio = took[:, 0] / took[:, 1]
            yield (batch, *(batch / np.median(took, axis=0)), np.median(ratio), ratio.min(), ratio.max())


def fixture_errors(binary):
    """The test's lines, split: see its comment."""
    environment = {"GLOWWORM_SOURCE_DIR": str(ROOT), **os.environ}
    done = subprocess.run([binary, "--gtest_filter=*AnswersEveryOrdinaryRowOfTheFixtures"], env=environment,
                          capture_output=True, text=True, check=True)
    return [line.split("\t")[1:] for line in done.stdout.splitlines() if line.startswith("fixture\t")]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--results", default=section.RESULTS)
    flags = parser.parse_args()
    errors = fixture_errors(flags.build / "tests" / "bfloat16_test")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, make in peer_flows.FLOWS.items():
            path = pathlib.Path(folder) / name / "flow.safetensors"
            make().writer.save(path)
            for batch, single, half, ratio, low, high in speeds(flags.build / "bin" / "glowworm-bench", path,
                                                                BATCHES.get(name, OTHER_BATCHES), flags.seconds,
                                                                flags.rounds):
                rows.append([name, batch, f"{single:,.0f}", f"{half:,.0f}", f"{ratio:.2f}x", f"{low:.2f}–{high:.2f}"])
                print(*rows[-1], sep="\t")
    section.save(
        "60-bfloat16", "--precision=bfloat16: its gain and its error",
        [f"Gain: log-likelihood, one thread, medians of {flags.rounds} interleaved rounds of {flags.seconds} s; rows per "
         "second. Only conditioner networks multiply in bfloat16; splines, 1x1 mixes, log-determinants and sums are as "
         "in float32.",
         "Error: |log p - golden log p| in nats over each fixture's ordinary rows. The worst error stands at a row far in "
         "the tail: its |log p| is given beside. The data direction of thyroid-iaf goes feature by feature and stays in "
         "float32."],
        [section.table(["flow", "rows", "float32", "bfloat16", "gain", "spread"], rows, "Rows per second"),
         section.table(["fixture", "rows", "float32 worst", "float32 median", "bfloat16 worst", "bfloat16 median",
                        "size of log p there", "median size of log p"], errors, "Error of log p, nats")],
        folder=flags.results)


if __name__ == "__main__":
    main()
