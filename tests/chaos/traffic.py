"""The clients of a chaos run: producers that never give a record up, and consumers that read every partition as far as they may."""
import functools
import logging
import os
import random
import threading
import time

import checker
import harness
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

QUICK = {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 50, "socket.timeout.ms": 4000,
         "socket.connection.setup.timeout.ms": 2000, "topic.metadata.refresh.fast.interval.ms": 50,
         "topic.metadata.refresh.interval.ms": 2000, "log_level": 0}

GO_BACK_MAX = 2000                                   # records
SAID = 60                                            # lines of a producer that has not come to an end
BATCH_BYTES = 100000                                 # what waited for a leader has to fit into a segment of the smallest size


def _log_to(path):
    """What librdkafka decides about sequences and epochs: who doubled a record, the client or the broker, is seen there."""
    logger = logging.Logger(path.name)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    return logger


class Writer(threading.Thread):
    """Sends so many records a second, to places drawn at random. acknowledged counts; refused holds what was answered with an error."""

    def __init__(self, number, bootstrap, places, rate, seed, folder, **settings):
        super().__init__(daemon=True)
        self.number, self.places, self.rate, self.rng = number, places, rate, random.Random(seed)
        self.sent = {place: checker.Sent() for place in places}
        self.acknowledged, self.refused, self.longest = 0, [], 0.0
        self.stopping = threading.Event()
        base = {"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 5, "message.timeout.ms": 0,
                "queue.buffering.max.messages": 20000, "request.timeout.ms": 4000, "batch.size": BATCH_BYTES,
                **QUICK, "debug": "eos", "log_level": 7}
        base.update(settings)
        self.log = folder / ("producer-%d.log" % number)
        self.producer = Producer(base, logger=_log_to(self.log))
        self.last = time.monotonic()
        self.start()

    def _delivered(self, stream, number, error, message):
        if error:
            stream.offsets[number] = stream.REFUSED
            self.refused.append("%d:%d to %s-%d: %s" % (self.number, number, message.topic(), message.partition(), error))
            return
        stream.offsets[number] = stream.SOMEWHERE if message.offset() is None else message.offset()
        self.acknowledged += 1
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now

    def run(self):
        due = time.monotonic()
        while not self.stopping.is_set():
            if time.monotonic() < due:
                self.producer.poll(0.005)
                continue
            due = max(due + 1 / self.rate, time.monotonic() - 0.2)
            place = self.rng.choice(self.places)
            stream = self.sent[place]
            number = stream.next()
            value = checker.make(self.number, number, self.rng)
            while not self.stopping.is_set():
                try:
                    self.producer.produce(place[0], value, partition=place[1],
                                          on_delivery=functools.partial(self._delivered, stream, number))
                    break
                except BufferError:                  # it waits for a leader
                    self.producer.poll(0.05)
                except KafkaException as e:
                    self.refused.append("%d:%d to %s-%d: %s" % (self.number, number, *place, e))
                    stream.offsets[number] = stream.REFUSED
                    self.producer.poll(0.05)
                    break
            else:
                stream.offsets.pop()                 # it was never handed over

    def finish(self, seconds):
        self.stopping.set()
        self.join(10)
        left = self.producer.flush(seconds)
        assert left == 0, "producer %d: %d records are neither acknowledged nor refused %d s after all faults ended: %s; it said\n%s" % (
            self.number, left, seconds, self.left(), "\n".join(self.log.read_text(errors="replace").splitlines()[-SAID:]))

    def left(self):
        found = {"%s-%d" % place: sum(o == checker.Sent.PENDING for o in stream.offsets) for place, stream in self.sent.items()}
        return {place: count for place, count in found.items() if count}


class Reader(threading.Thread):
    """Reads every place from offset 0 on; every `again_seconds`, if any, one of them again from somewhere it has been.

    librdkafka compares a late answer about the end of an epoch with a position that has moved on meanwhile, and calls that a truncated
    log. So one that is told of a truncation reads on where it was: whether what it read is there still is for the checker to say, and a
    log that is shorter does not have that offset, which stops the reader for good.
    """

    def __init__(self, who, bootstrap, places, folder=None, again_seconds=None, **settings):
        super().__init__(daemon=True)
        self.again = lambda: Reader("a fresh reader like " + who, bootstrap, places, folder, **settings)
        self.again_seconds, self.rng = again_seconds, random.Random(who)
        self.who, self.seen = who, {place: checker.Seen(who, place) for place in places}
        self.wrong, self.resumed = [], {}
        self.stopping = threading.Event()
        base = {"bootstrap.servers": bootstrap, "group.id": "nobody", "enable.auto.commit": False, "auto.offset.reset": "error",
                "isolation.level": "read_uncommitted", "fetch.wait.max.ms": 100, "check.crcs": True, **QUICK}
        base.update(settings)
        if os.environ.get("STOKER_KEEP"):
            base.update({"debug": "fetch,topic", "log_level": 7})
            self.consumer = Consumer(base, logger=_log_to(folder / (who.replace(" ", "-") + ".log")))
        else:
            self.consumer = Consumer(base)
        self.consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in places])
        self.start()

    def run(self):
        due = time.monotonic() + (self.again_seconds or 0)
        while not self.stopping.is_set():
            if self.again_seconds and time.monotonic() > due:
                self._go_back()
                due = time.monotonic() + self.again_seconds
            told = []
            for message in self.consumer.consume(1000, 0.1):
                error = message.error()
                if not error:
                    self.seen[message.topic(), message.partition()].add(message.offset(), message.value())
                elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION, KafkaError._BAD_MSG):
                    told.append(((message.topic(), message.partition()), error))
            for place, error in told:                # where it is now: records that came with the word count as read
                self._told(place, error)
        self.consumer.close()

    def _told(self, place, error):
        position = self.seen[place].next
        if "truncation" not in error.str() or self.resumed.get(place) == position:
            self.wrong.append("%s of %s-%d was told: %s" % (self.who, *place, error))
            return
        self.resumed[place] = position
        self._read_from(place, position)

    def _read_from(self, place, offset):
        self.consumer.incremental_unassign([TopicPartition(*place)])
        self.consumer.incremental_assign([TopicPartition(*place, offset)])

    def _go_back(self):
        """Perhaps another replica answers this time."""
        place = self.rng.choice(list(self.seen))
        seen = self.seen[place]
        seen.rewind(max(0, seen.next - self.rng.randrange(1, GO_BACK_MAX)))
        self._read_from(place, seen.next)

    def wait_for(self, ends, seconds):
        def behind():
            return ["%s-%d: %d of %d" % (*place, len(self.seen[place].tokens), end) for place, end in ends.items()
                    if len(self.seen[place].tokens) < end]
        try:                                         # one that was told that the log is not what it was goes no further
            harness.wait_for("", lambda: self.wrong or not behind(), seconds)
        except AssertionError:
            raise AssertionError("%s is behind %d s after the last record: %s; %s" % (self.who, seconds, behind()[:5], self.wrong[:3]))

    def ends(self, seconds=30):
        """The high watermark of every place."""
        def ask(place):
            return self.consumer.get_watermark_offsets(TopicPartition(*place), timeout=5)
        return {place: harness.wait_for("the offsets of %s-%d" % place, lambda: ask(place), seconds)[1] for place in self.seen}

    def finish(self):
        self.stopping.set()
        self.join(10)
