"""BenchProcess: a glowworm-bench that answers rounds on request (rounds.h), one flow each."""
import pathlib
import subprocess
import tempfile

import numpy as np


class BenchError(Exception):
    pass


class BenchProcess:
    def __init__(self, binary, flow, *flags):
        self._process = subprocess.Popen([str(binary), f"--flow={flow}", "--serve_rounds", *flags], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.communicate()
        self._folder.cleanup()

    def ask(self, *words):
        """The answer's words. BenchError says why there is none."""
        try:
            self._process.stdin.write(" ".join(str(w) for w in words) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise BenchError(self._process.stderr.read().strip())
        if answer.startswith("error: "):
            raise BenchError(answer[7:].strip())
        return answer.split()

    def seconds(self, method, batch, threads, seconds):
        """Median seconds of one call."""
        return float(self.ask("time", method, batch, threads, seconds)[0])

    def evaluate(self, method, rows):
        """float32 rows in; log p as float64, or float32 rows, out. BenchError if a row failed."""
        source, sink = (pathlib.Path(self._folder.name) / name for name in ("in", "out"))
        rows = np.ascontiguousarray(rows, "<f4")
        source.write_bytes(rows.tobytes())
        failed = int(self.ask(method, source, sink)[0])
        if failed:
            raise BenchError(f"{failed} of {len(rows)} rows failed")
        kind = "<f8" if method == "log_likelihood" else "<f4"
        return np.frombuffer(sink.read_bytes(), kind).reshape(len(rows), *(() if kind == "<f8" else (-1,)))

    def draw(self, rows, event_shape):
        """The rows that ours is timed with: (rows, *event_shape), float32."""
        sink = pathlib.Path(self._folder.name) / "drawn"
        self.ask("draw", rows, sink)
        return np.frombuffer(sink.read_bytes(), "<f4").reshape(rows, *event_shape).copy()
