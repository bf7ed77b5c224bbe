#!/usr/bin/env python3
"""A producer that writes one record every two milliseconds to one partition, acks=all, until its standard input closes.

    failover_gap.py ADDRESSES TOPIC

Prints "producing" after the first acknowledgement, and at the end acknowledged=, and for the longest pause between two
acknowledgements gap= (seconds) and ended_ns= (CLOCK_MONOTONIC). librdkafka of a version that knows the leader hints of Produce 10.
"""
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


def main(addresses, topic):
    pauses = Pauses()
    producer = Producer({"bootstrap.servers": addresses, "acks": "all", "enable.idempotence": True, "linger.ms": 0,
                         "socket.nagle.disable": True, "message.timeout.ms": 120000, "log_level": 0})
    due = time.monotonic()
    while not select.select([sys.stdin], [], [], 0)[0]:
        producer.produce(topic, os.urandom(100), partition=0, on_delivery=pauses.acknowledged)
        due = max(due + EVERY_SECONDS, time.monotonic())
        producer.poll(max(0, due - time.monotonic()))
        time.sleep(max(0, due - time.monotonic()))
    if producer.flush(FLUSH_SECONDS):
        sys.exit("records were not acknowledged in time")
    print("acknowledged=%d gap=%.4f ended_ns=%d" % (pauses.count, pauses.longest_ns / 1e9, pauses.ended_ns))


if __name__ == "__main__":
    main(*sys.argv[1:])
