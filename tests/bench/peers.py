#!/usr/bin/env python3
"""Times the same weights here and in PyTorch, interleaved in one run: log-likelihood, encode, decode and sample. Both
sides must agree on every row first. Writes results/1*.json; report.py renders them.

Usage, after setup.sh: build/bench-venv/bin/python tests/bench/peers.py [--flows=...] [--rounds=7] [--seconds=0.2]"""
import argparse
import os
import pathlib
import platform
import sys
import warnings

import numpy as np
import torch

import peer_flows
import section
from bench_process import BenchError, BenchProcess
from torch_side import Blas, ReferenceBlasError, measure, validate

ROOT = pathlib.Path(__file__).resolve().parents[2]
BATCHES = {"tabular-glow": (1, 64, 1024), "rq-nsf": (1, 64, 1024), "image-glow": (1, 32), "maf": (1, 64, 1024)}
# Log-likelihood's rows per second over PyTorch's, at least.
GOALS = {("tabular-glow", 1): 12, ("tabular-glow", 64): 5, ("tabular-glow", 1024): 3.2, ("rq-nsf", 1): 12,
         ("rq-nsf", 64): 5.5, ("rq-nsf", 1024): 2.4, ("image-glow", 1): 3, ("image-glow", 32): 1.65}
SHARE_GOALS = {("tabular-glow", 1024): 0.7, ("image-glow", 32): 0.7}  # of the matrix-product peak
SAMPLE_GOAL = 1.3  # sampling's time over log-likelihood's, at most, for coupling flows
DROPPED = 2.5  # a configuration of PyTorch's threads this many times slower than its best is not timed again
PRODUCTS = ((1024, 128, 128), (1024, 256, 256))  # the peak is the better
OURS = ("log_likelihood", "encode", "decode", "sample")
PEERS = ("log_likelihood", "decode", "sample")


class Series:
    """Seconds per call of one method, batch and side, by configuration: a list over rounds each."""

    def __init__(self):
        self.by_configuration = {}

    def hopeless(self, configuration):
        """Whether an earlier round took DROPPED times the best's time."""
        took = self.by_configuration
        return configuration in took and min(took[configuration]) > DROPPED * min(map(min, took.values()))

    def add(self, configuration, seconds):
        self.by_configuration.setdefault(configuration, []).append(seconds)

    @property
    def best(self):
        """The configuration with the least median."""
        rounds = max(map(len, self.by_configuration.values()))
        kept = [c for c, took in self.by_configuration.items() if len(took) == rounds]
        return min(kept, key=lambda c: np.median(self.by_configuration[c]))

    @property
    def seconds(self):
        """Of the best configuration: (rounds)."""
        return np.array(self.by_configuration[self.best])


