#!/usr/bin/env python3
"""Renders results/*.json as tests/RELIABILITY.md; nothing in it is written by hand. With --run it first runs every
ctest test labelled `reliability`, which writes the results anew: with nothing else running.
Usage: report.py [--run] [--build=FOLDER] [--results=FOLDER] [--out=FILE]. Tested by tests/reliability/report_test.py."""
import argparse
import json
import os
import pathlib
import subprocess
import sys

import results

HERE = pathlib.Path(__file__).resolve().parent
HEAD = """# Reliability

Made by `tests/reliability/report.py` from `reliability/results/`, which the tests write; do not edit. To
measure all of it anew, with nothing else running: `tests/reliability/report.py --run`. What each test does:
[reliability/README.md](reliability/README.md).
"""


def row_of(cells):
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def section_of(result):
    lines = [f"## {result['test'].replace('_', ' ').capitalize()}", "",
             ", ".join(f"{key} {value}" for key, value in result["machine"].items() if value) + ".", "",
             f"Again: `{result['rerun']}`", "", row_of(["claim", "measured", "bound", "holds"]), "|---|---|---|---|"]
    for claim in result["claims"]:
        unit = f" {claim['unit']}" if claim["unit"] else ""
        lines.append(row_of([claim["claim"], results.rounded(claim["measured"]) + unit, claim["bound"] + unit,
                             "yes" if claim["holds"] else "**no**"]))
    return lines + [""]


def render(all_results):
    lines = [HEAD]
    for result in all_results:
        lines += section_of(result)
    return "\n".join(lines).rstrip("\n") + "\n"


def read(folder):
    return [json.loads(path.read_text()) for path in sorted(pathlib.Path(folder).glob("*.json"))]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", action="store_true")
    parser.add_argument("--build", default=HERE.parents[1] / "build", type=pathlib.Path)
    parser.add_argument("--results", default=HERE / "results", type=pathlib.Path)
    parser.add_argument("--out", default=HERE.parent / "RELIABILITY.md", type=pathlib.Path)
    arguments = parser.parse_args()
    code = 0
    if arguments.run:
        environment = {**os.environ, "GLOWWORM_RELIABILITY_RESULTS": str(arguments.results.resolve())}
        code = subprocess.run(["ctest", "--test-dir", str(arguments.build), "-L", "reliability", "--no-tests=error",
                               "--output-on-failure"], env=environment, check=False).returncode
    all_results = read(arguments.results)
    arguments.out.write_text(render(all_results))
    broken = [claim["claim"] for result in all_results for claim in result["claims"] if not claim["holds"]]
    print("\n".join(f"does not hold: {claim}" for claim in broken) or f"{len(all_results)} tests, every claim holds")
    return code or bool(broken)


if __name__ == "__main__":
    sys.exit(main())
