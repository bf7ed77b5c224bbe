"""Rows about bytes: broker CPU for what is produced and consumed."""
import os
import re
import subprocess

import ask
from brokers import CLUSTER, Failed
from table import Figure, Row

GIB = 1 << 30
PARTITIONS = 6
IN_FLIGHT = 5                                        # requests on their way, of an idempotent producer
PASSES = 3                                           # of a consumer over its topic: the kernel counts CPU by 10 ms


def batches(size, linger_ms):
    return ["enable.idempotence=true", "batch.size=%d" % size, "linger.ms=%d" % linger_ms, "batch.num.messages=1000000",
            "queue.buffering.max.messages=2000000", "queue.buffering.max.kbytes=65536"]


BIG_BATCHES = batches(65536, 5)


class Produce(Row):
    """RECORDS records of `size` bytes, acks=all, as fast as they are taken. batch.size and linger.ms as given: 64 KiB and 5 ms
    are those that the JVM column of the project's table was measured with, 16 KiB and 0 the Java producer's own. Beside it the
    program that receives, sums and writes as many bytes in frames of a batch's size."""

    def __init__(self, name, size, records, batch, linger_ms, figure, settings=None):
        self.name, self.size, self.records, self.batch, self.figure = name, size, records, batch, figure
        self.about = "%d records of %d bytes, acks=all, batch.size=%d linger.ms=%d, %d partitions" % (
            records, size, batch, linger_ms, PARTITIONS)
        self.settings = settings or batches(batch, linger_ms)

    def figures(self):
        return [self.figure, Figure("mib_per_second", "throughput", "MiB/s")]

    def measure(self, bench, side):
        broker, topic, records = bench.shared(side), bench.place.unique(self.name), bench.scaled(self.records)
        ask.create(broker.port, [topic], PARTITIONS)
        size = records * self.size
        bench.place.program("bench_touch", (3 * size >> 20) + 64)    # see there: not the broker's price
        before = broker.cpu()
        seconds = self.load(bench, broker, topic, records)
        cpu = broker.cpu() - before
        ask.delete(broker.port, [topic])
        per = self.records / records if self.figure.unit == "CPU s" else GIB / size
        values = {self.figure.key: cpu * per, "mib_per_second": size / seconds / (1 << 20)}
        if side == "stoker":
            values[self.figure.key + "_floor"] = self.floor(bench, broker, size) * per
        return values

    def floor(self, bench, broker, size):
        files = [broker.home.folder / ("floor-%d" % i) for i in range(PARTITIONS)]
        written = bench.place.program("bench_write_floor", self.batch, IN_FLIGHT, size, *files)
        return written["cpu_seconds"] * size / written["bytes"]

    def load(self, bench, broker, topic, records):
        return bench.place.program("bench_produce", broker.address, topic, records, self.size, 0, *self.settings)["seconds"]


class JavaProduce(Produce):
    """The same with Kafka's own ProducerPerformance, which puts batches of several partitions in one request."""

    def load(self, bench, broker, topic, records):
        command = [CLUSTER, "tool", "org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", records,
                   "--record-size", self.size, "--throughput", -1, "--producer-props", "bootstrap.servers=" + broker.address, "acks=all",
                   *self.settings]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=dict(os.environ, LOG="ERROR"))
        sent = re.findall(r"^(\d+) records sent, ([\d.]+) records/sec", done.stdout, re.M)
        if done.returncode or not sent or int(sent[-1][0]) != records:
            raise Failed("ProducerPerformance: " + (done.stderr or done.stdout)[-600:])
        return records / float(sent[-1][1])


class Consume(Row):
    """A warm topic of 1 KiB records read from its beginning by one consumer, all partitions assigned; beside it the sendfile
    program, which sends as many bytes of stokerd's own files in answers of the size that stokerd's had."""
    name = "consume"
    about = "1 GiB in 1 KiB records read %d times from the page cache, 1 MiB a partition and fetch, %d partitions" % (PASSES, PARTITIONS)
    settings = ["max.partition.fetch.bytes=1048576", "fetch.max.bytes=52428800", "queued.max.messages.kbytes=65536"]

    def __init__(self):
        self.topics = {}

    def figures(self):
        return [Figure("cpu_per_gib", "broker CPU per GiB consumed", "CPU s/GiB", ratio=0.8, floor_ratio=1.2),
                Figure("mib_per_second", "throughput", "MiB/s"), Figure("kib_per_fetch", "bytes a Fetch answer", "KiB")]

    def prepare(self, bench, side):
        broker, topic = bench.shared(side), bench.place.unique("consume")
        ask.create(broker.port, [topic], PARTITIONS)
        bench.place.program("bench_produce", broker.address, topic, self.records(bench), 1024, 0, *BIG_BATCHES)
        self.topics[side] = topic

    def records(self, bench):
        return bench.scaled(1 << 20)

    def measure(self, bench, side):
        broker = bench.shared(side)
        before, got = broker.cpu(), {}
        for _ in range(PASSES):
            once = bench.place.program("bench_consume", broker.address, self.topics[side], self.records(bench), *self.settings)
            got = {key: got.get(key, 0) + value for key, value in once.items()}
        cpu, answer = broker.cpu() - before, got["fetched_bytes"] / got["fetches"]
        values = {"cpu_per_gib": cpu * GIB / got["bytes"], "mib_per_second": got["bytes"] / got["seconds"] / (1 << 20),
                  "kib_per_fetch": answer / 1024}
        if side == "stoker":
            values["cpu_per_gib_floor"] = self.floor(bench, broker, int(answer), int(got["bytes"]))
        return values

    def floor(self, bench, broker, answer, size):
        files = sorted(broker.home.log_dir.glob(self.topics["stoker"] + "-*/*.log"))
        sent = bench.place.program("bench_sendfile", answer, 1 << 20, size, *files)
        return sent["cpu_seconds"] * GIB / sent["bytes"]

    def finish(self, bench, side):
        if side in self.topics:
            ask.delete(bench.shared(side).port, [self.topics.pop(side)])


def per_gib(ratio):
    return Figure("cpu_per_gib", "broker CPU per GiB produced", "CPU s/GiB", ratio=ratio)


def rows():
    million = 1000000
    return [
        Produce("produce-1k", 1024, million, 65536, 5, per_gib(0.33)),
        Produce("produce-100b", 100, 4 * million, 65536, 5, Figure("cpu", "broker CPU for 4 M records", "CPU s", ratio=0.33)),
        Produce("produce-1k-small-batches", 1024, million, 16384, 0, per_gib(None)),
        JavaProduce("produce-1k-java", 1024, million, 65536, 5, per_gib(None), ["batch.size=65536", "linger.ms=5"]),
        Consume(),
    ]
