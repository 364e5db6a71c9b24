#!/usr/bin/env python3
"""device_code.py and kernel_table.py on a fat binary made here. Run by ctest."""
import struct
import tempfile
import unittest

import device_code
import kernel_table

SPACE = "_GLOBAL__N__04db903f_14_conditioner_cu_4b632ad7_14171"  # what nvcc calls that file's anonymous namespace
KERNEL = f"_ZN8glowworm4cuda7RunBodyINS0_{len(SPACE)}{SPACE}7CopyAllIfEEEEvlT_"
WIDE = "ld.global.v4.f32 {%f1,%f2,%f3,%f4}, [%rd1];\n{\n}\nst.global.v4.f32 [%rd2], {%f1,%f2,%f3,%f4};"


def elf(kernel, registers, frame):
    """Machine code of one kernel, as far as it is read."""
    info = struct.pack("<BBHII", 4, device_code.REGISTERS, 8, 1, registers)
    info += struct.pack("<BBH", 1, 0x35, 0)  # an attribute without a payload, between the two
    info += struct.pack("<BBHII", 4, device_code.FRAME, 8, 1, frame)
    parts = {".shstrtab": b"", ".strtab": b"\0" + kernel.encode() + b"\0", ".nv.info": info, ".text." + kernel: b"\0",
             ".symtab": bytes(24) + struct.pack("<IHH16x", 1, 0, 3),
             ".note.nv.tkinfo": b"ptxas\0tools, release 13.0, V13.0.88\0Build"}
    parts[".shstrtab"] = b"\0" + b"".join(name.encode() + b"\0" for name in parts)
    headers, content = b"", b""
    for name, data in parts.items():
        at = parts[".shstrtab"].index(b"\0" + name.encode() + b"\0") + 1
        headers += struct.pack("<IIQQQQ", at, 0, 0, 0, 64 + len(content), len(data)) + bytes(24)
        content += data
    return struct.pack("<40xQ10xHHH", 64 + len(content), 64, len(parts), 0) + content + headers


def entry(kind, arch, content, flags=0):
    return struct.pack("<HHIQIIIIIIQQQ", kind, 257, 64, len(content), 0, 0, 0, arch, 0, 0, flags, 0, 0)[:64] + content


def library(*entries):
    body = b"".join(entries)
    return b"host code" + device_code.FAT_BINARY + struct.pack("<HQ", 16, len(body)) + body + b"more"


def code_of(test, data):
    path = test.enterContext(tempfile.NamedTemporaryFile())
    path.write(data)
    path.flush()
    return device_code.read(path.name)


def kernel_library(registers=20, frame=0, text=WIDE):
    ptx = f".version 9.0\n.visible .entry {KERNEL}(\n.param .u64 p)\n{{\n{text}\nret;\n}}\n\0".encode()
    return library(entry(device_code.MACHINE_CODE, 80, elf(KERNEL, registers, frame)),
                   entry(device_code.MACHINE_CODE, 90, elf(KERNEL, registers + 2, 0)),
                   entry(device_code.PTX, 100, ptx))


class DeviceCodeTest(unittest.TestCase):
    def test_registers_frames_and_compiler_are_read(self):
        code = code_of(self, kernel_library(frame=8))
        self.assertEqual([(part.arch, part.registers, part.frame_bytes) for part in code.kernels],
                         [(80, 20, 8), (90, 22, 0)])
        self.assertEqual(code.compiler, "13.0.88")

    def test_compressed_code_is_refused(self):
        with self.assertRaisesRegex(ValueError, "--no-compress"):
            code_of(self, library(entry(device_code.PTX, 100, b"", flags=0x2000)))

    def test_a_library_without_device_code_is_refused(self):
        with self.assertRaisesRegex(ValueError, "found none"):
            code_of(self, b"host code")


class KernelTableTest(unittest.TestCase):
    def flaws(self, data):
        return [flaw for flaw in kernel_table.flaws(code_of(self, data)) if "there is none" not in flaw]

    def test_a_sound_kernel_has_no_flaw(self):
        self.assertEqual(self.flaws(kernel_library()), [])

    def test_a_stack_frame_is_a_flaw(self):
        self.assertRegex(self.flaws(kernel_library(frame=8))[0], "CopyAll<float> of conditioner.cu has one of 8 bytes")

    def test_narrow_accesses_of_a_memory_bound_kernel_are_a_flaw(self):
        for wide, narrow in (("ld.global.v4.f32", "ld.global.f32"), ("st.global.v4.f32", "st.global.v2.f32")):
            self.assertRegex(self.flaws(kernel_library(text=WIDE.replace(wide, narrow)))[0], "CopyAll<float>")

    def test_a_memory_bound_kernel_that_is_gone_is_a_flaw(self):
        flaws = list(kernel_table.flaws(code_of(self, kernel_library())))
        self.assertIn("expected a kernel AddAll, there is none", flaws)

    def test_the_page_is_stale_by_figures_only_for_the_same_compiler(self):
        code = code_of(self, kernel_library())
        other = code_of(self, kernel_library(registers=32))
        self.assertFalse(list(kernel_table.stale(code, kernel_table.page(code))))
        self.assertTrue(list(kernel_table.stale(other, kernel_table.page(code))))
        self.assertFalse(list(kernel_table.stale(other._replace(compiler="12.4.131"), kernel_table.page(code))))

    def test_the_page_is_stale_by_names_for_every_compiler(self):
        code = code_of(self, kernel_library())
        renamed = kernel_table.page(code).replace("CopyAll", "CopyMost")
        self.assertTrue(list(kernel_table.stale(code._replace(compiler="12.4.131"), renamed)))


if __name__ == "__main__":
    unittest.main()
