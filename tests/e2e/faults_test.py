"""Faults from outside: descriptors that run out, a machine that is busy, kill -9, peers that are gone. What it measures
goes to the reliability report."""
import collections
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import grpc
import numpy as np

import certificates
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

    def exhaust(self, server, full):
        """600 connections to a server that may hold 256 descriptors; closed again once `full` has returned."""
        self.limit_descriptors(server, 256)
        connections = [self.connect(server) for _ in range(600)]
        full()
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
        self.exhaust(server, lambda: wait_until(lambda: len(self.descriptors(server)) >= 256))
        wait_until(lambda: len(self.descriptors(server)) < 200)
        self.assertFalse(self.answers(self.connect(server), 3))
        self.assertIsNone(server.process.poll())

    def test_the_watchdog_ends_a_server_that_ran_out_and_a_new_one_serves_on_its_port(self):
        root = e2e.repository(e2e.golden_folder("tiny-plu"))
        server = self.serve(f"--watchdog_interval={self.INTERVAL}s", root=root)
        channel = server.channel()  # stays usable until the end
        before = self.score(channel)
        begin = time.monotonic()
        self.exhaust(server, lambda: server.wait_for("watchdog failures=1"))
        server.wait_for("cannot serve any more and ends")
        seconds = time.monotonic() - begin
        self.assertEqual(server.exit_code(), 3)
        self.assertFalse(server.port_file.exists())
        self.at_most(f"descriptors run out until the watchdog of {self.INTERVAL} s says so", seconds,
                     4 * self.INTERVAL + 5, "s")
        again = self.serve(f"--listen={server.address}", root=root)
        self.assertEqual(again.address, server.address)
        self.assertEqual(self.score(again.channel()), before)

    def test_the_watchdog_sees_through_tls(self):
        pair = certificates.Authority(tempfile.mkdtemp(dir=e2e.TEMPORARY)).issue("server")
        server = self.serve(f"--watchdog_interval={self.INTERVAL}s", f"--tls_cert={pair.cert}", f"--tls_key={pair.key}")
        self.exhaust(server, lambda: server.wait_for("watchdog failures=1"))
        server.wait_for(f"cannot serve any more and ends: {server.address}")
        self.assertEqual(server.exit_code(), 3)

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
        stubs = [server.stub() for _ in range(16)]
        codes, slowest = collections.Counter(), 0.0

        def client(stub):
            while not codes or time.monotonic() < over:
                codes[e2e.outcome(lambda: stub.LogLikelihood(request, timeout=BOUND))[0]] += 1

        burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * os.cpu_count())]
        clients = [threading.Thread(target=client, args=[stub]) for stub in stubs]
        over = time.monotonic() + 5 * self.INTERVAL
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


class EndTest(FaultsCase):
    def test_after_a_kill_a_new_server_serves_on_the_same_ports(self):
        root = e2e.repository(e2e.golden_folder("tiny-plu"))
        server = self.serve("--health=127.0.0.1:0", root=root)
        channels = [server.channel() for _ in range(20)]
        before = [self.score(channel) for channel in channels]
        samples = e2e.rpc.DensityServiceStub(channels[0]).StreamSamples(
            pb.SampleRequest(num_samples=10**9, seed=1), timeout=BOUND)
        next(samples)
        server.process.kill()  # connections, a stream and the port file are left behind
        server.process.wait()
        self.assertEqual(e2e.outcome(lambda: collections.deque(samples, 0))[0], "UNAVAILABLE")
        self.assertTrue(server.port_file.exists())
        addresses = {"listen": server.address, "metrics": server.metrics_address, "health": server.health_address}
        again = e2e.Server(root, *(f"--{flag}={address}" for flag, address in addresses.items()),
                           f"--port_file={server.port_file}", wait=False)
        self.addCleanup(self.end, again)
        again.wait_for(" serving ")
        self.assertEqual(server.port_file.read_text().split()[0], server.address)
        for channel in channels:  # the same connections, made anew by gRPC
            grpc.channel_ready_future(channel).result(timeout=BOUND)
        self.assertEqual([self.score(channel) for channel in channels], before)
        self.assertEqual(again.stop(), 0)
        self.assertFalse(server.port_file.exists())


