"""Rows about what is held rather than moved: disks that are asked to sync, connections that stay, and memory."""
import shutil
import subprocess

import ask
import rows_latency
import rows_throughput
from brokers import Failed, Home
from table import Figure, Row

PRODUCERS = 64
SYNC_CALLS = "fsync,fdatasync,sync_file_range,msync,syncfs,sync"


class Flush(Row):
    """64 connections with one record in flight each. The JVM broker syncs inside each append; a broker that syncs once for all who
    wait is measured by this. The calls are counted with strace in a run of their own, whose speed does not count."""

    def __init__(self, name, partitions, ratio):
        self.name, self.partitions, self.ratio = name, partitions, ratio
        self.about = "log.flush.interval.messages=1, %d producers of single 100-byte records on %d partition(s)" % (PRODUCERS, partitions)
        self.running = {}

    def figures(self):
        return [Figure("per_second", "acknowledgements a second", "1/s", ratio=self.ratio, more_is_better=True),
                Figure("syncs", "syncs per acknowledgement", ""), Figure("p99_ms", "p99 of a request", "ms")]

    def prepare(self, bench, side):
        broker = Home(bench.place, side, self.name, log_flush_interval_messages=1).start()
        broker.await_leaders(0)
        ask.create(broker.port, ["flush-0"], self.partitions)
        broker.await_leaders(self.partitions)
        self.running[side] = broker

    def load(self, bench, broker, requests):
        return bench.place.program("bench_requests", broker.port, "flush", 1, self.partitions, PRODUCERS, requests, 100)

    def measure(self, bench, side):
        broker = self.running[side]
        got = self.load(bench, broker, bench.scaled(10000))
        return {"per_second": got["acknowledged"] / got["seconds"], "p99_ms": got["p99_ms"], "syncs": self.syncs(bench, broker)}

    def syncs(self, bench, broker):
        requests = bench.scaled(2000)
        report = bench.place.folder / bench.place.unique("strace")
        tracer = subprocess.Popen(["strace", "-f", "-c", "-e", "trace=" + SYNC_CALLS, "-o", report, "-p", str(broker.pid)],
                                  stderr=subprocess.PIPE, text=True)
        if "attached" not in tracer.stderr.readline():
            raise Failed("strace does not attach")
        try:
            self.load(bench, broker, requests)
        finally:
            tracer.send_signal(2)
            tracer.communicate(timeout=30)
        return sum(calls for name, calls in calls_in(report.read_text())) / requests

    def finish(self, bench, side):
        if side in self.running:
            self.running.pop(side).stop()


def calls_in(report):
    """(name, calls) of the lines of `strace -c`: % time, seconds, usecs/call, calls, errors or nothing, name."""
    for line in report.splitlines():
        words = line.split()
        if len(words) >= 5 and words[-1] in SYNC_CALLS.split(","):
            yield words[-1], int(words[3])


class Idle(Row):
    """Connections that were answered one request and then stay. The kernel's part is not in a process's resident memory."""
    name = "idle-connections"
    about = "5,000 connections, each answered once: resident memory for each"

    def figures(self):
        return [Figure("kib_each", "resident growth per connection", "KiB", most=10), Figure("rss_mib", "resident with all of them", "MiB"),
                Figure("heap_kib_each", "JVM heap after collection, each", "KiB")]

    def measure(self, bench, side):
        broker, count = Home(bench.place, side, "idle").start(), bench.scaled(5000)
        broker.await_leaders(0)
        for sock in ask.idle_connections(broker.port, 50):   # what the first ones cost is not theirs
            sock.close()
        rss, heap = settled(broker)
        opened = ask.idle_connections(broker.port, count)
        rss_after, heap_after = settled(broker)
        values = {"kib_each": (rss_after - rss) * 1024 / count, "rss_mib": rss_after}
        if heap is not None:
            values["heap_kib_each"] = (heap_after - heap) / count
        for sock in opened:
            sock.close()
        broker.stop()
        return values


def settled(broker):
    """(resident MiB, heap KiB in use after a collection, or None where there is no such heap)."""
    if broker.side != "jvm":
        return broker.memory_mib(), None
    if not shutil.which("jcmd"):
        return broker.memory_mib(), None
    subprocess.run(["jcmd", str(broker.pid), "GC.run"], check=True, capture_output=True)
    text = subprocess.run(["jcmd", str(broker.pid), "GC.heap_info"], check=True, capture_output=True, text=True).stdout
    used = text.partition("used ")[2].partition("K")[0]
    return broker.memory_mib(), int(used)


class Memory(Row):
    """A broker of its own, looked at before any load and after one pass each of producing, consuming and single records."""
    name = "memory"
    about = "resident memory after the start, and after 1 GiB produced and consumed, 4 M small records, 10,000 round trips"

    def figures(self):
        return [Figure("idle_mib", "resident, idle", "MiB", most=20), Figure("after_mib", "resident after the loads", "MiB", most=80),
                Figure("peak_mib", "resident at most", "MiB")]

    def measure(self, bench, side):
        own = Alone(bench, side)
        idle = own.broker.memory_mib()
        for row in rows_throughput.rows() + [rows_latency.RoundTrip()]:
            row.prepare(own, side)
            row.measure(own, side)
            row.finish(own, side)
        values = {"idle_mib": idle, "after_mib": own.broker.memory_mib(), "peak_mib": own.broker.memory_mib("VmHWM")}
        own.broker.stop()
        own.broker.home.remove()
        return values


class Alone:
    """A bench whose shared broker is one of its own."""

    def __init__(self, bench, side):
        self.place, self.scaled = bench.place, bench.scaled
        self.broker = Home(bench.place, side, "memory").start()
        self.broker.await_leaders(0)

    def shared(self, _side):
        return self.broker


def rows():
    return [Memory(), Flush("flush", 1, 5), Flush("flush-64-partitions", 64, None), Idle()]
