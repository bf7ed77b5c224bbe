"""Rows about partitions in numbers: start, creation, recovery, and ten thousand of them under the usual limits."""
import threading
import time

import ask
from brokers import Failed, Home
from table import Figure, Row

TOPIC_PARTITIONS = 100                               # of each topic where there are thousands of partitions
BLOCK = 64 << 10
WRITERS = 16


def topics_for(partitions):
    return max(1, partitions // TOPIC_PARTITIONS), min(partitions, TOPIC_PARTITIONS)


def create_many(broker, stem, partitions):
    """Topics stem-0 … of 100 partitions each; waits until all are led. Gives (topics, partitions of each)."""
    topics, each = topics_for(partitions)
    for i in range(topics):
        ask.create(broker.port, ["%s-%d" % (stem, i)], each)
    broker.await_leaders(topics * each, seconds=600)
    return topics, each


def write(bench, broker, stem, topics, each, rounds, size):
    """`rounds` records of `size` bytes to each partition, in turn; an error fails the row."""
    return bench.place.program("bench_requests", broker.port, stem, topics, each, WRITERS, topics * each * rounds, size)


class StartEmpty(Row):
    name = "start-empty"
    about = "from exec to a Metadata answer that names the broker, no topics, after an orderly stop"

    def __init__(self):
        self.homes = {}

    def figures(self):
        return [Figure("seconds", "start, empty", "s", most=0.1)]

    def prepare(self, bench, side):
        self.homes[side] = Home(bench.place, side, "empty")

    def measure(self, bench, side):
        broker = self.homes[side].start()
        seconds = broker.await_leaders(0)
        broker.stop()
        return {"seconds": seconds}


class StartMany(Row):
    name = "start-10000"
    about = "from exec to live leaders of 10,000 partitions with one record each, after an orderly stop"

    def __init__(self):
        self.homes, self.counts = {}, {}

    def figures(self):
        return [Figure("seconds", "start, 10,000 partitions", "s", most=1.0), Figure("cpu", "broker CPU until then", "CPU s"),
                Figure("rss_mib", "resident then", "MiB")]

    def prepare(self, bench, side):
        home = self.homes[side] = Home(bench.place, side, "many")
        broker = home.start()
        broker.await_leaders(0)
        topics, each = create_many(broker, "many", bench.scaled(10000))
        write(bench, broker, "many", topics, each, 1, 100)
        self.counts[side] = topics * each
        broker.stop()

    def measure(self, bench, side):
        broker = self.homes[side].start()
        seconds, cpu, rss = broker.await_leaders(self.counts[side], seconds=300), broker.cpu(), broker.memory_mib()
        broker.stop()
        return {"seconds": seconds, "cpu": cpu, "rss_mib": rss}

    def finish(self, bench, side):
        if side in self.homes:
            self.homes[side].remove()


class CreateTopics(Row):
    name = "create-topics"
    about = "100 topics of 10 partitions in one CreateTopics request, until Metadata names all leaders"

    def figures(self):
        return [Figure("seconds", "100 topics of 10 partitions", "s", most=0.5), Figure("cpu", "broker CPU for it", "CPU s")]

    def prepare(self, bench, side):
        self.broker = getattr(self, "broker", {})
        self.broker[side] = Home(bench.place, side, "create").start()
        self.broker[side].await_leaders(0)

    def measure(self, bench, side):
        broker, count = self.broker[side], bench.scaled(100)
        names = ["%s-%d" % (bench.place.unique("made"), i) for i in range(count)]
        before, since = broker.cpu(), time.monotonic_ns()
        ask.create(broker.port, names, 10)
        seconds = broker.await_leaders(count * 10, since)
        cpu = broker.cpu() - before
        ask.delete(broker.port, names)
        broker.await_leaders(0)
        return {"seconds": seconds, "cpu": cpu}

    def finish(self, bench, side):
        if side in getattr(self, "broker", {}):
            self.broker.pop(side).kill()


class Recovery(Row):
    """Killed with what it wrote never flushed. To recover the same again and again, the recovery points are taken away between
    runs: without that file both brokers hold all of a log for unflushed, as they did at the first time."""
    name = "recovery"
    about = "from exec to all leaders of 2,000 partitions with 1 MiB unflushed each, after kill -9"
    partitions = 2000

    def __init__(self):
        self.homes, self.counts = {}, {}

    def figures(self):
        return [Figure("seconds", "recovery of 2,000 partitions", "s", ratio=0.33), Figure("cpu", "broker CPU until then", "CPU s"),
                Figure("rss_mib", "resident then", "MiB")]

    def prepare(self, bench, side):
        home = self.homes[side] = Home(bench.place, side, "recovery")
        broker = home.start()
        broker.await_leaders(0)
        topics, each = create_many(broker, "torn", bench.scaled(self.partitions))
        write(bench, broker, "torn", topics, each, (1 << 20) // BLOCK, BLOCK)
        self.counts[side] = topics * each
        broker.kill()

    def measure(self, bench, side):
        home = self.homes[side]
        (home.log_dir / "recovery-point-offset-checkpoint").unlink(missing_ok=True)
        if (home.log_dir / ".kafka_cleanshutdown").exists():
            raise Failed("a killed broker left the mark of an orderly stop")
        broker = home.start()
        seconds, cpu, rss = broker.await_leaders(self.counts[side], seconds=600), broker.cpu(), broker.memory_mib()
        broker.kill()
        return {"seconds": seconds, "cpu": cpu, "rss_mib": rss}

    def finish(self, bench, side):
        if side in self.homes:
            self.homes[side].remove()


class Watch(threading.Thread):
    """The most descriptors and mappings a broker had while it was watched."""

    def __init__(self, broker):
        super().__init__(daemon=True)
        self.broker, self.descriptors, self.mappings, self.ended = broker, 0, 0, threading.Event()

    def run(self):
        while not self.ended.is_set() and self.broker.is_alive():
            self.look()
            self.ended.wait(0.1)

    def look(self):
        self.descriptors = max(self.descriptors, self.broker.descriptors())
        self.mappings = max(self.mappings, self.broker.mappings())

    def end(self):
        self.ended.set()
        self.join()
        self.look()


class ManyWritten(Row):
    """The limits are the broker's own (setrlimit) and the kernel's usual number of mappings; what it uses is counted."""
    name = "many-partitions"
    about = "10,000 partitions written to in turn, three rounds, under 20,000 descriptors and 65,530 mappings"
    descriptors_limit, mappings_limit, setting = 20000, 65530, 2000
    sides = ("stoker",)

    def figures(self):
        return [Figure("errors", "Produce errors, default settings", "", most=0),
                Figure("descriptors", "descriptors at most", "", most=self.descriptors_limit),
                Figure("mappings", "mappings at most", "", most=self.mappings_limit),
                Figure("bounded_descriptors", "with max.open.files=%d" % self.setting, "", most=self.setting + 200),
                Figure("bounded_mappings", "with max.mapped.indexes=%d" % self.setting, "", most=self.setting + 500),
                Figure("per_second", "requests a second", "1/s"), Figure("rss_mib", "resident at the end", "MiB")]

    def measure(self, bench, side):
        default = self.once(bench, side, {})
        bounded = self.once(bench, side, {"max_open_files": self.setting, "max_mapped_indexes": self.setting})
        return {"errors": default["errors"] + bounded["errors"], "descriptors": default["descriptors"], "mappings": default["mappings"],
                "bounded_descriptors": bounded["descriptors"], "bounded_mappings": bounded["mappings"],
                "per_second": default["acknowledged"] / default["seconds"], "rss_mib": default["rss_mib"]}

    def once(self, bench, side, settings):
        home = Home(bench.place, side, "turns", **settings)
        broker = home.start(files=self.descriptors_limit)
        broker.await_leaders(0)
        watch = Watch(broker)
        watch.start()
        topics, each = create_many(broker, "turn", bench.scaled(10000))
        got = write(bench, broker, "turn", topics, each, 3, 100)
        watch.end()
        got.update(descriptors=watch.descriptors, mappings=watch.mappings, rss_mib=broker.memory_mib())
        broker.stop()
        home.remove()
        return got


def rows():
    return [StartEmpty(), StartMany(), CreateTopics(), Recovery(), ManyWritten()]
