"""The faults of a chaos run. A plan follows from a seed alone: what begins when, for how long, on whom. Doing it may differ from run to
run (who leads ZooKeeper, which broker is the controller), the plan does not.

A fault is a pair of functions: one begins it and returns what the other needs to end it, or None where it could not begin.
"""
import contextlib
import os
import random
import socket
import struct
import time

import cluster
import hosts
import net

NOT_YET = object()                                   # what the end of a fault says that has to be asked again
LOOK_AGAIN_SECONDS = 0.1
SETTLE_SECONDS = 5                                   # more than a session of a broker
WARY_SECONDS = 20                                    # until what a broker lost with its disk is known everywhere
KINDS = {}                                           # name: (weight, shortest, longest, begin, end)


def fault(name, weight, shortest, longest, end=None):
    def register(begin):
        KINDS[name] = (weight, shortest, longest, begin, end)
        return begin
    return register


class Planned:
    """others: brokers, where a fault has two sides. chance: what decides between variants of it."""

    def __init__(self, at, kind, target, others, seconds, chance):
        self.at, self.kind, self.target, self.others, self.seconds, self.chance = at, kind, target, others, seconds, chance

    def __str__(self):
        return "%6.2f s %s (%.2f) %s %s for %.2f s" % (self.at, self.kind, self.chance, self.target, ",".join(self.others), self.seconds)


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
        found.append(Planned(at, kind, target, others, rng.uniform(shortest, longest), rng.random()))
        at += rng.uniform(0.1, 1.0) if rng.random() < 0.5 else rng.uniform(1.0, 4.0)
    return found


class World:
    """What faults act upon. busy: hosts whose process a fault has in its hands."""

    def __init__(self, net, all_hosts, watch):
        self.net, self.hosts, self.watch = net, all_hosts, watch
        self.busy = set()
        self.replaced = -WARY_SECONDS
        self.last_end = -SETTLE_SECONDS

    def is_settled(self):
        """Whether sessions that the last fault may have ended have been missed by all."""
        return time.monotonic() - self.last_end > SETTLE_SECONDS

    def is_wary(self):
        """A broker has lost its disk and has not got everything again: its partitions live by the other replicas. More at once is
        beyond what Kafka's election promises, which may find the empty broker alone in an ISR."""
        since = time.monotonic() - self.replaced
        return since < SETTLE_SECONDS or (since < WARY_SECONDS and bool(self.watch.not_whole()))

    def named(self, target):
        if target == "controller":
            number = self.watch.controller
            target = next((name for name, n in hosts.BROKERS.items() if n == number), None)
        return self.hosts.by_name.get(target)

    def broker(self, target):
        """The broker of this name, None if another fault has its process in hand."""
        host = self.named(target)
        return host if host and host.name not in self.busy else None

    def take(self, host):
        self.busy.add(host.name)
        return host

    def release(self, host):
        self.busy.remove(host.name)

    def take_all(self, all_hosts):
        return [self.take(host) for host in all_hosts if host.name not in self.busy]


def run(planned, world, clock, say):
    """Begins and ends everything at its time; every fault is over when this returns, however it does."""
    under_way, counts = [], {}
    try:
        _run(planned, world, clock, say, under_way, counts)
    finally:
        for _, one, state in under_way:
            while KINDS[one.kind][4](world, state) is NOT_YET:
                world.watch.pause(LOOK_AGAIN_SECONDS)
    return counts


