"""Reads a kustomization as `kustomize build` does, as far as ours go: resources, namespace, images, and patches,
strategic merges and JSON patches. What it does not know it refuses, so that nothing is left out unseen. Used by
kubernetes_test.py, which tests it."""
import copy
import pathlib
import re

import yaml

KINDS_WITHOUT_NAMESPACE = {"Namespace"}
# What tells the elements of a list apart, by the list's name; other lists are replaced as a whole.
MERGE_KEYS = {"containers": "name", "volumes": "name", "volumeMounts": "mountPath"}


def documents(path):
    return [d for d in yaml.safe_load_all(path.read_text()) if d is not None]


def merge(base, patch, name=None):
    """A strategic merge."""
    if isinstance(base, dict) and isinstance(patch, dict):
        out = dict(base)
        for key, value in patch.items():
            if value is None:
                out.pop(key, None)
            elif key in out:
                out[key] = merge(out[key], value, key)
            else:
                out[key] = copy.deepcopy(value)
        return out
    if isinstance(base, list) and isinstance(patch, list) and name in MERGE_KEYS:
        key, out = MERGE_KEYS[name], list(base)
        for element in patch:
            at = next((i for i, other in enumerate(out) if other[key] == element[key]), None)
            if at is None:
                out.append(copy.deepcopy(element))
            else:
                out[at] = merge(out[at], element)
        return out
    return copy.deepcopy(patch)


def json_patch(document, operations):
    out = copy.deepcopy(document)
    for operation in operations:
        kind, path, value = operation["op"], operation["path"].split("/")[1:], operation["value"]
        parent = out
        for step in path[:-1]:
            parent = parent[int(step) if isinstance(parent, list) else step]
        last = path[-1]
        if isinstance(parent, list) and last == "-":
            if kind != "add":
                raise ValueError(f"{kind} of the place after the last element")
            parent.append(value)
            continue
        last = int(last) if isinstance(parent, list) else last
        if kind == "test":
            if parent[last] != value:
                raise ValueError(f"{operation['path']}: expected {value}, got {parent[last]}")
        elif kind == "replace":
            parent[last]  # must be there
            parent[last] = value
        else:
            raise ValueError(f"the operation {kind} is not known here")
    return out


def matches(document, target):
    group, _, version = document["apiVersion"].rpartition("/")
    known = {"group": group, "version": version, "kind": document["kind"], "name": document["metadata"]["name"]}
    return all(known[key] == value for key, value in target.items())


def build(folder):
    """Every object of the kustomization in `folder`, as a list of dicts."""
    folder = pathlib.Path(folder)
    spec = yaml.safe_load((folder / "kustomization.yaml").read_text())
    unknown = set(spec) - {"apiVersion", "kind", "namespace", "resources", "images", "patches"}
    if unknown:
        raise ValueError(f"{sorted(unknown)} of a kustomization is not known here")
    out = []
    for name in spec["resources"]:
        path = folder / name
        out += build(path) if path.is_dir() else documents(path)
    for entry in spec.get("patches", []):
        patches = documents(folder / entry["path"])
        for patch in patches:
            operations = isinstance(patch, list)
            target = entry["target"] if operations else {"kind": patch["kind"], "name": patch["metadata"]["name"]}
            hits = [i for i, document in enumerate(out) if matches(document, target)]
            if not hits:
                raise ValueError(f"{entry['path']} is for nothing")
            for i in hits:
                out[i] = json_patch(out[i], patch) if operations else merge(out[i], patch)
    for document in out:
        if "namespace" in spec and document["kind"] not in KINDS_WITHOUT_NAMESPACE:
            document["metadata"]["namespace"] = spec["namespace"]
        for image in spec.get("images", []):
            rename(document, image)
    return out


def rename(document, image):
    pod = document.get("spec", {}).get("template", {}).get("spec", {})
    for container in pod.get("containers", []):
        if re.split("[:@]", container["image"])[0] == image["name"]:
            container["image"] = f"{image.get('newName', image['name'])}:{image['newTag']}"
