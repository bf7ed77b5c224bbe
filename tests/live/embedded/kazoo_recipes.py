"""Kazoo's recipes against the embedded server; test_kazoo calls this with the server and a folder."""
import subprocess
import sys
import threading
import time
import unittest

from kazoo.client import KazooClient
from kazoo.exceptions import (BadVersionError, NoAuthError, NoChildrenForEphemeralsError, NodeExistsError,
                              NoNodeError, NotEmptyError, RolledBackError, RuntimeInconsistency)
from kazoo.security import make_digest_acl

SERVER, DATA = sys.argv[1:3]
TICK_MS = 100
WAIT_S = 20


class Server:
    """The program; it ends when its standard input does."""

    def __init__(self):
        self.port = 0
        self.start()

    def start(self):
        self.process = subprocess.Popen([SERVER, DATA, str(self.port), str(TICK_MS)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())

    def stop(self, kill=False):
        if kill:
            self.process.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(WAIT_S)


class Recipes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def client(self, **more):
        client = KazooClient(f"127.0.0.1:{self.server.port}", timeout=1.0, **more)
        client.start(WAIT_S)
        self.addCleanup(lambda: (client.stop(), client.close()))
        return client

    def setUp(self):
        self.root = "/" + self._testMethodName
        self.zk = self.client()
        self.zk.ensure_path(self.root)

    def await_(self, question, what):
        until = time.monotonic() + WAIT_S
        while not question():
            self.assertLess(time.monotonic(), until, what)
            time.sleep(0.01)

    def test_znodes_and_their_errors(self):
        zk, root = self.zk, self.root
        self.assertEqual(zk.create(root + "/a", b"1"), root + "/a")
        path, stat = zk.create(root + "/b", b"22", include_data=True)
        self.assertEqual((path, stat.dataLength, stat.version), (root + "/b", 2, 0))
        self.assertEqual(zk.get(root + "/a")[0], b"1")
        self.assertEqual(zk.set(root + "/a", b"2").version, 1)
        self.assertEqual(sorted(zk.get_children(root)), ["a", "b"])
        children, stat = zk.get_children(root, include_data=True)
        self.assertEqual((len(children), stat.numChildren, stat.cversion), (2, 2, 2))
        zk.create(root + "/e", ephemeral=True)
        for error, call in [(NodeExistsError, lambda: zk.create(root + "/a")),
                            (NoNodeError, lambda: zk.get(root + "/none")),
                            (NoNodeError, lambda: zk.create(root + "/none/x")),
                            (BadVersionError, lambda: zk.set(root + "/a", b"", version=9)),
                            (NotEmptyError, lambda: zk.delete(root)),
                            (NoChildrenForEphemeralsError, lambda: zk.create(root + "/e/x"))]:
            self.assertRaises(error, call)
        self.assertEqual(zk.sync(root), root)

    def test_a_lock_has_one_holder_at_a_time(self):
        inside, most, entered = [0], [0], [0]

        def work(client):
            for _ in range(5):
                with client.Lock(self.root + "/lock", "worker"):
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    time.sleep(0.002)
                    inside[0] -= 1
                    entered[0] += 1

        threads = [threading.Thread(target=work, args=(self.client(),)) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(WAIT_S)
        self.assertEqual((entered[0], most[0]), (20, 1))

    def test_an_election_moves_on_when_the_leader_leaves(self):
        led, leave = [], threading.Event()

        def lead(name):
            led.append(name)
            leave.wait(WAIT_S)

        threads = []
        for name in ("one", "two"):
            election = self.client().Election(self.root + "/election", name)
            threads.append(threading.Thread(target=election.run, args=(lead, name)))
            threads[-1].start()
        self.await_(lambda: len(led) == 1, "nobody leads")
        leave.set()
        for t in threads:
            t.join(WAIT_S)
        self.assertEqual(sorted(led), ["one", "two"])

    def test_watches_tell_data_and_children(self):
        data, children = [], []
        self.zk.DataWatch(self.root + "/d", lambda value, stat: data.append(value))
        self.zk.ChildrenWatch(self.root, lambda names: children.append(sorted(names)))
        other = self.client()
        other.create(self.root + "/d", b"1")
        self.await_(lambda: data[-1:] == [b"1"], data)
        other.set(self.root + "/d", b"2")
        self.await_(lambda: data[-1:] == [b"2"], data)
        self.await_(lambda: children[-1:] == [["d"]], children)
        other.delete(self.root + "/d")
        self.await_(lambda: data[-1:] == [None], data)
        self.await_(lambda: children[-1:] == [[]], children)

    def test_transactions_stand_or_fall_whole(self):
        t = self.zk.transaction()
        t.create(self.root + "/t", b"1")
        t.set_data(self.root + "/t", b"2")
        t.check(self.root + "/t", 1)
        self.assertEqual(t.commit()[0], self.root + "/t")
        t = self.zk.transaction()
        t.create(self.root + "/u")
        t.check(self.root + "/t", 7)
        t.delete(self.root + "/t")
        self.assertEqual([type(r) for r in t.commit()],
                         [RolledBackError, BadVersionError, RuntimeInconsistency])
        self.assertIsNone(self.zk.exists(self.root + "/u"))
        self.assertEqual(self.zk.get(self.root + "/t")[0], b"2")

    def test_queues_counters_and_barriers(self):
        queue = self.zk.Queue(self.root + "/queue")
        for i in range(5):
            queue.put(b"%d" % i)
        self.assertEqual([queue.get() for _ in range(5)], [b"0", b"1", b"2", b"3", b"4"])
        counter = self.zk.Counter(self.root + "/counter")
        counter += 3
        counter -= 1
        self.assertEqual(counter.value, 2)
        barrier = self.zk.Barrier(self.root + "/barrier")
        barrier.create()
        self.client().Barrier(self.root + "/barrier").remove()
        self.assertTrue(barrier.wait(WAIT_S))

    def test_digest_acls(self):
        owner = self.client(auth_data=[("digest", "user:pass")])
        owner.create(self.root + "/private", b"x", acl=[make_digest_acl("user", "pass", all=True)])
        self.assertRaises(NoAuthError, self.zk.get, self.root + "/private")
        self.assertEqual(owner.get(self.root + "/private")[0], b"x")
        self.zk.add_auth("digest", "user:pass")
        self.assertEqual(self.zk.get(self.root + "/private")[0], b"x")
        acls, stat = owner.get_acls(self.root + "/private")
        self.assertEqual(owner.set_acls(self.root + "/private", acls).aversion, stat.aversion + 1)

    def test_a_killed_server_comes_back_with_all_that_was_acknowledged(self):
        self.zk.create(self.root + "/kept", b"1")
        self.zk.create(self.root + "/mine", ephemeral=True)
        session = self.zk.client_id[0]
        self.server.stop(kill=True)
        self.server.start()
        self.assertEqual(self.zk.retry(self.zk.get, self.root + "/kept")[0], b"1")
        self.assertEqual(self.zk.client_id[0], session)
        self.assertEqual(self.zk.exists(self.root + "/mine").ephemeralOwner, session)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
