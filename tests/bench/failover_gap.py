#!/usr/bin/env python3
"""A producer that writes one record every two milliseconds to one partition, acks=all, until its standard input says that the leader's
node is gone (CLOCK_MONOTONIC, nanoseconds; nothing where it is not to be known).

    failover_gap.py ADDRESSES TOPIC

Prints "producing" after the first acknowledgement, and at the end acknowledged=, and for the longest pause between two
acknowledgements gap= (seconds) and ended_ns=; where the node went, also asked_ns=, when it first asked for metadata after that: until then
no broker can tell it anything. librdkafka of a version that knows the leader hints of Produce 10, with the settings it has by itself.
FailoverGap.java is the same with Kafka's own producer.
"""
import logging
import os
import pathlib
import select
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "live"))
import harness                                       # noqa: E402

harness.use_venv()
from confluent_kafka import Producer                 # noqa: E402

EVERY_SECONDS = 0.002
FLUSH_SECONDS = 60


class Pauses:
    def __init__(self):
        self.count, self.last_ns, self.longest_ns, self.ended_ns = 0, 0, 0, 0

    def acknowledged(self, error, _message):
        if error:
            sys.exit("a record was given up: %s" % error)
        now = time.monotonic_ns()
        if self.count and now - self.last_ns > self.longest_ns:
            self.longest_ns, self.ended_ns = now - self.last_ns, now
        self.count, self.last_ns = self.count + 1, now
        if self.count == 1:
            print("producing", flush=True)


class Questions(logging.Handler):
    """When librdkafka asked for metadata, by what it says of itself."""

    def __init__(self):
        super().__init__()
        self.times_ns = []

    def emit(self, record):
        if "Request metadata for" in record.getMessage():
            self.times_ns.append(time.monotonic_ns())


def main(addresses, topic):
    pauses, questions, logger = Pauses(), Questions(), logging.Logger("librdkafka")
    logger.addHandler(questions)
    producer = Producer({"bootstrap.servers": addresses, "acks": "all", "enable.idempotence": True, "linger.ms": 0,
                         "socket.nagle.disable": True, "message.timeout.ms": 120000, "debug": "metadata", "log_level": 7}, logger=logger)
    due = time.monotonic()
    while not select.select([sys.stdin], [], [], 0)[0]:
        producer.produce(topic, os.urandom(100), partition=0, on_delivery=pauses.acknowledged)
        due = max(due + EVERY_SECONDS, time.monotonic())
        producer.poll(max(0, due - time.monotonic()))
        time.sleep(max(0, due - time.monotonic()))
    gone_ns = int(sys.stdin.read() or 0)
    if producer.flush(FLUSH_SECONDS):
        sys.exit("records were not acknowledged in time")
    print("acknowledged=%d gap=%.4f ended_ns=%d asked_ns=%d" % (
        pauses.count, pauses.longest_ns / 1e9, pauses.ended_ns, next((ns for ns in questions.times_ns if ns > gone_ns), 0)))


if __name__ == "__main__":
    main(*sys.argv[1:])
