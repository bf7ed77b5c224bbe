"""A network of our own: every broker and every ZooKeeper server in a network namespace, joined by veth to a bridge beside which we live.

enter() moves the whole test into new process, mount and network namespaces first, so nothing of it can be left behind or be in another's
way: when its first process ends, the kernel ends every other and takes the links and mounts with them. Neighbours are permanent entries;
a packet is lost, silently and in one direction only, by giving its sender a MAC address for the receiver that nobody has, and it is late
by giving it the address of the relay (relay.py).
"""
import contextlib
import ctypes
import faulthandler
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
PR_SET_PDEATHSIG = 1
SIOCETHTOOL, FIFREEZE, FITHAW = 0x8946, 0xC0045877, 0xC0045878
OFFLOADS = (0x17, 0x1F, 0x24)                        # ETHTOOL_STXCSUM, _STSO, _SGSO: what the relay sees must be whole packets
PREFIX = "10.77.0."
LONGEST_SECONDS = 840                                # of a run that does not say; tests/run ends a script after 900
OURS, RELAY, NOBODY = 254, 253, 0xFFFF               # the last bytes of addresses

SLOW_FROZEN, SLOW_BETWEEN = 0.15, 0.05               # seconds of every turn in which a slow disk does nothing, and works

_keeper = None                                       # the way to the process outside


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        raise AssertionError("%s: %s" % (" ".join(map(str, command)), done.stderr.strip()))


def enter(seconds=LONGEST_SECONDS):
    """Returns in the first process of the new namespaces; the old process passes signals on, and ends as that one ends.

    After so many seconds every thread says where it is and the run is over: a rig that hangs is seen to, not waited for."""
    global _keeper
    if os.geteuid():
        print("skipped: network namespaces need root")
        sys.exit(77)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET):
        print("skipped: no namespaces: %s" % os.strerror(ctypes.get_errno()))
        sys.exit(77)
    sys.stdout.flush()
    keeper, _keeper = socket.socketpair()
    child = os.fork()
    if child:
        _keeper.close()
        sys.exit(_stand_before(child, keeper))
    keeper.close()
    os.setsid()                                      # a group that loses its shell while one of it is stopped is sent SIGHUP, all of it
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.default_int_handler)         # also where a shell began us in its background
    faulthandler.enable()                                            # says where every thread is when a library of a client breaks,
    faulthandler.register(signal.SIGUSR1)                            # on request, and when it is late
    faulthandler.dump_traceback_later(seconds, exit=True)
    run("mount", "--make-rprivate", "/")
    run("mount", "-t", "proc", "proc", "/proc")
    os.makedirs("/run/netns", exist_ok=True)
    run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")


def _stand_before(child, keeper):
    """Freezes, slows and thaws file systems on request, and thaws them all when nobody can ask any more: a process that writes to a frozen
    one cannot even be killed, so its namespace would never end."""
    def pass_on(number, _frame):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, pass_on)
    disks = {}                                       # path: its Disk
    with contextlib.suppress(OSError):
        while True:                                  # no thread can begin in a process whose children are in another namespace
            if not select.select([keeper], [], [], 0.01 if any(disk.is_slow for disk in disks.values()) else None)[0]:
                for disk in disks.values():
                    disk.turn()
                continue
            request = keeper.recv(4096)
            if not request:
                break
            what, path = request.decode().split(" ", 1)
            disk = disks.pop(path) if what == "thaw" else Disk(path, what == "slow")
            error = disk.thaw() if what == "thaw" else disk.freeze()
            if what != "thaw" and not error:
                disks[path] = disk
            keeper.send(b"%d" % error)
    for disk in disks.values():
        disk.thaw()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):                       # librdkafka 2.6.1 breaks so at metadata with holes, which JVM brokers give
        print("FAIL: the run was ended by signal %d; after 11, dmesg names the library" % os.WTERMSIG(status), flush=True)
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _freezer(path, is_to_freeze):
    """0 or an errno."""
    folder = os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(folder, FIFREEZE if is_to_freeze else FITHAW, 0)
    except OSError as e:
        return e.errno
    finally:
        os.close(folder)
    return 0


class Disk:
    """A file system that does nothing, or, where it is slow, nothing most of the time. The methods return 0 or an errno."""

    def __init__(self, path, is_slow):
        self.path, self.is_slow, self.is_frozen, self.due = path, is_slow, False, 0

    def freeze(self):
        error = _freezer(self.path, True)
        self.is_frozen, self.due = not error, time.monotonic() + SLOW_FROZEN
        return error

    def thaw(self):
        error = _freezer(self.path, False) if self.is_frozen else 0
        self.is_frozen, self.due = False, time.monotonic() + SLOW_BETWEEN
        return error

    def turn(self):
        if self.is_slow and time.monotonic() >= self.due:
            self.thaw() if self.is_frozen else self.freeze()


