"""CreateTopics, CreatePartitions, DeleteTopics, UpdateFeatures: what is made, what is refused, and in which words."""
import time

from context import case
from schema import ZERO_UUID

ABSENT_ID = "12345678-1234-5678-1234-567812345678"


def topic(name, partitions=1, factor=1, assignments=(), configs=()):
    return {"Name": name, "NumPartitions": partitions, "ReplicationFactor": factor,
            "Assignments": [{"PartitionIndex": p, "BrokerIds": list(b)} for p, b in assignments], "Configs": [{"Name": n, "Value": v} for n, v in configs]}


def create(t, label, *topics, validate=False, timeout=10000, version=7):
    return t.do(label, "CreateTopics", version, {"Topics": list(topics), "timeoutMs": timeout, "validateOnly": validate}, limit=15, on=t.fresh())


def is_there(t, name):
    m = t.call("Metadata", 12, {"Topics": [{"Name": name}], "AllowAutoTopicCreation": False})
    return m["Topics"][0]["ErrorCode"] == 0


def partitions_of(t, name):
    m = t.call("Metadata", 12, {"Topics": [{"Name": name}], "AllowAutoTopicCreation": False})
    return [m["Topics"][0]["ErrorCode"], len(m["Topics"][0]["Partitions"])]


@case("topics/create", texts=True)
def creation(t):
    for v in t.versions("CreateTopics"):
        name = t.name("v%d" % v)
        create(t, "v%d" % v, topic(name), version=v)
        create(t, "v%d again" % v, topic(name), version=v)
        create(t, "v%d with defaults" % v, topic(name + "d", -1, -1), version=v)
        create(t, "v%d by assignment" % v, topic(name + "a", -1, -1, [(0, [1]), (1, [1])]), version=v)
        create(t, "v%d with a setting" % v, topic(name + "c", 1, 1, (), [("flush.ms", "5")]), version=v)
        create(t, "v%d validate only" % v, topic(name + "o"), version=v, validate=v > 0)
        t.see("v%d then" % v, [partitions_of(t, name + s) for s in ("", "d", "a", "c", "o")])


@case("topics/create-refused", texts=True)
def create_refused(t):
    def do(label, *args, **kw):
        create(t, label, topic(t.name("r"), *args, **kw), validate=True)
    for n in (0, -1, -2, -2147483648):
        do("%d partitions" % n, n, 1)
    for n in (0, -1, -2, 2, 3, 32767, -32768):
        do("factor %d" % n, 1, n)
    do("0 partitions of factor 0", 0, 0)
    do("0 partitions of factor 2", 0, 2)
    do("assignment beside a number", 1, -1, [(0, [1])])
    do("assignment beside a factor", -1, 1, [(0, [1])])
    do("assignment beside both", 1, 1, [(0, [1])])
    do("a gap", -1, -1, [(0, [1]), (2, [1])])
    do("not from 0", -1, -1, [(1, [1])])
    do("a negative partition", -1, -1, [(-1, [1])])
    do("a partition twice", -1, -1, [(0, [1]), (0, [1])])
    do("a partition twice, unlike", -1, -1, [(0, [1]), (0, [2])])
    do("a broker twice", -1, -1, [(0, [1, 1])])
    do("an unknown broker", -1, -1, [(0, [9])])
    do("a negative broker", -1, -1, [(0, [-1])])
    do("no brokers", -1, -1, [(0, [])])
    do("no brokers in the second", -1, -1, [(0, [1]), (1, [])])
    do("unlike factors", -1, -1, [(0, [1]), (1, [1, 2])])
    do("a gap and a broker twice", -1, -1, [(0, [1]), (2, [1, 1])])
    do("a null value", 1, 1, (), [("flush.ms", None)])
    do("two null values", 1, 1, (), [("flush.ms", None), ("segment.ms", None)])
    do("a null value of an unknown setting", 1, 1, (), [("no.such", None)])
    do("an unknown setting", 1, 1, (), [("no.such", "1")])
    do("two unknown settings", 1, 1, (), [("no.such", "1"), ("nor.this", "1")])
    do("a bad value", 1, 1, (), [("segment.bytes", "abc")])
    do("a bad value and an unknown setting", 1, 1, (), [("segment.bytes", "abc"), ("no.such", "1")])
    do("a setting twice", 1, 1, (), [("flush.ms", "1"), ("flush.ms", "2")])
    do("lags that do not fit", 1, 1, (), [("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")])
    do("tiered storage", 1, 1, (), [("remote.storage.enable", "true")])
    do("a bad value and no partitions", 0, 1, (), [("segment.bytes", "abc")])
    do("good settings", 1, 1, (), [("flush.ms", " 7 "), ("cleanup.policy", "compact, delete"), ("compression.type", "zstd")])
    for label, name in (("empty", ""), ("dot", "."), ("dots", ".."), ("three dots", "..."), ("slash", "a/b"), ("space", "a b"), ("249", "x" * 249), ("250", "x" * 250), ("umlaut", "ä"), ("colon", "a:b"),
                        ("emoji", "\U0001f600"), ("newline", "a\nb"), ("the metadata topic", "__cluster_metadata"), ("the share topic", "__share_group_state")):
        create(t, "name " + label, topic(name), validate=True)
        create(t, "name %s, without partitions" % label, topic(name, 0), validate=True)
        create(t, "name %s, with a bad setting" % label, topic(name, 1, 1, (), [("segment.bytes", "abc")]), validate=True)
    create(t, "no topics")
    create(t, "the same twice", topic(t.name("twice")), topic(t.name("twice"), 2))
    create(t, "the same twice beside another", topic(t.name("twice")), topic(t.name("twice"), 2), topic(t.name("once")))
    create(t, "one good, one bad", topic(t.name("good")), topic(t.name("bad"), 0))
    t.see("then", [partitions_of(t, t.name(s)) for s in ("twice", "once", "good", "bad", "r")])


