"""A section of RESULTS.md: where and when it was measured, and the JSON that report.py renders. Any script that
measures something calls save(); the file's name orders the sections.

  {"title": ..., "machine": {...}, "prose": [line...], "tables": [{"caption"?, "header": [...], "rows": [[...]...]}],
   "plot"?: {"kind": "bars" | "lines", "x": [...], "series": {name: [...]}, "x_label", "y_label", "log"?}}
"""
import datetime
import json
import os
import pathlib
import subprocess

RESULTS = pathlib.Path(__file__).resolve().parent / "results"
INSTRUCTION_SETS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def _output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine():
    """What a number needs beside it."""
    info = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        info.setdefault(key.strip(), value.strip())
    flags = info.get("flags", "").split()
    isa = [name for name in INSTRUCTION_SETS if name in flags]
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": f"{info.get('model name', 'unknown')} (family {info.get('cpu family')}, model {info.get('model')})",
        "cores": len(os.sched_getaffinity(0)),
        "isa": " ".join(isa),
        "oneDNN": _output("dpkg-query", "-W", "-f=${Version}", "libdnnl2"),
        "compiler": _output("c++", "-dumpfullversion"),
        "commit": _output("git", "-C", str(RESULTS.parent), "rev-parse", "--short", "HEAD"),
    }


def save(name, title, prose, tables, plot=None, folder=RESULTS, **more):
    """Writes folder/<name>.json. `more` joins the machine's entries: versions of what was compared."""
    section = {"title": title, "machine": {**machine(), **more}, "prose": prose, "tables": tables}
    if plot:
        section["plot"] = plot
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(section, indent=1) + "\n")


def table(header, rows, caption=None):
    return {"caption": caption, "header": header, "rows": rows}
