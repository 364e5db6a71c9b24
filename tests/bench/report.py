#!/usr/bin/env python3
"""Renders results/*.json as RESULTS.md and, where matplotlib is installed, results.png. Nothing in either is written
by hand. Usage: report.py [--results=FOLDER] [--out=FOLDER]. Tested by tests/bench/smoke_test.py."""
import argparse
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
HEAD = """# Results

Made by `report.py` from `results/*.json`, which the scripts beside it write; do not edit. To measure anew, with
nothing else running: `tests/bench/run.sh`. What bounds the figures, and what was tried: [README.md](README.md).
"""


def sections(folder):
    return [json.loads(path.read_text()) for path in sorted(pathlib.Path(folder).glob("*.json"))]


def row_of(cells):
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def lines_of_table(table):
    if table.get("caption"):
        yield from (table["caption"], "")
    yield row_of(table["header"])
    yield "|" + "---|" * len(table["header"])
    for row in table["rows"]:
        if len(row) != len(table["header"]):
            raise ValueError(f"a row of {len(row)} cells under a header of {len(table['header'])}")
        yield row_of(row)
    yield ""


def render(all_sections, head=HEAD, picture="results.png"):
    lines = [head]
    if any("plot" in section for section in all_sections):
        lines += [f"![plots of the sections below]({picture})", ""]
    for section in all_sections:
        lines += [f"## {section['title']}", ""]
        lines += [", ".join(f"{key} {value}" for key, value in section["machine"].items()) + ".", ""]
        if section["prose"]:
            lines += [*section["prose"], ""]
        for table in section["tables"]:
            lines += lines_of_table(table)
    return "\n".join(lines).rstrip("\n") + "\n"


def draw(all_sections, path):
    """One panel for each section that has a plot."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    plots = [(section["title"], section["plot"]) for section in all_sections if "plot" in section]
    columns = min(3, len(plots))
    rows = -(-len(plots) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4.6 * columns, 3.2 * rows), squeeze=False)
    for axis in axes.flat[len(plots):]:
        axis.set_axis_off()
    for axis, (title, plot) in zip(axes.flat, plots):
        places = range(len(plot["x"]))
        for i, (name, values) in enumerate(plot["series"].items()):
            if plot["kind"] == "bars":
                width = 0.8 / len(plot["series"])
                axis.bar([p + (i - (len(plot["series"]) - 1) / 2) * width for p in places], values, width, label=name)
            else:
                axis.plot(places, values, marker="o", label=name)
        axis.set_xticks(list(places), [str(x) for x in plot["x"]], rotation=60 if len(plot["x"]) > 6 else 0)
        if plot.get("log"):
            axis.set_yscale("log")
        axis.set_title(title, fontsize=8)
        axis.set_xlabel(plot["x_label"], fontsize=8)
        axis.set_ylabel(plot["y_label"], fontsize=8)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", default=HERE / "results")
    parser.add_argument("--out", default=HERE)
    flags = parser.parse_args()
    found, out = sections(flags.results), pathlib.Path(flags.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "RESULTS.md").write_text(render(found))
    print(f"{out / 'RESULTS.md'}: {len(found)} sections")
    if any("plot" in section for section in found):
        try:
            draw(found, out / "results.png")
            print(out / "results.png")
        except ImportError:
            print("no matplotlib: results.png is left as it is")


if __name__ == "__main__":
    main()
