#!/usr/bin/env python3
"""Times glowworm-bench --device=cuda against PyTorch on the same GPU, the same weights, interleaved in one run, and
both against two counted floors: bytes over bandwidth, operations over rate, with the device's bandwidth and rate
measured by a copy and a large product. Rows lie in host memory before and answers after, on both sides. Writes
gpu/*.json and GPU.md.
Exits with 77 where there is no GPU. Tested by tests/bench/gpu_test.py.

Usage, with a PyTorch that has CUDA and with nflows and normflows: tests/bench/gpu.py [--flows=...] [--rounds=7]
[--seconds=0.2] [--out=FOLDER]"""
import argparse
import collections
import pathlib
import sys
import tempfile
import time

import numpy as np

import report
import section
from bench_process import BenchProcess

HERE = pathlib.Path(__file__).resolve().parent
BATCHES = {"image-glow": (1, 32, 512)}
OTHER_BATCHES = (1, 64, 1024, 16384)
COPY_BYTES = 1 << 30
PRODUCT = 8192  # of a side
HEAD = """# On a GPU

Made by `gpu.py`; do not edit. To measure anew, on a machine with a GPU and nothing else running: `tests/bench/gpu.py`.
"""

# What plan_cost.h counts: operations a row, bytes of weights, bytes a row.
Cost = collections.namedtuple("Cost", "operations weight_bytes row_bytes")
# Of a device: bytes and operations a second.
Device = collections.namedtuple("Device", "name bandwidth rate")


def floors(cost, batch, device):
    """Seconds that a call takes at least: (by its bytes, by its operations)."""
    return ((cost.weight_bytes + batch * cost.row_bytes) / device.bandwidth, batch * cost.operations / device.rate)


def row_of(flow, batch, ours, peer, cost, device):
    """A row of the table. ours, peer: seconds a call, (rounds)."""
    ours, peer = np.asarray(ours), np.asarray(peer)
    by_bytes, by_operations = floors(cost, batch, device)
    ratios = peer / ours
    least = np.median(ours)
    return [flow, batch, f"{batch / np.median(peer):,.0f}", f"{batch / least:,.0f}",
            f"{np.median(peer) / least:.2f} ({ratios.min():.2f}–{ratios.max():.2f})", f"{by_bytes / least:.1%}",
            f"{by_operations / least:.1%}"]


def page(rows, device, rounds, seconds, folder, **versions):
    section.save(
        "10-peers", "Log-likelihood against PyTorch",
        [f"{device.name}: {device.bandwidth / 1e9:,.0f} GB/s (a copy of {COPY_BYTES >> 20} MiB, read and written), "
         f"{device.rate / 1e12:.1f} TFLOP/s (a float32 product of side {PRODUCT}, no TF32).",
         f"Medians of {rounds} interleaved rounds of {seconds} s, in parentheses the least and the most. Float32 "
         "without TF32 and with one stream on both sides; rows start and answers end in host memory. A floor is the "
         "time that the flow's bytes or operations, counted from its plan, take at those rates; the last columns say "
         "how much of our time it is."],
        [section.table(["flow", "batch", "PyTorch, rows/s", "ours, rows/s", "ratio", "bytes' floor",
                        "operations' floor"], rows)], folder=folder, **versions)
    return report.render(report.sections(folder), HEAD)


def median_seconds(torch, run, seconds):
    """Of one call that is waited for."""
    def timed():
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        return time.perf_counter() - start
    warm = time.perf_counter() + seconds / 4
    while time.perf_counter() < warm:
        timed()
    took, end = [], time.perf_counter() + seconds
    while len(took) < 2 or time.perf_counter() < end:
        took.append(timed())
    return float(np.median(took))


def measured_device(torch, seconds):
    source = torch.ones(COPY_BYTES // 4, device="cuda")
    sink = torch.empty_like(source)
    bandwidth = 2 * COPY_BYTES / median_seconds(torch, lambda: sink.copy_(source), seconds)
    a = torch.randn(PRODUCT, PRODUCT, device="cuda")
    rate = 2 * PRODUCT**3 / median_seconds(torch, lambda: torch.mm(a, a), seconds)
    return Device(torch.cuda.get_device_name(), bandwidth, rate)


def timed_flow(torch, name, peer, path, device, flags):
    """The table's rows of one flow. BenchError where ours has no device, AssertionError where the sides
    differ."""
    from torch_side import validate
    peer.writer.save(path)
    on_device = "--device=cuda:0"
    batches = BATCHES.get(name, OTHER_BATCHES)
    with BenchProcess(flags.bench, path, on_device, "--threads=2") as bench:
        with BenchProcess(flags.bench, path, on_device, "--precision=float64") as bench64:
            validate(peer, bench, bench64)  # PyTorch's own on the CPU, in float64
        cost = Cost(*map(float, bench.ask("cost", path)))
        shape = peer.writer.spec["event_shape"]
        rows = {batch: torch.from_numpy(bench.draw(batch, shape)).pin_memory() for batch in batches}
        model = peer.model.train().eval().cuda()  # train() drops the matrices that nflows composed on the CPU
        ours, theirs = collections.defaultdict(list), collections.defaultdict(list)
        with torch.inference_mode():
            for _ in range(flags.rounds):
                for batch in batches:
                    theirs[batch].append(median_seconds(
                        torch, lambda: peer.log_prob(model, rows[batch].cuda(non_blocking=True)).cpu(), flags.seconds))
                    ours[batch].append(bench.seconds("log_likelihood", batch, 1, flags.seconds))
        return [row_of(name, batch, ours[batch], theirs[batch], cost, device) for batch in batches]


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", default=HERE.parents[1] / "build" / "bin" / "glowworm-bench")
    parser.add_argument("--flows", default="tabular-glow,rq-nsf,image-glow,maf")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--out", type=pathlib.Path, default=HERE, help="where GPU.md and gpu/ are written")
    flags = parser.parse_args(arguments)
    try:
        import torch
        if not torch.cuda.is_available():
            print("skipped: PyTorch finds no GPU")
            return 77
        import peer_flows
    except ImportError as error:
        print(f"skipped: {error}")
        return 77
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    device = measured_device(torch, flags.seconds)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in flags.flows.split(","):
            rows += timed_flow(torch, name, peer_flows.FLOWS[name](), pathlib.Path(folder) / f"{name}.safetensors",
                               device, flags)
            print(*rows[-1], sep="\t", flush=True)
    (flags.out / "GPU.md").write_text(page(rows, device, flags.rounds, flags.seconds, flags.out / "gpu",
                                           PyTorch=torch.__version__, CUDA=torch.version.cuda))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
