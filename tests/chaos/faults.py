"""The faults of a chaos run. A plan follows from a seed alone: what begins when, for how long, on whom. Doing it may differ from run to
run (who leads ZooKeeper, which broker is the controller), the plan does not.

A fault is a pair of functions: one begins it and returns what the other needs to end it, or None where it could not begin.
"""
import random

import hosts

KINDS = {}                                           # name: (weight, shortest, longest, begin, end)


def fault(name, weight, shortest, longest, end=None):
    def register(begin):
        KINDS[name] = (weight, shortest, longest, begin, end)
        return begin
    return register


class Planned:
    def __init__(self, at, kind, target, others, seconds):
        self.at, self.kind, self.target, self.others, self.seconds = at, kind, target, others, seconds

    def __str__(self):
        return "%6.2f s %s %s%s for %.2f s" % (self.at, self.kind, self.target, " " + ",".join(self.others) if self.others else "",
                                               self.seconds)


def plan(seed, seconds, kinds=None):
    """Faults that begin within so many seconds, half of them at most one after the other, the others together."""
    rng = random.Random(seed)
    names = [name for name in KINDS if not kinds or name in kinds]
    weights = [KINDS[name][0] for name in names]
    brokers, found, at = sorted(hosts.BROKERS), [], 0.5
    while at < seconds:
        kind = rng.choices(names, weights)[0]
        _, shortest, longest, _, _ = KINDS[kind]
        target = rng.choice(brokers + ["controller"])
        others = rng.sample([b for b in brokers if b != target], rng.randrange(1, len(brokers)))
        found.append(Planned(at, kind, target, others, rng.uniform(shortest, longest)))
        at += rng.uniform(0.1, 1.0) if rng.random() < 0.5 else rng.uniform(1.0, 4.0)
    return found


class World:
    """What faults act upon. busy: hosts whose process a fault has in its hands."""

    def __init__(self, net, all_hosts, watch):
        self.net, self.hosts, self.watch = net, all_hosts, watch
        self.busy = set()

    def broker(self, target):
        """The broker of this name, None if it is in the hands of another fault."""
        if target == "controller":
            number = self.watch.controller
            target = next((name for name, n in hosts.BROKERS.items() if n == number), None)
        return None if target in self.busy or target is None else self.hosts.by_name[target]

    def take(self, host):
        self.busy.add(host.name)
        return host

    def release(self, host):
        self.busy.remove(host.name)


def run(planned, world, clock, say):
    """Begins and ends everything at its time; every fault is over when this returns."""
    waiting, under_way = list(planned), []
    counts = {}
    while waiting or under_way:
        now = clock()
        world.hosts.check()
        world.watch.check()
        for item in [i for i in under_way if i[0] <= now]:
            under_way.remove(item)
            _, one, state = item
            say("%6.2f s ends: %s %s" % (now, one.kind, one.target))
            KINDS[one.kind][4](world, state)
        if waiting and waiting[0].at <= now:
            one = waiting.pop(0)
            state = KINDS[one.kind][3](world, one)
            say("%s%s" % (one, "" if state is not None else ": cannot begin"))
            if state is not None:
                counts[one.kind] = counts.get(one.kind, 0) + 1
                if KINDS[one.kind][4]:
                    under_way.append((now + one.seconds, one, state))
        world.watch.pause(0.02)
    return counts


def _start_again(world, host):
    host.start()
    world.release(host)


@fault("kill -9", 4, 0.0, 5.0, end=_start_again)
def _kill(world, one):
    host = world.broker(one.target)
    if host:
        world.take(host).kill()
    return host


def _thaw(world, host):
    host.thaw()
    world.release(host)


@fault("freeze", 3, 0.2, 6.0, end=_thaw)
def _freeze(world, one):
    host = world.broker(one.target)
    if host:
        world.take(host).freeze()
    return host