@case("topics/collisions", texts=True)
def collisions(t):
    create(t, "a.b", topic(t.name("a.b")))
    for label, name in (("a_b", "a_b"), ("a-b", "a-b"), ("A.B", "A.B")):
        create(t, label, topic(t.name(name).replace("dp", "dp")))
    create(t, "all merged", topic(t.name("a.b").replace(".", "_")))
    create(t, "all merged, judged only", topic(t.name("a.b").replace(".", "_")), validate=True)
    body = {"Topics": [topic(t.name("c.d")), topic(t.name("c_d"))], "timeoutMs": 10000}
    a = t.call("CreateTopics", 7, body, limit=15)   # which one comes first is left to a hash table
    t.see("two that collide with each other", sorted(x["ErrorCode"] for x in a["Topics"]))


@case("topics/create-timeout", texts=True)
def create_timeout(t):
    for timeout in (0, -1):
        name = t.name("t%d" % abs(timeout))
        create(t, "in %d ms" % timeout, topic(name), timeout=timeout)
        t.ready(name)
        create(t, "in %d ms again" % timeout, topic(name), timeout=timeout)
        create(t, "in %d ms, judged only" % timeout, topic(name + "v"), timeout=timeout, validate=True)


def grow(t, label, *topics, validate=False, timeout=10000, version=3):
    return t.do(label, "CreatePartitions", version, {"Topics": list(topics), "TimeoutMs": timeout, "ValidateOnly": validate}, limit=15, on=t.fresh())


def more(name, count, *lists, given=True):
    return {"Name": name, "Count": count, "Assignments": [{"BrokerIds": list(b)} for b in lists] if lists or not given else None}


@case("topics/partitions", texts=True)
def more_partitions(t):
    for v in t.versions("CreatePartitions"):
        name = t.topic("v%d" % v, 2)
        grow(t, "v%d judged only" % v, more(name, 3), version=v, validate=True)
        t.see("v%d judged only, then" % v, partitions_of(t, name))
        grow(t, "v%d" % v, more(name, 3), version=v)
        t.see("v%d then" % v, partitions_of(t, name))
        grow(t, "v%d by hand" % v, more(name, 5, [1], [1]), version=v)
        t.see("v%d by hand, then" % v, partitions_of(t, name))
    name, other = t.topic("r", 2), t.topic("other", 2)

    def do(label, count, *lists, **kw):
        grow(t, label, more(name, count, *lists, **kw), validate=True)
    for n in (2, 1, 0, -1, -2147483648 + 2, -2147483648 + 3):
        do("%d" % n, n)
        do("%d with a list" % n, n, [1])
    do("an empty list of lists", 3, given=False)
    do("too few lists", 4, [1])
    do("too many lists", 3, [1], [1])
    do("an unknown broker", 3, [9])
    do("unknown brokers", 4, [9, 8], [7])
    do("an unknown broker in too many lists", 3, [1], [9])
    do("a negative broker", 3, [-1])
    do("a broker twice", 3, [1, 1])
    do("a broker twice in the second", 4, [1], [1, 1])
    do("no brokers", 3, [])
    do("no brokers in the second", 4, [1], [])
    do("an unknown broker and none", 4, [9], [])
    grow(t, "unknown topic", more(t.name("none"), 3))
    grow(t, "unknown topic with a list", more(t.name("none"), 3, [9]))
    for bad in ("", ".", "..", "a/b", "a/", "a//b", "a/./b", "a b", "ä"):
        grow(t, "name %r" % bad, more(bad, 3))
    grow(t, "no topics")
    grow(t, "twice", more(name, 3), more(name, 4), validate=True)
    grow(t, "twice beside another", more(name, 3), more(other, 3), more(name, 4), validate=True)
    grow(t, "one good, one bad", more(name, 3), more(other, 1))
    t.see("one good, one bad, then", [partitions_of(t, name), partitions_of(t, other)])
    grow(t, "in 0 ms", more(other, 3), timeout=0)
    t.ready(other, 3)
    grow(t, "in 0 ms, judged only", more(other, 4), timeout=0, validate=True)


