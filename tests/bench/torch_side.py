"""PyTorch's side of peers.py: which BLAS it stands on, its threads, and one timed round. Mirrors rounds.cc's Measure."""
import copy
import ctypes
import time

import numpy as np
import torch


class ReferenceBlasError(Exception):
    pass


class Blas:
    """The matrix library that PyTorch's products go through, found in the process's own memory map. Raises
    ReferenceBlasError where it is neither OpenBLAS nor MKL: a peer on the reference BLAS would flatter us."""

    def __init__(self):
        torch.randn(256, 256) @ torch.randn(256, 256)
        with open("/proc/self/maps") as maps:
            paths = sorted({line.split()[-1] for line in maps if ".so" in line})
        openblas = [p for p in paths if "/libopenblas" in p]
        mkl = [p for p in paths if "/libmkl" in p]
        if not openblas and not mkl:
            found = [p for p in paths if "blas" in p]
            raise ReferenceBlasError(f"PyTorch is on neither OpenBLAS nor MKL but on {found}: run tests/bench/setup.sh")
        self.name = (openblas or mkl)[0].rsplit("/", 1)[-1]
        self._openblas = ctypes.CDLL(openblas[0]) if openblas else None

    def set_threads(self, openmp, blas):
        torch.set_num_threads(openmp)
        if self._openblas:
            self._openblas.openblas_set_num_threads(blas)

    def configurations(self, cores):
        """(OpenMP threads, BLAS threads): OpenBLAS has threads of its own, so that one may help where both hinder."""
        counts = (1, cores) if cores > 1 else (1,)
        return [(o, b) for o in counts for b in (counts if self._openblas else (o,))]


def measure(run, seconds):
    """Median seconds of one call."""
    with torch.inference_mode():
        start = time.perf_counter()
        while True:
            run()
            if time.perf_counter() - start >= seconds / 4:
                break
        took, start = [], time.perf_counter()
        while len(took) < 2 or time.perf_counter() - start < seconds:
            call = time.perf_counter()
            run()
            took.append(time.perf_counter() - call)
    return sorted(took)[len(took) // 2]


def in_double(model):
    """A float64 copy, without what nflows keeps of composed matrices."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if hasattr(module, "use_cache"):
            module.use_cache(False)
    return model.double()


def validate(peer, bench, bench64, rows=128):
    """Both sides' log p, latents and decodes of the same rows. Raises AssertionError if they differ by more than the
    gates of tests/model/golden_test.cc; returns the errors of log p: (ours in float64 and in float32, PyTorch's in
    float32), relative to max(1, |log p|)."""
    x = bench.draw(rows, peer.writer.spec["event_shape"])
    with torch.inference_mode():
        x64, model64 = torch.from_numpy(x).double(), in_double(peer.model)
        z, want = (t.numpy() for t in peer.encode(model64, x64))
        library = peer.log_prob(peer.model, torch.from_numpy(x)).double().numpy()
        decoded = peer.decode(model64, torch.from_numpy(z.astype("<f4")).double()).flatten(1).numpy()
    scale = np.maximum(1, np.abs(want))
    library_error = np.max(np.abs(library - want) / scale)
    ours64, ours = (b.evaluate("log_likelihood", x) for b in (bench64, bench))
    error64, error = np.abs(ours64 - want), np.abs(ours - want)
    if np.max(error64 / (1e-8 * scale)) > 1:
        raise AssertionError(f"float64 log p differs by {np.max(error64 / scale):.1e}, more than 1e-8")
    # |log p| is at most the sum of the absolute terms that the gate allows: this is the stricter.
    gate = np.maximum(2e-6 * np.abs(want) + 1e-5, 3 * library_error * scale)
    if np.max(error / gate) > 1:
        raise AssertionError(f"float32 log p differs by {np.max(error / gate):.2g} times its gate")
    for what, got, golden in (("latents", bench.evaluate("encode", x), z.reshape(rows, -1)),
                              ("decodes", bench.evaluate("decode", z), decoded)):
        worst = np.max(np.abs(got - golden) / np.maximum(1, np.abs(golden)))
        if worst > 1e-3:
            raise AssertionError(f"{what} differ by {worst:.1e}, more than 1e-3")
    return np.max(error64 / scale), np.max(error / scale), library_error