def _run(planned, world, clock, say, under_way, counts):
    waiting = list(planned)
    while waiting or under_way:
        now = clock()
        world.hosts.check()
        world.watch.check()
        for item in [i for i in under_way if i[0] <= now]:
            under_way.remove(item)
            _, one, state = item
            if KINDS[one.kind][4](world, state) is NOT_YET:          # the others go on meanwhile, it may wait for the end of one
                under_way.append((now + LOOK_AGAIN_SECONDS, one, state))
            else:
                world.last_end = time.monotonic()
                say("%6.2f s ends: %s %s" % (now, one.kind, one.target))
        if waiting and waiting[0].at <= now:
            if waiting[0].kind == "replace" and (under_way or not world.is_settled()) and now < waiting[0].at + WARY_SECONDS:
                world.watch.pause(0.02)
                continue                                 # it comes alone, and those that were due meanwhile do not come
            one = waiting.pop(0)
            state = None if world.is_wary() else KINDS[one.kind][3](world, one)
            say("%s%s" % (one, "" if state is not None else ": cannot begin"))
            if state is not None:
                counts[one.kind] = counts.get(one.kind, 0) + 1
                if KINDS[one.kind][4]:
                    under_way.append((now + one.seconds, one, state))
        world.watch.pause(0.02)


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


def _restart_ends(world, host):
    if host.is_ending():
        return NOT_YET
    host.ended_well(1)
    return _start_again(world, host)


@fault("restart", 3, 0.5, 4.0, end=_restart_ends)
def _restart(world, one):
    host = world.broker(one.target)
    if host:
        world.take(host).terminate()
    return host


@fault("replace", 1, 0.0, 4.0, end=_start_again)
def _replace(world, one):
    """Only where all replicas are in sync: what is asked of three replicas is to outlive the loss of one."""
    host = world.broker(one.target)
    if not host or world.busy or world.watch.not_whole():
        return None
    world.take(host).kill()
    host.forget()
    world.replaced = time.monotonic()
    return host


def _start_all_again(world, killed):
    for host in killed:
        _start_again(world, host)


@fault("all killed", 1, 0.0, 4.0, end=_start_all_again)
def _all_killed(world, one):
    """Every broker that no other fault has in hand, at once; what was acknowledged is on their disks.

    Not where a broker has just lost its disk: it may still be in an ISR, and a controller that begins now cannot know what it lost."""
    if world.watch.not_whole() or time.monotonic() - world.replaced < WARY_SECONDS:
        return None
    killed = world.take_all(world.hosts.brokers)
    for host in killed:
        host.kill()
    return killed


@fault("unplug", 2, 0.3, 6.0, end=lambda world, host: world.net.plug(host.name))
def _unplug(world, one):
    host = world.named(one.target)
    if host:
        world.net.unplug(host.name)
    return host


def _lift(world, state):
    world.net.end(*state)


def _between(one, host, others, both=False):
    """The pairs from one to the others, or back, or, where chance wants it, both."""
    there = [(host.name, other) for other in others]
    back = [(other, host.name) for other in others]
    return there + back if both else there if one.chance < 0.5 else back


def _begin(world, kind, one, others, both):
    host = world.named(one.target)
    if not host:
        return None
    pairs = _between(one, host, [other for other in others if other != host.name], both)
    world.net.begin(kind, pairs)
    return kind, pairs


@fault("split", 2, 0.3, 8.0, end=_lift)
def _split(world, one):
    """Brokers do not reach each other, but all reach ZooKeeper and the clients."""
    return _begin(world, "lost", one, one.others, both=True)


@fault("one way", 2, 0.3, 8.0, end=_lift)
def _one_way(world, one):
    return _begin(world, "lost", one, one.others, both=False)


@fault("without ZooKeeper", 2, 0.3, 6.0, end=_lift)
def _without_zookeeper(world, one):
    """Cut off from all of the ensemble in both directions or in one."""
    return _begin(world, "lost", one, sorted(hosts.SERVERS), both=0.3 < one.chance < 0.7)


@fault("slow links", 2, 1.0, 6.0, end=_lift)
def _slow_links(world, one):
    return _begin(world, "late", one, one.others + (sorted(hosts.SERVERS) if one.chance < 0.5 else []), both=True)


def _server(world):
    """The leader of the ensemble, unless another of its servers is away."""
    if any(name in world.busy for name in hosts.SERVERS):
        return None
    return world.hosts.zookeeper_leader()


