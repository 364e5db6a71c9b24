#!/usr/bin/env python3
"""The service's cost beside its flows: our server against two echo servers, against the same flow in this process's
neighbour, its start and its memory. One command, which writes results/3*.json for report.py:

  tests/bench/service/service_bench.py --flow=deploy/repository/digits/1/flow.safetensors:0.9

All servers listen on loopback and meet the same client, `glowworm bench`, in turns; every figure is the median of
--rounds rounds, with the least and the most in brackets. Needs the targets glowworm-server, glowworm, glowworm-echo
and glowworm-in-process. Only the standard library. ctest's bench_service runs every part once.
"""
import argparse
import os
import pathlib
import random
import shutil
import statistics
import sys
import tempfile

import processes
from memory import memory_section

SOURCE = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(SOURCE / "tests/bench"))
import section  # noqa: E402

TINY = SOURCE / "tests/golden/tiny-plu/1/flow.safetensors"
CONCURRENCY = 32  # of the saturated single-row calls
WHOLE_TILE = 256  # rows of a saturating call


def median(values):
    return statistics.median(values)


def spread(values, digits=1):
    """'median (least-most)'"""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def interleave(rounds, measure):
    """{name: [result of each round]}: one unmeasured round, then each round in another order."""
    names = list(measure)
    results = {name: [] for name in names}
    for name in names:
        measure[name]()
    for r in range(rounds):
        for name in names[r % len(names):] + names[:r % len(names)]:
            results[name].append(measure[name]())
    return results


def verdict(value, goal, at_least=True):
    met = value >= goal if at_least else value <= goal
    return "met" if met else "missed"


def load_average():
    return f"load average before: {os.getloadavg()[0]:.2f}"


class TinyFlow:
    """Our server with the smallest flow, and the two echoes beside it."""

    def __init__(self, binaries, rounds, seconds, folder):
        self.binaries, self.rounds, self.seconds = binaries, rounds, seconds
        self.model = processes.describe(TINY)
        self.rows = folder / "rows.npy"
        processes.write_rows(self.rows, 4096, self.model["event_shape"], random.Random(1))
        root = folder / "tiny"
        shutil.copytree(TINY.parent.parent, root / self.model["name"],
                        ignore=shutil.ignore_patterns("golden.safetensors"))
        self.servers = {"glowworm-server": processes.glowworm_server(binaries, root),
                        "echo, hand-off": processes.echo_server(binaries, "handoff", self.model),
                        "echo, inline": processes.echo_server(binaries, "inline", self.model)}

    def stop(self):
        for server in self.servers.values():
            server.stop()

    def measure(self, *flags):
        """{server: [report of each round]}"""
        def one(server):
            return lambda: processes.drive(self.binaries, server, self.model["name"], f"--input={self.rows}",
                                           f"--duration={self.seconds}s", *flags)
        return interleave(self.rounds, {name: one(server) for name, server in self.servers.items()})

    def saturated(self):
        """Closed loop. Sets `rate`, our calls a second."""
        load = load_average()
        reports = self.measure(f"--concurrency={CONCURRENCY}")
        calls = {name: [r["calls_per_second"] for r in rs] for name, rs in reports.items()}
        ours, handoff, inline = calls.values()
        self.rate = median(ours)
        to_handoff, to_inline = median(ours) / median(handoff), median(ours) / median(inline)
        rows = [[name, spread(calls[name], 0), spread([r["latency_ms"]["p50"] * 1e3 for r in rs], 0),
                 spread([r["latency_ms"]["p99"] * 1e3 for r in rs], 0), spread([r["cpu_us_per_call"] for r in rs])]
                for name, rs in reports.items()]
        paired = [a / b for a, b in zip(ours, handoff)]
        return {"title": f"Single-row LogLikelihood of a tiny flow, {CONCURRENCY} in flight",
                "prose": [f"Calls a second: {to_handoff:.1%} of the hand-off echo's (goal 85 %: "
                          f"{verdict(to_handoff, 0.85)}; round by round {min(paired):.1%} to {max(paired):.1%}), "
                          f"{to_inline:.1%} of the inline echo's (goal 50 %: {verdict(to_inline, 0.5)}).",
                          "Client and server share the cores; the last column is the server process's alone. "
                          f"The three are alike in messages, payload and gRPC settings; {load}."],
                "columns": ["server", "calls/s", "p50 µs", "p99 µs", "server's processor µs a call"], "rows": rows}

    def single(self):
        """One call in flight: what the service adds to a round trip."""
        load = load_average()
        reports = self.measure("--concurrency=1")
        compute = processes.in_process(self.binaries, TINY, "--rows=1", "--seconds=1")["median_call_us"]
        p50 = {name: [r["latency_ms"]["p50"] * 1e3 for r in rs] for name, rs in reports.items()}
        ours, handoff, inline = p50.values()
        added = median(ours) - median(inline) - compute
        return {"title": "Single-row LogLikelihood of a tiny flow, one in flight",
                "prose": [f"The flow computes {compute:.1f} µs. Median latency beyond the inline echo's and that: "
                          f"{added:.1f} µs (goal 60 µs: {verdict(added, 60, at_least=False)}); beyond the hand-off "
                          f"echo's and that: {median(ours) - median(handoff) - compute:.1f} µs; {load}."],
                "columns": ["server", "p50 µs", "p90 µs", "p99 µs"],
                "rows": [[name, *(spread([r["latency_ms"][p] * 1e3 for r in rs], 0) for p in ("p50", "p90", "p99"))]
                         for name, rs in reports.items()]}

    def open_loop(self):
        """Arrivals on a schedule. REQUIRES: saturated()."""
        load = load_average()
        rate = round(self.rate / 2)
        reports = self.measure(f"--rate={rate}")
        return {"title": f"Open loop at half of our saturated rate: {rate} calls a second",
                "prose": [f"Latency counts from the time at which a call was due, by the schedule; {load}."],
                "columns": ["server", "p50 µs", "p90 µs", "p99 µs", "max ms"],
                "rows": [[name, *(spread([r["latency_ms"][p] * 1e3 for r in rs], 0) for p in ("p50", "p90", "p99")),
                          spread([r["latency_ms"]["max"] for r in rs])] for name, rs in reports.items()]}


