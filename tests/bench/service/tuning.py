#!/usr/bin/env python3
"""What batching, the queue delay and threads do to a server under load: measured curves, and TUNING.md around them.

  tests/bench/service/tuning.py [--seconds=3] [--out=tests/bench]

Writes OUT/tuning/*.json, OUT/TUNING.md and, where matplotlib is installed, OUT/tuning.png. A few minutes, with nothing
else running. Needs the targets glowworm-server and glowworm; only the standard library. ctest's bench_tuning runs every
part once.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

import processes

SOURCE = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(SOURCE / "tests/bench"))
import report  # noqa: E402
import section  # noqa: E402

HEAD = """# Tuning

How to choose `--max_queue_delay_us`, `--threads`, `--max_batch_rows` and the size of calls. Made by `service/tuning.py`, which
measured the tables below on one machine with client and server sharing its cores; do not edit. Measure your own flow
with `glowworm bench --find_limit=10ms` (the highest rate at which no call fails and 99 % are answered within 10 ms) and
these flags, one at a time.

- **Leave the delay at 0** unless calls are single rows, many, and throughput matters more than latency. With delay 0 a
  batch leaves as soon as a thread is idle; rows gather by themselves while all threads are busy, so batches grow exactly
  when they are needed. A delay adds itself to the latency of every call at low load.
- **Send more rows a call** before anything else: it saves the cost of a call, which a batch of single rows still pays.
- **`--threads`** follows the cores and the cgroup's CPU quota, rounded down. Fewer leaves processor time to the threads
  that serve gRPC, which matters for small flows; more than the quota is throttled in the middle of a batch.
- **`--max_batch_rows`** bounds how long one batch holds a thread: lower it for a tighter p99 of wide flows, at the
  cost of throughput.
- **Refusals are a limit, not a fault.** When the queue (`--max_queue_rows`, `--max_queue_bytes`) is full, calls are refused
  at once; rows in the queue times the time of a row is the longest that an accepted call waits.
