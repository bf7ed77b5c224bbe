"""What ZooKeeper says while a chaos run goes on: one controller, and epochs that never go back."""
import json
import threading

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError

AWAY = (KazooException, KazooTimeoutError, OSError)  # the ensemble does not answer, or the znode is not there


class Watch(threading.Thread):
    """Reads /controller, /controller_epoch and the state of every partition, again and again."""

    def __init__(self, zookeeper, places):
        super().__init__(daemon=True)
        self.places = places
        self.controller, self.controllers, self.elections = None, 0, 0
        self.states, self.wrong = {}, []
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

    def read(self, path):
        return json.loads(self.client.get_async(path).get(timeout=5)[0])

    def _look(self):
        epoch = self.read("/controller_epoch")
        if epoch < self.epoch:
            self.wrong.append("the controller epoch went from %d to %d" % (self.epoch, epoch))
        self.controllers += epoch > self.epoch
        self.epoch = epoch
        self.controller = self.read("/controller")["brokerid"]
        asked = [(place, self.client.get_async("/brokers/topics/%s/partitions/%d/state" % place)) for place in self.places]
        for place, answer in asked:
            state = json.loads(answer.get(timeout=5)[0])
            old = self.states.get(place, state)
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
