"""What the tests of live, interop and chaos share: ports, processes, folders, deadlines and clients.

A test is a script of functions named test_*; run(globals()) calls each with a fresh Report line and exits 0, 1 or 77. Nothing here
sleeps for a fixed time in the hope that something happened: wait_for asks until it did. Every process is our own child, killed by
its own id. STOKER_BIN names the folder of stokerd and stoker. STOKER_PEER=jvm runs the same tests against Apache Kafka, which is
how one knows that a test is right.
"""
import atexit
import contextlib
import fcntl
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
INTEROP = HERE.parent / "interop"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "stoker-tests"
PACKAGES = ["kafka-python==2.0.6", "confluent-kafka==2.6.1", "kazoo==2.10.0", "lz4==4.4.5", "zstandard==0.25.0",
            "python-snappy==0.7.3"]
NEWER = [name.replace("confluent-kafka==2.6.1", "confluent-kafka==2.16.1") for name in PACKAGES]
PEER_IS_JVM = os.environ.get("STOKER_PEER") == "jvm"
ALONE = {"offsets.topic.replication.factor": 1, "transaction.state.log.replication.factor": 1,
         "transaction.state.log.min.isr": 1, "group.initial.rebalance.delay.ms": 0}

KILL_SECONDS = 120                                    # from SIGKILL to the end, on a machine whose disk is busy

_living = []
_logs = []                                            # of every process, to look for reports of sanitizers
_folders = []


class Skip(Exception):
    """The test, or one part of it, cannot run here; the text says why."""


def use_venv(packages=PACKAGES):
    """Goes on inside a virtual environment that has the clients, made once and shared by all runs."""
    folder = CACHE / ("venv" if packages is PACKAGES else "venv-newer")
    python = folder / "bin" / "python"
    if pathlib.Path(sys.prefix) == folder:
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    mark, wanted = folder / "packages.txt", "\n".join(packages)
    with open(CACHE / (folder.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != wanted:
            try:
                for command in ([sys.executable, "-m", "venv", str(folder)],
                                [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"] + packages):
                    subprocess.run(command, check=True, capture_output=True, text=True)
            except (OSError, subprocess.CalledProcessError) as e:
                print("skipped: the Python clients cannot be installed: %s" % (getattr(e, "stderr", "") or str(e)).strip()[-300:])
                sys.exit(77)
            mark.write_text(wanted)
    os.execv(str(python), [str(python)] + sys.argv)


def binary(name):
    folder = os.environ.get("STOKER_BIN")
    path = pathlib.Path(folder or "/nonexistent") / name
    if not path.exists():
        print("skipped: STOKER_BIN=%s has no %s" % (folder or "", name))
        sys.exit(77)
    return str(path.resolve())


def temp_dir():
    path = pathlib.Path(tempfile.mkdtemp(prefix="stoker-test-"))
    _folders.append(path)
    return path


def free_ports(count):
    """Ports nobody listens on, below the range from which the kernel gives out its own."""
    low = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = []
    while len(ports) < count:
        port = random.randrange(max(low - 12000, 10000), low)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                s.bind(("127.0.0.1", port))
                if port not in ports:
                    ports.append(port)
    return ports


def wait_for(what, ask, seconds=30.0, pause=0.05):
    """Asks until the answer is true and returns it; an exception counts as not yet."""
    end, last = time.monotonic() + seconds, None
    while True:
        try:
            answer = ask()
            if answer:
                return answer
        except Exception as e:                       # whatever a client throws while a broker is away
            last = e
        if time.monotonic() > end:
            raise AssertionError("not within %.0f s: %s%s" % (seconds, what, " (%r)" % last if last else ""))
        time.sleep(pause)


def listens(port):
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), 1)):
        return True


class Process:
    """A child of ours with its log; killed with its own id when the test ends."""

    def __init__(self, command, log, env=None, cwd=None):
        self.log = pathlib.Path(log)
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=cwd,
                                          env=dict(os.environ, **(env or {})))
        _living.append(self)
        if self.log not in _logs:
            _logs.append(self.log)

    def signal(self, number):
        self.child.send_signal(number)

    def is_running(self):
        return self.child.poll() is None

    def wait(self, seconds=30):
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError("process %d still runs after %d s; its log ends:\n%s" % (self.child.pid, seconds, self.tail()))

    def tail(self, lines=30):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def end(self):
        if self.is_running():
            self.child.kill()
            try:
                self.child.wait(KILL_SECONDS)
            except subprocess.TimeoutExpired:        # it waits in the kernel, for a disk that does not answer
                raise AssertionError("process %d cannot be killed: %s" % (self.child.pid, self._in_kernel()))
        if self in _living:
            _living.remove(self)

    def _in_kernel(self):
        found = []
        for thread in pathlib.Path("/proc/%d/task" % self.child.pid).glob("*"):
            with contextlib.suppress(OSError):
                state = (thread / "stat").read_text().rsplit(")", 1)[1].split()[0]
                found.append("%s %s %s" % ((thread / "comm").read_text().strip(), state, (thread / "stack").read_text().split("\n")[:4]))
        return "; ".join(found)


