"""What the suites of clients in other languages share: the records they write, their building, their runs, and the judge of them.

A client's program gets the broker's address, a file of records and the word its topics begin with; it writes, reads back and
compares by itself. Here the topics it filled are read again with librdkafka, so that a client cannot agree with itself alone.
"""
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))
import harness                                       # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
BROKER = {"auto.create.topics.enable": "false", "log.retention.check.interval.ms": 1000}


def samples(null_headers=True):
    """Keys, values, headers and times of awkward kinds."""
    rng = random.Random(7)
    nothing = None if null_headers else b""
    rows = [(None, b"v", []), (b"k", None, []), (None, None, []), (b"", b"", []), (b"k", b"v", [("h", b"")]),
            (b"k", b"x" * 5000, [("a", b"1"), ("a", b"2"), ("nothing", nothing)]),
            (b"\x00\xff", bytes(range(256)), [("\u00e9\u4e16", b"\xff"), ("", b"unnamed")])]
    rows += [(b"%d" % i, rng.randbytes(rng.randrange(300)), []) for i in range(40)]
    return [(k, v, h, 1_600_000_000_000 + 1000 * i) for i, (k, v, h) in enumerate(rows)]


def write_samples(rows):
    def text(raw):
        return None if raw is None else raw.hex()
    path = harness.temp_dir() / "records.json"
    path.write_text(json.dumps([{"Key": text(k), "Value": text(v), "Headers": [{"Name": n, "Value": text(x)} for n, x in h],
                                 "Timestamp": t} for k, v, h, t in rows]))
    return str(path)


def run(command, seconds=240, env=None, cwd=None):
    """Runs a client's program; what it printed is the test's output, and its failure the test's."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, cwd=cwd,
                          env=dict(os.environ, **(env or {})))
    print(done.stdout, end="", flush=True)
    assert done.returncode == 0, "%s ended with %d" % (pathlib.Path(command[0]).name, done.returncode)
    return done.stdout


def shape(message):
    return message.key(), message.value(), message.headers() or [], message.timestamp()[1]


def judge(broker, topic, rows):
    """librdkafka reads in the topic exactly these rows, at the offsets from 0 on."""
    got = harness.read_all(broker.address, topic)
    assert [m.offset() for m in got] == list(range(len(rows))), "%s has %d records, not %d" % (topic, len(got), len(rows))
    for message, row in zip(got, rows):
        assert shape(message) == row, "%s at %d is %.300r, not %.300r" % (topic, message.offset(), shape(message), row)


def judge_codecs(broker, prefix, rows, codecs=CODECS, acks=("0", "1", "all")):
    """What the client wrote with every codec is there for others too, and is compressed on disk as the client was told."""
    for codec in codecs:
        for ack in acks:
            topic = "%s-%s-%s" % (prefix, codec, ack)
            judge(broker, topic, rows)
            stored = stored_codecs(broker, topic)    # some clients leave a batch alone that its codec would make larger
            assert codec in stored <= {codec, "none"}, "%s is stored as %s" % (topic, stored)


def stored_codecs(broker, topic, partition=0):
    """The codecs of the batches in the files of a partition (format v2: length at 8, attributes at 21 of each batch)."""
    found = set()
    for segment in sorted((broker.log_dir / ("%s-%d" % (topic, partition))).glob("*.log")):
        data, at = segment.read_bytes(), 0
        while at + 61 <= len(data):
            length = int.from_bytes(data[at + 8:at + 12], "big")
            if length <= 0:                          # preallocated room after the last batch
                break
            found.add(CODECS[int.from_bytes(data[at + 21:at + 23], "big") & 7])
            at += 12 + length
    return found


def go_program(name):
    """Builds one command of tests/interop/go; its modules are brought once, into Go's own cache."""
    if not shutil.which("go"):
        harness.skip_all("there is no Go")
    target = harness.CACHE / "go" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["go", "build", "-o", str(target), "./" + name], cwd=HERE / "go", capture_output=True, text=True,
                          env=dict(os.environ, GOFLAGS="-mod=readonly", GOTOOLCHAIN="local"))
    if done.returncode:
        unreachable = any(sign in done.stderr for sign in ("dial tcp", "no such host", "requires go >=", "connection refused"))
        if unreachable:
            harness.skip_all("Go cannot bring the modules: " + done.stderr.strip().splitlines()[-1])
        raise SystemExit("go build ./%s:\n%s" % (name, done.stderr))
    return str(target)


def java_program(name):
    """The command that runs a class of tests/interop/java with Kafka's own clients."""
    classes = harness.CACHE / "java"
    subprocess.run(["javac", "-cp", "%s/*" % harness.jars(), "-d", str(classes), "-sourcepath", str(HERE / "java"), str(HERE / "java" / (name + ".java"))], check=True)
    return ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Dlog4j.configuration=file:%s" % (harness.CACHE / "log4j.properties"), "-cp", "%s:%s/*" % (classes, harness.jars()), name]


class Program:
    """A program in another language that writes or reads numbers until its input ends, and says for each its offset."""

    def __init__(self, command):
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.rows, self.errors = [], []               # (number, offset) as they came
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self):
        for line in self.child.stdout:
            number, offset, *why = line.split(None, 2)
            if offset == "-":
                self.errors.append((int(number), why))
            else:
                self.rows.append((int(number), int(offset)))

    @property
    def acknowledged(self):
        return dict(self.rows)

    def wait_more(self, count, seconds=60):
        before = len(self.rows)
        harness.wait_for("%d more after %d" % (count, before), lambda: len(self.rows) >= before + count, seconds)

    def finish(self):
        self.child.stdin.close()
        try:
            assert self.child.wait(60) == 0, "the program ended with %d" % self.child.returncode
        finally:
            self.child.kill()
        self.thread.join(10)


def node_modules():
    """The folder in which Node finds the packages of tests/interop/kafkajs, brought once; its manifest names them."""
    if not (shutil.which("node") and shutil.which("npm")):
        harness.skip_all("there is no Node or no npm")
    source, target = HERE / "kafkajs", harness.CACHE / "kafkajs"
    wanted = (source / "package-lock.json").read_text()
    mark = target / "installed.json"
    if not (mark.exists() and mark.read_text() == wanted):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, target)
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=target, capture_output=True, text=True)
        if done.returncode:
            harness.skip_all("npm cannot bring the packages: " + done.stderr.strip()[-300:].replace("\n", " "))
        mark.write_text(wanted)
    return str(target)