@fault("ZooKeeper's leader killed", 1, 0.0, 4.0, end=_start_again)
def _zookeeper_killed(world, one):
    host = _server(world)
    if host:
        world.take(host).kill()
    return host


@fault("ZooKeeper's leader frozen", 1, 0.5, 4.0, end=_thaw)
def _zookeeper_frozen(world, one):
    host = _server(world)
    if host:
        world.take(host).freeze()
    return host


def _thaw_all(world, frozen):
    for host in frozen:
        _thaw(world, host)


@fault("ensemble frozen", 1, 0.5, 6.0, end=_thaw_all)
def _ensemble_frozen(world, one):
    """All servers; sessions may have ended when they go on, those of all brokers at once."""
    if any(name in world.busy for name in hosts.SERVERS):
        return None
    frozen = world.take_all(world.hosts.servers)
    for host in frozen:
        host.freeze()
    return frozen


@fault("session ends", 2, 0, 0)
def _session_ends(world, one):
    """Somebody closes the broker's session while it is well; it goes on with another, under another epoch."""
    host = world.named(one.target)
    session = host and world.watch.session(host.id)
    if not session:
        return None
    connect = struct.pack(">iqiqi", 0, 0, 10000, session, 16) + cluster.password(session) + b"\0"
    frames = [connect, struct.pack(">ii", 1, -11)]
    for server in world.hosts.servers:               # the one that the broker is connected to may refuse
        with contextlib.suppress(OSError), socket.create_connection((server.address, hosts.CLIENT_PORT), 1) as sock:
            sock.settimeout(1)
            sock.sendall(b"".join(struct.pack(">i", len(frame)) + frame for frame in frames))
            while sock.recv(4096):
                pass
        if world.watch.session(host.id) != session:
            return host
    return None


@fault("controller moved", 1, 0, 0)
def _controller_moved(world, one):
    """An operator deletes /controller."""
    return world.watch.delete("/controller")


def _room_again(world, host):
    (host.log_dir / "filler").unlink()
    host.is_disk_taken = False


@fault("disk full", 2, 0.5, 5.0, end=_room_again)
def _disk_full(world, one):
    host = world.named(one.target)
    if not host or host.is_jvm or host.is_disk_taken:  # a JVM broker ends when its only log directory fails
        return None
    host.is_disk_taken = True
    with open(host.log_dir / "filler", "wb") as filler:                 # reserved, not written: it takes no time
        size, step = 0, hosts.DISK_BYTES
        while step:
            try:
                os.posix_fallocate(filler.fileno(), size, step)
                size += step
            except OSError:
                step //= 2
    return host


def _disk_goes_on(world, host):
    net.thaw(host.log_dir)
    host.is_disk_taken = False
    world.release(host)


@fault("disk stalls", 1, 0.5, 5.0, end=_disk_goes_on)
def _disk_stalls(world, one):
    """Every write waits, as on a disk that does not answer. Its processes cannot even be killed meanwhile."""
    host = world.broker(one.target)
    if not host or host.is_disk_taken or not net.freeze(host.log_dir):  # memory, where there are no loop devices, cannot be frozen
        return None
    host.is_disk_taken = True
    return world.take(host)


def _disk_is_quick(world, host):
    net.thaw(host.log_dir)
    host.is_disk_taken = False


@fault("disk slow", 2, 1.0, 6.0, end=_disk_is_quick)
def _disk_slow(world, one):
    """Writes wait most of the time. Its process may be killed or frozen meanwhile."""
    host = world.named(one.target)
    if not host or host.is_disk_taken or not net.slow(host.log_dir):
        return None
    host.is_disk_taken = True
    return host


def _clock_right(world, host):
    host.set_clock(0)


@fault("clock jumps", 2, 0.5, 8.0, end=_clock_right)
def _clock_jumps(world, one):
    host = world.named(one.target)
    if not host or not host.has_false_clock:
        return None
    host.set_clock((one.chance - 0.5) * 12 * 3600)
    return host
