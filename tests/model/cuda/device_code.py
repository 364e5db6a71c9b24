"""The device code inside a library that nvcc built: machine code for each architecture, and PTX, read from the fat
binaries that it embeds (--no-compress). Entry point: read(). Tested by tests/model/cuda/device_code_test.py."""
import collections
import struct
import subprocess

FAT_BINARY = struct.pack("<IH", 0xBA55ED50, 1)
PTX, MACHINE_CODE = 1, 2  # kinds of a fat binary's entries
COMPRESSED = 0x2000 | 0x8000  # their flags
REGISTERS, FRAME = 0x2F, 0x11  # attributes of .nv.info: (symbol, value)

# The machine code of one kernel; frame_bytes: of it and of what it calls, as divisions.
Kernel = collections.namedtuple("Kernel", "arch name registers frame_bytes")
# kernels: [Kernel]; ptx: {a kernel's name: its text}; compiler: the version of what made the machine code.
DeviceCode = collections.namedtuple("DeviceCode", "kernels ptx compiler")


def entries(data):
    """(kind, architecture, content) of each entry of each fat binary in `data`."""
    begin = data.find(FAT_BINARY)
    while begin >= 0:
        header, size = struct.unpack_from("<HQ", data, begin + 6)
        at, end = begin + header, begin + header + size
        while at < end:
            kind, _, header, size = struct.unpack_from("<HHIQ", data, at)
            arch, = struct.unpack_from("<I", data, at + 28)
            flags, = struct.unpack_from("<Q", data, at + 40)
            if flags & COMPRESSED:
                raise ValueError("the device code is compressed: expected a library built with nvcc --no-compress")
            yield kind, arch, data[at + header:at + header + size]
            at += header + size
        begin = data.find(FAT_BINARY, end)


def text_at(data, offset):
    return data[offset:data.index(b"\0", offset)].decode()


def sections(elf):
    """[(name, content)] of an ELF file."""
    table, = struct.unpack_from("<Q", elf, 40)
    size, count, names = struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + i * size) for i in range(count)]
    return [(text_at(elf, headers[names][4] + name), elf[at:at + length]) for name, _, _, _, at, length in headers]


def attributes(info):
    """(attribute, payload) of a section .nv.info: those of format 4, which have one."""
    at = 0
    while at < len(info):
        form, attribute, size = struct.unpack_from("<BBH", info, at)
        at += 4
        if form == 4:
            yield attribute, info[at:at + size]
            at += size


def kernels_in(arch, elf):
    names = [name for name, _ in sections(elf)]
    parts = dict(sections(elf))
    largest = {REGISTERS: collections.Counter(), FRAME: collections.Counter()}  # by the section of the code
    for attribute, payload in attributes(parts[".nv.info"]):
        if attribute in largest:
            symbol, value = struct.unpack("<II", payload)
            section, = struct.unpack_from("<H", parts[".symtab"], symbol * 24 + 6)
            largest[attribute][names[section]] = max(value, largest[attribute][names[section]])
    for section in sorted(largest[REGISTERS]):
        yield Kernel(arch, section.removeprefix(".text."), largest[REGISTERS][section], largest[FRAME][section])


def compiler(elf):
    """ "13.0.88" of "Cuda compilation tools, release 13.0, V13.0.88"; older compilers leave no note."""
    note = dict(sections(elf)).get(".note.nv.tkinfo", b"")
    return note.partition(b", V")[2].partition(b"\0")[0].decode() or "unknown"


def kernels_of(ptx):
    """{name: text} of the kernels in PTX."""
    found = {}
    for part in ptx.split(".entry ")[1:]:
        found[part.partition("(")[0].strip()] = part.partition("\n.func")[0]
    return found


def read(path):
    """ValueError if `path` holds none, or holds it compressed."""
    with open(path, "rb") as file:
        data = file.read()
    code = DeviceCode([], {}, set())
    for kind, arch, content in entries(data):
        if kind == PTX:
            code.ptx.update(kernels_of(content.rstrip(b"\0").decode()))
        elif kind == MACHINE_CODE:
            code.kernels.extend(kernels_in(arch, content))
            code.compiler.add(compiler(content))
    if not code.kernels:
        raise ValueError("expected device code, found none")
    return code._replace(compiler=" and ".join(sorted(code.compiler)))


def demangled(names):
    """{name: as C++ spells it}."""
    names = sorted(set(names))
    lines = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    return dict(zip(names, lines.splitlines()))
