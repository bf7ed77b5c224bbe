"""Several brokers beside a real ZooKeeper: what its znodes say, how a session is ended from outside, and clients that notice stalls."""
import contextlib
import json
import shutil
import socket
import struct
import threading
import time

import harness
import raw

SECRET = 0xB3415C00                                  # of ZooKeeper's SessionTracker: passwords follow from session ids


def zookeeper():
    if not shutil.which("java"):
        raise harness.Skip("a real ZooKeeper needs a JDK")
    return harness.ZooKeeper()


def start(count, address, **settings):
    return [harness.Broker(n, zookeeper=address, **settings).start() for n in range(1, count + 1)]


def all_know(brokers):
    """Every broker's metadata names all of them and one controller."""
    ids = sorted(b.id for b in brokers)

    def agree():
        views = [b.alive() for b in brokers]
        return all(sorted(view[1]) == ids for view in views) and len({view[0] for view in views}) == 1 and views[0][0] in ids
    harness.wait_for("brokers %s know each other and a controller" % ids, agree, 40)
    return brokers[0].alive()[0]


class Znodes:
    """What ZooKeeper holds; every call connects anew after a loss, so it may be used while the server comes and goes."""

    def __init__(self, address):
        from kazoo.client import KazooClient
        self.client = KazooClient(address, timeout=10, connection_retry={"max_tries": -1, "max_delay": 0.3},
                                  command_retry={"max_tries": -1, "max_delay": 0.3})
        self.client.start(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.stop()
        self.client.close()

    def read(self, path):
        """(JSON or None where there is no znode, stat)"""
        from kazoo.exceptions import NoNodeError
        try:
            data, stat = self.client.get(path)
        except NoNodeError:
            return None, None
        return (json.loads(data) if data else None), stat

    def children(self, path):
        from kazoo.exceptions import NoNodeError
        try:
            return sorted(self.client.get_children(path))
        except NoNodeError:
            return []

    def registration(self, broker_id):
        """The broker epoch, None while it is not registered."""
        stat = self.read("/brokers/ids/%d" % broker_id)[1]
        return stat.czxid if stat else None

    def session(self, broker_id):
        return self.read("/brokers/ids/%d" % broker_id)[1].ephemeralOwner

    def controller(self):
        """(broker id or None, controller epoch)"""
        node = self.read("/controller")[0]
        return (node["brokerid"] if node else None), self.read("/controller_epoch")[0]


def password(session):
    """What ZooKeeper's server gave the session of this id: 16 bytes of java.util.Random seeded with the id."""
    state = ((session ^ SECRET) ^ 0x5DEECE66D) & ((1 << 48) - 1)
    out = b""
    for _ in range(4):
        state = (state * 0x5DEECE66D + 0xB) & ((1 << 48) - 1)
        out += struct.pack("<I", state >> 16)
    return out


def end_session(znodes, port, broker_id, host="127.0.0.1"):
    """Closes a broker's session from outside: its ephemeral znodes are gone, and it learns that the session expired.

    Connecting and closing travel together, as the owner takes its session back the moment that it loses its connection; where it
    comes between nevertheless, ZooKeeper refuses to close what has moved, so this is tried until it is done.
    """
    session = znodes.session(broker_id)
    connect = struct.pack(">iqiqi", 0, 0, 10000, session, 16) + password(session) + b"\0"
    close = struct.pack(">ii", 1, -11)

    def is_ended():
        with contextlib.closing(socket.create_connection((host, port), 10)) as sock, contextlib.suppress(ConnectionError):
            sock.sendall(struct.pack(">i", len(connect)) + connect + struct.pack(">i", len(close)) + close)
            while sock.recv(4096):                   # it closes, sometimes before it sent its answers
                pass
        stat = znodes.read("/brokers/ids/%d" % broker_id)[1]
        return stat is None or stat.ephemeralOwner != session
    harness.wait_for("the session of broker %d ends" % broker_id, is_ended, 20, pause=0.3)


class Load(threading.Thread):
    """Produces one record and fetches it, again and again over one connection, until finish(): errors and pauses are remembered."""

    def __init__(self, broker, topic, partition=0):
        super().__init__(daemon=True)
        self.place, self.port = (topic, partition), broker.port
        self.errors, self.longest, self.acknowledged = [], 0.0, {}
        self.batches, self.stopping = raw.Batches(200), threading.Event()
        self.begun = self.last = time.monotonic()
        self.start()

    def run(self):
        number = 0
        client = None
        while not self.stopping.is_set():
            try:
                client = client or raw.Client(self.port, 30)
                error, offset = client.produce(*self.place, self.batches.numbered(number))
                if not error:
                    self.acknowledged[number] = offset
                    error, _, records = client.fetch(*self.place, offset)
                    if not error and (offset, number) not in raw.numbers(records):
                        error = "record %d is not at offset %d" % (number, offset)
                if error:
                    self.errors.append((round(time.monotonic() - self.begun, 2), error))
                    self.stopping.wait(0.02)
                    continue
                number += 1
            except (OSError, EOFError) as e:
                self.errors.append((round(time.monotonic() - self.begun, 2), repr(e)))
                client = None
                self.stopping.wait(0.05)
                continue
            now = time.monotonic()
            self.longest = max(self.longest, now - self.last)
            self.last = now
            self.stopping.wait(0.005)
        if client:
            client.close()

    def wait_more(self, count=20, seconds=30):
        before = len(self.acknowledged)
        harness.wait_for("%d records more in %s-%d; errors %s" % (count, *self.place, self.errors[-3:]),
                         lambda: len(self.acknowledged) >= before + count, seconds)

    def finish(self, longest=None):
        """Ends it; fails on any error, and where a record took longer than so many seconds."""
        self.stopping.set()
        self.join(40)
        self.longest = max(self.longest, time.monotonic() - self.last)
        print("     %s-%d: %d records, longest pause %.2f s, errors %s" % (
            *self.place, len(self.acknowledged), self.longest, self.errors[:4]))
        if longest is not None:
            assert not self.errors, self.errors[:10]
            assert self.longest < longest, "a record took %.2f s" % self.longest

    def check(self, client):
        """Every acknowledged record is at its offset."""
        found = dict(client.read_all(*self.place))
        lost = [(n, o) for n, o in self.acknowledged.items() if found.get(o) != n]
        assert not lost, "%d of %d acknowledged records are lost: %s" % (len(lost), len(self.acknowledged), lost[:5])


def create_request(topic, partitions=1, replicas=1, timeout_ms=3000, assignment=None):
    """CreateTopics version 1."""
    body = struct.pack(">i", 1) + raw.string(topic)
    if assignment:
        body += struct.pack(">ihi", -1, -1, len(assignment))
        for partition, brokers in enumerate(assignment):
            body += struct.pack(">ii", partition, len(brokers)) + b"".join(struct.pack(">i", b) for b in brokers)
    else:
        body += struct.pack(">ihi", partitions, replicas, 0)
    return body + struct.pack(">iib", 0, timeout_ms, 0)


def created(answer):
    """The error of the one topic."""
    size = struct.unpack_from(">h", answer, 4)[0]
    return struct.unpack_from(">h", answer, 6 + size)[0]


def create_on(brokers, controller, topic, assignment):
    """Creates a topic with this assignment through its controller, and waits until every leader serves it."""
    port = next(b.port for b in brokers if b.id == controller)
    with raw.Client(port) as client:
        error = created(client.ask(19, 1, create_request(topic, assignment=assignment, timeout_ms=10000)))
        assert error == 0, "creating %s: error %d" % (topic, error)
    for broker in brokers:
        wanted = {p: (0, ids[0]) for p, ids in enumerate(assignment)}
        harness.wait_for("broker %d knows the leaders of %s" % (broker.id, topic),
                         lambda: raw.leaders(broker.port, topic) == wanted, 20)
