"""Texts that mean harm, in names, headers and model files: they break no log line, no metric and no error text."""
import json
import re
import struct
import unittest

import glowworm_e2e as e2e
import grpc
import http2_frames
import numpy as np
from glowworm_e2e import pb

FORGED = "2026-01-01T00:00:00.000Z error forged"
HOSTILE = ["a\nb", f"a\r\n{FORGED}", f"a\n{FORGED}", "\x1b[31mred\x1b[0m\x07", 'a" error="x', "a\\\"b", "a\0b", "a\x7f",
           "{}{0}%s%n", "ä\u2028ö\u202e", "a b=c", "</script>", "../../etc/passwd", "/etc/passwd", " ", ".", "x" * 300,
           "x" * 65536]
HOSTILE_BYTES = [b"a\nb", b"a\r\n" + FORGED.encode(), b"\x1b[31m\x07", b'a" error="x', b"\xff\xfe\x80", b"a\0b",
                 b"x" * 120]
HEADERS = ("x-request-id", "user-agent", "x-other", "authorization", ":authority", ":path", "grpc-timeout",
           "content-type", "grpc-encoding", "te")
REPOSITORY = "/inference.GRPCInferenceService/Repository"
LINE = re.compile(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warning|error) [ -~]+\Z")
# Words, key=value, key="some text".
TEXT = re.compile(r'\A(?:[^\s"]+="[^"]*"|[^\s"]+)(?: (?:[^\s"]+="[^"]*"|[^\s"]+))*\Z')
POINTER = re.compile(r"0x[0-9a-fA-F]{3,}")


def field(number, value):
    value = value.encode() if isinstance(value, str) else value
    size, out = len(value), bytearray([number << 3 | 2])
    while size > 127:
        out.append(size & 127 | 128)
        size >>= 7
    return bytes(out) + bytes([size]) + value


