"""A raw HTTP/2 client that does as little as it may: it sends unary gRPC calls and never lets a reply's bytes through
(window 0), or reads them when told to. Used by tests/reliability/slow_reader_test.py."""
import select
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def _text(text):
    return bytes([len(text)]) + text.encode()  # HPACK: a plain string below 127 bytes


def headers(path):
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost", "te": "trailers",
              "content-type": "application/grpc"}
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields.items())


class Connection:
    """One connection from `source` whose streams have a window of `window` bytes for replies."""

    def __init__(self, address, source="127.0.0.1", window=0):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), source_address=(source, 0))
        self.next_stream = 1
        settings = struct.pack("!HI", INITIAL_WINDOW_SIZE, window)
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, settings) + frame(SETTINGS, ACK, 0))

    def call(self, path, message):
        body = b"\x00" + struct.pack("!I", len(message)) + message
        self.socket.sendall(frame(HEADERS, END_HEADERS, self.next_stream, headers(path)) +
                            frame(DATA, END_STREAM, self.next_stream, body))
        self.next_stream += 2

    def drain(self):
        """Throws away what has come and answers pings, so that only the windows hold the server back."""
        while select.select([self.socket], [], [], 0)[0]:
            data = self.socket.recv(1 << 16)
            if not data:
                return False
            at = data.find(struct.pack("!I", 8)[1:] + bytes([PING, 0, 0, 0, 0, 0]))
            if at >= 0 and len(data) >= at + 17:
                self.socket.sendall(frame(PING, ACK, 0, data[at + 9:at + 17]))
        return True

    def close(self):
        self.socket.close()
