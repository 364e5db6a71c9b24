"""Faults from outside: descriptors that run out, a machine that is busy, kill -9, peers that are gone. What it measures
goes to the reliability report."""
import collections
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

import grpc
import numpy as np

import glowworm_e2e as e2e
from glowworm_e2e import pb

sys.path.insert(0, str(e2e.SOURCE / "tests" / "reliability"))
import results  # noqa: E402

TEST = "faults"
RERUN = "ctest --test-dir build -R '^e2e_faults$' --output-on-failure"
BOUND = 60  # seconds that nothing here takes, on the busiest machine
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def wait_until(condition, seconds=BOUND):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"still not so after {seconds} s")
        threading.Event().wait(0.005)


class FaultsCase(unittest.TestCase):
    def setUp(self):
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))  # this client's own
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)

    def serve(self, *flags, root=None):
        server = e2e.Server(root or e2e.repository(e2e.golden_folder("tiny-plu")), *flags)
        self.addCleanup(self.end, server)
        return server

    def end(self, server):
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()

    def connect(self, server):
        """A connection of which the kernel alone knows, as yet."""
        host, port = server.address.rsplit(":", 1)
        connection = socket.create_connection((host, int(port)), timeout=BOUND)
        self.addCleanup(connection.close)
        return connection

    def answers(self, connection, seconds):
        """Whether gRPC does anything to this connection."""
        connection.settimeout(seconds)
        try:
            connection.sendall(HELLO)
            connection.recv(1)
            return True
        except TimeoutError:
            return False

    def descriptors(self, server):
        return [int(name) for name in os.listdir(f"/proc/{server.process.pid}/fd")]

    def limit_descriptors(self, server, count):
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (count, resource.getrlimit(
            resource.RLIMIT_NOFILE)[1]))

    def score(self, channel):
        request = pb.LogLikelihoodRequest(x=e2e.tensor(np.full((4, 3), 0.25, "f4")))
        return list(e2e.rpc.DensityServiceStub(channel).LogLikelihood(request, timeout=BOUND).log_likelihood)

    def at_most(self, claim, measured, bound, unit):
        results.at_most(self, TEST, claim, measured, bound, unit, rerun=RERUN)

    def equal(self, claim, measured, expected):
        results.equal(self, TEST, claim, measured, expected, rerun=RERUN)


class DescriptorTest(FaultsCase):
    INTERVAL = 1

    def exhaust(self, server):
        """600 connections to a server that may hold 256 descriptors; all closed again."""
        self.limit_descriptors(server, 256)
        connections = [self.connect(server) for _ in range(600)]
        wait_until(lambda: len(self.descriptors(server)) >= 256)
        for connection in connections:
            connection.close()

    def test_the_soft_limit_is_raised_to_the_hard_one(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
        server = self.serve()
        line = next(line for line in pathlib.Path(f"/proc/{server.process.pid}/limits").read_text().splitlines()
                    if line.startswith("Max open files"))
        self.assertEqual(line.split()[3:5], [str(hard), str(hard)])

    def test_without_the_watchdog_a_server_that_ran_out_never_accepts_again(self):
        """The control: were this gRPC to recover by itself, the next test would show nothing."""
        server = self.serve("--watchdog_interval=0")
        self.exhaust(server)
        wait_until(lambda: len(self.descriptors(server)) < 200)
        self.assertFalse(self.answers(self.connect(server), 3))
        self.assertIsNone(server.process.poll())

    def test_the_watchdog_ends_a_server_that_ran_out_and_a_new_one_serves_on_its_port(self):
        root = e2e.repository(e2e.golden_folder("tiny-plu"))
        server = self.serve(f"--watchdog_interval={self.INTERVAL}s", root=root)
        channel = server.channel()  # stays usable until the end
        before = self.score(channel)
        begin = time.monotonic()
        self.exhaust(server)
        server.wait_for("takes no connections and ends")
        seconds = time.monotonic() - begin
        self.assertEqual(server.exit_code(), 3)
        self.assertFalse(server.port_file.exists())
        self.at_most(f"descriptors run out until the watchdog of {self.INTERVAL} s says so", seconds,
                     4 * self.INTERVAL + 5, "s")
        again = self.serve(f"--listen={server.address}", root=root)
        self.assertEqual(again.address, server.address)
        self.assertEqual(self.score(again.channel()), before)

    def test_the_watchdog_lets_a_full_server_live(self):
        server = self.serve(f"--watchdog_interval={self.INTERVAL}s", "--metrics=", "--log_level=debug")
        channel = server.channel()
        # Without a gap, so that a limit of as many leaves none; a gap is there also while a probe is under way.
        while (held := sorted(self.descriptors(server))) != list(range(len(held))) or len(held) < 40:
            self.assertTrue(self.answers(self.connect(server), BOUND))
        self.limit_descriptors(server, len(held))
        with self.assertRaises(subprocess.TimeoutExpired):
            server.process.wait(5 * self.INTERVAL)
        self.assertEqual([line for line in server.lines if "watchdog failures" in line], [])
        self.score(channel)
        self.limit_descriptors(server, len(held) + 20)
        self.score(server.channel())

    def test_a_thousand_connections_leave_no_descriptor(self):
        server = self.serve("--watchdog_interval=0", "--metrics=")
        channel = server.channel()
        before, score = len(self.descriptors(server)), self.score(channel)
        connections = [self.connect(server) for _ in range(1000)]
        wait_until(lambda: len(self.descriptors(server)) >= before + 1000)
        for connection in connections:
            connection.close()
        wait_until(lambda: len(self.descriptors(server)) <= before)
        self.equal("descriptors more than before 1,000 connections came and went",
                   len(self.descriptors(server)) - before, 0)
        self.assertEqual(self.score(channel), score)

    def test_the_watchdog_lets_a_busy_server_live(self):
        root = e2e.repository()
        e2e.write_slow_flow(root / "slow" / "1" / "flow.safetensors", 128)
        server = self.serve(f"--watchdog_interval={self.INTERVAL}s", root=root)
        request = pb.LogLikelihoodRequest(x=e2e.tensor(np.zeros((4, 2, 32, 32), "f4")))
        over = time.monotonic() + 5 * self.INTERVAL
        codes, slowest = collections.Counter(), 0.0

        def client():
            stub = server.stub()
            while time.monotonic() < over:
                codes[e2e.outcome(lambda: stub.LogLikelihood(request, timeout=BOUND))[0]] += 1

        burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * os.cpu_count())]
        clients = [threading.Thread(target=client) for _ in range(16)]
        try:
            for thread in clients:
                thread.start()
            while time.monotonic() < over:
                begin = time.monotonic()
                self.assertTrue(self.answers(self.connect(server), BOUND))
                slowest = max(slowest, time.monotonic() - begin)
        finally:
            for thread in clients:
                thread.join()
            for burner in burners:
                burner.kill()
                burner.wait()
        self.assertEqual(set(codes), {"OK"})
        self.assertIsNone(server.process.poll())
        self.assertFalse(any("watchdog failures=3" in line for line in server.lines))
        self.at_most("slowest answer to a new connection while every core has work for several", slowest, 5, "s")


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
