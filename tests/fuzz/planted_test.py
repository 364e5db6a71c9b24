#!/usr/bin/env python3
"""The fuzzers find bugs: in a copy of the sources one is planted for each of them, and each must report it. Usage:
planted_test.py SECONDS. Takes minutes; tests/nightly.sh runs it."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
# fuzzer: what is planted (file, text as it stands, text instead).
PLANTED = {
    "safetensors_fuzz": ("model/safetensors.cc",  # a shape's product may wrap around
                         "__builtin_mul_overflow(product, static_cast<uint64_t>(std::max<int64_t>(dimension, 1)), &product)",
                         "(product *= static_cast<uint64_t>(std::max<int64_t>(dimension, 1))) == 1"),
    "flow_file_fuzz": ("model/flow_file_fields.cc",  # an index may be one too far
                       "if (index < 0 || index >= below) {", "if (index < 0 || index > below) {"),
    "request_fuzz": ("server/validate.cc",  # the echoed identifier is not counted
                     "left.max_reply_bytes -= static_cast<int64_t>(request.request_id().size());", ""),
}


def main():
    seconds = sys.argv[1]
    environment = {key: value for key, value in os.environ.items() if key != "GLOWWORM_RELIABILITY_RESULTS"}
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "glowworm"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("build*", ".git", "results"))
        for name, before, after in PLANTED.values():
            text = (copy / name).read_text()
            if text.count(before) != 1:
                sys.exit(f"{name} does not hold the text that a bug replaces: {before}")
            (copy / name).write_text(text.replace(before, after))
        done = subprocess.run([copy / "tests/fuzz/run.sh", seconds], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=environment, check=False)
    output = done.stdout.decode(errors="replace")
    found = [target for target in PLANTED if f"--replay {target} " in output]
    missed = sorted(set(PLANTED) - set(found))
    print(f"planted bugs found within {seconds} s: {len(found)} of {len(PLANTED)}")
    if missed:
        print(output, f"not found by {', '.join(missed)}", sep="\n")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
