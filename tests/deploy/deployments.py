"""What the tests of manifests share: every way in which the Dockerfile and deploy/ start glowworm-server, as flags.

ctest sets GLOWWORM_SERVER (the binary), GLOWWORM_SOURCE_DIR and GLOWWORM_BUILD_DIR. Importing it ends a test with 77
where setup.sh has not been run."""
import configparser
import json
import os
import pathlib
import re
import shlex
import sys
import typing

SOURCE = pathlib.Path(os.environ["GLOWWORM_SOURCE_DIR"])
BUILD = pathlib.Path(os.environ["GLOWWORM_BUILD_DIR"])
BINARY = os.environ["GLOWWORM_SERVER"]

for _folder in BUILD.glob("deploy-venv/lib/python3*/site-packages"):
    sys.path.insert(0, str(_folder))
try:
    import jsonschema  # noqa: F401
    import kubernetes_validate  # noqa: F401
    import yaml
except ImportError as error:
    print(f"skipped: {error.name} is missing: run tests/deploy/setup.sh")
    sys.exit(77)

import kustomize  # noqa: E402


class Start(typing.NamedTuple):
    name: str
    arguments: list
    grace_seconds: typing.Optional[float]  # between SIGTERM and SIGKILL; None: not said there
    user: typing.Optional[str]
    memory_bytes: typing.Optional[int]  # its limit

    @property
    def flags(self):
        """By name; of one given twice, the last, as the server has it. A flag without a value is true."""
        split = [re.fullmatch(r"--([\w-]+)(?:=(.*))?", argument) for argument in self.arguments]
        return {m[1]: "true" if m[2] is None else m[2] for m in split}

    @property
    def on_gpu(self):
        return self.flags.get("device") == "cuda"

    def port(self, flag):
        return int(self.flags[flag].rpartition(":")[2])


def seconds(text):
    """Of 500ms, 30s or 5m."""
    number, unit = re.fullmatch(r"([\d.]+)(ms|s|m|h)", text).groups()
    return float(number) * {"ms": 1e-3, "s": 1, "m": 60, "h": 3600}[unit]


def size(text):
    """Bytes of 512m (compose) or 2Gi (Kubernetes)."""
    number, unit = re.fullmatch(r"(\d+)([mg]|[MG]i)", text).groups()
    return int(number) << {"m": 20, "g": 30}[unit[0].lower()]


def dockerfile(cuda=0):
    """What the stage of the image says, which is made with CUDA=0 or 1, by name; of one given twice, all."""
    text = re.sub(r"\\\n", " ", (SOURCE / "Dockerfile").read_text())
    stage, out = re.search(rf"^FROM \S+ AS image-{cuda}\n(.*?)(?=^FROM )", text, re.MULTILINE | re.DOTALL)[1], {}
    for name, rest in re.findall(r"^([A-Z]+) (.*)$", stage, re.MULTILINE):
        out.setdefault(name, []).append(rest.strip())
    return out


def entry_point(cuda=0):
    command = json.loads(dockerfile(cuda)["ENTRYPOINT"][0])
    assert command[0] == "/usr/bin/glowworm-server"
    return command[1:]


def health_check():
    """The image's command."""
    return json.loads(re.search(r"CMD (\[.*\])", dockerfile()["HEALTHCHECK"][0])[1])


def compose(name="docker-compose.yml"):
    return yaml.safe_load((SOURCE / "deploy/compose" / name).read_text())


def unit(name="glowworm.service"):
    """The systemd unit or drop-in; option names keep their case."""
    parser = configparser.RawConfigParser(strict=True, delimiters=("=",))
    parser.optionxform = str
    parser.read(SOURCE / "deploy/systemd" / name)
    return parser


def pod(documents):
    return next(d for d in documents if d["kind"] == "Deployment")["spec"]["template"]["spec"]


def starts():
    user = dockerfile()["USER"][0].split(":")[0]
    out = [Start("Dockerfile", entry_point(), None, user, None)]
    out.append(Start("Dockerfile/cuda", entry_point(1), None, user, None))
    for name, override in (("compose", {}), ("compose/gpu", compose("compose.gpu.yaml")["services"]["glowworm"])):
        service = {**compose()["services"]["glowworm"], **override}
        out.append(Start(name, entry_point(int(bool(override))) + service["command"],
                         seconds(service["stop_grace_period"]), service["user"].split(":")[0],
                         size(service["mem_limit"])))
    for name in ("base", "overlays/tls", "overlays/gpu"):
        spec = pod(kustomize.build(SOURCE / "deploy/kubernetes" / name))
        out.append(Start(f"kubernetes/{name}", entry_point(int(name == "overlays/gpu")) + spec["containers"][0]["args"],
                         spec["terminationGracePeriodSeconds"], str(spec["securityContext"]["runAsUser"]),
                         size(spec["containers"][0]["resources"]["limits"]["memory"])))
    service = unit()["Service"]
    command = [a for a in shlex.split(service["ExecStart"].replace("\\\n", " ")) if a != "$GLOWWORM_ARGUMENTS"]
    out.append(Start("systemd", command[1:], float(service["TimeoutStopSec"]), None, None))
    further = unit("gpu.conf")["Service"]["Environment"].removeprefix("GLOWWORM_ARGUMENTS=")
    out.append(Start("systemd/gpu", command[1:] + shlex.split(further), float(service["TimeoutStopSec"]), None, None))
    return out
