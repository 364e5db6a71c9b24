"""A server in a real cgroup with a CPU quota starts as many threads as the quota allows. Skips where this process may
not make such a group."""
import os
import pathlib
import unittest

import glowworm_e2e as e2e

ROOT = pathlib.Path("/sys/fs/cgroup")
PERIOD = 100_000  # us


class Group:
    """A child of the root group with a quota of so many CPUs; v1's cpu controller, else v2."""

    def __init__(self, cpus):
        v1 = (ROOT / "cpu" / "cpu.cfs_quota_us").exists() or (ROOT / "cpu" / "cgroup.procs").exists()
        self.path = (ROOT / "cpu" if v1 else ROOT) / f"glowworm-test-{os.getpid()}"
        self.path.mkdir()
        quota = int(cpus * PERIOD)
        try:
            if v1:
                (self.path / "cpu.cfs_period_us").write_text(str(PERIOD))
                (self.path / "cpu.cfs_quota_us").write_text(str(quota))
            else:
                (self.path / "cpu.max").write_text(f"{quota} {PERIOD}")
        except OSError:
            self.path.rmdir()
            raise

    def join(self):
        """For a child process, before it becomes the server."""
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self):
        self.path.rmdir()


class QuotaTest(unittest.TestCase):
    def threads_of_a_server_with(self, cpus):
        try:
            group = Group(cpus)
        except OSError as error:
            self.skipTest(f"no cgroup with a CPU quota can be made here: {error.strerror}")
        self.addCleanup(group.remove)
        server = e2e.Server(e2e.repository(e2e.golden_folder("pendigits-qr")), preexec_fn=group.join)
        self.addCleanup(lambda: server.process.poll() is None and server.process.kill())
        line = server.wait_for(" serving ")
        self.assertEqual(server.stop(), 0)
        return int(line.split(" threads=")[1].split()[0])

    def test_threads_follow_the_quota(self):
        self.assertEqual(self.threads_of_a_server_with(1.5), 1)

    def test_a_quota_above_the_cores_gives_every_core_a_thread(self):
        self.assertEqual(self.threads_of_a_server_with(64), len(os.sched_getaffinity(0)))


if __name__ == "__main__":
    try:
        unittest.main()
    finally:
        e2e.remove_temporary_files()
