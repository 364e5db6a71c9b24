#!/usr/bin/env python3
"""Writes digits.npy, the quickstart's input: float32 (10, 1, 8, 8).

Rows 0-7 are the last eight images of scikit-learn's digits, pixel values 0..16 at the midpoints of their bins (+0.5),
as the bundled flow takes them. Row 8 is row 0 with its pixels shuffled, row 9 uniform noise: two anomalies.
Needs scikit-learn; the result is committed, so nobody else does.
"""
import pathlib

import numpy as np
from sklearn.datasets import load_digits

images = load_digits().images[-8:].astype(np.float32) + 0.5  # (8, 8, 8)
random = np.random.default_rng(0)
shuffled = random.permutation(images[0].reshape(-1)).reshape(1, 8, 8)
noise = random.uniform(0.5, 16.5, size=(1, 8, 8))
rows = np.concatenate([images, shuffled, noise]).astype(np.float32).reshape(10, 1, 8, 8)
np.save(pathlib.Path(__file__).with_name("digits.npy"), rows)
