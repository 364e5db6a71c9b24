"""TRAINING.md's densities of the plane whose log p is known: a flow trained on samples, its integral and its distance
from the truth. Entry: measure(). Tested by tests/bench/train_smoke_test.py."""
import numpy as np

import section
from known_densities import DENSITIES
from trained_flow import served

TRAIN, VALIDATION, FRESH = 20000, 4000, 20000  # rows
MARGIN = 1.0                                   # of the grid around the rows that were trained on


class Grid:
    """Midpoints of side x side cells around the rows."""

    def __init__(self, rows, side):
        low, high = rows.min(0) - MARGIN, rows.max(0) + MARGIN
        self.side, self.extent = side, (low[0], high[0], low[1], high[1])
        x, y = ((np.arange(side) + 0.5) / side * (b - a) + a for a, b in zip(low, high))
        self.points = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)  # row by row from the lowest y
        self.cell = np.prod((high - low) / side)

    def integral(self, log_p):
        return float(np.exp(log_p).sum() * self.cell)


def measure(trainer, preset, flags, side=400, rows=(TRAIN, VALIDATION, FRESH)):
    """name -> what was found, for each density; `picture` holds (truth, flow) on the grid."""
    found = {}
    for name, make in DENSITIES.items():
        truth, rng = make(), np.random.default_rng(len(name))
        train, validation, fresh = (truth.sample(count, rng) for count in rows)
        training = trainer.train(name, {"data": train, "validation": validation, "test": fresh}, f"--preset={preset}",
                                 *flags)
        grid = Grid(train, side)
        with served(trainer.binaries, trainer.folder) as server:
            of_grid, of_fresh = (server.score(name, points)[0] for points in (grid.points, fresh))
        excess = truth.log_p(fresh) - of_fresh
        found[name] = {
            "truth_integral": grid.integral(truth.log_p(grid.points)), "integral": grid.integral(of_grid),
            "kl": float(excess.mean()), "kl_error": float(excess.std(ddof=1) / np.sqrt(len(excess))),
            "entropy": float(-truth.log_p(fresh).mean()), "seconds": training.end["seconds"],
            "steps": training.end["steps"], "picture": (grid, truth.log_p(grid.points), of_grid)}
    return found


def draw(found, path):
    """Truth beside flow, a row a density, in one scale of colours."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(2, len(found), figsize=(3 * len(found), 6.2), squeeze=False)
    for column, (name, one) in enumerate(found.items()):
        grid, *both = one["picture"]
        highest = np.exp(both[0]).max()
        for row, (kind, log_p) in enumerate(zip(("truth", "flow"), both)):
            axis = axes[row, column]
            axis.imshow(np.exp(log_p).reshape(grid.side, grid.side), origin="lower", extent=grid.extent, vmin=0,
                        vmax=highest, cmap="magma")
            axis.set_title(f"{name}: {kind}", fontsize=9)
            axis.tick_params(labelsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def save(found, preset, flags, folder):
    draw(found, folder / "densities.png")
    rows = [[name, f"{one['truth_integral']:.5f}", f"{one['integral']:.4f}",
             "met" if abs(one["integral"] - 1) <= 0.01 else "missed", f"{one['kl']:.4f} ± {one['kl_error']:.4f}",
             f"{one['entropy']:.3f}", one["steps"], f"{one['seconds']:.0f}"] for name, one in found.items()]
    side = next(iter(found.values()))["picture"][0].side
    section.save(
        "20-densities", "Densities that are known",
        [f"`{preset}` {' '.join(flags)} on {TRAIN:,} samples, {VALIDATION:,} to validate; one thread. The integral of "
         f"exp(log p), by midpoints of {side} x {side} cells around the rows with a margin of {MARGIN:g}, is to be "
         "1 ± 0.01; "
         f"the truth's shows what the grid leaves out. KL(truth || flow) is the mean of log p - log q over {FRESH:,} "
         "fresh samples, in nats, with its standard error. All log p by the server, float64.", "",
         "![the three densities, truth above, flow below](training/densities.png)"],
        [section.table(["density", "truth's integral", "flow's integral", "1 ± 0.01", "KL, nats",
                        "truth's entropy, nats", "steps", "seconds"], rows)], folder=folder)