def freeze(path):
    """Every write to this file system waits until thaw. Returns whether it can be frozen."""
    return _ask_keeper("freeze", path) == 0


def slow(path):
    """Writes wait most of the time until thaw. Returns whether it can be frozen."""
    return _ask_keeper("slow", path) == 0


def thaw(path):
    error = _ask_keeper("thaw", path)
    assert not error, "%s does not thaw: %s" % (path, os.strerror(error))


def _ask_keeper(what, path):
    _keeper.send(("%s %s" % (what, path)).encode())
    return int(_keeper.recv(16))


def mac(number):
    return "02:00:00:00:%02x:%02x" % (number >> 8, number & 255)


def address(number):
    return PREFIX + str(number)


def _no_offloads(device):
    with contextlib.closing(socket.socket()) as sock:
        for command in OFFLOADS:
            value = ctypes.create_string_buffer(struct.pack("II", command, 0))
            request = struct.pack("16sP", device.encode(), ctypes.addressof(value))
            with contextlib.suppress(OSError):       # what it does not know it does not do
                fcntl.ioctl(sock, SIOCETHTOOL, request)


class Net:
    """Hosts by name. Faults nest: a pair is whole again when the last of its faults was lifted."""

    def __init__(self, hosts):
        self.hosts = dict(hosts)                     # name: the last byte of its address
        self.faults = {}                             # (from, to): a list of "lost" and "late"
        self.unplugged = {}                          # name: how often
        for command in ("link set lo up", "link add br0 address %s type bridge" % mac(OURS), "link set br0 up",
                        "addr add %s/24 dev br0" % address(OURS)):
            run("ip", *command.split())
        with open("/proc/sys/net/ipv4/ip_forward", "w") as setting:
            setting.write("0")                       # nothing passes us but by the relay
        self._port("relay", "relay0", RELAY)
        run("ip", "link", "set", "relay0", "up")
        for name, number in self.hosts.items():
            run("ip", "netns", "add", name)
            self._port("to-" + name, "eth0", number)
            run("ip", "link", "set", "eth0", "netns", name)
            for command in ("addr add %s/24 dev eth0" % address(number), "link set eth0 up", "link set lo up"):
                run("ip", "-n", name, *command.split())
        for name in self.hosts:
            for number in [*self.hosts.values(), OURS]:
                if number != self.hosts[name]:
                    self._neighbour(name, number, number)
            run("ip", "neigh", "replace", address(self.hosts[name]), "lladdr", mac(self.hosts[name]), "dev", "br0", "nud", "permanent")

    @staticmethod
    def _port(ours, theirs, number):
        run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs, "address", mac(number))
        _no_offloads(ours)
        _no_offloads(theirs)
        run("ip", "link", "set", ours, "master", "br0", "up")

    def address(self, name):
        return address(self.hosts[name])

    def within(self, name):
        """What a command begins with to run on this host."""
        return ["nsenter", "--net=/run/netns/" + name]

    def _neighbour(self, name, number, at):
        run("ip", "-n", name, "neigh", "replace", address(number), "lladdr", mac(at), "dev", "eth0", "nud", "permanent")

    def _apply(self, pair):
        faults, number = self.faults.get(pair, []), self.hosts[pair[1]]
        self._neighbour(pair[0], number, NOBODY if "lost" in faults else RELAY if "late" in faults else number)

    def begin(self, kind, pairs):
        """From now on packets from the first to the second of each pair are "lost" or "late"."""
        for pair in pairs:
            self.faults.setdefault(pair, []).append(kind)
            self._apply(pair)

    def end(self, kind, pairs):
        for pair in pairs:
            self.faults[pair].remove(kind)
            self._apply(pair)

    def unplug(self, name):
        self.unplugged[name] = self.unplugged.get(name, 0) + 1
        run("ip", "link", "set", "to-" + name, "down")

    def plug(self, name):
        self.unplugged[name] -= 1
        if not self.unplugged[name]:
            run("ip", "link", "set", "to-" + name, "up")

    def end_all(self):
        for name in self.hosts:
            run("ip", "link", "delete", "to-" + name)
            run("ip", "netns", "delete", name)
        run("ip", "link", "delete", "relay")
        run("ip", "link", "delete", "br0")
