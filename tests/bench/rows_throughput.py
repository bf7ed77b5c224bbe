"""Rows about bytes: broker CPU for what is produced and consumed."""
import ask
from table import Figure, Row

GIB = 1 << 30
PARTITIONS = 6


class Produce(Row):
    """RECORDS records of `size` bytes, acks=all, as fast as they are taken. batch.size and linger.ms as given: 64 KiB and 5 ms
    are those that the JVM column of the project's table was measured with, 16 KiB and 0 the Java producer's own."""

    def __init__(self, name, size, records, batch, linger_ms, figure):
        self.name, self.size, self.records, self.figure = name, size, records, figure
        self.about = "%d records of %d bytes, acks=all, batch.size=%d linger.ms=%d, %d partitions" % (
            records, size, batch, linger_ms, PARTITIONS)
        self.settings = ["enable.idempotence=true", "batch.size=%d" % batch, "linger.ms=%d" % linger_ms, "batch.num.messages=1000000",
                         "queue.buffering.max.messages=2000000", "queue.buffering.max.kbytes=65536"]

    def figures(self):
        return [self.figure, Figure("mib_per_second", "throughput", "MiB/s")]

    def measure(self, bench, side):
        broker, topic, records = bench.shared(side), bench.place.unique(self.name), bench.scaled(self.records)
        ask.create(broker.port, [topic], PARTITIONS)
        before = broker.cpu()
        seconds = self.load(bench, broker, topic, records)
        cpu, size = broker.cpu() - before, records * self.size
        ask.delete(broker.port, [topic])
        per = self.records / records if self.figure.unit == "CPU s" else GIB / size
        return {self.figure.key: cpu * per, "mib_per_second": size / seconds / (1 << 20)}

    def load(self, bench, broker, topic, records):
        return bench.place.program("bench_produce", broker.address, topic, records, self.size, 0, *self.settings)["seconds"]


def per_gib(ratio):
    return Figure("cpu_per_gib", "broker CPU per GiB produced", "CPU s/GiB", ratio=ratio)


def rows():
    million = 1000000
    return [
        Produce("produce-1k", 1024, million, 65536, 5, per_gib(0.33)),
        Produce("produce-100b", 100, 4 * million, 65536, 5, Figure("cpu", "broker CPU for 4 M records", "CPU s", ratio=0.33)),
        Produce("produce-1k-small-batches", 1024, million, 16384, 0, per_gib(None)),
    ]
