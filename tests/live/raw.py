"""Kafka requests by hand, for tests that must see every answer: a client library retries, caches, batches and hides errors.

Produce version 7, Fetch version 4, Metadata version 1 and InitProducerId version 0, over one connection whose requests may be sent ahead of their answers.
"""
import contextlib
import socket
import struct

import harness

OK, UNKNOWN_TOPIC, NOT_LEADER, STORAGE_ERROR = 0, 3, 6, 56
NAMES = {0: "NONE", 3: "UNKNOWN_TOPIC_OR_PARTITION", 5: "LEADER_NOT_AVAILABLE", 6: "NOT_LEADER_OR_FOLLOWER", 7: "REQUEST_TIMED_OUT",
         56: "KAFKA_STORAGE_ERROR"}


def _table():
    rows = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        rows.append(n)
    return rows


_CRC = _table()


def crc32c(data, state=0xFFFFFFFF):
    """The state after data; the checksum is its complement."""
    for byte in data:
        state = _CRC[(state ^ byte) & 255] ^ (state >> 8)
    return state


def varint(number):
    number = number << 1 ^ (number >> 63)
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


class Batches:
    """Batches of one record: a value of size bytes that ends in a number. All but the end is checksummed once."""

    def __init__(self, size=1000, timestamp_ms=1_700_000_000_000):
        record = b"\0\0\0\1" + varint(size) + b"x" * (size - 20)       # attributes, deltas, no key, the value without its number
        record = varint(len(record) + 21) + record                     # and no headers
        self.head = struct.pack(">hiqqqhii", 0, 0, timestamp_ms, timestamp_ms, -1, -1, -1, 1) + record
        self.state = crc32c(self.head)

    def numbered(self, number):
        end = b"%020d\0" % number
        tail = self.head + end
        return struct.pack(">qiibI", 0, len(tail) + 9, -1, 2, crc32c(end, self.state) ^ 0xFFFFFFFF) + tail


def of_producer(batch, producer_id, epoch, sequence):
    """The same batch as an idempotent producer sends it."""
    rest = batch[21:43] + struct.pack(">qhi", producer_id, epoch, sequence) + batch[57:]
    return batch[:17] + struct.pack(">I", crc32c(rest) ^ 0xFFFFFFFF) + rest


def numbers(records):
    """(offset, number) of what Batches made, out of a fetched set of records; half a batch at the end is left out."""
    at, found = 0, []
    while len(records) - at >= 61:
        offset, size = struct.unpack_from(">qi", records, at)
        if at + 12 + size > len(records):
            break
        found.append((offset, int(records[at + 12 + size - 21:at + 12 + size - 1])))
        at += 12 + size
    return found


def string(text):
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def produce_request(topic, partition, records, acks=-1, timeout_ms=10000):
    return struct.pack(">hhii", -1, acks, timeout_ms, 1) + string(topic) + struct.pack(">iii", 1, partition, len(records)) + records


def fetch_request(topic, partition, offset, max_bytes=1 << 20, max_wait_ms=100, min_bytes=1):
    return struct.pack(">iiiibi", -1, max_wait_ms, min_bytes, max_bytes, 0, 1) + string(topic) + \
        struct.pack(">iiqi", 1, partition, offset, max_bytes)


class Refused(AssertionError):
    def __init__(self, error):
        super().__init__("error %d %s" % (error, NAMES.get(error, "")))
        self.error = error


class Client:
    def __init__(self, port, timeout=20, host="127.0.0.1", source=None):
        self.sock = socket.create_connection((host, port), timeout, source)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = 0

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, key, version, body):
        """Sends without waiting; returns the correlation id that recv will give with the answer."""
        self.sent += 1
        frame = struct.pack(">hhi", key, version, self.sent) + string("raw") + body
        self.sock.sendall(struct.pack(">i", len(frame)) + frame)
        return self.sent

    def recv(self):
        answer = harness.exact(self.sock, struct.unpack(">i", harness.exact(self.sock, 4))[0])
        return struct.unpack_from(">i", answer)[0], answer[4:]

    def ask(self, key, version, body):
        wanted = self.send(key, version, body)
        correlation, answer = self.recv()
        assert correlation == wanted, "answer %d to request %d" % (correlation, wanted)
        return answer

    def produce(self, topic, partition, records, acks=-1):
        """(error, base offset)"""
        return produced(self.ask(0, 7, produce_request(topic, partition, records, acks)))

    def producer_id(self):
        """(id, epoch) of a new idempotent producer."""
        error, producer_id, epoch = struct.unpack_from(">hqh", self.ask(22, 0, struct.pack(">hi", -1, 60000)), 4)
        if error:
            raise Refused(error)
        return producer_id, epoch

    def fetch(self, topic, partition, offset, **limits):
        """(error, high watermark, records)"""
        return fetched(self.ask(1, 4, fetch_request(topic, partition, offset, **limits)))

    def read_all(self, topic, partition=0, start=0):
        """Every (offset, number) from start to the high watermark; any error fails."""
        found = []
        while True:
            error, high, records = self.fetch(topic, partition, start)
            if error:
                raise Refused(error)
            if start >= high:
                return found
            part = [pair for pair in numbers(records) if pair[0] >= start]
            assert part, "nothing at offset %d below the high watermark %d" % (start, high)
            found += part
            start = part[-1][0] + 1


def produced(answer):
    topic = struct.unpack_from(">h", answer, 4)[0]
    return struct.unpack_from(">hq", answer, 4 + 2 + topic + 4 + 4)


def fetched(answer):
    at = 8 + 2 + struct.unpack_from(">h", answer, 8)[0] + 4 + 4
    error, high, _, aborted = struct.unpack_from(">hqqi", answer, at)
    at += 22 + max(aborted, 0) * 16
    size = struct.unpack_from(">i", answer, at)[0]
    return error, high, answer[at + 4:at + 4 + max(size, 0)]


def leaders(port, topic, host="127.0.0.1", timeout=5):
    """{partition: (error, leader)} as this broker's metadata has it; {} while it does not know the topic."""
    with contextlib.closing(Client(port, timeout, host)) as client:
        answer = client.ask(3, 1, struct.pack(">i", 1) + string(topic))
    brokers = struct.unpack_from(">i", answer)[0]
    at = 4
    for _ in range(brokers):
        at += 4
        at += 2 + struct.unpack_from(">h", answer, at)[0] + 4
        at += 2 + max(struct.unpack_from(">h", answer, at)[0], 0)
    at += 4 + 4                                       # the controller, one topic
    if struct.unpack_from(">h", answer, at)[0]:
        return {}
    at += 2 + 2 + len(topic) + 1
    found = {}
    count = struct.unpack_from(">i", answer, at)[0]
    at += 4
    for _ in range(count):
        error, partition, leader, replicas = struct.unpack_from(">hiii", answer, at)
        at += 14 + 4 * replicas
        at += 4 + 4 * struct.unpack_from(">i", answer, at)[0]
        found[partition] = (error, leader)
    return found
