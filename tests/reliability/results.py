"""What a reliability test has measured, as JSON for report.py. A test calls record(), or at_most() and its siblings,
which also fail the test; one that is no Python writes the same JSON itself (README.md). Nothing is written unless
GLOWWORM_RELIABILITY_RESULTS names a folder. Tested by tests/reliability/report_test.py.

  <folder>/<test>.json: {"test": ..., "rerun": command, "machine": {...}, "claims": [
    {"claim": sentence, "measured": number or text, "bound": text, "unit": text, "holds": bool}, ...]}
"""
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import section  # noqa: E402

_claims = {}  # of this process, by test


def record(test, claim, measured, bound, unit="", holds=True, rerun=None):
    """Adds a claim to what `test` (a file name) has measured. The file is whole after each claim, so that a test that
    then fails leaves what it has seen; a later run of the test replaces it. `rerun` is by default the ctest command."""
    claims = _claims.setdefault(test, [])
    claims.append({"claim": claim, "measured": measured, "bound": bound, "unit": unit, "holds": bool(holds)})
    folder = os.environ.get("GLOWWORM_RELIABILITY_RESULTS")
    if not folder:
        return
    os.makedirs(folder, exist_ok=True)
    rerun = rerun or f"ctest --test-dir build -R '^reliability_{test}$' --output-on-failure"
    path = pathlib.Path(folder) / f"{test}.json"
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(
        {"test": test, "rerun": rerun, "machine": section.machine(), "claims": claims}, indent=1) + "\n")
    unfinished.replace(path)


def at_most(case, test, claim, measured, bound, unit="", **more):
    """Records the claim, then fails `case` (a unittest.TestCase) unless measured <= bound."""
    record(test, claim, measured, f"<= {rounded(bound)}", unit, measured <= bound, **more)
    case.assertLessEqual(measured, bound, claim)


def at_least(case, test, claim, measured, bound, unit="", **more):
    record(test, claim, measured, f">= {rounded(bound)}", unit, measured >= bound, **more)
    case.assertGreaterEqual(measured, bound, claim)


def equal(case, test, claim, measured, expected, unit="", **more):
    record(test, claim, measured, f"= {rounded(expected)}", unit, measured == expected, **more)
    case.assertEqual(measured, expected, claim)


def rounded(value):
    """Four digits of a number that has a fraction; anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
