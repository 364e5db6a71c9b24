"""--max_connection_age: a client is asked to connect anew, and no call is lost by it."""
import re
import unittest

import numpy as np

import glowworm_e2e as e2e
from glowworm_e2e import pb

MOST_CALLS = 200_000  # a bound, not a goal: the loops end at what they wait for


class ConnectionAgeTest(unittest.TestCase):
    def serve(self, *flags):
        server = e2e.Server(e2e.repository(e2e.golden_folder("tiny-plu")), "--log_level=debug", *flags)
        self.addCleanup(lambda: server.process.poll() is None and server.process.kill())
        return server

    def request(self, stub):
        shape = list(stub.GetModel(pb.GetModelRequest()).event_shape)
        return pb.LogLikelihoodRequest(x=e2e.tensor(np.zeros([1, *shape], "f4")))

    def peers(self, server):
        """The connections that calls have come by."""
        return {m.group(1) for m in (re.search(r" peer=(\S+)", line) for line in list(server.lines)) if m}

    def test_calls_move_to_new_connections_without_a_failure(self):
        server = self.serve("--max_connection_age=200ms")
        stub = server.stub()
        request = self.request(stub)
        for _ in range(MOST_CALLS):
            stub.LogLikelihood(request)  # raises if it fails
            if len(self.peers(server)) >= 3:
                return
        self.fail(f"every call came by {self.peers(server)}")

    def test_a_stream_that_is_open_has_the_grace(self):
        server = self.serve("--max_connection_age=200ms", "--max_connection_age_grace=60s")
        stub = server.stub()
        stream = stub.StreamSamples(pb.SampleRequest(num_samples=1 << 40, seed=1))
        next(stream)
        request = self.request(stub)
        for _ in range(MOST_CALLS):
            stub.LogLikelihood(request)
            if len(self.peers(server)) >= 3:
                break
        first = next(stream).first_index
        self.assertGreater(next(stream).first_index, first)  # still the same stream
        stream.cancel()

    def test_without_an_age_one_connection_stays(self):
        server = self.serve()
        stub = server.stub()
        request = self.request(stub)
        for _ in range(500):
            stub.LogLikelihood(request)
        self.assertEqual(server.stop(), 0)
        self.assertEqual(len(self.peers(server)), 1)


if __name__ == "__main__":
    try:
        unittest.main()
    finally:
        e2e.remove_temporary_files()
