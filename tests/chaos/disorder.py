"""What is left to see of a batch that was refused as out of order: an idempotent producer that sends again what it must sends nothing
of the kind, so the broker has forgotten a batch, or taken one that it should not have. Told before the folders go.

Apache Kafka forgets by design: after a start, orderly or not, it knows only the last batch of each producer (a snapshot has no room for
more), so of two batches that were written and not answered before, the retry of the first is refused by the broker that leads now.
"""
import collections
import re

import checker

REFUSED = re.compile(r"\d+:(\d+) to (.+)-(\d+): .*code=OUT_OF_ORDER_SEQUENCE_NUMBER")
AROUND = 12                                          # sequence numbers in front of the refused record's and behind it
LATEST = 8                                           # batches of each producer
PLACES_MAX, LINES_MAX = 2, 80


def tell(refused, brokers, say):
    """refused: the writers' sentences. The brokers have stopped, their disks are there."""
    first = {}
    for found in filter(None, map(REFUSED.match, refused)):
        first.setdefault((found[2], int(found[3])), int(found[1]))
    for place, number in list(first.items())[:PLACES_MAX]:
        for broker in brokers:
            for line in _said(broker, place)[-LINES_MAX:] + _batches(broker.log_bytes(*place), number):
                say("%s of %s-%d: %s" % (broker.name, *place, line))


def _said(broker, place):
    named = "topic=%s partition=%d " % place
    return [line for line in (broker.folder / "process.log").read_text(errors="replace").splitlines() if named in line + " "]


def _batches(log, number):
    """While a producer keeps its first epoch, the number of a record is its sequence number; and who was refused for good sends no more,
    so the last batches of each producer are told, too."""
    near, latest, at = [], {}, 0
    while at + checker.HEADER.size <= len(log):
        base, size, epoch, _, _, _, last, _, stamp, producer, producer_epoch, sequence, _ = checker.HEADER.unpack_from(log, at)
        line = "offsets %d..%d leader epoch %d producer %d epoch %d sequence %d..%d time %d" % (
            base, base + last, epoch, producer, producer_epoch, sequence, sequence + last, stamp)
        if producer >= 0 and sequence <= number + AROUND and sequence + last >= number - AROUND:
            near.append(line)
        latest.setdefault(producer, collections.deque(maxlen=LATEST)).append(line)
        at += 12 + size
    return near + ["at last: " + line for lines in latest.values() for line in lines if line not in near]
