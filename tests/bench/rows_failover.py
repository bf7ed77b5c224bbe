"""Rows about a broker's death, departure and return, with three replicas of everything."""
import signal
import time

from brokers import Failed, Place, numbers
from failover_trio import Trio
from rows_throughput import BIG_BATCHES, GIB, PARTITIONS
from table import Figure, Row


class ControllerKilled(Row):
    """The controller leads a third of all partitions. Seconds count from the moment a watching ZooKeeper client saw its node go."""

    def __init__(self, partitions, most):
        self.partitions, self.most = partitions, most
        self.name = "controller-killed-%d" % partitions
        self.about = "kill -9 of the controller, which leads a third of %d partitions x 3" % partitions
        self.trios, self.created = {}, {}

    def figures(self):
        return [Figure("accepted", "until all led and a record accepted, acks=1", "s", most=self.most),
                Figure("named", "until survivors name live leaders", "s", floor_ratio=1.5),
                Figure("replicated", "until a record accepted, acks=all", "s"),
                Figure("expired", "kill -9 to node gone (session %d ms)" % 6000, "s"),
                Figure("create", "making the topics, until all know leaders", "s"), Figure("refusals", "records refused meanwhile", "")]

    def prepare(self, bench, side):
        trio = self.trios[side] = Trio(bench, side, "killed")
        self.created[side] = trio.create("led", bench.scaled(self.partitions))
        trio.await_in_sync()

    def measure(self, bench, side):
        got = self.trios[side].kill_controller()
        got["create"] = self.created[side]
        if side == "stoker":
            got["named_floor"] = self.trios[side].same_operations()
        return got

    def finish(self, bench, side):
        if side in self.trios:
            self.trios.pop(side).end()


class Elsewhere:
    """A bench whose rows work beside another ZooKeeper."""

    def __init__(self, bench, tick_ms):
        self.place, self.scaled = Place(bench.place.programs, bench.place.folder.parent, tick_ms), bench.scaled


class DefaultSession(Row):
    """What a user sees who sets no session timeout: a third of all partitions is without a leader from the kill on. An ensemble
    gives no session shorter than two of its ticks, and looks for ended ones once a tick."""
    partitions = 2000

    def __init__(self, tick_ms):
        self.tick_ms = tick_ms
        self.name = "default-session-tick-%d" % tick_ms
        self.about = "kill -9 of the controller, %d partitions x 3, default session timeout, tickTime %d" % (self.partitions, tick_ms)
        self.benches, self.trios = {}, {}

    def figures(self):
        return [Figure("led", "kill -9 to all led, a record accepted", "s"), Figure("expired", "kill -9 to node gone", "s")]

    def prepare(self, bench, side):
        elsewhere = self.benches[side] = Elsewhere(bench, self.tick_ms)
        trio = self.trios[side] = Trio(elsewhere, side, "defaults", zookeeper_session_timeout_ms=None)
        trio.create("led", bench.scaled(self.partitions))
        trio.await_in_sync()

    def measure(self, bench, side):
        got = self.trios[side].kill_controller()
        return {"led": got["expired"] + got["accepted"], "expired": got["expired"]}

    def finish(self, bench, side):
        if side in self.trios:
            self.trios.pop(side).end()
        if side in self.benches:
            self.benches.pop(side).place.close()


class OrderlyRestart(Row):
    name = "orderly-restart"
    about = "a broker with 2,000 replicas, SIGTERM to exit, and from exec until it is in all ISRs"
    partitions = 2000

    def __init__(self):
        self.trios = {}

    def figures(self):
        return [Figure("shutdown", "SIGTERM to exit", "s", most=1.0), Figure("returned", "start to in all ISRs", "s", most=1.0),
                Figure("cpu", "CPU of all three for both", "CPU s")]

    def prepare(self, bench, side):
        trio = self.trios[side] = Trio(bench, side, "restart")
        trio.create("moved", bench.scaled(self.partitions))
        trio.await_in_sync()

    def measure(self, bench, side):
        trio = self.trios[side]
        trio.restore()
        leaver = 1 if trio.controller() != 1 else 2
        before, own = trio.cpu(), trio.brokers[leaver].cpu()
        since = time.monotonic()
        trio.kill(leaver, signal.SIGTERM)
        shutdown = time.monotonic() - since
        broker = trio.start(leaver)
        returned = trio.await_in_sync(broker.since_ns)
        return {"shutdown": shutdown, "returned": returned, "cpu": trio.cpu() - (before - own)}

    def finish(self, bench, side):
        if side in self.trios:
            self.trios.pop(side).end()


