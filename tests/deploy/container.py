"""Runs a program from an image's files as a container engine would, where there is none: its own mounts with a
read-only root and no writable path, its own processes, of which it is the first, its own network with nothing but
loopback, another user, no capability, no way to gain one.

    container.py ROOT USER COMMAND...       a new container
    container.py --join PID USER COMMAND... one more program in the container whose first program is PID

Ends as the program does, and hands SIGTERM on to it. As root, on Linux. Used by image_test.py, which tests it.
"""
import ctypes
import fcntl
import os
import pathlib
import signal
import socket
import struct
import sys

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = (
    0x00020000, 0x04000000, 0x08000000, 0x20000000, 0x40000000)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1, 2, 4, 8, 32, 4096, 16384, 1 << 18)
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
DEVICES = ("null", "zero", "random", "urandom")

libc = ctypes.CDLL(None, use_errno=True)


def check(name, *arguments):
    """A call of libc's that answers 0 or sets errno."""
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind, flags, data=None):
    encoded = [None if text is None else str(text).encode() for text in (source, target, kind, data)]
    check("mount", encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        flags = struct.unpack("16sh22x", fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0)))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))


def fork():
    """Goes on in a child, in the process namespace entered before; here, ends as the child does."""
    child = os.fork()
    if child == 0:
        return
    signal.signal(signal.SIGTERM, lambda number, frame: os.kill(child, number))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(code if code >= 0 else 128 - code)


def new(root):
    """Enters a new container; its root is the folder `root`, which stays as it is."""
    check("unshare", CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET)
    fork()
    loopback_up()
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount(root, root, None, MS_BIND)
    mount("proc", root / "proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("tmpfs", root / "dev", "tmpfs", MS_NOSUID, "mode=755,size=64k")
    for device in DEVICES:
        (root / "dev" / device).touch()
        mount(f"/dev/{device}", root / "dev" / device, None, MS_BIND)
    mount(None, root / "dev", None, MS_REMOUNT | MS_RDONLY | MS_NOSUID)
    mount(None, root, None, MS_REMOUNT | MS_BIND | MS_RDONLY)
    os.chroot(root)


def join(pid):
    root = os.open(f"/proc/{pid}/root", os.O_PATH)
    for namespace in [open(f"/proc/{pid}/ns/{kind}") for kind in ("net", "pid", "mnt")]:
        with namespace:
            check("setns", namespace.fileno(), 0)
    os.fchdir(root)
    os.chroot(".")
    fork()


def become(user):
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails beyond the last one
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    check("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    check("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # after the user, whose change clears it


def main():
    if sys.argv[1] == "--join":
        join(int(sys.argv[2]))
        user, command = sys.argv[3], sys.argv[4:]
    else:
        new(pathlib.Path(sys.argv[1]).resolve())
        user, command = sys.argv[2], sys.argv[3:]
    os.chdir("/")
    become(int(user))
    os.execve(command[0], command, {"PATH": "/usr/bin:/bin"})


if __name__ == "__main__":
    main()
