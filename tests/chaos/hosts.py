"""The hosts of a chaos run: three ZooKeeper servers and five brokers, each a process in a namespace of its own that can be ended,
frozen and started again over the same folder. Every broker's log directory is a file system of its own, so that it can fill up.
"""
import os
import pathlib
import shutil
import signal
import time

import harness
import net
import raw

BROKERS = {"b%d" % n: n for n in range(1, 6)}
JVM_BROKERS = {"": (), "jvm": tuple(BROKERS), "mixed": ("b4", "b5")}[os.environ.get("CHAOS_PEER") or ""]
SERVERS = {"z%d" % n: 10 + n for n in range(1, 4)}
BROKER_PORT, CLIENT_PORT = 9092, 2181
DISK_BYTES = 200 << 20
FALSE_CLOCK = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
SETTINGS = {
    "zookeeper.session.timeout.ms": 2500, "zookeeper.connection.timeout.ms": 60000,
    "min.insync.replicas": 2, "default.replication.factor": 3, "offsets.topic.replication.factor": 3,
    "stoker.disk.stall.timeout.ms": 1000,            # so that disks that stop hand their leaders over
    "replica.lag.time.max.ms": 2000, "replica.fetch.wait.max.ms": 200, "replica.socket.timeout.ms": 3000,
    "replica.fetch.backoff.ms": 200, "controller.socket.timeout.ms": 3000, "controlled.shutdown.retry.backoff.ms": 500,
    "leader.imbalance.check.interval.seconds": 5, "auto.create.topics.enable": "false", "unclean.leader.election.enable": "false",
    "num.network.threads": 2, "num.io.threads": 2, "log.index.size.max.bytes": 1 << 20,
    "log.retention.ms": -1, "log.message.timestamp.after.max.ms": 9223372036854775807,  # clocks jump, and nothing may go for that
    "replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector",
}
JVM_SETTINGS = {"zookeeper.session.timeout.ms": 6000, "replica.lag.time.max.ms": 5000}  # a JVM that starts is silent for seconds
YOUNG_SECONDS = 10                                   # a process may not have come to its handlers of signals
SHUTDOWN_SECONDS = 120 if JVM_BROKERS else 60


class Host:
    """One process of one namespace. What the harness ended is not dead; what ended by itself is."""

    is_jvm = False                                   # a broker of Apache Kafka

    def __init__(self, network, name, folder):
        self.net, self.name, self.folder = network, name, pathlib.Path(folder) / name
        self.address = network.address(name)
        self.folder.mkdir()
        self.process, self.is_meant_to_run, self.is_frozen, self.is_young = None, False, False, False

    def start(self):
        self.process = harness.Process(self.net.within(self.name) + self.command(), self.folder / "process.log", env=self.environment())
        self.is_meant_to_run, self.started = True, time.monotonic()

    def environment(self):
        return {}

    def kill(self):
        self.is_meant_to_run = self.is_frozen = False
        self.process.end()

    def freeze(self):
        self.is_frozen = True
        self.process.signal(signal.SIGSTOP)

    def thaw(self):
        self.is_frozen = False
        self.process.signal(signal.SIGCONT)

    def terminate(self):
        self.is_meant_to_run = False
        self.asked = time.monotonic()
        self.is_young = self.asked - self.started < YOUNG_SECONDS
        self.process.signal(signal.SIGTERM)

    def is_ending(self):
        """It was asked to, it has not ended, and it may take longer."""
        return self.process.is_running() and time.monotonic() - self.asked < SHUTDOWN_SECONDS

    def ended_well(self, seconds):
        try:
            status = self.process.wait(seconds)
        except AssertionError:
            if not self.is_jvm:                      # how long that one takes to stop is not what we ask
                raise
            status = 143
        self.process.end()
        well = (0, 1, 143) if self.is_jvm else (0,)  # 1: its session ended while it started, or while it stopped
        assert status in well or self.is_young and status == -signal.SIGTERM, "%s stopped with status %s:\n%s" % (self.name, status, self.process.tail())

    def check(self):
        if self.is_meant_to_run and not self.process.is_running():
            if self.is_jvm and self.process.child.returncode == 1:   # it ends where its session does while it starts
                self.start()
                return
            raise AssertionError("%s died with status %s; its log ends:\n%s" % (
                self.name, self.process.child.returncode, self.process.tail(60)))


class Server(Host):
    """A ZooKeeper server of the ensemble."""

    def command(self):
        number = SERVERS[self.name]
        (self.folder / "data").mkdir(exist_ok=True)
        (self.folder / "data" / "myid").write_text("%d\n" % number)
        lines = ["dataDir=%s" % (self.folder / "data"), "clientPort=%d" % CLIENT_PORT, "maxClientCnxns=0", "tickTime=500", "initLimit=20",
                 "syncLimit=4", "admin.enableServer=false", "4lw.commands.whitelist=srvr"]
        lines += ["server.%d=%s:2888:3888" % (n, self.net.address(name)) for name, n in SERVERS.items()]
        (self.folder / "zoo.cfg").write_text("\n".join(lines) + "\n")
        return harness.jvm_command("org.apache.zookeeper.server.quorum.QuorumPeerMain", "-Xmx128m", "-XX:+UseSerialGC") + \
            [str(self.folder / "zoo.cfg")]

    def mode(self):
        """leader, follower, or None while it is neither."""
        import socket
        try:
            with socket.create_connection((self.address, CLIENT_PORT), 1) as sock:
                sock.sendall(b"srvr")
                answer = b""
                while part := sock.recv(4096):
                    answer += part
        except OSError:
            return None
        return next((line.split(": ")[1] for line in answer.decode().splitlines() if line.startswith("Mode: ")), None)


