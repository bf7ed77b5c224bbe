"""A producer that goes on while brokers stop and start under it, and remembers what was acknowledged."""
import threading

import harness
from confluent_kafka import KafkaException, Producer


class Stream:
    """Writes 0, 1, 2, … to partition 0 of a topic from a thread until finish(). Acknowledged numbers with their offsets are kept."""

    def __init__(self, address, topic, **settings):
        self.topic, self.sent, self.acknowledged, self.errors = topic, 0, {}, []
        self.stopping = threading.Event()
        base = {"bootstrap.servers": address, "acks": "all", "enable.idempotence": True, "linger.ms": 2, "batch.num.messages": 50,
                "message.timeout.ms": 60000, "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 20,
                "socket.timeout.ms": 10000, "queue.buffering.max.messages": 2000,
                "topic.metadata.refresh.fast.interval.ms": 50, "log_level": 0}
        base.update(settings)
        self.producer = Producer(base)
        self.thread = threading.Thread(target=self._write, daemon=True)
        self.thread.start()

    def _delivered(self, error, message):
        if error:
            self.errors.append(error)
        else:
            self.acknowledged[int(message.value())] = message.offset()

    def _write(self):
        while not self.stopping.is_set():
            try:
                self.producer.produce(self.topic, b"%d" % self.sent, partition=0, on_delivery=self._delivered)
                self.sent += 1
            except BufferError:
                self.producer.poll(0.05)
            except KafkaException as e:              # librdkafka refuses at once what a broker says there is not
                self.errors.append(e.args[0])
                self.producer.poll(0.05)
            self.producer.poll(0.001)

    def wait_more(self, count=200, seconds=40):
        """Waits until count records more are acknowledged."""
        before = len(self.acknowledged)
        harness.wait_for("%d acknowledgements after %d" % (count, before), lambda: len(self.acknowledged) >= before + count, seconds)

    def finish(self, seconds=60):
        self.stopping.set()
        self.thread.join(10)
        left = self.producer.flush(seconds)
        assert left == 0, "%d records neither delivered nor refused" % left

    def check(self, address, is_exactly_once=True):
        """Every acknowledged record is at its offset; of an idempotent producer everything is there at most once and in order."""
        rows = harness.read_all(address, self.topic)
        found = {m.offset(): int(m.value()) for m in rows}
        values = set(found.values())
        lost = [(n, o) for n, o in self.acknowledged.items() if found.get(o) != n]
        # librdkafka takes a retry that is refused as out of order for written where a later record was acknowledged, and has no offset
        lost = [(n, o) for n, o in lost if n not in values or (is_exactly_once and o is not None)]
        assert not lost, "%d of %d acknowledged records are not at their offsets, e.g. (record, offset) %s" % (
            len(lost), len(self.acknowledged), sorted(lost)[:5])
        if is_exactly_once:
            numbers = [int(m.value()) for m in rows]
            wrong = [pair for pair in zip(numbers, numbers[1:]) if pair[0] >= pair[1]]
            assert not wrong, "number %d is followed by %d; %d in the log, %d sent" % (wrong[0] + (len(numbers), self.sent))
        print("     %d sent, %d acknowledged, %d in the log" % (self.sent, len(self.acknowledged), len(rows)))