class Broker:
    """One broker that can be stopped and started over the same folder. zookeeper None: with a coordinator of its own."""

    def __init__(self, broker_id=1, zookeeper=None, folder=None, jvm=PEER_IS_JVM, **settings):
        self.id, self.jvm = broker_id, jvm
        self.folder = pathlib.Path(folder) if folder else temp_dir()
        self.port, own = free_ports(2)
        self.address = "127.0.0.1:%d" % self.port
        self.own_zookeeper = None
        if jvm and not zookeeper:
            self.own_zookeeper = ZooKeeper()
            zookeeper = self.own_zookeeper.address
        self.standalone = not zookeeper
        self.zookeeper = zookeeper or "127.0.0.1:%d" % own
        self.settings = dict(ALONE)
        self.settings["listeners"] = "PLAINTEXT://" + self.address
        self.settings["broker.id"] = broker_id
        if self.standalone:
            self.settings["stoker.embedded.listener"] = self.zookeeper
        else:
            self.settings["zookeeper.connect"] = zookeeper
            self.settings["log.dirs"] = self.folder / "logs"
        self.settings.update({k.replace("_", "."): v for k, v in settings.items()})
        self.process = None

    @property
    def log_dir(self):
        return pathlib.Path(str(self.settings.get("log.dirs", self.folder / "logs")).split(",")[0])

    def start(self, seconds=60):
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "broker.log"
        if self.jvm:
            command = jvm_command("kafka.Kafka", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC") + [self._file()]
        elif self.standalone:
            command = [binary("stokerd"), "--standalone", "--data", str(self.folder)]
            for pair in self.settings.items():
                command += ["--override", "%s=%s" % pair]
        else:
            command = [binary("stokerd"), self._file()]
        self.process = Process(command, log)
        self.wait_ready(seconds)
        return self

    def _file(self):
        path = self.folder / "server.properties"
        path.write_text("".join("%s=%s\n" % pair for pair in self.settings.items()))
        return str(path)

    def wait_ready(self, seconds=60):
        """Serves metadata that names this broker and a controller."""
        def ready():
            if not self.process.is_running():
                raise Died("broker %d ended with %s:\n%s" % (self.id, self.process.child.returncode, self.process.tail()))
            controller, ids = metadata(self.port)
            return self.id in ids and controller >= 0
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError, EOFError, struct.error):
                if ready():
                    return
            if time.monotonic() > end:
                raise AssertionError("broker %d serves nothing after %d s:\n%s" % (self.id, seconds, self.process.tail()))
            time.sleep(0.05)

    def stop(self, seconds=40):
        """An orderly stop. Returns the exit status, which must be 0 for stokerd (the JVM's is 143)."""
        self.process.signal(signal.SIGTERM)
        status = self.process.wait(seconds)
        self.process.end()
        if status not in ((0, 143) if self.jvm else (0,)):
            raise AssertionError("broker %d stopped with status %s:\n%s" % (self.id, status, self.process.tail()))
        return status

    def kill(self):
        self.process.end()

    def alive(self):
        """Fails if the broker died; returns its metadata."""
        if not self.process.is_running():
            raise AssertionError("the broker died with %s:\n%s" % (self.process.child.returncode, self.process.tail(60)))
        return metadata(self.port)