class HostileTextTest(unittest.TestCase):
    """The server is asked all that means harm first; then each test looks at what it left behind."""

    @classmethod
    def setUpClass(cls):
        cls.root = e2e.repository(e2e.golden_folder("tiny-plu"))
        cls.write_hostile_models()
        server = e2e.Server(cls.root, "--repository_mode=explicit", "--admin=127.0.0.1:0", "--log_level=debug")
        try:
            cls.stub, cls.admin = server.stub(), grpc.insecure_channel(server.admin_address)
            cls.outcomes = {"names": [], "repository": [], "headers": [], "failed models": [], "unknown": []}
            cls.ask_for_names()
            cls.ask_the_repository()
            cls.raw_answers = cls.send_headers(server.address)
            cls.failed_models, cls.index = cls.ask_for_failed_models()
            cls.series_before, cls.series_after = cls.ask_for_unknown_names(server)
            cls.metrics = server.scrape()
            cls.still_serves, _ = e2e.outcome(lambda: cls.stub.GetModel(
                pb.GetModelRequest(model=pb.ModelRef(name="tiny-plu")), timeout=30))
        finally:
            cls.exit_code = server.stop()
        cls.lines = server.lines

    @classmethod
    def ask(cls, kind, call, request, **options):
        cls.outcomes[kind].append(e2e.outcome(lambda: call(request, timeout=30, **options)))

    @classmethod
    def write_hostile_models(cls):
        good = (cls.root / "tiny-plu" / "1" / "flow.safetensors").read_bytes()
        size = struct.unpack("<Q", good[:8])[0]
        header, data = json.loads(good[8:8 + size]), good[8 + size:]
        spec = json.loads(header["__metadata__"]["glowworm.flow"])

        def put(name, content, version="1"):
            path = cls.root / name / version / "flow.safetensors"
            path.parent.mkdir(parents=True)
            path.write_bytes(content)

        def put_header(name, changed):
            text = json.dumps(changed).encode()
            put(name, struct.pack("<Q", len(text)) + text + data)

        def with_spec(changed):
            return {**header, "__metadata__": {"glowworm.flow": json.dumps(changed)}}
        put("empty", b"")
        put("garbage", b"\xff" * 1000)
        put("cut", good[:len(good) // 2])
        for number, text in enumerate(text for text in HOSTILE if len(text) < 1000):
            entry = {"dtype": "F32", "shape": [1], "data_offsets": [len(data), len(data) + 4]}
            put_header(f"tensor{number}", {**header, text: entry})
            put_header(f"dtype{number}", {**header, "extra": {**entry, "dtype": text}})
            put_header(f"key{number}", {**header, "__metadata__": {**header["__metadata__"], text: text}})
            put_header(f"spec{number}", with_spec({**spec, text: text}))
            put_header(f"layer{number}", with_spec({**spec, "layers": [{"name": text, text: {}}]}))
            put_header(f"missing{number}", with_spec({**spec, "layers": [{"name": text, "plu": {"p": text}}]}))
            put_header(f"name{number}", with_spec({**spec, "name": text, "description": text}))
        for text in HOSTILE:
            if "/" not in text and "\0" not in text and len(text) < 256 and text not in (".",):
                put(text, good)

    @classmethod
    def ask_for_names(cls):
        x = e2e.tensor(np.zeros((1, 6)))
        requests = (("GetModel", pb.GetModelRequest, {}), ("LogLikelihood", pb.LogLikelihoodRequest, {"x": x}),
                    ("Encode", pb.EncodeRequest, {"x": x}), ("Decode", pb.DecodeRequest, {"z": x}),
                    ("Sample", pb.SampleRequest, {"num_samples": 1}))
        for text in HOSTILE:
            ref = pb.ModelRef(name=text)
            for method, request, fields in requests:
                cls.ask("names", getattr(cls.stub, method), request(model=ref, **fields))
            cls.ask("names", lambda r, **o: list(cls.stub.StreamSamples(r, **o)),
                    pb.SampleRequest(model=ref, num_samples=1))
            cls.ask("names", lambda r, **o: list(cls.stub.StreamLogLikelihood(iter([r]), **o))[0].error.message,
                    pb.LogLikelihoodRequest(model=ref, x=x))

    @classmethod
    def ask_the_repository(cls):
        def parameter(name, text):
            return field(2, "tiny-plu") + field(3, field(1, name) + field(2, field(3, text)))
        for text in HOSTILE:
            for method in ("Load", "Unload"):
                call = cls.admin.unary_unary(f"{REPOSITORY}Model{method}")
                for request in (field(2, text), field(1, text) + field(2, "tiny-plu"), parameter(text, text),
                                parameter("version", text)):
                    cls.ask("repository", call, request)
            cls.ask("repository", cls.admin.unary_unary(f"{REPOSITORY}Index"), field(1, text))

    @classmethod
    def send_headers(cls, address):
        """By hand, since no client would; and what a client would."""
        answers = b""
        path = "/glowworm.v1.DensityService/GetModel"
        for text in HOSTILE_BYTES:
            for name in HEADERS:
                fields = {"x-request-id": "mine", name: b"/" + text if name == ":path" else text}
                sent = http2_frames.call(path, fields, http2_frames.message(b""), end=True)
                answers += http2_frames.exchange(address, sent, b"grpc-status", 0.3)
        for text in ('a" error="x', "a b=c", "x" * 4000, "{}%s"):
            cls.ask("headers", cls.stub.GetModel, pb.GetModelRequest(), metadata=[("x-request-id", text)])
        return answers

    @classmethod
    def ask_for_failed_models(cls):
        models = cls.stub.ListModels(pb.ListModelsRequest(), timeout=30).models
        failed = [model for model in models if model.state == pb.MODEL_STATE_FAILED]
        for model in failed:
            cls.ask("failed models", cls.stub.Sample, pb.SampleRequest(model=model.ref, num_samples=1))
            cls.ask("failed models", cls.admin.unary_unary(f"{REPOSITORY}ModelLoad"), field(2, model.ref.name))
        return failed, cls.admin.unary_unary(f"{REPOSITORY}Index")(b"", timeout=30)

    @classmethod
    def ask_for_unknown_names(cls, server):
        def series():
            return {line.rsplit(" ", 1)[0] for line in server.scrape().splitlines() if not line.startswith("#")}

        def ask(name, version):
            cls.ask("unknown", cls.stub.GetModel, pb.GetModelRequest(model=pb.ModelRef(name=name, version=version)))
        ask("unknown", 0)
        before = series()
        for number in range(1000):
            ask(*((f"unknown{number}", 0) if number % 2 else ("tiny-plu", 100 + number)))
        return before, series()

    def codes(self, kind):
        return {code for code, _ in self.outcomes[kind]}

    def test_every_such_request_is_refused_and_the_server_goes_on(self):
        self.assertEqual(self.codes("names") - {"OK"}, {"INVALID_ARGUMENT"})
        messages = [text for code, text in self.outcomes["names"] if code == "OK"]  # of a stream's answers
        self.assertEqual([text for text in messages if not text], [])
        self.assertLessEqual(self.codes("repository"), {"INVALID_ARGUMENT", "NOT_FOUND"})
        self.assertEqual(self.codes("unknown"), {"NOT_FOUND"})
        self.assertNotIn("OK", self.codes("failed models"))
        self.assertEqual((self.still_serves, self.exit_code), ("OK", 0))

    def test_error_texts_tell_nothing_of_the_server(self):
        texts = [text for kind in self.outcomes.values() for code, text in kind if isinstance(text, str)]
        texts += [model.error for model in self.failed_models]
        self.assertGreater(len(texts), 1000)
        for text in texts:
            self.assertRegex(text, r"\A[ -~]{1,1024}\Z")
            self.assertNotRegex(text, POINTER)
            for own in ("../../etc/passwd", "/etc/passwd", "</script>"):
                text = text.replace(own, "")
            self.assertNotIn("/", text)

    def test_models_that_failed_say_why_in_one_line(self):
        self.assertGreater(len(self.failed_models), 3 * len(HOSTILE))
        for model in self.failed_models:
            self.assertRegex(model.ref.name, r"\A[A-Za-z0-9._-]+\Z")
        self.assertNotIn(str(self.root).encode(), self.index)
        self.assertNotIn(b"\x1b[31m", self.index)
        self.assertNotIn(b"\n" + FORGED.encode(), self.index)

    def test_answers_repeat_no_header_as_it_came(self):
        self.assertIn(b"mine", self.raw_answers)
        for text in HOSTILE_BYTES[:-1]:
            self.assertNotIn(text, self.raw_answers)

    def test_unknown_names_make_no_series(self):
        self.assertEqual(self.series_after, self.series_before)
        for text in ("forged", "unknown", "</script>", str(self.root), "\x1b"):
            self.assertNotIn(text, self.metrics)
        self.assertNotRegex(self.metrics, POINTER)

    def test_every_line_of_the_log_keeps_its_form(self):
        self.assertGreater(len(self.lines), 1000)
        for line in self.lines:
            self.assertRegex(line, LINE)
            self.assertRegex(line.split(" ", 2)[2], TEXT)
            self.assertNotRegex(line, POINTER)
            self.assertNotIn(str(self.root), line)
            self.assertLess(len(line), 2000)
        self.assertFalse(any(line.startswith(FORGED) for line in self.lines))


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