def count(value):
    """Three digits and a unit, so that a column lines up by eye."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def spread(values, show=count):
    """median (least - most)"""
    return f"{show(np.median(values))} ({show(np.min(values))}–{show(np.max(values))})"


def ratio(value):
    return f"{value:.2f}"


def spread_of_ratio(value, by_round):
    """ratio of medians (least - most of a round's own)"""
    return f"{ratio(value)} ({ratio(np.min(by_round))}–{ratio(np.max(by_round))})"


class FlowRun:
    """One flow, on both sides."""

    def __init__(self, name, flags, blas):
        self.name, self.flags, self.blas = name, flags, blas
        self.peer = peer_flows.FLOWS[name]()
        self.path = pathlib.Path(flags.flows_folder) / name / "1" / "flow.safetensors"
        self.peer.writer.save(self.path)
        self.batches = BATCHES[name]
        self.series = {(side, method, batch): Series() for side in ("ours", "PyTorch") for method in OURS
                       for batch in self.batches}
        self.peak = {}    # threads -> floating-point operations per second, a list over rounds
        self.floor = []   # seconds of one row times a square matrix of as many weights, over rounds
        self.errors = None

    def _add(self, side, method, batch, configuration, seconds):
        self.series[side, method, batch].add(configuration, seconds)

    def run(self):
        """BenchError where the library refuses the flow, AssertionError where the sides differ."""
        with BenchProcess(self.flags.bench, self.path) as bench:
            with BenchProcess(self.flags.bench, self.path, "--precision=float64") as bench64:
                self.errors = validate(self.peer, bench, bench64)
            print(f"{self.name}: log p agrees to %.1e (float64), %.1e (float32); PyTorch's float32 to %.1e"
                  % self.errors, flush=True)
            shape = self.peer.writer.spec["event_shape"]
            rows = {batch: torch.from_numpy(bench.draw(batch, shape)) for batch in self.batches}
            with torch.inference_mode():
                latents = {batch: self.peer.encode(self.peer.model, x)[0] for batch, x in rows.items()}
            for number in range(self.flags.rounds):
                self._round(bench, rows, latents)
                print(f"{self.name}: round {number + 1} of {self.flags.rounds}", file=sys.stderr, flush=True)

    def _round(self, bench, rows, latents):
        seconds, cores, peer = self.flags.seconds, self.flags.cores, self.peer
        threads = (1, cores) if cores > 1 else (1,)
        for batch in self.batches:
            calls = {"log_likelihood": lambda: peer.log_prob(peer.model, rows[batch]),
                     "decode": lambda: peer.decode(peer.model, latents[batch]),
                     "sample": lambda: peer.sample(peer.model, batch)}
            for method in OURS:
                if method in PEERS:
                    for configuration in self.blas.configurations(cores):
                        if self.series["PyTorch", method, batch].hopeless(configuration):
                            continue
                        self.blas.set_threads(*configuration)
                        self._add("PyTorch", method, batch, configuration, measure(calls[method], seconds))
                for n in threads:
                    self._add("ours", method, batch, n, bench.seconds(method, batch, n, seconds))
        for n in threads:
            flops = max(float(bench.ask("product", *shape, n, seconds / 2)[1]) for shape in PRODUCTS)
            self.peak.setdefault(n, []).append(flops)
        side = round(peer.writer.weights**0.5)
        rate = float(bench.ask("product", 1, side, side, 1, seconds / 2)[1])
        self.floor.append(2 * side * side / rate)

    def rows_per_second(self, side, method, batch):
        return batch / self.series[side, method, batch].seconds

    def speed_up(self, method, batch):
        """Ours over PyTorch's in rows per second: the ratio of medians, and each round's (rounds)."""
        peer, ours = (self.series[side, method, batch].seconds for side in ("PyTorch", "ours"))
        return np.median(peer) / np.median(ours), peer / ours

    def share_of_peak(self, side, batch):
        best = self.series[side, "log_likelihood", batch].best
        threads = best if side == "ours" else max(best)
        return np.median(self.rows_per_second(side, "log_likelihood", batch)) * self.peer.writer.flops / np.median(
            self.peak[threads])

    def log_likelihood_rows(self):
        for batch in self.batches:
            goal = GOALS.get((self.name, batch))
            share_goal = SHARE_GOALS.get((self.name, batch))
            speed_up = self.speed_up("log_likelihood", batch)
            threads = {side: self.series[side, "log_likelihood", batch].best for side in ("PyTorch", "ours")}
            share = self.share_of_peak("ours", batch)
            yield [self.name, batch,
                   spread(self.rows_per_second("PyTorch", "log_likelihood", batch)), "%d/%d" % threads["PyTorch"],
                   spread(self.rows_per_second("ours", "log_likelihood", batch)), threads["ours"],
                   spread_of_ratio(*speed_up), "–" if goal is None else f"≥ {goal}", verdict(speed_up[0], goal),
                   f"{self.share_of_peak('PyTorch', batch):.0%}", f"{share:.0%}",
                   "–" if share_goal is None else f"≥ {share_goal:.0%}: {verdict(share, share_goal)}"]

    def floor_row(self):
        """Of one row: where each weight serves one position only, reading the weights bounds it; else the peak does."""
        one = self.series["ours", "log_likelihood", 1].seconds
        weights, flops = self.peer.writer.weights, self.peer.writer.flops
        product, peak = np.median(self.floor), flops / np.median(self.peak[1])
        return [self.name, micro(np.median(one)), f"{weights * 4 / 2**20:.2f} MiB", micro(product), micro(peak),
                ratio(np.median(one) / max(product, peak))]

    def direction_rows(self):
        for batch in self.batches:
            base = self.series["ours", "log_likelihood", batch].seconds
            for method in OURS[1:]:
                series = self.series["ours", method, batch]
                over = np.median(series.seconds / base)  # of the same round
                goal = SAMPLE_GOAL if method == "sample" and self.name != "maf" else None
                row = [self.name, batch, method, spread(self.rows_per_second("ours", method, batch)), series.best,
                       ratio(over), "–" if goal is None else f"≤ {goal}: {'met' if over <= goal else 'missed'}"]
                if method in PEERS:
                    row += [spread(self.rows_per_second("PyTorch", method, batch)),
                            spread_of_ratio(*self.speed_up(method, batch))]
                yield row + ["–"] * (9 - len(row))

    def slow_direction_rows(self):
        for batch in self.batches:
            median = {(side, method): np.median(self.series[side, method, batch].seconds)
                      for side in ("ours", "PyTorch") for method in ("log_likelihood", "decode")}
            over = {side: median[side, "decode"] / median[side, "log_likelihood"] for side in ("ours", "PyTorch")}
            yield [batch, ratio(over["ours"]), ratio(over["PyTorch"]), spread_of_ratio(*self.speed_up("decode", batch))]


def micro(seconds):
    return f"{seconds * 1e6:.4g} µs"


def verdict(value, goal):
    return "–" if goal is None else "met" if value >= goal else "missed"


def save(runs, flags, blas, load_before):
    cores = flags.cores
    more = {"python": platform.python_version(), "PyTorch": torch.__version__, "BLAS": blas.name, "nflows": "0.14",
            "normflows": "1.7.3",
            "load average before and after": "%.2f and %.2f" % (load_before, os.getloadavg()[0])}
    method = (f"Medians of {flags.rounds} interleaved rounds of {flags.seconds} s, in parentheses the least and the most. "
              f"Compute only, float32, rows drawn from the flow. PyTorch runs in inference mode with 1 and {cores} "
              f"threads, OpenMP's and OpenBLAS's apart, ours with 1 and {cores} (tiles of a batch as the server cuts "
              "them); each side's best is shown (a way of PyTorch's that takes "
              f"{DROPPED} times its best way's time is not timed again). nflows' LU layers keep their composed matrix "
              "(`using_cache`).")
    flows = [f"- {run.name}: {run.peer.title}; {run.peer.writer.flops / 1e6:.3g} MFLOP a row, "
             f"{run.path.stat().st_size / 2**20:.1f} MiB. Log p agrees with PyTorch in float64 to {run.errors[0]:.0e} "
             f"relative, in float32 to {run.errors[1]:.0e} (PyTorch's own float32: {run.errors[2]:.0e})." for run in runs]
    peaks = [f"- {n} thread{'s' if n > 1 else ''}: {spread(np.concatenate([run.peak[n] for run in runs]))}FLOP/s"
             for n in sorted(runs[0].peak)]
    timed = [(run, batch) for run in runs for batch in run.batches]
    section.save(
        "10-peers", "Log-likelihood against PyTorch",
        [method, "", *flows, "", "Matrix-product peak, oneDNN float32, in the same "
         f"rounds, the better of {' and '.join('x'.join(map(str, shape)) for shape in PRODUCTS)}:", "", *peaks, "",
         "Where PyTorch is at a share s of the peak, no ratio can exceed 1/s without doing fewer operations."],
        [section.table(["flow", "batch", "PyTorch, rows/s", "threads", "ours, rows/s", "threads", "ratio", "goal", "",
                        "PyTorch, of peak", "ours, of peak", "goal"],
                       [row for run in runs for row in run.log_likelihood_rows()]),
         section.table(["flow", "one row, ours", "weights", "one product", "at the peak", "over the larger"],
                       [run.floor_row() for run in runs],
                       "What bounds a single row on one core: one row times one square matrix of as many weights as "
                       "the flow has, and the flow's operations at one thread's matrix-product peak.")],
        {"kind": "bars", "x": [f"{run.name} {batch}" for run, batch in timed],
         "series": {"ours / PyTorch": [float(run.speed_up("log_likelihood", batch)[0]) for run, batch in timed],
                    "goal": [GOALS.get((run.name, batch), 0) for run, batch in timed]},
         "x_label": "flow, batch", "y_label": "rows per second, ratio"}, flags.results, **more)
    section.save(
        "11-directions", "Encode, decode and sample",
        ["From the same run. The sixth column is the method's time over log-likelihood's, at the same batch. Ours draws "
         "sample i as a pure function of (seed, i); PyTorch draws from its own generator."],
        [section.table(["flow", "batch", "method", "ours, rows/s", "threads", "time / log-likelihood's", "goal",
                        "PyTorch, rows/s", "ratio"], [row for run in runs for row in run.direction_rows()])],
        None, flags.results, **more)
    slow = [run for run in runs if run.name == "maf"]
    if slow:
        section.save(
            "12-autoregressive", "The slow direction of an autoregressive flow",
            [f"{slow[0].peer.title}: decode's time over log-likelihood's. nflows runs each net once per feature; ours "
             "computes each unit once, when what it depends on is known."],
            [section.table(["batch", "ours, slow / fast", "nflows, slow / fast", "slow direction, ours / nflows"],
                           list(slow[0].slow_direction_rows()))], None, flags.results, **more)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", default=ROOT / "build" / "bin" / "glowworm-bench")
    parser.add_argument("--flows", default=",".join(peer_flows.FLOWS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--flows_folder", default=ROOT / "build" / "bench-flows")
    parser.add_argument("--results", default=section.RESULTS)
    flags = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)  # deprecations inside nflows
    load_before = os.getloadavg()[0]
    try:
        blas = Blas()
    except ReferenceBlasError as error:
        sys.exit(str(error))
    runs = []
    for name in flags.flows.split(","):
        run = FlowRun(name, flags, blas)
        try:
            run.run()
            runs.append(run)
            save(runs, flags, blas, load_before)  # of what is done: a run may be cut short
        except BenchError as error:
            print(f"{name} is left out: {error}", flush=True)
    if not runs:
        sys.exit("no flow was timed")
    for run in runs:
        for row in run.log_likelihood_rows():
            print(*row, sep="\t")


if __name__ == "__main__":
    main()
