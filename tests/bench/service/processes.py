"""What the service benchmark starts: servers on free loopback ports, and the client that drives them all alike.

Only the standard library. A server is ready when its port file is there; nothing here waits longer than it must.
Entry: Server, drive(), in_process(); used by service_bench.py.
"""
import atexit
import json
import os
import pathlib
import signal
import struct
import subprocess
import tempfile
import time
import urllib.request

START_SECONDS = 60


class Server:
    """A process that writes its address to --port_file; `address` and `ready_ms` once it has."""

    def __init__(self, command):
        self.port_file = pathlib.Path(tempfile.mkdtemp(prefix="glowworm-bench-")) / "port"
        start = time.monotonic()
        self.process = subprocess.Popen([*map(str, command), f"--port_file={self.port_file}"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        atexit.register(self.stop)  # of a run that fails
        while not self.port_file.exists():
            if self.process.poll() is not None or time.monotonic() > start + START_SECONDS:
                raise SystemExit(f"{command[0]} did not start; run it by hand to see why: {command}")
            time.sleep(0.001)
        self.ready_ms = (time.monotonic() - start) * 1e3
        self.address, *others = self.port_file.read_text().split()
        self.metrics_address = others[0] if others else None

    def resident_mb(self):
        pages = int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 1e6

    def cpu_seconds(self):
        """User and system time of all threads so far."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def scraped(self, name):
        """The sum of a metric's series. REQUIRES: a glowworm-server."""
        with urllib.request.urlopen(f"http://{self.metrics_address}/metrics", timeout=10) as reply:
            lines = reply.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.partition("{")[0] == name)

    def stop(self):
        """Ends the process, if it has not ended, and waits for it."""
        atexit.unregister(self.stop)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()
        self.port_file.unlink(missing_ok=True)
        self.port_file.parent.rmdir()


def glowworm_server(binaries, repository=None, *flags):
    root = [f"--repository={repository}"] if repository else []
    return Server([binaries / "glowworm-server", *root, "--listen=127.0.0.1:0", "--metrics=127.0.0.1:0",
                   "--lame_duck_ms=0", *flags])


def echo_server(binaries, mode, model):
    shape = ",".join(map(str, model["event_shape"]))
    return Server([binaries / "glowworm-echo", f"--mode={mode}", f"--model={model['name']}",
                   f"--event_shape={shape}", *(["--calibrated"] if model["calibrated"] else [])])


def drive(binaries, server, model, *flags):
    """What `glowworm bench` reports, with the server's processor time per call added."""
    before = server.cpu_seconds()
    run = subprocess.run([binaries / "glowworm", "bench", f"--server={server.address}", f"--model={model}",
                          "--warmup=0s", "--json", *flags], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise SystemExit(f"glowworm bench failed: {run.stderr}")
    report = json.loads(run.stdout)
    if report["failed"]:
        raise SystemExit(f"glowworm bench: calls failed: {report['errors']}")
    report["cpu_us_per_call"] = (server.cpu_seconds() - before) * 1e6 / report["calls"]
    return report


def in_process(binaries, flow, *flags):
    """What glowworm-in-process prints."""
    run = subprocess.run([binaries / "glowworm-in-process", f"--flow={flow}", *flags],
                         capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise SystemExit(f"glowworm-in-process failed: {run.stderr}")
    return json.loads(run.stdout)


def read_header(flow):
    """A flow file's tensors (name -> entry) and its spec."""
    with open(flow, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
    spec = json.loads(header.pop("__metadata__")["glowworm.flow"])
    return header, spec


def describe(flow):
    """What an echo must know of a flow to answer like it; the flow is called by its folder's name."""
    _, spec = read_header(flow)
    return {"name": pathlib.Path(flow).parent.parent.name, "event_shape": spec["event_shape"],
            "calibrated": spec.get("calibration") is not None, "context_size": spec["context_size"]}


def write_rows(path, rows, event_shape, random):
    """A .npy file of float32 normals."""
    numbers = rows
    for extent in event_shape:
        numbers *= extent
    shape = ", ".join(map(str, [rows, *event_shape]))
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    values = (random.gauss(0, 1) for _ in range(numbers))
    pathlib.Path(path).write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
                                   + struct.pack(f"<{numbers}f", *values))
