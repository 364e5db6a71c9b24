#!/usr/bin/env python3
"""Every test that a source or a README names exists: a path below tests/, a bare name somewhere there; * is any text.
Run by ctest."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMED = re.compile(r"(?<![\w./*-])(?:tests/[\w/*.-]*[\w*]|[\w*]+_test\.(?:cc|py))(?![\w*])")
KINDS = (".h", ".cc", ".cu", ".proto", ".py", ".sh", ".md")


def sources():
    for folder in ("model", "server", "client", "proto", "deploy", "tests"):
        yield from (p for p in sorted((ROOT / folder).rglob("*")) if p.suffix in KINDS)
    yield ROOT / "README.md"


def exists(name):
    return any(ROOT.glob(name) if "/" in name else (ROOT / "tests").rglob(name))


def main():
    named, missing = 0, []
    for path in sources():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for name in NAMED.findall(line):
                named += 1
                if not exists(name):
                    missing.append(f"{path.relative_to(ROOT)}:{number} names {name}, which does not exist")
    print("\n".join(missing) or f"{named} names of tests, all of them there")
    return bool(missing) or named == 0


if __name__ == "__main__":
    sys.exit(main())