class Idle(Row):
    name = "idle-10000"
    about = "three brokers that hold a replica of each of 10,000 partitions, one record each, and nobody asks for anything"
    partitions, seconds = 10000, 10

    def __init__(self):
        self.trios = {}

    def figures(self):
        return [Figure("rss_mib", "resident, the largest of three", "MiB", most=100), Figure("cpu", "CPU of all three", "CPU s/s")]

    def prepare(self, bench, side):
        trio = self.trios[side] = Trio(bench, side, "idle")
        trio.create("idle", bench.scaled(self.partitions))
        trio.await_in_sync()
        trio.write_once()

    def measure(self, bench, side):
        trio = self.trios[side]
        before, since = trio.cpu(), time.monotonic()
        time.sleep(self.seconds)
        return {"rss_mib": max(broker.memory_mib() for broker in trio.brokers.values()),
                "cpu": (trio.cpu() - before) / (time.monotonic() - since)}

    def finish(self, bench, side):
        if side in self.trios:
            self.trios.pop(side).end()


class AmongIdle(Row):
    """What a record costs must not grow with the partitions that do not move."""
    name = "record-among-10000"
    about = "single records of 100 bytes, acks=all, one at a time, in a cluster that holds 10,000 idle partitions x 3"
    partitions, records = 10000, 1000

    def __init__(self):
        self.trios = {}

    def figures(self):
        return [Figure("leader_ms", "CPU of the leader a record", "CPU ms", ratio=1), Figure("follower_ms", "CPU of a follower a record", "CPU ms"),
                Figure("p50_ms", "round trip p50", "ms")]

    def prepare(self, bench, side):
        trio = self.trios[side] = Trio(bench, side, "among")
        trio.create("idle", bench.scaled(self.partitions))
        trio.await_in_sync()
        trio.create_topic("busy", 1)

    def measure(self, bench, side):
        trio = self.trios[side]
        before = {i: broker.cpu() for i, broker in trio.brokers.items()}
        got = bench.place.program("bench_round_trip", trio.addresses(), "busy", bench.scaled(self.records), 100, 0)
        cpu = sorted((broker.cpu() - before[i]) * 1000 / got["trips"] for i, broker in trio.brokers.items())
        return {"leader_ms": cpu[-1], "follower_ms": sum(cpu[:-1]) / 2, "p50_ms": got["p50_ms"]}

    def finish(self, bench, side):
        if side in self.trios:
            self.trios.pop(side).end()


class ReplicatedProduce(Row):
    name = "replicated-produce"
    about = "1 M records of 1 KiB, acks=all, 3 replicas, batch.size=65536 linger.ms=5, %d partitions" % PARTITIONS
    size, records = 1024, 1000000

    def __init__(self):
        self.trios = {}

    def figures(self):
        return [Figure("cpu_per_gib", "CPU of all three per GiB produced", "CPU s/GiB", ratio=0.33), Figure("mib_per_second", "throughput", "MiB/s")]

    def prepare(self, bench, side):
        self.trios[side] = Trio(bench, side, "replicated")

    def measure(self, bench, side):
        trio, topic, records = self.trios[side], bench.place.unique("replicated"), bench.scaled(self.records)
        trio.create_topic(topic, PARTITIONS)
        bench.place.program("bench_touch", (4 * records * self.size >> 20) + 64)     # see there: not the brokers' price
        before = trio.cpu()
        got = bench.place.program("bench_produce", trio.addresses(), topic, records, self.size, 0, *BIG_BATCHES)
        cpu, size = trio.cpu() - before, records * self.size
        trio.delete_topic(topic)
        return {"cpu_per_gib": cpu * GIB / size, "mib_per_second": size / got["seconds"] / (1 << 20)}

    def finish(self, bench, side):
        if side in self.trios:
            self.trios.pop(side).end()