class Died(Exception):
    pass


class ZooKeeper:
    """A real ZooKeeper server of one node, from Kafka's own jars; settings are those of its file."""

    def __init__(self, folder=None, **settings):
        self.folder = pathlib.Path(folder) if folder else temp_dir()
        self.settings = settings
        self.port = free_ports(1)[0]
        self.address = "127.0.0.1:%d" % self.port
        self.start()

    def start(self):
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        path = self.folder / "zoo.cfg"
        path.write_text("dataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\n"
                        "tickTime=500\n" % (self.folder / "data", self.port) + "".join("%s=%s\n" % pair for pair in self.settings.items()))
        self.process = Process(jvm_command("org.apache.zookeeper.server.quorum.QuorumPeerMain", "-Xmx256m", "-XX:+UseSerialGC",
                                           "-Dzookeeper.admin.enableServer=false") + [str(path)], self.folder / "zookeeper.log")
        wait_for("ZooKeeper listens", lambda: listens(self.port), 30)

    def kill(self):
        self.process.end()


def jars():
    """The folder of Kafka's jars, which Maven brings once."""
    folder = pathlib.Path(os.environ.get("JARS") or CACHE.parent / "stoker-peer")
    if not (folder / ".complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        if not (shutil.which("mvn") and shutil.which("java")):
            skip_all("there is no Maven or no Java")
        with open(folder / ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / ".complete").exists():
                done = subprocess.run(["mvn", "-B", "-q", "-f", str(INTEROP / "pom.xml"), "dependency:copy-dependencies",
                                       "-DoutputDirectory=%s" % folder], capture_output=True, text=True)
                if done.returncode:
                    skip_all("Maven could not bring the jars: " + done.stdout[-300:].replace("\n", " "))
                (folder / ".complete").touch()
    if not shutil.which("java"):
        skip_all("there is no Java")
    return folder


def skip_all(why):
    print("skipped: " + why)
    sys.exit(77)


def jvm_command(main, *options):
    log4j = CACHE / "log4j.properties"
    if not log4j.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        fresh = CACHE / ("log4j.properties.%d" % os.getpid())
        fresh.write_text("log4j.rootLogger=WARN, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n"
                         "log4j.appender.out.target=System.err\nlog4j.appender.out.layout=org.apache.log4j.PatternLayout\n"
                         "log4j.appender.out.layout.ConversionPattern=%d %p %c{1} %m%n\n")
        fresh.rename(log4j)
    return ["java", "-XX:TieredStopAtLevel=1", *options, "-cp", "%s/*" % jars(), "-Dlog4j.configuration=file:%s" % log4j, main]


def jvm_tool(main, *arguments, stdin=None, seconds=60, check=True):
    """Runs one of Kafka's own tools and returns what it printed."""
    done = subprocess.run(jvm_command(main, "-Xmx256m", "-XX:+UseSerialGC") + [str(a) for a in arguments], input=stdin,
                          capture_output=True, text=True, timeout=seconds)
    if check and done.returncode:
        raise AssertionError("%s ended with %d:\n%s%s" % (main, done.returncode, done.stdout[-3000:], done.stderr[-3000:]))
    return done.stdout if check else done


def exact(sock, size):
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise EOFError("closed after %d of %d bytes" % (len(data), size))
        data += part
    return data


def exchange(sock, request):
    sock.sendall(struct.pack(">i", len(request)) + request)
    return exact(sock, struct.unpack(">i", exact(sock, 4))[0])


def metadata(port, timeout=5, host="127.0.0.1"):
    """Metadata version 1 of no topic, by hand: (controller id, broker ids). Kafka clients cache; this does not."""
    with contextlib.closing(socket.create_connection((host, port), timeout)) as sock:
        answer = exchange(sock, struct.pack(">hhih4si", 3, 1, 7, 4, b"test", 0))
    at, ids = 8, []
    for _ in range(struct.unpack_from(">i", answer, 4)[0]):
        ids.append(struct.unpack_from(">i", answer, at)[0])
        at += 4
        at += 2 + struct.unpack_from(">h", answer, at)[0] + 4      # host, port
        at += 2 + max(struct.unpack_from(">h", answer, at)[0], 0)  # rack
    return struct.unpack_from(">i", answer, at)[0], ids


def create_topic(broker, name, partitions=1, replicas=1, **settings):
    """Creates a topic and waits until every partition has a leader in the broker's own metadata."""
    from confluent_kafka.admin import AdminClient, NewTopic
    admin = AdminClient({"bootstrap.servers": broker.address})
    config = {"retention.ms": "-1"}                  # the tests choose the times of their records
    config.update({k.replace("_", "."): str(v) for k, v in settings.items()})
    admin.create_topics([NewTopic(name, partitions, replicas, config=config)])[name].result(30)

    def led():
        found = admin.list_topics(name, timeout=10).topics[name]
        return len(found.partitions) == partitions and all(p.leader >= 0 for p in found.partitions.values())
    wait_for("topic %s has leaders" % name, led)
    return admin


def read_all(address, topic, partition=0, start=0, count=None, seconds=40):
    """The messages of one partition from an offset up to its end as it is now (or count of them), with librdkafka."""
    from confluent_kafka import Consumer, KafkaException, TopicPartition
    consumer = Consumer({"bootstrap.servers": address, "group.id": "nobody", "enable.auto.commit": False,
                         "auto.offset.reset": "error", "fetch.wait.max.ms": 50, "check.crcs": True})
    try:
        place = TopicPartition(topic, partition, start)
        if count is None:
            _, high = wait_for("offsets of %s" % topic, lambda: consumer.get_watermark_offsets(place, timeout=5), seconds)
        consumer.assign([place])
        found, end = [], time.monotonic() + seconds
        while (len(found) < count) if count is not None else (consumer.position([place])[0].offset < high and high > start):
            if time.monotonic() > end:
                raise AssertionError("read only %d records of %s-%d in %d s" % (len(found), topic, partition, seconds))
            for message in consumer.consume(500, 0.2):
                if message.error():
                    if message.error().retriable() or message.error().code() < 0:
                        continue
                    raise KafkaException(message.error())
                found.append(message)
        return found
    finally:
        consumer.close()


@atexit.register
def _clean():
    for process in list(_living):
        process.end()
    for folder in _folders:
        if os.environ.get("STOKER_KEEP"):
            print("kept: %s" % folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _stopped(number, _frame):
    sys.exit(128 + number)                           # so that the children go too


def run(names):
    """Runs the test_* functions of a script, or those whose names its arguments are part of."""
    signal.signal(signal.SIGTERM, _stopped)
    failed = skipped = passed = 0
    wanted = sys.argv[1:]
    for name, function in [(n, f) for n, f in names.items() if n.startswith("test_") and callable(f)]:
        if wanted and not any(w in name for w in wanted):
            continue
        started = time.monotonic()
        try:
            function()
            passed += 1
            verdict = "ok  "
        except Skip as e:
            skipped += 1
            verdict = "skip (%s)" % e
        except Exception:
            failed += 1
            verdict = "FAIL"
            traceback.print_exc(file=sys.stdout)
        print("%s %s (%.1f s)" % (verdict, name, time.monotonic() - started), flush=True)
    for log in _logs:                                # a sanitizer's report fails the test that caused it
        text = log.read_text(errors="replace") if log.exists() else ""
        for sign in ("ERROR: AddressSanitizer", "runtime error:", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer",
                     "Assertion `"):
            if sign in text:
                failed += 1
                print("FAIL: %s in %s:\n%s" % (sign, log, text[max(0, text.index(sign) - 200):][:4000]))
                break
        if failed:
            print("the log %s ends:\n%s" % (log, "\n".join(text.splitlines()[-40:])))
    print("%d passed, %d failed%s" % (passed, failed, ", %d skipped" % skipped if skipped else ""))
    sys.exit(1 if failed else 0 if passed else 77)
