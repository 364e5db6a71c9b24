"""HTTP/2 as bytes, for attacks: frames of any shape, and a connection that sends what it is given, right or wrong, and
counts what comes back. It acknowledges SETTINGS and PINGs, keeps to the peer's windows in fill() only, and opens none.
Used by attacks.py. Tested by tests/attack/direct_test.py."""
import collections
import select
import socket
import ssl
import struct
import time

import hpack

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4  # a setting
CANCEL = 8  # an error code
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
READ_BYTES, WRITE_BYTES = 1 << 18, 1 << 16


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """A frame; `length` is what it claims, by default the truth."""
    length = len(payload) if length is None else length
    return struct.pack(">I", length)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(*pairs):
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", key, value) for key, value in pairs))


def message(body, compressed=False):
    """A gRPC message as the payload of DATA frames."""
    return struct.pack(">BI", compressed, len(body)) + body


def data(stream, payload, end=False):
    """DATA frames of at most 16 KiB."""
    pieces = [payload[i:i + 16384] for i in range(0, len(payload), 16384)] or [b""]
    return b"".join(frame(DATA, END_STREAM if end and piece is pieces[-1] else 0, stream, piece) for piece in pieces)


def integer(value, prefix_bits, first=0):
    """HPACK's integer, of any size."""
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes([first | value])
    out, value = [first | limit], value - limit
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + [value])


def literal(name, value):
    """A header that enters no table, without Huffman's code."""
    return b"\0" + integer(len(name), 7) + name + integer(len(value), 7) + value


def call_headers(method, *more):
    """The request headers of a gRPC call, name and value."""
    return [(b":method", b"POST"), (b":scheme", b"http"), (b":path", method.encode()), (b":authority", b"glowworm"),
            (b"te", b"trailers"), (b"content-type", b"application/grpc"), *more]


class Connection:
    """One connection to (host, port), by TLS if `ca` is the file of a certificate to trust, with HTTP/2's preface sent
    unless `preface` is empty. Never blocks beyond the seconds given."""

    def __init__(self, address, ca=None, preface=PREFACE + settings()):
        self.socket = socket.create_connection(address, timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if ca:
            context = ssl.create_default_context(cafile=ca)
            context.check_hostname = False
            context.set_alpn_protocols(["h2"])
            self.socket = context.wrap_socket(self.socket)
        self.socket.setblocking(False)
        self.closed = False
        self.initial_window, self.window_updates = 65535, collections.Counter()  # what the peer lets us send
        self.data_sent = collections.Counter()  # by fill(), by stream, and in all at 0
        self.frames = collections.Counter()  # received, by kind
        self.pongs = 0  # PINGs of ours that were answered
        self.ended = set()  # streams that the peer has ended or reset
        self.goaway = None  # the error code of the last GOAWAY
        self.text = b""  # of it, or what came that is no HTTP/2
        self.resets = collections.Counter()  # by error code
        self.statuses = collections.Counter()  # grpc-status, else :status
        self._received, self._owed = bytearray(), b""  # what came in part, acknowledgements not yet sent
        self._decoder = hpack.Decoder()
        self._decoder.max_allowed_table_size = 1 << 20
        self._http2 = bool(preface)
        self.send(preface)

    def close(self):
        self.socket.close()

    def send(self, payload, seconds=20):
        """Sends all of it, reading meanwhile; False if the peer closed or takes no more within `seconds`."""
        view, until = memoryview(self._owed + payload), time.monotonic() + seconds
        self._owed = b""
        while len(view) and not self.closed and time.monotonic() < until:
            self._wait(0.2, write=True)
            self._read()
            try:
                view = view[self.socket.send(view[:WRITE_BYTES]):]
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            except OSError:
                self.closed = True
        return not len(view)

    def window(self, stream):
        """Bytes of DATA that the peer's windows still allow on this stream."""
        whole = 65535 + self.window_updates[0] - self.data_sent[0]
        return min(whole, self.initial_window + self.window_updates[stream] - self.data_sent[stream])

    def fill(self, stream, payload, seconds=20):
        """Sends the payload as DATA as far and as fast as the peer's windows allow, until it ends the stream; the bytes
        sent."""
        view, until = memoryview(payload), time.monotonic() + seconds

        def go_on(me):
            return me.window(stream) > 0 or stream in me.ended

        while len(view) and self.wait(go_on, max(0, until - time.monotonic())) and stream not in self.ended:
            piece = view[:min(self.window(stream), 1 << 20)]
            self.data_sent[stream] += len(piece)
            self.data_sent[0] += len(piece)
            if not self.send(data(stream, bytes(piece))):
                break
            view = view[len(piece):]
        return len(payload) - len(view)

    def wait(self, condition, seconds):
        """Reads until condition(self), or the peer closes, or `seconds`; the condition's last value."""
        until = time.monotonic() + seconds
        while not condition(self) and not self.closed and time.monotonic() < until:
            if self._owed:
                self.send(b"", 1)
            self._wait(min(0.2, max(0, until - time.monotonic())))
            self._read()
        return condition(self)

    def wait_closed(self, seconds):
        return self.wait(lambda me: me.closed, seconds)

    def _wait(self, seconds, write=False):
        if not (isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()):
            select.select([self.socket], [self.socket] if write else [], [], seconds)

    def _read(self):
        try:
            while chunk := self.socket.recv(READ_BYTES):
                self._received += chunk
                self._parse()
            self.closed = True
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self.closed = True

    def _parse(self):
        if not self._http2:
            self.text = bytes(self._received[:200])
            return
        at = 0
        while len(self._received) - at >= 9:
            length = int.from_bytes(self._received[at:at + 3], "big")
            if len(self._received) - at < 9 + length:
                break
            kind, flags = self._received[at + 3], self._received[at + 4]
            stream = int.from_bytes(self._received[at + 5:at + 9], "big")
            self._take(kind, flags, stream, bytes(self._received[at + 9:at + 9 + length]))
            at += 9 + length
        del self._received[:at]

    def _take(self, kind, flags, stream, payload):
        self.frames[kind] += 1
        if kind == RST_STREAM or kind in (HEADERS, DATA) and flags & END_STREAM:
            self.ended.add(stream)
        if kind == WINDOW_UPDATE:
            self.window_updates[stream] += int.from_bytes(payload, "big")
        elif kind in (SETTINGS, PING) and not flags & ACK:
            self._owed += frame(kind, ACK, 0, payload if kind == PING else b"")
        if kind == PING and flags & ACK:
            self.pongs += 1
        if kind == SETTINGS:
            for key, value in struct.iter_unpack(">HI", payload):
                self.initial_window = value if key == INITIAL_WINDOW_SIZE else self.initial_window
        elif kind == GOAWAY:
            self.goaway, self.text = int.from_bytes(payload[4:8], "big"), payload[8:208]
        elif kind == RST_STREAM:
            self.resets[int.from_bytes(payload, "big")] += 1
        elif kind == HEADERS and flags & END_HEADERS:
            fields = dict(self._decoder.decode(payload[5:] if flags & 0x20 else payload, raw=True))
            for kind_of, name in (("grpc", b"grpc-status"), ("http", b":status")):
                if name in fields and (flags & END_STREAM or name == b"grpc-status"):
                    self.statuses[f"{kind_of} {fields[name].decode()}"] += 1
                    break
