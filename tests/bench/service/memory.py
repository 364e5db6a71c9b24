"""What a loaded flow takes of memory, beside its file. Entry: memory_section(); used by service_bench.py.

A file's bytes are split into 1x1 layers (tensors named below `linear`) and the rest, whose bounds differ. The flow
is loaded in a process of its own (glowworm-in-process), after a tiny flow whose load makes the libraries take what they
take once, with one worker and with two: the difference is one worker's scratch, the rest is weights and primitives.
"""
import os

import processes

LINEAR_BOUND, NET_BOUND = 4, 1.5
TYPE_BYTES = {"F64": 8, "F32": 4, "I64": 8, "I32": 4, "U8": 1}


def strings_of(node):
    if isinstance(node, str):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from strings_of(child)


def file_bytes(flow):
    """(bytes of the 1x1 layers' tensors, bytes of all others)"""
    tensors, spec = processes.read_header(flow)
    linear = set()
    for layer in spec["layers"]:
        if "linear" in layer:
            linear.update(strings_of(layer["linear"]))
    sizes = {name: entry["data_offsets"][1] - entry["data_offsets"][0] for name, entry in tensors.items()}
    in_linear = sum(size for name, size in sizes.items() if name in linear)
    return in_linear, sum(sizes.values()) - in_linear


def memory_row(binaries, first, flow):
    linear, nets = file_bytes(flow)
    runs = [processes.in_process(binaries, flow, f"--first={first}", f"--threads={n}", "--rows=8",
                                 "--seconds=0.1")
            for n in (1, 2)]
    loaded = [run["resident_trimmed"] - run["resident_before"] for run in runs]
    scratch = max(0, loaded[1] - loaded[0])
    bound = LINEAR_BOUND * linear + NET_BOUND * nets
    mb = [value / 1e6 for value in (linear, nets, bound, loaded[0], loaded[1], scratch, loaded[0] - scratch)]
    times = (loaded[0] - scratch) / os.path.getsize(flow)
    after = (runs[1]["resident_after"] - runs[1]["resident_before"]) / 1e6
    return [flow.parent.parent.name, *(f"{value:.2f}" for value in mb), f"{times:.1f}", f"{after:.2f}"]


def memory_section(binaries, first, flows):
    return {"title": "Memory of a loaded flow, MB",
            "prose": [f"Resident bytes that a load adds to a process that has loaded {first.parent.parent.name} before. "
                      f"The bound of the weights is {NET_BOUND}x the file's conditioner tensors and {LINEAR_BOUND}x its "
                      "1x1 layers'; primitives and the workers' scratch come on top."],
            "columns": ["flow", "1x1 in file", "nets in file", "bound of weights", "loaded, 1 worker",
                        "loaded, 2 workers", "a worker's scratch", "without scratch", "times the file",
                        "after use, 2 workers"],
            "rows": [memory_row(binaries, first, flow) for flow in flows]}
