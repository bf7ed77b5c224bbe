"""Rows about single records: what one costs, how long it takes, and who else may slow it down."""
import pathlib
import signal
import subprocess

import ask
from brokers import Failed, numbers
from rows_throughput import BIG_BATCHES, PARTITIONS
from table import Figure, Row

RATE = 5000
ALONE_SECONDS = 10
LONGEST_SECONDS = 600
PERCENTILES = ("p50_ms", "p99_ms", "p999_ms")


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
        values = {"cpu_ms": cpu * 1000 / got["trips"], **{key: got[key] for key in PERCENTILES}}
        if side == "stoker":
            floor = bench.place.program("bench_trip_floor", bench.scaled(10000), 1024, bench.place.folder / "trips")
            values.update({key + "_floor": floor[key] for key in ("cpu_ms", *PERCENTILES)})
        return values


class ColdReader(Row):
    """A paced producer alone, then for as long as a consumer reads a backlog that is not in the page cache, and once more as it
    reads the same from the page cache, which shows what the reader's share of the processors alone does. A virtual machine
    that gives free memory back to its host is busy with that for seconds after a page cache was dropped, so alone comes before
    and the reader begins later."""
    name = "cold-reader"
    about = "producer of %d records/s of 1 KiB, without and with a reader of a cold backlog of 4 GiB" % RATE

    def __init__(self):
        self.backlogs = {}

    def figures(self):
        return [Figure("p99_alone_ms", "producer p99 without the reader", "ms"), Figure("p99_cold_ms", "producer p99 with the reader", "ms"),
                Figure("ratio", "with / without", "x", most=1.5), Figure("p99_warm_ms", "producer p99, reader warm", "ms"),
                Figure("reader_mib_per_second", "the reader's speed", "MiB/s")]

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
        subprocess.run(["sync"], check=True)
        by_itself = producer(broker, paced, bench.scaled(RATE * ALONE_SECONDS))
        alone = bench.place.program(*by_itself)["p99_ms"]
        drop_caches()
        bench.place.program(*by_itself)
        cold, speed = self.beside_reader(bench, broker, paced, self.backlogs[side])
        warm, _ = self.beside_reader(bench, broker, paced, self.backlogs[side])
        ask.delete(broker.port, [paced])
        return {"p99_alone_ms": alone, "p99_cold_ms": cold, "ratio": cold / alone, "p99_warm_ms": warm, "reader_mib_per_second": speed}

    def beside_reader(self, bench, broker, paced, backlog):
        """The producer's p99 for as long as the reader reads, and the reader's speed."""
        load = bench.place.start(*producer(broker, paced, RATE * LONGEST_SECONDS))
        try:
            read = bench.place.program("bench_consume", broker.address, backlog, self.records(bench), "max.partition.fetch.bytes=1048576",
                                       seconds=LONGEST_SECONDS)
        finally:
            load.send_signal(signal.SIGTERM)
            out, sentence = load.communicate(timeout=60)
        if load.returncode:
            raise Failed("the producer: " + sentence)
        return numbers(out)["p99_ms"], read["bytes"] / read["seconds"] / (1 << 20)

    def finish(self, bench, side):
        if side in self.backlogs:
            ask.delete(bench.shared(side).port, [self.backlogs.pop(side)])


def producer(broker, topic, records):
    return ("bench_produce", broker.address, topic, records, 1024, RATE, "linger.ms=0", "enable.idempotence=true",
            "socket.nagle.disable=true")


def drop_caches():
    subprocess.run(["sync"], check=True)
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("1\n")
    except OSError as e:
        raise Failed("caches can be dropped by root only: %s" % e)


def rows():
    return [RoundTrip(), ColdReader()]