@unittest.skipUnless(os.environ.get("GLOWWORM_NIGHTLY"), "waits for keepalive, 40 s: tests/nightly.sh")
class HalfOpenTest(FaultsCase):
    KEEPALIVE = 30 + 10  # seconds, server/listener.cc: the time and then the timeout
    HANDSHAKE = 10
    CLIENT = """
import sys, threading, grpc
channel = grpc.insecure_channel(sys.argv[1])
forever = iter(lambda: threading.Event().wait(), None)
next(channel.stream_stream("/glowworm.v1.DensityService/StreamLogLikelihood")(forever))
"""

    def test_peers_that_are_gone_are_dropped(self):
        server = self.serve()
        server.metric("glowworm_requests_in_flight")
        before = len(self.descriptors(server))
        clients = [subprocess.Popen([sys.executable, "-c", self.CLIENT, server.address]) for _ in range(3)]
        for client in clients:
            self.addCleanup(client.wait)
            self.addCleanup(client.kill)
        wait_until(lambda: server.metric("glowworm_requests_in_flight") == len(clients))
        silent = [self.connect(server) for _ in range(5)]
        for connection in silent:
            self.assertTrue(self.answers(connection, BOUND))  # and it says nothing more
        for client in clients:
            client.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        wait_until(lambda: server.metric("glowworm_requests_in_flight") == 0, 2 * BOUND)
        self.at_most("peers that stand still hold their streams", time.monotonic() - begin, self.KEEPALIVE + 10, "s")
        wait_until(lambda: len(self.descriptors(server)) <= before, 2 * BOUND)
        self.at_most("peers that stand still hold their descriptors", time.monotonic() - begin, self.KEEPALIVE + 10,
                     "s")

    def test_a_peer_that_never_speaks_is_dropped(self):
        server = self.serve("--metrics=")
        before = len(self.descriptors(server))
        begin = time.monotonic()
        for _ in range(5):
            self.connect(server)
        wait_until(lambda: len(self.descriptors(server)) >= before + 5)
        wait_until(lambda: len(self.descriptors(server)) <= before)
        self.at_most("peers that never speak hold their descriptors", time.monotonic() - begin, self.HANDSHAKE + 10,
                     "s")


class MemoryTest(FaultsCase):
    """Where address space runs out: an answer is right or there is none, and nothing hangs."""
    # 1: with a line. gRPC aborts where its own malloc fails.
    CLEAN_ENDS = (1, -signal.SIGABRT)
    LINE = "not enough memory|no thread is to be had"
    LOADER = 127  # of the binary itself

    def limit_memory(self, server, size):
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))

    def address_space(self, server):
        status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
        return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmSize")))

    def test_a_start_serves_or_ends(self):
        root = e2e.repository()
        e2e.write_slow_flow(root / "slow" / "1" / "flow.safetensors", 1024)  # 38 MB of weights
        ends = []
        for megabytes in (192, 256, 320, 384, 512, 768):
            process = subprocess.Popen(
                ["prlimit", f"--as={megabytes << 20}", e2e.BINARY, f"--repository={root}", "--listen=127.0.0.1:0",
                 "--metrics=", "--lame_duck_ms=0", "--threads=2"],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            self.addCleanup(process.kill)
            for line in process.stderr:
                if " serving " in line:
                    process.send_signal(signal.SIGTERM)
            process.stderr.close()
            ends.append(process.wait(BOUND))
        self.assertLessEqual(set(ends), {0, self.LOADER, *self.CLEAN_ENDS}, ends)
        self.assertNotEqual(ends[0], 0, "the least is too little")

    def test_calls_are_right_or_refused(self):
        server = self.serve("--threads=2", "--metrics=", "--max_queue_rows=10000000")
        request = pb.LogLikelihoodRequest(x=e2e.tensor(np.full((65536, 3), 0.25, "f4")))
        want = self.score(server.channel())[0]
        ends = collections.Counter()
        for spare in (64, 32, 16, 4):  # megabytes
            channels = [server.channel() for _ in range(8)]
            self.limit_memory(server, self.address_space(server) + (spare << 20))
            calls = [e2e.rpc.DensityServiceStub(channel).LogLikelihood.future(request)
                     for channel in channels for _ in range(4)]
            for call in calls:
                call.exception(BOUND)  # waits; no deadline, by which the server would judge a call
                ends[call.code().name] += 1
                if call.code() == grpc.StatusCode.OK:
                    self.assertEqual(set(call.result().log_likelihood), {want})
            if "UNAVAILABLE" in ends:
                self.assertIn(server.exit_code(), self.CLEAN_ENDS)
                if server.exit_code() == 1:
                    self.assertTrue(any(re.search(self.LINE, line) for line in server.lines), server.lines[-3:])
                break
            self.limit_memory(server, resource.RLIM_INFINITY)
            self.assertEqual(self.score(server.channel())[0], want)
        self.assertLessEqual(set(ends), {"OK", "RESOURCE_EXHAUSTED", "UNAVAILABLE"})


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
