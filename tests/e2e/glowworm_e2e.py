"""What the end-to-end tests share: the protos compiled, a glowworm-server started and stopped, flows and tensors.

ctest sets GLOWWORM_SERVER (the binary), GLOWWORM_SOURCE_DIR and GLOWWORM_FIXTURES. Nothing here sleeps: a server is
waited for by reading its log up to the line that says it serves.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import urllib.request

import grpc
import numpy as np

SOURCE = pathlib.Path(os.environ["GLOWWORM_SOURCE_DIR"])
BINARY = os.environ["GLOWWORM_SERVER"]
GOLDEN = SOURCE / "tests" / "golden"
FIXTURES = pathlib.Path(os.environ.get("GLOWWORM_FIXTURES", "/nonexistent"))
TEMPORARY = pathlib.Path(tempfile.mkdtemp(prefix="glowworm-e2e-"))
START_SECONDS = 60


def _compile_protos():
    root = SOURCE / "proto"
    plugin = shutil.which("grpc_python_plugin")
    subprocess.run(["protoc", f"-I{root}", f"--python_out={TEMPORARY}", f"--grpc_python_out={TEMPORARY}",
                    f"--plugin=protoc-gen-grpc_python={plugin}", str(root / "glowworm/v1/density.proto"),
                    str(root / "inference/grpc_service.proto")], check=True)
    sys.path.insert(0, str(TEMPORARY))


_compile_protos()
from glowworm.v1 import density_pb2 as pb  # noqa: E402
from glowworm.v1 import density_pb2_grpc as rpc  # noqa: E402
from inference import grpc_service_pb2 as oip  # noqa: E402
from inference import grpc_service_pb2_grpc as oip_rpc  # noqa: E402

NUMPY_TYPES = {1: "<f4", 2: "<f8", 3: "u1"}


def remove_temporary_files():
    shutil.rmtree(TEMPORARY, ignore_errors=True)


def read_safetensors(path):
    raw = pathlib.Path(path).read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    head = json.loads(raw[8:8 + size])
    head.pop("__metadata__", None)
    kinds = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4", "U8": "u1"}
    out = {}
    for name, entry in head.items():
        begin, end = entry["data_offsets"]
        out[name] = np.frombuffer(raw[8 + size + begin:8 + size + end], kinds[entry["dtype"]]).reshape(entry["shape"])
    return out


def write_flow(path, spec, tensors):
    """A flow file of float32 and int64 arrays."""
    header, offset = {"__metadata__": {"glowworm.flow": json.dumps(spec)}}, 0
    for name, array in tensors.items():
        kind = {"float32": "F32", "int64": "I64"}[array.dtype.name]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(a.tobytes() for a in tensors.values()))


def write_slow_flow(path, hidden, seed=1):
    """A flow of images [2, 32, 32]: 18432 hidden^2 operations a row, with 1024 a second or so of a core in float64."""
    rng = np.random.default_rng(seed)
    shapes = {"w0": (hidden, 1, 3, 3), "w1": (hidden, hidden, 3, 3), "w2": (2, hidden, 3, 3)}
    tensors = {k: (rng.standard_normal(s) / np.sqrt(9 * s[1]) * 0.5).astype("f4") for k, s in shapes.items()}
    tensors["identity"], tensors["transformed"] = np.array([0]), np.array([1])
    ops = []
    for name in shapes:
        ops += [{"conv": {"weight": name, "pad": "ZERO"}}, {"activation": {"kind": "TANH"}}]
    coupling = {"identity": "identity", "transformed": "transformed", "net": {"ops": ops[:-1]},
                "affine": {"scale_map": "SIGMOID", "order": "SCALE_THEN_SHIFT", "offset": 2.0, "epsilon": 0.001,
                           "clamp": 0.0}}
    write_flow(path, {"format": 1, "name": "slow", "description": "much work a row", "event_shape": [2, 32, 32],
                      "context_size": 0, "layers": [{"name": "coupling", "coupling": coupling}],
                      "base": {"standard_normal": {}}, "provenance": {}}, tensors)


def repository(*folders):
    """A model repository of golden folders: <name>/1/flow.safetensors."""
    root = pathlib.Path(tempfile.mkdtemp(dir=TEMPORARY))
    for folder in folders:
        shutil.copytree(folder / "1", root / folder.name / "1")
    return root


def golden_folder(name):
    """A golden flow of the source tree, or of the fixtures beside it; None where neither is."""
    return next((d / name for d in (GOLDEN, FIXTURES) if (d / name / "golden.safetensors").exists()), None)


class Server:
    """A glowworm-server on free loopback ports; with `root` None it serves its default repository."""

    def __init__(self, root, *flags, wait=True, binary=BINARY, preexec_fn=None):
        self.port_file = pathlib.Path(tempfile.mktemp(dir=TEMPORARY))
        self.process = subprocess.Popen(
            [binary, *([f"--repository={root}"] if root else []), "--listen=127.0.0.1:0", "--metrics=127.0.0.1:0",
             f"--port_file={self.port_file}", "--lame_duck_ms=0", *flags],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=preexec_fn)
        self.lines, self._ended = [], False
        self._new_line = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        if wait:
            try:
                self.wait_for(" serving ")
            except AssertionError:  # nobody else knows the process yet
                self.process.kill()
                self.process.wait()
                raise
            (self.address, self.metrics_address, self.admin_address,
             self.health_address) = self.port_file.read_text().split()

    def _read(self):
        for line in self.process.stderr:
            with self._new_line:
                self.lines.append(line.rstrip("\n"))
                self._new_line.notify_all()
        self.process.stderr.close()
        with self._new_line:
            self._ended = True
            self._new_line.notify_all()

    def wait_for(self, text, count=1):
        """The first log line with this text, or the `count`-th."""
        with self._new_line:
            def found():
                return [line for line in self.lines if text in line]
            self._new_line.wait_for(lambda: self._ended or len(found()) >= count, START_SECONDS)
            if len(found()) < count:
                raise AssertionError(f"fewer than {count} log lines with '{text}': {self.lines[-5:]}")
            return found()[count - 1]

    def channel(self):
        channel = grpc.insecure_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1)])
        grpc.channel_ready_future(channel).result(timeout=20)
        return channel

    def stub(self):
        return rpc.DensityServiceStub(self.channel())

    def admin(self):
        """A stub of the repository calls, on the admin listener."""
        return oip_rpc.GRPCInferenceServiceStub(grpc.insecure_channel(self.admin_address))

    def scrape(self):
        with urllib.request.urlopen(f"http://{self.metrics_address}/metrics", timeout=10) as reply:
            return reply.read().decode()

    def metric(self, name, *labels):
        """The sum of the series of this name whose labels all occur."""
        out = 0.0
        for line in self.scrape().splitlines():
            if re.match(re.escape(name) + r"[ {]", line) and all(label in line for label in labels):
                out += float(line.rsplit(" ", 1)[1])
        return out

    def exit_code(self, seconds=40):
        return self.process.wait(seconds)

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.exit_code()
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def tensor(array, dtype=None):
    array = np.ascontiguousarray(array if dtype is None else array.astype(dtype))
    kind = {"float32": 1, "float64": 2, "uint8": 3}[array.dtype.name]
    return pb.Tensor(dtype=kind, shape=array.shape, data=array.tobytes())


def array_of(message):
    return np.frombuffer(message.data, NUMPY_TYPES[message.dtype]).reshape(list(message.shape))


def outcome(call):
    """(code name, text) of a call; ("OK", reply) if it succeeds."""
    try:
        return "OK", call()
    except grpc.RpcError as error:
        return error.code().name, error.details()
