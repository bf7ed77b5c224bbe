"""What ZooKeeper says while a chaos run goes on: one controller, and epochs that never go back."""
import json
import threading

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError

AWAY = (KazooException, KazooTimeoutError, OSError)  # the ensemble does not answer, or the znode is not there


class Watch(threading.Thread):
    """Reads /controller, /controller_epoch and the state of every partition, again and again.

    A server of the ensemble may lag behind the one asked before: what it answers is known by the transaction that wrote it.
    """

    def __init__(self, zookeeper, places):
        super().__init__(daemon=True)
        self.places = places
        self.controller, self.controllers, self.elections, self.looks = None, 0, 0, 0
        self.states, self.written, self.wrong = {}, {}, []  # written: the last transaction seen of each path
        self.stopping = threading.Event()
        self.client = KazooClient(zookeeper, timeout=5, connection_retry={"max_tries": -1, "max_delay": 0.3})
        self.client.start(30)
        self.epoch = 0
        self.start()

    def run(self):
        while not self.stopping.wait(0.1):
            try:
                self._look()
            except AWAY:
                self.controller = None

    def _newer(self, path, answer):
        """The JSON of a znode; None where an older one than before was read."""
        data, stat = answer.get(timeout=5)
        if stat.mzxid < self.written.get(path, 0):
            return None
        self.written[path] = stat.mzxid
        return json.loads(data)

    def _read(self, path):
        return self._newer(path, self.client.get_async(path))

    def _look(self):
        epoch, controller = self._read("/controller_epoch"), self._read("/controller")
        if epoch is not None:
            if epoch < self.epoch:
                self.wrong.append("the controller epoch went from %d to %d" % (self.epoch, epoch))
            self.controllers += epoch > self.epoch
            self.epoch = epoch
        if controller:
            self.controller = controller["brokerid"]
        paths = {place: "/brokers/topics/%s/partitions/%d/state" % place for place in self.places}
        asked = [(place, path, self.client.get_async(path)) for place, path in paths.items()]
        for place, path, answer in asked:
            state = self._newer(path, answer)
            if state:
                self._follow(place, state, self.states.get(place, state))
        self.looks += 1

    def _follow(self, place, state, old):
        if state["leader_epoch"] < old["leader_epoch"] or state["controller_epoch"] < old["controller_epoch"]:
            self.wrong.append("the state of %s-%d went from %s back to %s" % (*place, old, state))
        if state["leader"] != old["leader"] and state["leader_epoch"] == old["leader_epoch"]:
            self.wrong.append("two leaders in one epoch of %s-%d: %s and %s" % (*place, old, state))
        self.elections += state["leader"] != old["leader"]
        self.states[place] = state

    def not_whole(self, replicas=3):
        """The partitions without a leader or with a replica that is not in sync, as of the last look."""
        return ["%s-%d %s" % (*place, self.states.get(place)) for place in self.places
                if place not in self.states or len(self.states[place]["isr"]) < replicas or self.states[place]["leader"] < 0]

    def session(self, broker_id):
        """The id of its session; None while it is not registered or ZooKeeper does not answer."""
        try:
            return self.client.get_async("/brokers/ids/%d" % broker_id).get(timeout=2)[1].ephemeralOwner
        except AWAY:
            return None

    def delete(self, path):
        try:
            self.client.delete_async(path).get(timeout=2)
            return path
        except AWAY:
            return None

    def pause(self, seconds):
        self.stopping.wait(seconds)

    def check(self):
        assert not self.wrong, self.wrong[:5]

    def finish(self):
        self.stopping.set()
        self.join(10)
        self.client.stop()
        self.client.close()
