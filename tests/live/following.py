"""A producer that follows its leader from broker to broker, and a watch on a partition's state."""
import struct
import threading
import time

import harness
import raw


class Writer(threading.Thread):
    """acks=all to whoever leads, one record at a time. A record whose fate is not known is sent again, under another number."""

    def __init__(self, brokers, topic, partition=0):
        super().__init__(daemon=True)
        self.ports, self.topic, self.partition = {b.id: b.port for b in brokers}, topic, partition
        self.batches, self.number, self.acknowledged = raw.Batches(1000), 0, {}
        self.times, self.stopping = [time.monotonic()], threading.Event()
        self.start()

    def leader(self):
        for port in list(self.ports.values())[::-1]:                # not the one that may hang, where there is a choice
            try:
                with raw.Client(port, 1) as client:
                    answer = client.ask(3, 1, struct.pack(">i", 1) + raw.string(self.topic))
                    assert answer
                return raw.leaders(port, self.topic)[self.partition][1]
            except (OSError, EOFError, struct.error, KeyError, AssertionError):
                continue
        return -1

    def run(self):
        client, led_by = None, None
        while not self.stopping.is_set():
            try:
                if client is None:
                    led_by = self.leader()
                    client = raw.Client(self.ports[led_by], 0.5)
                error, offset = client.produce(self.topic, self.partition, self.batches.numbered(self.number))
                number, self.number = self.number, self.number + 1
                if error == 0:
                    self.acknowledged[number] = offset
                    self.times.append(time.monotonic())
                    time.sleep(0.005)
                    continue
            except (OSError, EOFError, struct.error, KeyError):
                self.number += 1
            if client:
                client.close()
            client = None
            time.sleep(0.02)

    def longest(self, since):
        times = [t for t in self.times if t >= since]
        return max(b - a for a, b in zip([since] + times, times + [time.monotonic()]))

    def wait_more(self, seconds=40):
        before = len(self.acknowledged)
        harness.wait_for("%s is written" % self.topic, lambda: len(self.acknowledged) > before + 20, seconds)

    def check(self):
        self.stopping.set()
        self.join(30)
        with raw.Client(self.ports[self.leader()]) as client:
            found = dict(client.read_all(self.topic, self.partition))
        lost = [n for n, offset in self.acknowledged.items() if found.get(offset) != n]
        assert not lost, "%d of %d acknowledged records are lost: %s" % (len(lost), len(self.acknowledged), lost[:5])