class ReplicatedLatency(Row):
    name = "replicated-latency"
    about = "paced 5,000 records/s of 1 KiB, acks=all, 3 replicas, %d partitions: from produce to the consumer" % PARTITIONS
    rate, seconds = 5000, 10

    def __init__(self):
        self.trios = {}

    def figures(self):
        return [Figure("p50_ms", "end-to-end p50", "ms"), Figure("p99_ms", "end-to-end p99", "ms", ratio=0.5),
                Figure("p999_ms", "end-to-end p99.9", "ms"), Figure("cpu", "CPU of all three", "CPU s")]

    def prepare(self, bench, side):
        self.trios[side] = Trio(bench, side, "paced")
        self.trios[side].expect_consumers()

    def measure(self, bench, side):
        trio, topic = self.trios[side], bench.place.unique("paced")
        trio.create_topic(topic, PARTITIONS)
        before = trio.cpu()
        got = bench.place.program("bench_end_to_end", trio.addresses(), topic, bench.scaled(self.rate * self.seconds), 1024, self.rate)
        cpu = trio.cpu() - before
        trio.delete_topic(topic)
        return {"p50_ms": got["p50_ms"], "p99_ms": got["p99_ms"], "p999_ms": got["p999_ms"], "cpu": cpu}

    def finish(self, bench, side):
        if side in self.trios:
            self.trios.pop(side).end()


class ProducersGap(Row):
    """What a user of the cluster sees of a broker's end. A client without a leader looks around once a second, however quick the brokers
    are; theirs is what follows its first question after the end of the session. At an orderly restart librdkafka waits for its back-off
    before it sends to the leader that it was told of, Kafka's own producer does not. A leader that is the controller too is missed when
    its session ends; another one may be missed before, so there it is the whole pause that counts."""
    name = "producers-gap"
    about = "one producer, a record every 2 ms, acks=all, 3 replicas: its longest pause when its leader ends"
    back_off = {"librdkafka": 0.1, "java": 0}

    def __init__(self):
        self.trios = {}

    def figures(self):
        found = []
        for client, back_off in self.back_off.items():
            found += [Figure("crashed_" + client, client + ": kill -9 of the leader, which is not the controller, in all", "s"),
                      Figure("killed_" + client, client + ": kill -9 of leader and controller, beyond the end of its session", "s", most=0.5),
                      Figure("answered_" + client, client + ": of that, from its first question after the end", "s", most=0.5),
                      Figure("restarted_" + client, client + ": orderly stop and start of the leader" +
                             (", beyond its back-off of %g s" % back_off if back_off else ""), "s", most=0.1)]
        return found

    def prepare(self, bench, side):
        trio = self.trios[side] = Trio(bench, side, "gap")
        trio.create("gap", 1)
        trio.await_in_sync()

    def measure(self, bench, side):
        got = {}
        for client, back_off in self.back_off.items():
            got["restarted_" + client] = max(0, self.restart(self.trios[side], client) - back_off)
            got["crashed_" + client] = self.kill(self.trios[side], client, False)[0]
            _, got["killed_" + client], got["answered_" + client] = self.kill(self.trios[side], client, True)
        return got

    def restart(self, trio, client):
        trio.restore()
        leader = trio.leader_of_first()
        load = trio.produce_slowly("gap-0", client)
        trio.kill(leader, signal.SIGTERM)
        trio.start(leader).await_leaders(1)
        trio.await_in_sync()
        return self.end(load)["gap"]

    def kill(self, trio, client, is_controller):
        """The pause in all; of that, beyond the end of the session; of that, from the client's first question after it."""
        trio.restore()
        leader = trio.leader_of_first()
        trio.let_control(leader, is_controller)
        load, watcher = trio.produce_slowly("gap-0", client), trio.watch(leader)
        trio.kill(leader)
        gone_ns = numbers(watcher.communicate()[0])["gone_ns"]
        got = self.end(load, gone_ns)
        asked_ns = got["asked_ns"] if gone_ns < got["asked_ns"] < got["ended_ns"] else gone_ns   # a question just before was answered late
        return got["gap"], (got["ended_ns"] - gone_ns) / 1e9, (got["ended_ns"] - asked_ns) / 1e9

    def end(self, load, gone_ns=0):
        out, sentence = load.communicate("%d" % gone_ns)
        if load.returncode:
            raise Failed("the producer: " + sentence)
        return numbers(out)

    def finish(self, bench, side):
        if side in self.trios:
            self.trios.pop(side).end()


def rows():
    return [ControllerKilled(2000, 0.3), ControllerKilled(10000, 1.0), DefaultSession(2000), DefaultSession(200), OrderlyRestart(), Idle(),
            AmongIdle(), ReplicatedProduce(), ReplicatedLatency(), ProducersGap()]
