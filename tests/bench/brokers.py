"""The two sides of the comparison as processes: a JVM broker and stokerd, started alike, beside one real ZooKeeper.

A Running broker knows its process id, its port, the moment of its exec and what the kernel says about it. Both sides get the same
settings, folders on the same disk, and a chroot of their own in the same ZooKeeper. Everything started here is ended here, by id.
"""
import atexit
import contextlib
import os
import pathlib
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "live"))
import harness                                       # noqa: E402

CLUSTER = HERE.parent / "interop" / "kafka-cluster"
TICKS = os.sysconf("SC_CLK_TCK")
FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # descriptors a broker may have unless the row limits them
SESSION_MS = 6000
SETTINGS = {"auto.create.topics.enable": "false", "zookeeper.session.timeout.ms": SESSION_MS}

_running = []


class Failed(Exception):
    pass


def numbers(line):
    """What a load program printed: key=value …"""
    return {key: float(value) for key, value in (pair.split("=", 1) for pair in line.split())}


class Place:
    """Where a bench works: a folder, a ZooKeeper, and the programs."""

    def __init__(self, programs, folder=None, tick_ms=2000):
        self.programs = pathlib.Path(programs).resolve()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="stoker-bench-", dir=folder))
        self.zookeeper_port = harness.free_ports(1)[0]
        self.names = 0
        self.tick_ms = tick_ms
        subprocess.run([CLUSTER, "jars"], check=True)
        self._cluster("zookeeper", self.folder)
        self.zookeeper_pid = int((self.folder / "zookeeper.pid").read_text())
        atexit.register(self.close)

    def _cluster(self, *arguments):
        subprocess.run([CLUSTER, *map(str, arguments)], check=True, env=self.environment())

    def environment(self, **more):
        return dict(os.environ, ZOOKEEPER_PORT=str(self.zookeeper_port), TICK_MS=str(self.tick_ms), **more)

    def unique(self, stem):
        self.names += 1
        return "%s-%d" % (stem, self.names)

    def program(self, name, *arguments, seconds=900):
        """Runs a load program; gives its key=value line as a dict of numbers."""
        done = subprocess.run([self.programs / name, *map(str, arguments)], capture_output=True, text=True, timeout=seconds)
        if done.returncode:
            raise Failed("%s %s ended with %d: %s" % (name, " ".join(map(str, arguments)), done.returncode,
                                                      (done.stderr or done.stdout).strip()[-600:]))
        return numbers(done.stdout)

    def start(self, program, *arguments):
        """A load program beside others; its output is in .stdout."""
        return subprocess.Popen([self.programs / program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ephemerals(self):
        """The ephemeral nodes that ZooKeeper holds now."""
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.zookeeper_port), 5)) as sock:
            sock.sendall(b"dump")
            text = b""
            while part := sock.recv(65536):
                text += part
        return text.decode()

    def close(self):
        for broker in [broker for broker in _running if broker.place is self]:
            broker.kill()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.zookeeper_pid, signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)


class Home:
    """What outlives a broker's process: its folder, port, chroot and settings. start() makes it run. A setting that is None is
    left to the broker's default."""

    def __init__(self, place, side, name, broker_id=1, chroot=None, **settings):
        self.place, self.side, self.name = place, side, "%s-%s" % (place.unique(name), side)
        self.id, self.chroot = broker_id, chroot or self.name
        self.folder = place.folder / self.name
        self.folder.mkdir(parents=True)
        self.port = harness.free_ports(1)[0]
        self.log_dir = self.folder / ("broker-%d" % broker_id)
        self.log = self.folder / ("broker-%d.log" % broker_id)
        self.settings = dict(SETTINGS, **{"zookeeper.connect": "127.0.0.1:%d/%s" % (place.zookeeper_port, self.chroot)})
        self.settings.update((key.replace("_", "."), value) for key, value in settings.items())
        self.settings = {key: value for key, value in self.settings.items() if value is not None}

    def start(self, files=FILES, **more):
        """Exec, and no waiting. more: settings for this time only."""
        self._await_no_registration()
        settings = dict(self.settings, **{key.replace("_", "."): value for key, value in more.items()})
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))   # noqa: E731
        running = (start_jvm if self.side == "jvm" else start_stoker)(self, settings, limit)
        _running.append(running)
        return running

    def _await_no_registration(self):
        """A killed broker's node stands until its session ends; starting before that would measure ZooKeeper's patience."""
        node = "/%s/brokers/ids/%d" % (self.chroot, self.id)
        harness.wait_for("the old registration goes", lambda: node not in self.place.ephemerals().split(), 60)

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def end_all_but(kept):
    """What a row that failed left running must not disturb the next."""
    for broker in [broker for broker in _running if broker not in kept]:
        broker.kill()


