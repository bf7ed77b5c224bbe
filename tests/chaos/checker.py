"""What was sent, acknowledged and seen, and whether the log that is left agrees: lost, doubled, reordered, phantom and damaged records.

What a broker promises to an idempotent producer is judged by the batches on disk: within a producer's epoch every sequence number follows
the one before. A client that begins a new epoch while it does not know what became of its records sends them again under another name,
as librdkafka does after a batch behind a refused one is out of order; no broker can see that, so such doubles are counted, not blamed.

A record says who made it, its number among those its producer sent to this partition, and the checksum of the rest of it. Here it is a
token, producer and number in one integer. Topics are neither compacted nor transactional nor shortened, so that the records of a
partition have the offsets 0, 1, 2, … without a gap, and a list of tokens is a log.
"""
import array
import random
import struct
import zlib

NUMBERS = 1 << 40                                    # a token is producer * NUMBERS + number
SHOWN = 5                                            # examples of one kind in a report


def make(producer, number, rng=random):
    payload = rng.randbytes(rng.randrange(20, 400))
    return b"%d:%d:%08x:" % (producer, number, zlib.crc32(payload, producer * 31 + number) & 0xFFFFFFFF) + payload


def token_of(value):
    """None for what no producer of ours made, or what is not as it made it."""
    try:
        producer, number, checksum, payload = value.split(b":", 3)
        producer, number = int(producer), int(number)
        if int(checksum, 16) == zlib.crc32(payload, producer * 31 + number) & 0xFFFFFFFF:
            return producer * NUMBERS + number
    except (ValueError, AttributeError):
        pass
    return None


def text(token):
    return "%d:%d" % divmod(token, NUMBERS)


class Sent:
    """What one producer sent to one partition: the number of records, and the offset each was acknowledged with."""
    PENDING, REFUSED, SOMEWHERE = -1, -2, -3        # the last: acknowledged as one that is there already, which names no offset

    def __init__(self):
        self.offsets = array.array("q")

    def next(self):
        self.offsets.append(self.PENDING)
        return len(self.offsets) - 1


class Seen:
    """What one consumer read of one partition, from offset 0 on."""

    def __init__(self, who, place):
        self.who, self.place = who, place
        self.tokens = array.array("q")
        self.next = 0                                # the offset that follows what it read last
        self.again = 0                               # how many it has read more than once
        self.wrong = []

    def rewind(self, offset):
        """It goes back by itself: what it reads from here on has to be what it, and every other reader, read before."""
        self.next = offset

    def add(self, offset, value):
        token = token_of(value)
        if token is None:
            self.wrong.append("damaged: %s read %r at offset %d of %s-%d" % (self.who, value[:60], offset, *self.place))
            token = -1
        if offset != self.next and len(self.wrong) < SHOWN:
            self.wrong.append("skipped: %s read offset %d of %s-%d after %d" % (self.who, offset, *self.place, self.next - 1))
        self.next = offset + 1
        if offset < len(self.tokens):                # read again: what it reads now has to be what it read then
            self.again += 1
            if self.tokens[offset] != token and len(self.wrong) < SHOWN:
                self.wrong.append("phantom: %s read %s, later %s at offset %d of %s-%d" % (
                    self.who, text(self.tokens[offset]), text(token), offset, *self.place))
            return
        self.tokens.extend([-1] * (offset - len(self.tokens)))
        self.tokens.append(token)


HEADER = struct.Struct(">qiiBIhiqqqhii")             # of a record batch of magic 2


class Batches:
    """The headers of a log on disk."""

    def __init__(self, where, log):
        self.wrong, self.stamps = [], []             # stamps: of every offset, the producer's id and epoch
        self.resent = 0                              # doubles that are the client's
        at, producers, leader_epoch = 0, {}, -1
        while at < len(log):
            base, size, epoch, magic, _, _, last, _, _, producer, producer_epoch, sequence, _ = HEADER.unpack_from(log, at)
            if magic != 2 or base != len(self.stamps) or at + 12 + size > len(log):
                self.wrong.append("%s: offset %d of magic %d at byte %d, where %d is next" % (where, base, magic, at, len(self.stamps)))
                return
            if epoch < leader_epoch:
                self.wrong.append("%s: offset %d has leader epoch %d after %d" % (where, base, epoch, leader_epoch))
            old_epoch, next_sequence = producers.get(producer, (producer_epoch, sequence))  # a producer never seen may begin anywhere
            if producer >= 0 and (producer_epoch < old_epoch or sequence != (next_sequence if producer_epoch == old_epoch else 0)):
                self.wrong.append("%s: offset %d of producer %d has epoch %d sequence %d, expected is epoch %d sequence %d" % (
                    where, base, producer, producer_epoch, sequence, old_epoch, next_sequence))
            producers[producer] = producer_epoch, sequence + last + 1
            self.stamps.extend([(producer, producer_epoch)] * (last + 1))
            at, leader_epoch = at + 12 + size, epoch


def judge(place, sent, log, seen, batches=None):
    """Sentences about all that is wrong with one partition. sent: {producer: Sent}; log: the Seen of it at the end; seen: the others;
    batches: the same log on disk."""
    where = "%s-%d" % place
    found, resent = {}, set()
    stamps = batches.stamps if batches else [None] * len(log.tokens)
    if len(stamps) != len(log.tokens):
        return ["%s: %d records on disk, %d were read" % (where, len(stamps), len(log.tokens))] + batches.wrong

    def wrong(kind, sentence):
        found.setdefault(kind, []).append(sentence)
    places, last = {}, {}
    for offset, token in enumerate(log.tokens):
        if token < 0:
            continue
        producer, number = divmod(token, NUMBERS)
        if producer not in sent or number >= len(sent[producer].offsets):
            wrong("made up", "%s at offset %d was never sent" % (text(token), offset))
        elif token in places and stamps[offset] != stamps[places[token]]:
            resent.add(token)
        elif token in places:
            wrong("doubled", "%s at offsets %d and %d" % (text(token), places[token], offset))
        elif number < last.get(producer, -1):
            wrong("reordered", "%s at offset %d after %d:%d" % (text(token), offset, producer, last[producer]))
        places.setdefault(token, offset)
        last[producer] = max(number, last.get(producer, -1))
    for producer, stream in sent.items():
        for number, offset in enumerate(stream.offsets):
            token = producer * NUMBERS + number
            if offset in (Sent.PENDING, Sent.REFUSED):
                continue
            if token not in places:
                wrong("lost", "%s, acknowledged at offset %d" % (text(token), offset))
            elif offset >= 0 and places[token] != offset and token not in resent and "doubled" not in found:
                wrong("moved", "%s, acknowledged at offset %d, is at %d" % (text(token), offset, places[token]))
    for reader in seen:
        for offset, token in enumerate(reader.tokens):
            if token >= 0 and (offset >= len(log.tokens) or log.tokens[offset] != token):
                now = text(log.tokens[offset]) if offset < len(log.tokens) else "nothing"
                wrong("phantom", "%s read %s at offset %d, where there is %s" % (reader.who, text(token), offset, now))
    if batches:
        batches.resent = len(resent)
        for sentence in batches.wrong:
            wrong("out of sequence", sentence)
    report = ["%s: %s: %d, e.g. %s" % (where, kind, len(all_of), "; ".join(all_of[:SHOWN])) for kind, all_of in found.items()]
    return report + [sentence for reader in [log, *seen] for sentence in reader.wrong]
