"""Asks one broker for its topics, again and again, as a client that believes what it is told.

A broker may be slow, or close the connection; but an answer that lacks a topic or some of its partitions makes clients let go of them,
and one of them breaks on it.
"""
import struct
import threading

import raw

PAUSE_SECONDS, TIMEOUT_SECONDS = 0.1, 5
SHOWN = 3


class Asker(threading.Thread):
    def __init__(self, name, address, port, topics):
        """topics: {name: how many partitions}"""
        super().__init__(daemon=True)
        self.who, self.address, self.port, self.topics = name, address, port, topics
        self.answers, self.wrong = 0, []
        self.stopping = threading.Event()
        self.start()

    def run(self):
        while not self.stopping.wait(PAUSE_SECONDS):
            for topic, count in self.topics.items():
                try:
                    found = raw.leaders(self.port, topic, self.address, TIMEOUT_SECONDS)
                except (OSError, EOFError, struct.error):
                    continue
                self.answers += 1
                if sorted(found) != list(range(count)) and len(self.wrong) < SHOWN:
                    self.wrong.append("%s named the partitions %s of %s" % (self.who, sorted(found), topic))

    def finish(self):
        self.stopping.set()
        self.join(2 * TIMEOUT_SECONDS)
