"""The Grafana dashboard's queries, with its variables filled in as Grafana does. Tested by
tests/observe/dashboard_test.py."""
import collections
import json
import pathlib
import re

GRAFANA = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "grafana"
DASHBOARD = GRAFANA / "dashboards" / "glowworm.json"

# One query of one panel; `instant` queries ask for one moment, the others for a range.
Query = collections.namedtuple("Query", "panel expr instant")


def load():
    return json.loads(DASHBOARD.read_text())


def panels(dashboard):
    """Every panel but the rows' titles, also inside collapsed rows."""
    for panel in dashboard["panels"]:
        yield from panel.get("panels", ())
        if panel["type"] != "row":
            yield panel


def variables(dashboard):
    """name -> the query that lists its values."""
    return {v["name"]: v["query"]["query"] for v in dashboard["templating"]["list"] if v["type"] == "query"}


def escaped(value):
    """As Grafana writes a chosen value into a regular expression inside a PromQL string."""
    return re.sub(r"[\\^$*+?.()|[\]{}]", lambda found: "\\\\" + found[0], value)


def chosen(values):
    """What stands for $variable when these values are chosen; None is "All"."""
    if values is None:
        return ".*"
    return escaped(values[0]) if len(values) == 1 else "(" + "|".join(map(escaped, values)) + ")"


def filled(expr, selection, scrape_seconds, step_seconds):
    """`expr` with every variable replaced. `selection`: name -> list of values, or None for All."""
    interval = max(step_seconds + scrape_seconds, 4 * scrape_seconds)
    for name, text in {**{name: chosen(values) for name, values in selection.items()},
                       "__rate_interval": f"{interval}s"}.items():
        expr = re.sub(rf"\${name}\b", lambda _, text=text: text, expr)
    if "$" in expr:
        raise ValueError(f"a variable is left in {expr}")
    return expr


def queries(dashboard, selection, scrape_seconds, step_seconds):
    out = [Query(panel["title"], target["expr"], target.get("instant", False))
           for panel in panels(dashboard) for target in panel["targets"]]
    return [q._replace(expr=filled(q.expr, selection, scrape_seconds, step_seconds)) for q in out]


def annotations(dashboard, selection, scrape_seconds, step_seconds):
    return [Query(a["name"], filled(a["expr"], selection, scrape_seconds, step_seconds), False)
            for a in dashboard["annotations"]["list"] if "expr" in a]
