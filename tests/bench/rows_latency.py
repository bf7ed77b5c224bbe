"""Rows about single records: what one costs, how long it takes, and who else may slow it down."""
import pathlib
import subprocess

import ask
from brokers import Failed
from rows_throughput import BIG_BATCHES, PARTITIONS
from table import Figure, Row

RATE = 5000


class RoundTrip(Row):
    """One record at a time, produced with acks=all and awaited by an assigned consumer, which waits in a Fetch meanwhile."""
    name = "round-trip"
    about = "10,000 single records of 1 KiB, acks=all, each fetched before the next is produced"

    def figures(self):
        return [Figure("cpu_ms", "broker CPU per produce-and-fetch", "CPU ms", ratio=0.2),
                Figure("p50_ms", "end-to-end p50", "ms"), Figure("p99_ms", "end-to-end p99", "ms", ratio=0.5),
                Figure("p999_ms", "end-to-end p99.9", "ms", ratio=0.5)]

    def measure(self, bench, side):
        broker, topic = bench.shared(side), bench.place.unique("trips")
        ask.create(broker.port, [topic], 1)
        before = broker.cpu()
        got = bench.place.program("bench_round_trip", broker.address, topic, bench.scaled(10000), 1024)
        cpu = broker.cpu() - before
        ask.delete(broker.port, [topic])
        return {"cpu_ms": cpu * 1000 / got["trips"], "p50_ms": got["p50_ms"], "p99_ms": got["p99_ms"], "p999_ms": got["p999_ms"]}


class ColdReader(Row):
    """A paced producer alone, then beside a consumer that reads a backlog which is not in the page cache."""
    name = "cold-reader"
    about = "producer of %d records/s of 1 KiB, without and with a reader of a cold backlog of 4 GiB" % RATE
    seconds = 20

    def __init__(self):
        self.backlogs = {}

    def figures(self):
        return [Figure("p99_alone_ms", "producer p99 without the reader", "ms"), Figure("p99_beside_ms", "producer p99 with the reader", "ms"),
                Figure("ratio", "with / without", "x", most=1.5), Figure("reader_mib_per_second", "the reader's speed", "MiB/s")]

    def prepare(self, bench, side):
        broker, topic = bench.shared(side), bench.place.unique("backlog")
        ask.create(broker.port, [topic], PARTITIONS)
        bench.place.program("bench_produce", broker.address, topic, self.records(bench), 1024, 0, *BIG_BATCHES)
        self.backlogs[side] = topic

    def records(self, bench):
        return bench.scaled(4 << 20)

    def measure(self, bench, side):
        broker, paced = bench.shared(side), bench.place.unique("paced")
        ask.create(broker.port, [paced], PARTITIONS)
        drop_caches()
        alone = bench.place.program(*self.producer(bench, broker, paced))["p99_ms"]
        drop_caches()
        reader = bench.place.start("bench_consume", broker.address, self.backlogs[side], self.records(bench),
                                   "max.partition.fetch.bytes=1048576")
        beside = bench.place.program(*self.producer(bench, broker, paced))["p99_ms"]
        was_too_short = reader.poll() is None
        out, sentence = reader.communicate(timeout=600)
        if reader.returncode:
            raise Failed("the reader: " + sentence)
        read = dict(pair.split("=") for pair in out.split())
        ask.delete(broker.port, [paced])
        return {"p99_alone_ms": alone, "p99_beside_ms": beside, "ratio": beside / alone, "reader_outlived_producer": was_too_short,
                "reader_mib_per_second": float(read["bytes"]) / float(read["seconds"]) / (1 << 20)}

    def producer(self, bench, broker, topic):
        records = bench.scaled(RATE * self.seconds)
        return ("bench_produce", broker.address, topic, records, 1024, RATE, "linger.ms=0", "enable.idempotence=true",
                "socket.nagle.disable=true")

    def finish(self, bench, side):
        if side in self.backlogs:
            ask.delete(bench.shared(side).port, [self.backlogs.pop(side)])


def drop_caches():
    subprocess.run(["sync"], check=True)
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("1\n")
    except OSError as e:
        raise Failed("caches can be dropped by root only: %s" % e)


def rows():
    return [RoundTrip(), ColdReader()]