"""
FLOW = "digits"
CONCURRENCIES = (1, 2, 4, 8, 16, 32, 64, 128)
DELAYS_US = (0, 500, 2000, 8000)
LOADS = (0.1, 0.4, 0.8)
ROWS = (1, 4, 16, 64, 256)
BOUND = "10ms"


class Bench:
    def __init__(self, binaries, seconds):
        self.binaries, self.seconds = binaries, seconds

    def serve(self, *flags):
        return processes.glowworm_server(self.binaries, SOURCE / "deploy" / "repository", *flags)

    def drive(self, server, *flags):
        """glowworm bench's report, with the mean rows of a batch."""
        def batches():
            return server.scraped("glowworm_batch_rows_sum"), server.scraped("glowworm_batch_rows_count")
        rows, count = batches()
        out = processes.drive(self.binaries, server, FLOW, f"--duration={self.seconds}s", *flags)
        more_rows, more = batches()
        out["batch_rows"] = (more_rows - rows) / max(1, more - count)
        return out

    def limit(self, server, *flags):
        run = subprocess.run([self.binaries / "glowworm", "bench", f"--server={server.address}", f"--model={FLOW}",
                              f"--find_limit={BOUND}", f"--duration={self.seconds}s", "--warmup=0s", "--json", *flags],
                             capture_output=True, text=True, check=True)
        return json.loads(run.stdout)

    def batching(self):
        """Calls in flight against throughput, with batches and without."""
        found = {}
        for name, flags in (("batches of up to 256 rows", ()), ("one row at a time", ("--max_batch_rows=1",))):
            server = self.serve(*flags)
            self.drive(server, "--concurrency=16")  # warm
            found[name] = [self.drive(server, f"--concurrency={c}") for c in CONCURRENCIES]
            server.stop()
        batched, single = found.values()
        rows = [[c, f"{b['calls_per_second']:.0f}", f"{b['batch_rows']:.1f}", f"{b['latency_ms']['p99']:.2f}",
                 f"{s['calls_per_second']:.0f}", f"{s['latency_ms']['p99']:.2f}"]
                for c, b, s in zip(CONCURRENCIES, batched, single)]
        return {"name": "10-batching", "title": "Batching: single-row calls in flight",
                "prose": ["Closed loop: so many calls of one row are always in flight."],
                "header": ["in flight", "calls/s", "rows a batch", "p99 ms", "calls/s, one row at a time", "p99 ms"],
                "rows": rows,
                "plot": {"kind": "lines", "x": list(CONCURRENCIES), "x_label": "calls in flight",
                         "y_label": "calls a second",
                         "series": {name: [r["calls_per_second"] for r in rs] for name, rs in found.items()}}}

    def delay(self):
        """The queue delay at a light, a middling and a heavy load."""
        server = self.serve()
        capacity = self.drive(server, "--concurrency=64")["calls_per_second"]
        server.stop()
        rows, series = [], {f"{load:.0%} of capacity": [] for load in LOADS}
        for delay in DELAYS_US:
            server = self.serve(f"--max_queue_delay_us={delay}")
            self.drive(server, "--concurrency=16")
            for load in LOADS:
                r = self.drive(server, f"--rate={load * capacity:.0f}")
                rows.append([delay, f"{load:.0%}", f"{load * capacity:.0f}", f"{r['latency_ms']['p50']:.2f}",
                             f"{r['latency_ms']['p99']:.2f}", f"{r['batch_rows']:.1f}", f"{r['cpu_us_per_call']:.0f}"])
                series[f"{load:.0%} of capacity"].append(r["latency_ms"]["p50"])
            server.stop()
        return {"name": "20-delay", "title": "The queue delay: single-row calls at three rates",
                "prose": [f"Open loop; capacity is the {capacity:.0f} calls/s of 64 in flight without a delay."],
                "header": ["--max_queue_delay_us", "load", "calls/s", "p50 ms", "p99 ms", "rows a batch",
                           "server's processor µs a call"],
                "rows": rows, "plot": {"kind": "lines", "x": list(DELAYS_US), "x_label": "--max_queue_delay_us",
                                       "y_label": "p50 ms", "log": True, "series": series}}

    def call_size(self):
        server = self.serve()
        self.drive(server, "--concurrency=16")
        found = [self.drive(server, f"--rows={rows}", "--concurrency=16") for rows in ROWS]
        server.stop()
        return {"name": "30-call-size", "title": "Rows a call: 16 calls in flight", "prose": [],
                "header": ["rows a call", "calls/s", "rows/s", "p50 ms", "p99 ms"],
                "rows": [[n, f"{r['calls_per_second']:.0f}", f"{r['rows_per_second']:.0f}",
                          f"{r['latency_ms']['p50']:.2f}", f"{r['latency_ms']['p99']:.2f}"]
                         for n, r in zip(ROWS, found)],
                "plot": {"kind": "lines", "x": list(ROWS), "x_label": "rows a call", "y_label": "rows a second",
                         "series": {"rows a second": [r["rows_per_second"] for r in found]}}}

    def threads(self):
        counts = sorted({1, len(os.sched_getaffinity(0))})
        rows = []
        for threads in counts:
            server = self.serve(f"--threads={threads}")
            self.drive(server, "--concurrency=16")
            for size in (1, 64):
                limit = self.limit(server, f"--rows={size}")
                rows.append([threads, size, f"{limit['calls_per_second']:.0f}", f"{limit['rows_per_second']:.0f}",
                             len(limit["trials"])])
            server.stop()
        return {"name": "40-threads", "title": f"Threads: the highest rate with p99 within {BOUND}",
                "prose": ["By `glowworm bench --find_limit`, which shares the cores with the server."],
                "header": ["--threads", "rows a call", "calls/s", "rows/s", "trials"], "rows": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3, help="of each point")
    parser.add_argument("--binaries", type=pathlib.Path, default=SOURCE / "build" / "bin")
    parser.add_argument("--out", type=pathlib.Path, default=SOURCE / "tests" / "bench")
    parser.add_argument("--render", action="store_true", help="only write the page anew")
    flags = parser.parse_args()
    folder = flags.out / "tuning"
    bench = Bench(flags.binaries, flags.seconds)
    for measure in () if flags.render else (bench.batching, bench.delay, bench.call_size, bench.threads):
        part = measure()
        prose = [f"The bundled `{FLOW}` flow, LogLikelihood, float32.", *part["prose"]]
        section.save(part["name"], part["title"], prose, [section.table(part["header"], part["rows"])],
                     part.get("plot"), folder, seconds_a_point=flags.seconds)
        print(part["title"], flush=True)
    found = report.sections(folder)
    (flags.out / "TUNING.md").write_text(report.render(found, HEAD, "tuning.png"))
    try:
        report.draw(found, flags.out / "tuning.png")
    except ImportError:
        print("no matplotlib: tuning.png is left as it is")


if __name__ == "__main__":
    main()
