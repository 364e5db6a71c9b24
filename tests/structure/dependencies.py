#!/usr/bin/env python3
"""The one direction of dependency, by the includes: Debian puts every header into one folder, so the compiler cannot
catch a breach. Run by ctest; also checks file lengths."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAX_LINES = 600
# folder: what its files may not include.
FORBIDDEN = {
    "model": r"(server|client/(?!(npy|csv|byte_reader|array|command/flags)\.h)|tests)/|grpc|glowworm/v1/density|prometheus|spdlog",
    "server": r"(client|tests)/|Eigen|dnnl|model/(?!(flow|devices)\.h)",
    "client": r"(model|server|tests)/|Eigen|dnnl|prometheus",
}
# Files with a rule of their own.
SPECIAL = {name: r"grpc|glowworm/v1|model/|prometheus" for name in (
    "server/batch_queue.cc", "server/batch_queue.h", "server/batcher.cc", "server/batcher.h", "server/clock.cc",
    "server/clock.h", "server/compute_estimate.cc", "server/compute_estimate.h", "server/compute_pool.cc",
    "server/compute_pool.h", "server/cpu_quota.cc", "server/cpu_quota.h", "server/deadline_heap.h",
    "server/fair_share.cc", "server/fair_share.h", "server/intrusive_list.h", "server/mutex.h",
    "server/reservation.cc", "server/reservation.h")}


def sources(folder):
    return sorted(p for p in (ROOT / folder).rglob("*") if p.suffix in (".h", ".cc", ".cu", ".cuh"))


# The trainer is a program: it reads flags and array files as the client's command does, with the same code. No other
# file of model/ may, and libtorch is the trainer's alone.
TRAINER = "model/train/"
LIBTORCH = r"torch/|ATen/|c10/|model/train/"
BUT_THE_TRAINER = {"model": r"client/|" + LIBTORCH, "server": LIBTORCH, "client": LIBTORCH}


def breaches():
    for folder, forbidden in FORBIDDEN.items():
        for path in sources(folder):
            name = str(path.relative_to(ROOT))
            for number, line in enumerate(path.read_text().splitlines(), 1):
                include = re.match(r'\s*#include\s+["<](.+)[">]', line)
                rest = None if name.startswith(TRAINER) else BUT_THE_TRAINER[folder]
                for rule in filter(None, (forbidden, SPECIAL.get(name), rest)):
                    if include and re.match(rule, include.group(1)):
                        yield f"{name}:{number} includes {include.group(1)}"


def too_long():
    for folder in ("model", "server", "client", "tests", "proto", "deploy"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".h", ".cc", ".cu", ".py", ".proto", ".sh", ".txt"):
                lines = path.read_text().count("\n")
                if lines > MAX_LINES:
                    yield f"{path.relative_to(ROOT)} has {lines} lines, at most {MAX_LINES} are allowed"


def main():
    files = sum(len(sources(folder)) for folder in FORBIDDEN)
    missing = [name for name in SPECIAL if not (ROOT / name).exists()]
    problems = [*breaches(), *too_long(), *(f"{name} is missing" for name in missing)]
    print("\n".join(problems) or f"{files} files keep the direction of dependency")
    return bool(problems) or files == 0


if __name__ == "__main__":
    sys.exit(main())