def delete(t, label, version, *states, timeout=10000):
    """states: (name, id)."""
    body = {"TimeoutMs": timeout, "Topics": [{"Name": n, "TopicId": i or ZERO_UUID} for n, i in states], "TopicNames": [n for n, _ in states]}
    return t.do(label, "DeleteTopics", version, body, limit=15, on=t.fresh())


@case("topics/delete", texts=True)
def deletion(t):
    for v in t.versions("DeleteTopics"):
        names = [t.topic("v%d%s" % (v, s)) for s in "abc"]
        delete(t, "v%d one" % v, v, (names[0], None))
        delete(t, "v%d one and an unknown one" % v, v, (names[1], None), (t.name("none"), None))
        delete(t, "v%d the same twice" % v, v, (names[2], None), (names[2], None))
        delete(t, "v%d the same again" % v, v, (names[2], None))
        delete(t, "v%d unknown twice" % v, v, (t.name("none"), None), (t.name("none"), None))
        delete(t, "v%d none" % v, v)
        t.see("v%d then" % v, [is_there(t, n) for n in names])
    v = t.top("DeleteTopics")
    names = [t.topic("id%s" % s) for s in "abcde"]
    ids = [t.ids[n] for n in names]
    delete(t, "by id", v, (None, ids[0]))
    delete(t, "by id and an unknown id", v, (None, ids[1]), (None, ABSENT_ID))
    delete(t, "by name and by id", v, (names[2], None), (None, ids[2]))
    delete(t, "the same id twice", v, (None, ids[3]), (None, ids[3]))
    delete(t, "name and id at once", v, (names[4], ids[4]))
    delete(t, "name and id at once beside a good one", v, (names[4], None), (names[4], ids[4]))
    delete(t, "neither name nor id beside a good one", v, (None, None), (names[4], None))
    delete(t, "an unknown id twice", v, (None, ABSENT_ID), (None, ABSENT_ID))
    t.see("then", [is_there(t, n) for n in names])
    late = t.topic("late")
    delete(t, "in 0 ms", v, (late, None), timeout=0)
    end = time.monotonic() + 10
    while time.monotonic() < end and is_there(t, late):
        time.sleep(0.02)
    t.see("in 0 ms, then", is_there(t, late))


@case("topics/features", texts=True)
def features(t):
    for v in t.versions("UpdateFeatures"):
        for name in ("metadata.version", "nosuch", ""):
            for level in (-1, 0, 1, 21, 32767):
                for kind in ((0, 1, 2, 3, 4) if v > 0 else (1,)):
                    for allow in ((False,) if v > 0 else (False, True)):
                        t.do("v%d %r level %d kind %d %s" % (v, name, level, kind, allow), "UpdateFeatures", v, {"timeoutMs": 5000, "FeatureUpdates": [
                            {"Feature": name, "MaxVersionLevel": level, "UpgradeType": kind, "AllowDowngrade": allow}], "ValidateOnly": True})
        t.do("v%d none" % v, "UpdateFeatures", v, {"timeoutMs": 5000, "FeatureUpdates": []})
        t.do("v%d two" % v, "UpdateFeatures", v, {"timeoutMs": 5000, "FeatureUpdates": [{"Feature": "a", "MaxVersionLevel": 1}, {"Feature": "", "MaxVersionLevel": 1}]})
