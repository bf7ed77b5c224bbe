"""Rows about a broker's death, departure and return, with three replicas of everything."""
import signal
import time

from brokers import Failed, numbers
from failover_trio import Trio
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
        trio = self.trios[side]
        trio.restore()
        controller = trio.controller()
        watcher = trio.watch(controller)
        killed_ns = time.monotonic_ns()
        trio.kill(controller)
        out, sentence = watcher.communicate()
        if watcher.returncode:
            raise Failed("bench_failover: " + sentence)
        got = numbers(out)
        got.update(create=self.created[side], expired=(got.pop("gone_ns") - killed_ns) / 1e9)
        if side == "stoker":
            got["named_floor"] = trio.same_operations()
        return got

    def finish(self, bench, side):
        if side in self.trios:
            self.trios.pop(side).end()


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


def rows():
    return [ControllerKilled(2000, 0.3), ControllerKilled(10000, 1.0), OrderlyRestart()]
