"""Bad requests get the right code and a sentence that helps, the server lives, and the next good call is right."""
import struct
import unittest

import grpc
import numpy as np

import glowworm_e2e as e2e
from glowworm_e2e import pb

INVALID, NOT_FOUND = "INVALID_ARGUMENT", "NOT_FOUND"
D = 6


def raw(shape=(1, D), data=b"\0" * 4 * D, dtype=1):
    return pb.Tensor(dtype=dtype, shape=shape, data=data)


class BadRequestTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = e2e.golden_folder("thyroid-glow")
        cls.server = e2e.Server(e2e.repository(folder), "--max_samples=1000")
        cls.addClassCleanup(cls.server.stop)
        cls.stub = cls.server.stub()
        cls.x = e2e.read_safetensors(folder / "golden.safetensors")["x"].astype("f4")[:8]
        cls.good = pb.LogLikelihoodRequest(model=pb.ModelRef(name="thyroid-glow"), x=e2e.tensor(cls.x))
        cls.answer = cls.stub.LogLikelihood(cls.good, timeout=30).SerializeToString()

    def refused(self, code, method, request, text=""):
        got, details = e2e.outcome(lambda: getattr(self.stub, method)(request, timeout=30))
        self.assertEqual(got, code, details)
        self.assertIn(text, details)
        self.assertGreaterEqual(len(details), 12)
        self.assertLessEqual(len(details), 1024)
        self.assertNotIn("/", details)  # no path
        self.assertEqual(self.stub.LogLikelihood(self.good, timeout=30).SerializeToString(), self.answer)

    def score(self, x, code=INVALID, text="", **fields):
        self.refused(code, "LogLikelihood", pb.LogLikelihoodRequest(x=x, **fields), text)

    def test_wrong_shapes(self):
        self.score(raw((1, D + 1), b"\0" * 4 * (D + 1)), text="expected (rows, 6), got (1, 7)")
        self.score(raw((D,)), text="got (6)")
        self.score(raw((1,) * 8 + (D,)), text="9 dimensions")
        self.score(raw((1, 2, 3)), text="got (1, 2, 3)")
        self.score(raw(shape=()), text="got ()")

    def test_wrong_types(self):
        for dtype in (0, 4, 9, -1):
            self.score(raw(dtype=dtype), text="dtype")

    def test_wrong_lengths(self):
        self.score(raw(data=b"\0" * 3), text="3 bytes")
        self.score(raw(data=b"\0" * (4 * D + 1)), text="takes 24")
        self.score(raw(dtype=2), text="takes 48")

    def test_no_rows_and_odd_dimensions(self):
        self.score(raw((0, D), b""), text="at least one row")
        self.score(raw((-1, D)), text="(-1, 6)")
        self.score(raw((2**62, D)), text="rows")
        self.score(raw((2**63 - 1, 2**63 - 1)), text="expected (rows, 6)")
        self.score(raw((65537, D), b"\0" * 8), text="at most 65536")

    def test_missing_tensors(self):
        for method, request in (("LogLikelihood", pb.LogLikelihoodRequest()), ("Encode", pb.EncodeRequest()),
                                ("Decode", pb.DecodeRequest())):
            self.refused(INVALID, method, request, "missing")

    def test_unknown_models_and_versions(self):
        self.score(raw(), NOT_FOUND, "nope", model=pb.ModelRef(name="nope"))
        self.score(raw(), NOT_FOUND, "version 99", model=pb.ModelRef(name="thyroid-glow", version=99))
        self.refused(NOT_FOUND, "GetModel", pb.GetModelRequest(model=pb.ModelRef(name="nope")))
        for name in ("../thyroid-glow", "a/b", "a b", "a\nb", "x" * 65536):
            self.score(raw(), INVALID, "model.name", model=pb.ModelRef(name=name))
        self.score(raw(), INVALID, "model.version", model=pb.ModelRef(version=-1))

    def test_context_and_classes_where_the_flow_takes_none(self):
        self.score(raw(), text="takes none", context=raw((1, 2), b"\0" * 8))
        self.score(raw(), text="no classes", class_label=[0])
        self.refused(INVALID, "Sample", pb.SampleRequest(num_samples=1, class_label=0), "no classes")

    def test_sample_requests(self):
        for fields, text in (({"num_samples": 0}, "at least 1"), ({"num_samples": -1}, "at least 1"),
                             ({"num_samples": 1001}, "at most 1000"), ({"num_samples": 2**62}, "at most 1000"),
                             ({"num_samples": 2, "first_index": 2**64 - 1}, "last index"),
                             ({"num_samples": 1, "temperature": float("nan")}, "temperature"),
                             ({"num_samples": 1, "temperature": float("inf")}, "temperature"),
                             ({"num_samples": 1, "temperature": -1.0}, "temperature"),
                             ({"num_samples": 1, "dtype": 3}, "dtype")):
            self.refused(INVALID, "Sample", pb.SampleRequest(**fields), text)

    def test_latents_of_the_wrong_width(self):
        self.refused(INVALID, "Decode", pb.DecodeRequest(z=raw((1, D + 2), b"\0" * 4 * (D + 2))), "expected (rows, 6)")

    def test_replies_that_would_be_too_large(self):
        rows = 60000  # bytes in, doubles out
        self.refused(INVALID, "Encode", pb.EncodeRequest(x=raw((rows * 2, D), b"\0" * 2 * rows * D, 3)), "65536")
        self.refused(INVALID, "Encode", pb.EncodeRequest(x=raw((65536, D), b"\0" * 65536 * D, 3)), "4128768")

    def test_messages_beyond_the_limit(self):
        code, _ = e2e.outcome(lambda: self.stub.LogLikelihood(
            pb.LogLikelihoodRequest(x=raw(data=b"\0" * (5 << 20))), timeout=30))
        self.assertEqual(code, "RESOURCE_EXHAUSTED")
        self.assertEqual(self.stub.LogLikelihood(self.good, timeout=30).SerializeToString(), self.answer)

    def test_compressed_messages(self):
        bomb = pb.LogLikelihoodRequest(x=raw(data=b"\0" * (3 << 20)))
        code, _ = e2e.outcome(lambda: self.stub.LogLikelihood(bomb, timeout=30, compression=grpc.Compression.Gzip))
        self.assertEqual(code, "UNIMPLEMENTED")
        self.assertEqual(self.stub.LogLikelihood(self.good, timeout=30).SerializeToString(), self.answer)

    def test_metadata_beyond_the_limit(self):
        for metadata in ([("x-long", "a" * 16384)], [(f"x-{i}", "a" * 100) for i in range(120)]):
            offender = self.server.stub()  # gRPC may close the connection that did this
            code, _ = e2e.outcome(lambda: offender.LogLikelihood(self.good, timeout=30, metadata=metadata))
            self.assertIn(code, ("RESOURCE_EXHAUSTED", "UNAVAILABLE"))
            self.assertEqual(self.stub.LogLikelihood(self.good, timeout=30).SerializeToString(), self.answer)
        metadata = [("x-long", "a" * 6000)]
        self.assertEqual(self.stub.LogLikelihood(self.good, timeout=30, metadata=metadata).SerializeToString(), self.answer)

    def test_messages_that_are_no_messages(self):
        call = self.server.channel().unary_unary("/glowworm.v1.DensityService/LogLikelihood")
        for bytes_ in (b"\xff" * 100, b"\x12\xff\xff\xff\xff\x0f", b"\x0b" * 500):
            code, _ = e2e.outcome(lambda: call(bytes_, timeout=30))
            self.assertEqual(code, "UNIMPLEMENTED")  # gRPC 1.51's answer, before any code of ours
        unknown_fields = self.good.SerializeToString() + b"\xf8\x7f\x01"
        self.assertEqual(call(unknown_fields, timeout=30), self.answer)

    def test_rows_that_are_not_finite_spoil_no_other(self):
        x = self.x.copy()
        x[3, 0], x[5, 1], x[6, 2] = np.nan, np.inf, 3.4e38
        got = self.stub.LogLikelihood(pb.LogLikelihoodRequest(x=e2e.tensor(x)), timeout=30)
        want = pb.LogLikelihoodResponse.FromString(self.answer)
        self.assertEqual([got.row_status[i] for i in (3, 5)], [1, 1])
        self.assertTrue(np.isnan([got.log_likelihood[i] for i in (3, 5)]).all())
        self.assertTrue(np.isnan([got.tail_probability[i] for i in (3, 5)]).all())
        for i in (0, 1, 2, 4, 7):
            self.assertEqual(struct.pack("d", got.log_likelihood[i]), struct.pack("d", want.log_likelihood[i]))
            self.assertEqual(got.row_status[i], 0)
        encoded = self.stub.Encode(pb.EncodeRequest(x=e2e.tensor(x)), timeout=30)
        self.assertTrue(np.isnan(e2e.array_of(encoded.z)[[3, 5]]).all())


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