def saturated_rows(binaries, rounds, seconds, flow, folder):
    """One row of the table: rows a second of the server and of the flow alone, on all cores."""
    model = processes.describe(flow)
    root = folder / "saturated" / model["name"]
    shutil.copytree(flow.parent, root / model["name"] / "1")
    server = processes.glowworm_server(binaries, root)
    context = [f"--context={','.join(['0'] * model['context_size'])}"] if model["context_size"] else []
    threads = os.cpu_count()
    results = interleave(rounds, {
        "server": lambda: processes.drive(binaries, server, model["name"], f"--rows={WHOLE_TILE}", *context,
                                          f"--concurrency={3 * threads}", f"--duration={seconds}s"),
        "alone": lambda: processes.in_process(binaries, flow, f"--rows={WHOLE_TILE}", f"--threads={threads}",
                                              f"--seconds={seconds}")})
    server.stop()
    return model["name"], *([r["rows_per_second"] for r in results[k]] for k in ("server", "alone"))


def saturated_section(binaries, rounds, seconds, flows, folder):
    rows, load = [], load_average()
    for flow, goal in flows:
        name, served, alone = saturated_rows(binaries, rounds, seconds, flow, folder)
        share = median(served) / median(alone)
        rows.append([name, spread(served, 0), spread(alone, 0), f"{share:.1%}",
                     f"{goal:.0%}: {verdict(share, goal)}" if goal else "none"])
    return {"title": f"A saturated server beside the flow alone, {WHOLE_TILE} rows a call",
            "prose": [f"Both use {os.cpu_count()} threads; the server shares the cores with its client; {load}."],
            "columns": ["flow", "server rows/s", "in-process rows/s", "share", "goal"], "rows": rows}


def start_section(binaries, rounds):
    took, resident, load = [], [], load_average()
    for _ in range(rounds + 1):  # the first is not counted
        server = processes.glowworm_server(binaries)
        took.append(server.ready_ms)
        resident.append(server.resident_mb())
        server.stop()
    took, resident = took[1:], resident[1:]
    return {"title": "Start of the server with the bundled flows",
            "prose": [f"From the process's start until its port file is there, when health says SERVING; {load}."],
            "columns": ["", "measured", "goal"],
            "rows": [["ready, ms", spread(took, 0), f"300: {verdict(median(took), 300, at_least=False)}"],
                     ["resident, MB", spread(resident), f"80: {verdict(median(resident), 80, at_least=False)}"]]}


def flow_and_goal(text):
    path, _, goal = text.rpartition(":")
    return (pathlib.Path(path), float(goal)) if path else (pathlib.Path(goal), None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flow", action="append", default=[], type=flow_and_goal, metavar="FILE[:SHARE]",
                        help="<name>/1/flow.safetensors to saturate, and the share of its own speed to reach")
    parser.add_argument("--only", nargs="+", choices=["tiny", "saturated", "start", "memory"],
                        default=["tiny", "saturated", "start", "memory"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2, help="of one measurement")
    parser.add_argument("--binaries", type=pathlib.Path, default=SOURCE / "build/bin")
    parser.add_argument("--out", type=pathlib.Path, default=section.RESULTS, help="folder of the sections")
    args = parser.parse_args()

    def keep(name, made):
        """Saved at once: a run that is cut short keeps what it has."""
        made["prose"].append(f"{args.rounds} rounds of {args.seconds:g} s, in turns.")
        table = section.table(made["columns"], made["rows"])
        section.save(name, made["title"], made["prose"], [table], folder=args.out)
        print(f"\n{made['title']}", *made["prose"], sep="\n")
        for row in [made["columns"], *made["rows"]]:
            print("  " + "  |  ".join(row))

    with tempfile.TemporaryDirectory(prefix="glowworm-bench-") as name:
        folder = pathlib.Path(name)
        if "tiny" in args.only:
            tiny = TinyFlow(args.binaries, args.rounds, args.seconds, folder)
            try:
                keep("30-service-closed-loop", tiny.saturated())
                keep("31-service-latency", tiny.single())
                keep("32-service-open-loop", tiny.open_loop())
            finally:
                tiny.stop()
        if "saturated" in args.only and args.flow:
            keep("33-service-saturated",
                 saturated_section(args.binaries, args.rounds, args.seconds, args.flow, folder))
        if "start" in args.only:
            keep("34-service-start", start_section(args.binaries, args.rounds))
        if "memory" in args.only:
            bundled = sorted(set((SOURCE / "tests/golden").glob("*/1/flow.safetensors")) - {TINY})
            keep("35-service-memory",
                 memory_section(args.binaries, TINY, [*bundled, *(flow for flow, _ in args.flow)]))


if __name__ == "__main__":
    main()
