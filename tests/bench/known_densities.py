"""Densities of the plane whose log p is known: sums of Gaussians, and rings. Entry: DENSITIES. Tested by
tests/bench/train_smoke_test.py."""
import numpy as np


class Mixture:
    """Of Gaussians: weights (k), means (k, 2), factors A of the covariances A A^T (k, 2, 2)."""

    def __init__(self, weights, means, factors):
        self.weights, self.means, self.factors = (np.asarray(v, "<f8") for v in (weights, means, factors))

    def sample(self, count, rng):
        which = rng.choice(len(self.weights), count, p=self.weights)
        return self.means[which] + np.einsum("nij,nj->ni", self.factors[which], rng.standard_normal((count, 2)))

    def log_p(self, x):
        logs = []
        for weight, mean, factor in zip(self.weights, self.means, self.factors):
            z = (x - mean) @ np.linalg.inv(factor).T
            logs.append(np.log(weight) - 0.5 * (z**2).sum(1) - np.log(2 * np.pi) - np.log(abs(np.linalg.det(factor))))
        return np.logaddexp.reduce(logs, axis=0)


class Rings:
    """p(x) = f(r) / Z, f a sum of bells around each radius, Z = 2 pi times the integral of r f(r)."""

    def __init__(self, radii, width):
        self.radii, self.width = np.asarray(radii, "<f8"), width
        self.r = np.linspace(0, self.radii.max() + 12 * width, 200001)  # the trapezoids' error is far below 1e-8
        mass = self.r * np.exp(self._log_f(self.r))
        steps = (mass[1:] + mass[:-1]) / 2 * (self.r[1] - self.r[0])
        self.cumulated = np.concatenate([[0], np.cumsum(steps)])
        self.log_z = np.log(2 * np.pi * self.cumulated[-1])

    def _log_f(self, r):
        return np.logaddexp.reduce(-0.5 * ((r[..., None] - self.radii) / self.width) ** 2, axis=-1)

    def sample(self, count, rng):
        r = np.interp(rng.uniform(0, self.cumulated[-1], count), self.cumulated, self.r)
        angle = rng.uniform(0, 2 * np.pi, count)
        return np.stack([r * np.cos(angle), r * np.sin(angle)], 1)

    def log_p(self, x):
        return self._log_f(np.hypot(x[:, 0], x[:, 1])) - self.log_z


def gaussians():
    """Five of several shapes."""
    turn = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    return Mixture([0.3, 0.2, 0.2, 0.2, 0.1], [[0, 0], [2.5, 1.5], [-2.5, 1.5], [1.5, -2.5], [-2, -2]],
                   [turn * [0.9, 0.25], np.eye(2) * 0.35, turn.T * [0.7, 0.2], turn * [0.25, 0.6], np.eye(2) * 0.5])


def moons(per_moon=100, width=0.1):
    """Two half circles, blurred: a Gaussian at each of many points along them."""
    angle = (np.arange(per_moon) + 0.5) * np.pi / per_moon
    upper = np.stack([np.cos(angle), np.sin(angle)], 1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], 1)
    count = 2 * per_moon
    return Mixture(np.full(count, 1 / count), np.concatenate([upper, lower]), np.tile(width * np.eye(2), (count, 1, 1)))


DENSITIES = {"Gaussians": gaussians, "rings": lambda: Rings([1, 2.2], 0.15), "moons": moons}
