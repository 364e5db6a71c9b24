#!/usr/bin/env python3
"""The arithmetic of gpu.py, and what it says where there is no GPU. Run by ctest."""
import contextlib
import io
import sys
import tempfile
import types
import unittest
from unittest import mock

import gpu

COST = gpu.Cost(operations=2e6, weight_bytes=4e6, row_bytes=1e4)
DEVICE = gpu.Device("a device", bandwidth=1e12, rate=1e13)


class FloorTest(unittest.TestCase):
    def test_weights_are_read_once_and_rows_each(self):
        by_bytes, by_operations = gpu.floors(COST, 1000, DEVICE)
        self.assertAlmostEqual(by_bytes, (4e6 + 1000 * 1e4) / 1e12)
        self.assertAlmostEqual(by_operations, 1000 * 2e6 / 1e13)

    def test_a_row_holds_speeds_their_ratio_and_the_shares_of_both_floors(self):
        row = gpu.row_of("flow", 1000, [1e-3, 2e-3, 1.5e-3], [3e-3, 3e-3, 6e-3], COST, DEVICE)
        self.assertEqual(row, ["flow", 1000, "333,333", "666,667", "2.00 (1.50–4.00)", "0.9%", "13.3%"])

    def test_the_page_holds_every_row_and_the_measured_rates(self):
        rows = [gpu.row_of("flow", 64, [1e-3], [3e-3], COST, DEVICE)]
        with tempfile.TemporaryDirectory() as folder:
            page = gpu.page(rows, DEVICE, 7, 0.2, folder, PyTorch="2.8")
        self.assertIn("1,000 GB/s", page)
        self.assertIn("10.0 TFLOP/s", page)
        self.assertIn("| flow | 64 | 21,333 | 64,000 | 3.00 (3.00–3.00) |", page)
        self.assertIn("PyTorch 2.8", page)


class WithoutAGpuTest(unittest.TestCase):
    def said(self, torch):
        out = io.StringIO()
        with mock.patch.dict(sys.modules, {"torch": torch}), contextlib.redirect_stdout(out):
            self.assertEqual(gpu.main([]), 77)
        return out.getvalue()

    def test_no_gpu_is_a_skip_that_says_so(self):
        torch = types.SimpleNamespace(cuda=types.SimpleNamespace(is_available=lambda: False))
        self.assertEqual(self.said(torch), "skipped: PyTorch finds no GPU\n")

    def test_no_pytorch_is_a_skip_that_says_so(self):
        self.assertRegex(self.said(None), "^skipped: .*torch")


if __name__ == "__main__":
    unittest.main()