class Broker(Host):
    def __init__(self, network, name, folder, **settings):
        super().__init__(network, name, folder)
        self.id, self.log_dir, self.is_jvm = BROKERS[name], self.folder / "logs", name in JVM_BROKERS
        self.clock = self.folder / "clock"
        self.has_false_clock = FALSE_CLOCK.exists() and not self.is_jvm and b"__asan_init" not in \
            pathlib.Path(harness.binary("stokerd")).read_bytes()     # a sanitizer's library has to be the first
        self.set_clock(0)
        self.is_disk_taken = False                   # full, or stalled: not both
        self._mount()
        (self.log_dir / "data").mkdir()
        self.settings = dict({**SETTINGS, **(JVM_SETTINGS if JVM_BROKERS else {})}, **{
            "broker.id": self.id, "broker.rack": "rack%d" % (self.id % 3), "listeners": "PLAINTEXT://%s:%d" % (self.address, BROKER_PORT),
            "zookeeper.connect": ",".join("%s:%d" % (network.address(z), CLIENT_PORT) for z in SERVERS), "log.dirs": self.log_dir / "data"})
        self.settings.update({key.replace("_", "."): value for key, value in settings.items()})

    def _mount(self):
        """A disk of its own: a block device where there are loop devices, else memory, which cannot stall."""
        self.log_dir.mkdir()
        image = self.folder / "disk"
        with open(image, "wb") as file:
            file.truncate(DISK_BYTES)
        try:
            net.run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", image)
            net.run("mount", "-o", "loop,noatime", image, self.log_dir)
        except (AssertionError, OSError):
            net.run("mount", "-t", "tmpfs", "-o", "size=%d" % DISK_BYTES, "tmpfs", self.log_dir)

    def set_clock(self, ahead):
        """How many seconds its clock is ahead of ours."""
        fresh = self.folder / "clock.new"
        fresh.write_text("%+d\n" % ahead)
        fresh.rename(self.clock)

    def environment(self):
        if not self.has_false_clock:
            return {}
        return {"LD_PRELOAD": str(FALSE_CLOCK), "FAKETIME_TIMESTAMP_FILE": str(self.clock), "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def command(self):
        path = self.folder / "server.properties"
        path.write_text("".join("%s=%s\n" % pair for pair in self.settings.items()))
        if self.is_jvm:
            return harness.jvm_command("kafka.Kafka", "-Xms128m", "-Xmx256m", "-XX:+UseSerialGC") + [str(path)]
        return [harness.binary("stokerd"), str(path)]

    def metadata(self):
        return harness.metadata(BROKER_PORT, host=self.address)

    def client(self):
        return raw.Client(BROKER_PORT, host=self.address)

    def forget(self):
        """Another machine takes this one's place: the same id, nothing on its disk."""
        shutil.rmtree(self.log_dir / "data")
        (self.log_dir / "data").mkdir()

    def log_bytes(self, topic, partition):
        files = sorted((self.log_dir / "data" / ("%s-%d" % (topic, partition))).glob("*.log"))
        return b"".join(f.read_bytes() for f in files)


class Hosts:
    def __init__(self, network, folder, **settings):
        self.servers = [Server(network, name, folder) for name in SERVERS]
        self.brokers = [Broker(network, name, folder, **settings) for name in BROKERS]
        self.by_name = {host.name: host for host in self.servers + self.brokers}

    @property
    def zookeeper(self):
        return ",".join("%s:%d" % (server.address, CLIENT_PORT) for server in self.servers)

    @property
    def bootstrap(self):
        return ",".join("%s:%d" % (broker.address, BROKER_PORT) for broker in self.brokers)

    def start(self):
        for server in self.servers:
            server.start()
        harness.wait_for("the ensemble has a leader", lambda: self.zookeeper_leader(), 40)
        for broker in self.brokers:
            broker.start()
        self.wait_one_controller(240 if JVM_BROKERS else 120)

    def zookeeper_leader(self):
        return next((server for server in self.servers if server.process.is_running() and not server.is_frozen
                     and server.mode() == "leader"), None)

    def check(self):
        for host in self.by_name.values():
            host.check()

    def wait_one_controller(self, seconds):
        """All brokers name each other and the same controller; its id."""
        def agree():
            self.check()
            views = [broker.metadata() for broker in self.brokers]
            return all(sorted(ids) == sorted(BROKERS.values()) for _, ids in views) and len({c for c, _ in views}) == 1 and \
                views[0][0] in BROKERS.values() and views[0]
        return harness.wait_for("five brokers that name one controller", agree, seconds)[0]
