"""Calls by hand, as HTTP/2 frames: for what no gRPC client would send."""
import socket

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
UNAUTHENTICATED = b"grpc-status\x0216"


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _text(value):
    value = value.encode() if isinstance(value, str) else value
    assert len(value) < 127
    return bytes([len(value)]) + value


def call(path, fields, data, end):
    """The bytes of one call on a new connection: its headers with these fields besides, then this much of its data."""
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost",
              "content-type": "application/grpc", "te": "trailers", **fields}
    headers = b"".join(b"\0" + _text(name) + _text(value) for name, value in fields.items())
    return PREFACE + frame(4, 0, 0, b"") + frame(1, 4, 1, headers) + frame(0, 1 if end else 0, 1, data)


def message(payload, size=None):
    """A gRPC message, or the beginning of one that announces `size` bytes."""
    return b"\0" + (len(payload) if size is None else size).to_bytes(4, "big") + payload


def exchange(address, sent, until, seconds):
    """What the server answers, up to `until`, or until it closes or is silent for so long."""
    got = b""
    with socket.create_connection(address.rsplit(":", 1), timeout=seconds) as connection:
        connection.sendall(sent)
        try:
            while until not in got:
                part = connection.recv(65536)
                if not part:
                    break
                got += part
        except (TimeoutError, ConnectionError):
            pass
    return got
