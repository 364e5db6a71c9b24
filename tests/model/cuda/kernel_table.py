#!/usr/bin/env python3
"""What nvcc made of the kernels of model/cuda: their registers, stack frames (where spills go) and 16-byte accesses,
read from the plug-in that the build made. Writes model/cuda/KERNELS.md; with --check, run by ctest, says instead
whether the page and the kernels are as they should be. Usage: tests/model/cuda/kernel_table.py [--check] LIBGLOWWORM_CUDA_SO"""
import argparse
import collections
import pathlib
import re
import sys

import device_code

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGE = ROOT / "model/cuda/KERNELS.md"
# Bodies that wait for memory and not for arithmetic: each must read and write 16 bytes at a time (model/cuda/pack.h),
# and so must any other as far as its source says LoadPack or StorePack.
MEMORY_BOUND = ("AffineForward", "AffineInverse", "BiasAndActivate", "ActivateAll", "CopyAll", "CopyPack", "AddAll",
                "Convert")
# {body: bytes}: stack frames that are no spills, and why they may be.
FRAMES = {"DrawPair": 40}  # where cos and sin reduce angles beyond 1e5; there is none
WIDE = r"\.v(?:4\.[a-z]+32|2\.[a-z]+64)\b"  # in PTX
LOADS_WIDE = re.compile(r"\bld\.global(?:\.nc)?" + WIDE)
STORES_WIDE = re.compile(r"\bst\.global" + WIDE)

# file: "" where several have it. registers: {architecture: count}; frame_bytes: the largest of all architectures.
Kernel = collections.namedtuple("Kernel", "file name registers frame_bytes loads_wide stores_wide")


def spelled(symbol, cxx):
    """(file, name) of a kernel: RunBody<Body> goes by its body, without namespaces."""
    name = re.sub(r"\(long, .*\)$", "", cxx)
    name = re.sub(r"^void glowworm::cuda::RunBody<(.*)>$", r"\1", name)
    name = re.sub(r"glowworm::(?:cuda::)?|\(anonymous namespace\)::", "", name).strip()
    file = re.search(r"_GLOBAL__N__[0-9a-f]+_\d+_(\w+?)_cu_", symbol)
    return (file.group(1) + ".cu" if file else "", re.sub(r"\s+>", ">", name))


def kernels_of(code):
    spell = device_code.demangled([part.name for part in code.kernels])
    found = {}
    for part in code.kernels:
        key = spelled(part.name, spell[part.name])
        ptx = code.ptx.get(part.name)
        kernel = found.get(key) or Kernel(*key, {}, 0, True, True)
        kernel.registers[part.arch] = max(part.registers, kernel.registers.get(part.arch, 0))
        found[key] = kernel._replace(
            frame_bytes=max(kernel.frame_bytes, part.frame_bytes),
            loads_wide=kernel.loads_wide and (ptx is None or bool(LOADS_WIDE.search(ptx))),
            stores_wide=kernel.stores_wide and (ptx is None or bool(STORES_WIDE.search(ptx))))
    return [found[key] for key in sorted(found)]


def body(kernel):
    return kernel.name.partition("<")[0]


def required_wide():
    """{(file, body): (whether it must load 16 bytes at a time, whether it must store so)}."""
    required = {}
    for path in sorted(PAGE.parent.glob("*.cu")):
        for name, text in re.findall(r"^struct (\w+) \{\n(.*?)^\};", path.read_text(), re.M | re.S):
            bound = name in MEMORY_BOUND
            required[path.name, name] = (bound or "LoadPack(" in text, bound or "StorePack(" in text)
    return required


def page(code):
    kernels = kernels_of(code)
    architectures = sorted({arch for kernel in kernels for arch in kernel.registers})
    lines = [
        "# The kernels of the CUDA executor, as compiled", "",
        "Made by `tests/model/cuda/kernel_table.py build/bin/libglowworm_cuda.so`; the test `cuda_kernels` holds it",
        "true.", "",
        "Each is `RunBody<Body>` (`launch.h`), named here by its body, and starts with 256 threads a block. Registers",
        "are of one thread, at most 128. A stack frame is where spilled registers would lie, and none do: the one of",
        "`DrawPair` is for the cosine of angles beyond 1e5, which it never takes. 16-byte",
        "accesses are those of the PTX, required of the kernels that wait for memory: \"both\" means loads and stores.",
        "Bodies that follow an index map (windows, channels in and out, latents) read numbers that lie apart, and are",
        "not held to it. Where no file is named, the body is a template of `row_sum.h` over bodies of several files.",
        "",
        f"nvcc {code.compiler}", "",
        "| file | kernel | " + " | ".join(f"sm_{arch}" for arch in architectures) + " | stack, bytes | 16-byte |",
        "|---|---|" + "---:|" * (len(architectures) + 1) + "---|"]
    for kernel in kernels:
        wide = {(True, True): "both", (True, False): "loads", (False, True): "stores"}
        registers = " | ".join(str(kernel.registers.get(arch, "")) for arch in architectures)
        lines.append(f"| {kernel.file} | `{kernel.name}` | {registers} | {kernel.frame_bytes} | "
                     f"{wide.get((kernel.loads_wide, kernel.stores_wide), '')} |")
    return "\n".join(lines) + "\n"


def flaws(code):
    """What is wrong with the kernels themselves."""
    kernels = kernels_of(code)
    required = required_wide()
    for kernel in kernels:
        if kernel.frame_bytes > FRAMES.get(body(kernel), 0):
            yield f"expected no stack frame, {kernel.name} of {kernel.file} has one of {kernel.frame_bytes} bytes"
        loads, stores = required.get((kernel.file, body(kernel)), (False, False))
        if (loads and not kernel.loads_wide) or (stores and not kernel.stores_wide):
            yield f"expected 16-byte accesses as the source has them, {kernel.name} of {kernel.file} lacks one"
    for name in sorted(set(MEMORY_BOUND) - {body(kernel) for kernel in kernels}):
        yield f"expected a kernel {name}, there is none"
    if missing := [part.name for part in code.kernels if part.name not in code.ptx]:
        yield f"expected PTX of every kernel, {missing[0]} has none"


def stale(code, committed):
    """What the committed page says that is no longer so: the kernels' names, and all of it if nvcc is the same."""
    if committed == page(code):
        return
    def rows(text):
        return {tuple(line.split("|")[1:3]) for line in text.splitlines() if line.startswith("|")}
    now, then = rows(page(code)), rows(committed)
    if f"\nnvcc {code.compiler}\n" in committed or now != then:
        names = ", ".join(sorted(name.strip() for _, name in now ^ then)) or "figures"
        yield f"model/cuda/KERNELS.md is not what kernel_table.py writes now; they differ in: {names}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("library", type=pathlib.Path)
    arguments = parser.parse_args()
    if not arguments.library.exists():
        print("skipped: no plug-in libglowworm_cuda.so was built: nvcc was not found")
        return 77
    code = device_code.read(arguments.library)
    if not arguments.check:
        PAGE.write_text(page(code))
    problems = [*flaws(code), *stale(code, PAGE.read_text())]
    print("\n".join(problems) or f"{len(kernels_of(code))} kernels are as they should be")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
