"""Three brokers of one side beside the bench's ZooKeeper: started, loaded with topics, killed and brought back one at a time."""
import contextlib
import signal
import subprocess
import time

import ask
from brokers import HERE, Failed, Home, harness, numbers

IDS = (1, 2, 3)
TOPIC_PARTITIONS = 100
OFFSETS_PARTITIONS = 50                              # offsets.topic.num.partitions
AWAIT_SECONDS = 300
PRODUCERS = {"librdkafka": lambda: [HERE / "failover_gap.py"], "java": lambda: harness.jvm_command(HERE / "FailoverGap.java")}


class Trio:
    def __init__(self, bench, side, name, **settings):
        self.place, self.side, self.chroot = bench.place, side, bench.place.unique(name)
        self.homes = {i: Home(bench.place, side, "%s-%d" % (name, i), broker_id=i, chroot=self.chroot, **settings) for i in IDS}
        self.brokers = {i: home.start() for i, home in self.homes.items()}
        self.partitions = 0
        for broker in self.brokers.values():
            broker.await_leaders(0)
        harness.wait_for("all know each other", lambda: all(self.view(i)[1] == set(IDS) for i in IDS), 60)

    @property
    def zookeeper(self):
        return self.homes[1].settings["zookeeper.connect"]

    def view(self, broker_id):
        """(controller, live brokers) as that broker knows them."""
        controller, ids = harness.metadata(self.homes[broker_id].port, timeout=30)
        return controller, set(ids)

    def controller(self):
        views = []

        def agreed():
            views[:] = [self.view(i)[0] for i in self.brokers]
            return len(set(views)) == 1 and views[0] in self.brokers
        harness.wait_for("one controller", agreed, 60)
        return views[0]

    def expect_consumers(self):
        """A consumer, though it assigns partitions, asks for its group's coordinator: brokers that have one make their topic for it now."""
        if self.side == "jvm":
            harness.wait_for("the groups have a coordinator", lambda: ask.coordinator_error(self.homes[1].port, "nobody") == 0, 60)
            self.partitions += OFFSETS_PARTITIONS

    def let_control(self, broker_id, wanted):
        """Elects until that broker is the controller, or is not."""
        server, _, chroot = self.zookeeper.partition("/")
        while (self.controller() == broker_id) != wanted:
            before = self.controller()
            subprocess.run([self.place.programs / "stoker", "zk-shell", server, "delete", "/%s/controller" % chroot],
                           check=True, capture_output=True)
            with contextlib.suppress(AssertionError):    # the same may win again
                harness.wait_for("another is the controller", lambda: self.controller() != before, 2)

    def create(self, stem, partitions):
        """Topics of 100 partitions, three replicas each, in one request. Seconds until every broker names all leaders."""
        topics, each = max(1, partitions // TOPIC_PARTITIONS), min(partitions, TOPIC_PARTITIONS)
        since = time.monotonic_ns()
        ask.create(self.homes[self.controller()].port, ["%s-%d" % (stem, i) for i in range(topics)], each, replicas=3)
        self.partitions += topics * each
        return max(broker.await_leaders(self.partitions, since, AWAIT_SECONDS) for broker in self.brokers.values())

    def create_topic(self, name, partitions):
        """One topic more, beside those of create(), which every broker knows then."""
        ask.create(self.homes[self.controller()].port, [name], partitions, replicas=3)
        for broker in self.brokers.values():
            broker.await_leaders(self.partitions + partitions)

    def delete_topic(self, name):
        ask.delete(self.homes[self.controller()].port, [name])
        for broker in self.brokers.values():
            broker.await_leaders(self.partitions)

    def addresses(self):
        return ",".join(broker.address for broker in self.brokers.values())

    def write_once(self):
        """One record to every partition, so that each has a segment's file on every broker."""
        self.place.program("bench_write_once", self.partitions, *["%d=%d" % (i, self.homes[i].port) for i in self.brokers])

    def leader_of_first(self):
        """Who leads the first partition that Metadata names."""
        return ask.first_leader(self.homes[next(iter(self.brokers))].port)

    def produce_slowly(self, topic, client):
        """A producer that runs until its standard input closes; it has been acknowledged once. client: of PRODUCERS."""
        load = subprocess.Popen([*map(str, PRODUCERS[client]()), self.addresses(), topic], text=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if load.stdout.readline().strip() != "producing":
            raise Failed("producer %s: %s" % (client, load.stderr.read()))
        return load

    def await_in_sync(self, since_ns=None, port=None):
        """Seconds until the ISR of every partition is all three."""
        port = port or self.homes[next(iter(self.brokers))].port
        return self.place.program("bench_await", port, self.partitions, since_ns or time.monotonic_ns(), AWAIT_SECONDS,
                                  len(IDS))["seconds"]

    def watch(self, gone):
        """A client that watches the broker's znode and asks the others once it goes; .stdout has what it saw."""
        others = ["%d=%d" % (i, self.homes[i].port) for i in self.brokers if i != gone]
        watcher = self.place.start("bench_failover", self.zookeeper, gone, self.partitions, AWAIT_SECONDS, *others)
        if watcher.stdout.readline().strip() != "watching":
            raise Failed("bench_failover: " + watcher.stderr.read())
        return watcher

    def kill_controller(self):
        """What a watching client saw of its end (bench_failover), and `expired`: seconds from the kill until its node had gone."""
        self.restore()
        controller = self.controller()
        watcher = self.watch(controller)
        killed_ns = time.monotonic_ns()
        self.kill(controller)
        out, sentence = watcher.communicate()
        if watcher.returncode:
            raise Failed("bench_failover: " + sentence)
        got = numbers(out)
        got["expired"] = (got.pop("gone_ns") - killed_ns) / 1e9
        return got

    def same_operations(self):
        """Seconds of a bare program for what a new controller asks of ZooKeeper, on a copy of this cluster's znodes."""
        server, _, chroot = self.zookeeper.partition("/")
        return self.place.program("bench_zookeeper", server, "/" + chroot, "/copy-of-" + chroot, len(IDS))["seconds"]

    def kill(self, broker_id, number=signal.SIGKILL):
        broker = self.brokers.pop(broker_id)
        broker.kill() if number == signal.SIGKILL else broker.stop()

    def start(self, broker_id):
        self.brokers[broker_id] = self.homes[broker_id].start()
        return self.brokers[broker_id]

    def restore(self):
        """All brokers up, everything in sync, leaders where they are preferred."""
        for i in IDS:
            if i not in self.brokers:
                self.start(i).await_leaders(self.partitions)
        self.await_in_sync()
        ask.elect_preferred(self.homes[self.controller()].port)

    def cpu(self):
        return sum(broker.cpu() for broker in self.brokers.values())

    def end(self):
        for broker in self.brokers.values():
            broker.kill()
        self.brokers = {}
        for home in self.homes.values():
            home.remove()
