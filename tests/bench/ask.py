"""Topics made and deleted by requests written here by hand, so that one request can make a hundred at a known moment."""
import contextlib
import socket
import struct

from brokers import Failed, harness

METADATA, FIND_COORDINATOR, CREATE_TOPICS, DELETE_TOPICS, API_VERSIONS, ELECT_LEADERS = 3, 10, 19, 20, 18, 43
TOPIC_ALREADY_EXISTS, UNKNOWN_TOPIC = 36, 3
TIMEOUT_MS = 60000


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def ask(port, key, version, body):
    """One request on a connection of its own; gives the body of the answer."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), 300)) as sock:
        return harness.exchange(sock, struct.pack(">hhi", key, version, 1) + text("bench") + body)[4:]


def read_errors(answer, with_sentence):
    at, found = 4, {}
    for _ in range(struct.unpack_from(">i", answer, 0)[0]):
        size = struct.unpack_from(">h", answer, at)[0]
        name, at = answer[at + 2:at + 2 + size].decode(), at + 2 + size
        found[name] = struct.unpack_from(">h", answer, at)[0]
        at += 2
        if with_sentence:
            at += 2 + max(struct.unpack_from(">h", answer, at)[0], 0)
    return found


def check(what, errors):
    bad = {name: code for name, code in errors.items() if code}
    if bad:
        raise Failed("%s: error codes %s" % (what, dict(list(bad.items())[:3])))


def create(port, names, partitions, replicas=1, **settings):
    """CreateTopics, one request for all names; port is the controller's."""
    body = struct.pack(">i", len(names))
    for name in names:
        body += text(name) + struct.pack(">ihii", partitions, replicas, 0, len(settings))
        for key, value in settings.items():
            body += text(key.replace("_", ".")) + text(str(value))
    body += struct.pack(">ib", TIMEOUT_MS, 0)
    check("CreateTopics", read_errors(ask(port, CREATE_TOPICS, 1, body), True))


def delete(port, names):
    body = struct.pack(">i", len(names)) + b"".join(text(name) for name in names) + struct.pack(">i", TIMEOUT_MS)
    check("DeleteTopics", read_errors(ask(port, DELETE_TOPICS, 1, body)[4:], False))


def first_leader(port):
    """The leader of the first partition in a Metadata answer of version 1."""
    answer, at = ask(port, METADATA, 1, struct.pack(">i", -1)), 4
    for _ in range(struct.unpack_from(">i", answer, 0)[0]):
        at += 4
        at += 2 + struct.unpack_from(">h", answer, at)[0] + 4          # host, port
        at += 2 + max(struct.unpack_from(">h", answer, at)[0], 0)      # rack
    at += 4 + 4 + 2                                                    # controller, topics, error
    at += 2 + struct.unpack_from(">h", answer, at)[0] + 1 + 4          # name, is it internal, partitions
    return struct.unpack_from(">hii", answer, at)[2]


def coordinator_error(port, group):
    """What FindCoordinator says of it. A JVM broker that is asked first makes the topic of the groups' offsets."""
    return struct.unpack_from(">h", ask(port, FIND_COORDINATOR, 0, text(group)), 0)[0]


def elect_preferred(port):
    """ElectLeaders of all partitions at the controller; those that lead as preferred already are no error."""
    ask(port, ELECT_LEADERS, 0, struct.pack(">ii", -1, TIMEOUT_MS))


def idle_connections(port, count):
    """Connections that have each been answered one ApiVersions request, and stay."""
    request = struct.pack(">hhi", API_VERSIONS, 0, 1) + text("bench")
    opened = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port), 30)
        harness.exchange(sock, request)
        opened.append(sock)
    return opened
