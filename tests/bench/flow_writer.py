"""Writes a flow file: FlowWriter gathers layers and tensors, data -> latent, and save() writes flow.safetensors.

An exporter of its own, from numpy, json and struct alone: the model library reads what it writes, and shares no code
with it. It also counts the floating-point operations of one row's forward pass. Tested by tests/bench/smoke_test.py.
"""
import json
import pathlib
import struct

import numpy as np

KINDS = {np.dtype("<f8"): "F64", np.dtype("<f4"): "F32", np.dtype("<i8"): "I64"}


class FlowWriter:
    """The current event shape follows the layers, [D] or [C, H, W], and each layer is checked against it."""

    def __init__(self, name, description, event_shape, provenance):
        self.spec = {"format": 1, "name": name, "description": description, "event_shape": list(event_shape),
                     "context_size": 0, "layers": [], "base": None, "provenance": provenance}
        self.shape = list(event_shape)
        self.tensors = {}
        self.flops = 0    # of one row's forward pass: products, convolutions and 1x1 mixes only
        self.weights = 0  # that these read

    @property
    def channels(self):
        return self.shape[0]

    @property
    def positions(self):
        return int(np.prod(self.shape[1:]))

    def tensor(self, name, values):
        """Adds a tensor, finite and of a kind that the format has; returns its name."""
        array = np.ascontiguousarray(values)
        array = array.astype(array.dtype.newbyteorder("<"))
        if array.dtype not in KINDS:
            raise ValueError(f"{name} is {array.dtype}, not float64, float32 or int64")
        if name in self.tensors:
            raise ValueError(f"{name} is written twice")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} is not finite")
        self.tensors[name] = array
        return name

    def _add(self, kind, fields):
        name = f"{len(self.spec['layers']):02d}.{kind}"
        self.spec["layers"].append({"name": name, kind: fields(name)})

    def affine(self, scale, shift):
        """y = scale x + shift; both [C] or the event's shape."""
        for values in (scale, shift):
            if list(np.shape(values)) not in ([self.channels], self.shape):
                raise ValueError(f"an affine of shape {np.shape(values)} on an event of shape {self.shape}")
        self._add("affine", lambda name: {"scale": self.tensor(f"{name}.scale", scale),
                                          "shift": self.tensor(f"{name}.shift", shift)})

    def plu(self, permutation, lower, upper, s, bias=None):
        """W = P L (U + diag s): lower and upper are (C, C) matrices, of which the strict halves are written."""
        c = self.channels
        below, above = np.tril_indices(c, -1), np.triu_indices(c, 1)

        def fields(name):
            plu = {"permutation": self.tensor(f"{name}.permutation", np.asarray(permutation, "<i8")), "side": "OUTPUT",
                   "lower": self.tensor(f"{name}.lower", lower[below]),
                   "upper": self.tensor(f"{name}.upper", upper[above]),
                   "log_abs_s": self.tensor(f"{name}.log_abs_s", np.log(np.abs(np.asarray(s, "<f8")))),
                   "sign_s": self.tensor(f"{name}.sign_s", np.sign(np.asarray(s, "<f8")))}
            with_bias = {} if bias is None else {"bias": self.tensor(f"{name}.bias", bias)}
            return {"plu": plu, **with_bias}

        self._add("linear", fields)
        self._count(c * c)

    def _count(self, weights):
        self.weights += weights
        self.flops += 2 * weights * self.positions

    def full(self, weight):
        self._add("linear", lambda name: {"full": {"weight": self.tensor(f"{name}.weight", weight)}})
        self._count(self.channels**2)

    def permutation(self, index):
        self._add("permutation", lambda name: {"index": self.tensor(f"{name}.index", np.asarray(index, "<i8"))})

    def squeeze(self):
        c, h, w = self.shape
        self._add("squeeze", lambda name: {"order": "CHANNEL_MAJOR"})
        self.shape = [4 * c, h // 2, w // 2]

    def split(self, mean, log_scale):
        """Emits the second half, whose prior is normal."""
        c, h, w = self.shape
        self._add("split", lambda name: {"emit": "SECOND_HALF", "prior": {"diag_normal": {
            "mean": self.tensor(f"{name}.mean", mean), "log_scale": self.tensor(f"{name}.log_scale", log_scale)}}})
        self.shape = [(c + 1) // 2, h, w]

    def coupling(self, identity, transformed, net, **kind):
        """`kind` is affine={...} or spline={...}: the fields of the format."""
        self._add("coupling", lambda name: {
            "identity": self.tensor(f"{name}.identity", np.asarray(identity, "<i8")),
            "transformed": self.tensor(f"{name}.transformed", np.asarray(transformed, "<i8")),
            "net": {"ops": self._ops(f"{name}.net", net)}, **kind})

    def autoregressive(self, order, net, parallel, **kind):
        self._add("autoregressive", lambda name: {
            "order": self.tensor(f"{name}.order", np.asarray(order, "<i8")),
            "net": {"ops": self._ops(f"{name}.net", net)}, "parallel": parallel, **kind})

    def _ops(self, prefix, net):
        """net: a list of ("dense" | "conv", weight, bias), "RELU", ("residual", net)."""
        out = []
        for i, op in enumerate(net):
            name = f"{prefix}.{i}"
            if isinstance(op, str):
                out.append({"activation": {"kind": op}})
            elif op[0] == "residual":
                out.append({"residual": {"body": {"ops": self._ops(name, op[1])}}})
            else:
                kind, weight, bias = op
                fields = {"weight": self.tensor(f"{name}.weight", weight), "bias": self.tensor(f"{name}.bias", bias)}
                out.append({kind: {**fields, "pad": "ZERO"} if kind == "conv" else fields})
                self._count(int(np.size(weight)))
        return out

    def standard_normal(self):
        self.spec["base"] = {"standard_normal": {}}

    def diag_normal(self, mean, log_scale):
        self.spec["base"] = {"diag_normal": {"mean": self.tensor("base.mean", mean),
                                             "log_scale": self.tensor("base.log_scale", log_scale)}}

    def save(self, path):
        """Writes the file, and the folders above it."""
        if self.spec["base"] is None:
            raise ValueError("the flow has no base")
        header, offset = {"__metadata__": {"glowworm.flow": json.dumps(self.spec)}}, 0
        for name, array in self.tensors.items():
            header[name] = {"dtype": KINDS[array.dtype], "shape": list(array.shape),
                            "data_offsets": [offset, offset + array.nbytes]}
            offset += array.nbytes
        text = json.dumps(header).encode()
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(a.tobytes() for a in self.tensors.values()))
