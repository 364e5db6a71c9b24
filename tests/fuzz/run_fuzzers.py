#!/usr/bin/env python3
"""Runs each fuzzer of a build folder for some seconds, two at a time, from the seeds that make_seeds writes, and keeps
what they find of interest in BUILD/fuzz/corpus for the next time. Fails on a finding. Run by tests/fuzz/run.sh."""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "reliability"))
import results  # noqa: E402

# Of each fuzzer: what it feeds, and the longest input in bytes.
TARGETS = {
    "safetensors_fuzz": ("the safetensors reader", 1 << 13),
    "flow_file_fuzz": ("the flow-file reader", 1 << 15),
    "request_fuzz": ("request validation", 1 << 14),
}
# One input may allocate no more at once, nor hold more, nor take longer: a count that is believed before it is checked
# shows here.
LIMITS = ["-malloc_limit_mb=64", "-rss_limit_mb=1024", "-timeout=10"]
# Inputs keep their length; no weighing of inputs by the rarity of what they reach, which costs a quarter of the time.
SEARCH = ["-len_control=0", "-entropic=0"]
# A fuzzer slower than this, or whose inputs are all refused at the door, tests nothing.
LEAST_PER_SECOND = 5
LEAST_ACCEPTED = 0.01


def fuzz(target, seconds, folder):
    """(return code, output)"""
    corpus, findings = folder / "corpus" / target, folder / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    command = [folder / target, corpus, folder / "seeds" / target, f"-max_total_time={seconds}", "-print_final_stats=1",
               f"-max_len={TARGETS[target][1]}", f"-artifact_prefix={findings}/{target}-", *LIMITS, *SEARCH]
    # Short stacks of allocations are quicker; --replay shows whole ones.
    done = subprocess.run(command, env={**os.environ, "ASAN_OPTIONS": "malloc_context_size=3"}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=seconds + 300, check=False)
    return done.returncode, done.stdout.decode(errors="replace")


def number(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def report(target, seconds, code, output):
    """Prints and records how far one fuzzer came; whether all held."""
    what = TARGETS[target][0]
    executions = number(r"stat::number_of_executed_units: +(\d+)", output)
    accepted = number(r"accepted inputs: (\d+)", output)
    edges = number(r"DONE +cov: (\d+)", output)
    claims = [(f"findings in {what}", int(code != 0), "= 0", code == 0),
              (f"executions of {what} in {seconds} s", executions, f">= {LEAST_PER_SECOND * seconds}",
               executions >= LEAST_PER_SECOND * seconds),
              (f"of them accepted by {what}", accepted, f">= {LEAST_ACCEPTED:.0%}",
               accepted >= LEAST_ACCEPTED * executions)]
    if code != 0:
        claims = claims[:1]  # it stopped there
    for claim, measured, bound, holds in claims:
        results.record("fuzz", claim, measured, bound, holds=holds, rerun=f"tests/fuzz/run.sh {seconds}")
        print(f"{'' if holds else 'DOES NOT HOLD: '}{claim}: {measured} ({bound})")
    if code == 0:
        print(f"edges reached in {what}: {edges}")
        return all(holds for *_, holds in claims)
    print(output[-8000:])
    for artifact in re.findall(r"Test unit written to (\S+)", output):
        path = pathlib.Path(artifact)
        print(f"Replay: tests/fuzz/run.sh --replay {target} {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}")
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    folder = arguments.build.resolve() / "fuzz"
    flows = sorted(ROOT.glob("tests/golden/*/1/flow.safetensors")) or sys.exit("tests/golden holds no flow")
    subprocess.run([folder / "make_seeds", folder / "seeds", *flows], check=True)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = {target: pool.submit(fuzz, target, arguments.seconds, folder) for target in TARGETS}
        good = [report(target, arguments.seconds, *run.result()) for target, run in runs.items()]
    return not all(good)


if __name__ == "__main__":
    sys.exit(main())