def start_jvm(home, settings, limit):
    pid_file = home.folder / ("broker-%d.pid" % home.id)
    pid_file.unlink(missing_ok=True)
    pairs = ["%s=%s" % pair for pair in settings.items()]
    script = subprocess.Popen([CLUSTER, "broker", home.folder, str(home.id), *pairs], preexec_fn=limit, stderr=subprocess.DEVNULL,
                              env=home.place.environment(BROKER_PORT=str(home.port - home.id)))
    while not (pid_file.exists() and pid_file.read_text().strip()):
        time.sleep(0.0005)
    return Running(home, int(pid_file.read_text()), time.monotonic_ns(), script)


def start_stoker(home, settings, limit):
    path = home.folder / "server.properties"
    lines = {"broker.id": home.id, "listeners": "PLAINTEXT://127.0.0.1:%d" % home.port, "log.dirs": home.log_dir,
             "offsets.topic.replication.factor": 1, "transaction.state.log.replication.factor": 1,
             "transaction.state.log.min.isr": 1, "group.initial.rebalance.delay.ms": 0, **settings}
    path.write_text("".join("%s=%s\n" % pair for pair in lines.items()))
    with open(home.log, "ab") as log:
        since = time.monotonic_ns()
        child = subprocess.Popen([home.place.programs / "stokerd", path], stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=limit)
    return Running(home, child.pid, since, child)


class Running:
    def __init__(self, home, pid, since_ns, child):
        self.home, self.pid, self.since_ns, self._child = home, pid, since_ns, child
        self.side, self.port, self.place = home.side, home.port, home.place
        self.address = "127.0.0.1:%d" % home.port
        self._watch = os.pidfd_open(pid)

    def await_leaders(self, partitions, since_ns=None, seconds=120):
        """Seconds from exec (or from since_ns) to a Metadata answer with that many partitions, all led."""
        asker = self.place.start("bench_await", self.port, partitions, since_ns or self.since_ns, seconds)
        while asker.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                asker.wait(0.5)
            if not self.is_alive():
                asker.kill()
        out, sentence = asker.communicate()
        if asker.returncode:
            raise Failed("%s: %s%s; %s" % (self.home.name, sentence.strip(), "" if self.is_alive() else "it ended", self.tail()))
        return numbers(out)["seconds"]

    def tail(self):
        return "the broker's log ends:\n" + "\n".join(self.home.log.read_text(errors="replace").splitlines()[-15:])

    def cpu(self):
        """Seconds of all its threads so far, user and system."""
        fields = pathlib.Path("/proc/%d/stat" % self.pid).read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mib(self, key="VmRSS"):
        for line in pathlib.Path("/proc/%d/status" % self.pid).read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1]) / 1024

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def mappings(self):
        with open("/proc/%d/maps" % self.pid, "rb") as maps:
            return sum(1 for _ in maps)

    def is_alive(self):
        return not select.select([self._watch], [], [], 0)[0]

    def stop(self, seconds=180):
        """An orderly stop, which a row may rely on: an error of stokerd at its end is an error of the row."""
        self._end(signal.SIGTERM, seconds)
        if self.side == "stoker" and self._child.returncode:
            raise Failed("%s stopped with %s; %s" % (self.home.name, self._child.returncode, self.tail()))
        if " log not closed cleanly " in self.tail():
            raise Failed("%s did not stop cleanly; %s" % (self.home.name, self.tail()))

    def kill(self):
        self._end(signal.SIGKILL, 60)

    def _end(self, number, seconds):
        if self not in _running:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        if not select.select([self._watch], [], [], seconds)[0]:
            raise Failed("%s (%d) did not end within %d s" % (self.home.name, self.pid, seconds))
        _running.remove(self)
        os.close(self._watch)
        self._child.wait()
