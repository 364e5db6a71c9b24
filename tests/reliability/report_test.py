"""results.py writes what a test has measured, and report.py renders it."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import results

REPORT = pathlib.Path(__file__).resolve().parent / "report.py"


class ReportTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name) / "results"
        self.page = pathlib.Path(folder.name) / "page.md"
        results._claims.clear()
        before = os.environ.get("GLOWWORM_RELIABILITY_RESULTS")
        os.environ["GLOWWORM_RELIABILITY_RESULTS"] = str(self.folder)
        self.addCleanup(lambda: os.environ.pop("GLOWWORM_RELIABILITY_RESULTS") if before is None else
                        os.environ.update(GLOWWORM_RELIABILITY_RESULTS=before))

    def render(self):
        """(exit code, page)"""
        code = subprocess.run([sys.executable, "-B", REPORT, f"--results={self.folder}", f"--out={self.page}"],
                              stdout=subprocess.DEVNULL, check=False).returncode
        return code, self.page.read_text()

    def test_a_claim_that_holds_becomes_a_row(self):
        results.at_most(self, "sample", "a | b takes", 1.23456, 2.0, "s")
        results.equal(self, "sample", "rows", 3, 3)
        code, page = self.render()
        self.assertEqual(code, 0)
        self.assertIn("## Sample", page)
        self.assertIn("| a \\| b takes | 1.235 s | <= 2 s | yes |", page)
        self.assertIn("| rows | 3 | = 3 | yes |", page)
        self.assertIn("reliability_sample", page)

    def test_a_claim_that_does_not_hold_fails_its_test_and_the_report_and_is_kept(self):
        with self.assertRaises(AssertionError):
            results.at_least(self, "sample", "goodput", 0.5, 0.9)
        code, page = self.render()
        self.assertEqual(code, 1)
        self.assertIn("| goodput | 0.5 | >= 0.9 | **no** |", page)

    def test_the_file_has_the_documented_fields(self):
        results.record("sample", "claim", 1, "= 1")
        result = json.loads((self.folder / "sample.json").read_text())
        self.assertEqual(sorted(result), ["claims", "machine", "rerun", "test"])
        self.assertEqual(sorted(result["claims"][0]), ["bound", "claim", "holds", "measured", "unit"])

    def test_without_a_folder_nothing_is_written(self):
        del os.environ["GLOWWORM_RELIABILITY_RESULTS"]
        results.record("sample", "claim", 1, "= 1")
        os.environ["GLOWWORM_RELIABILITY_RESULTS"] = str(self.folder)
        self.assertFalse(self.folder.exists())


if __name__ == "__main__":
    unittest.main()
