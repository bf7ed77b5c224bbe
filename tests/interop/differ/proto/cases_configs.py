"""AlterConfigs and IncrementalAlterConfigs: what each operation makes of each kind of setting, and what is refused in which words."""
import time

from context import case

TOPIC, BROKER, LOGGER, CLIENT_METRICS = 2, 4, 8, 16
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3


def incremental(t, label, kind, name, *ops, validate=False, version=1):
    """ops: (setting, operation, value)."""
    return t.do(label, "IncrementalAlterConfigs", version, {"ValidateOnly": validate, "Resources": [resource(kind, name, *ops)]}, on=t.fresh())


def resource(kind, name, *ops):
    return {"ResourceType": kind, "ResourceName": name, "Configs": [{"Name": n, "ConfigOperation": op, "Value": v} for n, op, v in ops]}


def replaced(kind, name, pairs):
    return {"ResourceType": kind, "ResourceName": name, "Configs": [{"Name": n, "Value": v} for n, v in pairs]}


def replace(t, label, kind, name, *pairs, validate=False, version=2):
    return t.do(label, "AlterConfigs", version, {"ValidateOnly": validate, "Resources": [replaced(kind, name, pairs)]}, on=t.fresh())


def described(t, kind, name, keys):
    a = t.call("DescribeConfigs", 4, {"Resources": [{"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": keys}], "IncludeSynonyms": True})
    return a["Results"][0]


def shown(t, label, kind, name, *keys):
    t.see(label, described(t, kind, name, list(keys)))


def set_of(t, kind, name):
    """What is overridden here, as {name: value}: the lists of a JVM broker's answer hold much else."""
    a = t.call("DescribeConfigs", 4, {"Resources": [{"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": None}]})
    own = {TOPIC: (1,), BROKER: (2,) if name else (3,)}[kind]
    return {c["Name"]: c["Value"] for c in a["Results"][0]["Configs"] or [] if c["ConfigSource"] in own}


def settle(t, label, kind, name, wanted, seconds=10):
    """A broker takes its changed settings over a little later: waits until they are what is wanted, then notes them."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and set_of(t, kind, name) != wanted:
        time.sleep(0.02)
    t.see(label, set_of(t, kind, name))


BAD_VALUES = (("segment.bytes", "abc"), ("segment.bytes", "13"), ("segment.bytes", ""), ("segment.bytes", " 1048576 "), ("segment.bytes", "1e6"),
              ("segment.bytes", "99999999999"), ("segment.bytes", "0x100000"), ("segment.bytes", "+1048576"), ("segment.bytes", "-1"), ("retention.ms", "-2"), ("retention.ms", "1.5"),
              ("retention.ms", "9223372036854775808"), ("min.cleanable.dirty.ratio", "2"), ("min.cleanable.dirty.ratio", "x"), ("min.cleanable.dirty.ratio", "0.5"),
              ("min.cleanable.dirty.ratio", "NaN"), ("unclean.leader.election.enable", "yes"), ("unclean.leader.election.enable", "TRUE"), ("unclean.leader.election.enable", " false "),
              ("cleanup.policy", "none"), ("cleanup.policy", ""), ("cleanup.policy", "compact, delete"), ("cleanup.policy", "compact,compact"), ("cleanup.policy", "delete,"),
              ("compression.type", "brotli"), ("compression.type", "ZSTD"), ("compression.type", "zstd"), ("compression.gzip.level", "0"), ("compression.gzip.level", "10"),
              ("compression.gzip.level", "-1"), ("compression.lz4.level", "18"), ("compression.zstd.level", "23"),
              ("message.timestamp.type", "now"), ("message.timestamp.type", "LogAppendTime"), ("max.message.bytes", "-1"), ("max.message.bytes", "0"), ("min.insync.replicas", "0"),
              ("index.interval.bytes", "-1"), ("segment.index.bytes", "3"), ("segment.jitter.ms", "-1"), ("segment.ms", "0"), ("delete.retention.ms", "-1"),
              ("file.delete.delay.ms", "-1"), ("flush.messages", "0"), ("flush.ms", "-1"), ("min.compaction.lag.ms", "-1"), ("max.compaction.lag.ms", "0"),
              ("preallocate", ""), ("message.format.version", "4.0"), ("message.format.version", "4.0-IV0"), ("message.format.version", "3.9"), ("message.format.version", "3.9-IV0"),
              ("message.format.version", "3.10"), ("message.format.version", "2.8"), ("message.downconversion.enable", "x"), ("retention.bytes", "-2"),
              ("local.retention.ms", "-3"), ("remote.storage.enable", "true"), ("remote.storage.enable", "false"), ("local.retention.bytes", "5"),
              ("leader.replication.throttled.replicas", "x"), ("leader.replication.throttled.replicas", "0:1"), ("leader.replication.throttled.replicas", "*"),
              ("follower.replication.throttled.replicas", "0:1,1:"), ("leader.replication.throttled.replicas", ""), ("message.timestamp.difference.max.ms", "-1"),
              ("no.such.setting", "1"), ("log.retention.ms", "1"), ("", "1"), (" retention.ms", "1"), ("Retention.ms", "1"))


@case("configs/topic-values", texts=True)
def topic_values(t):
    topic = t.topic()
    for n, v in BAD_VALUES:
        incremental(t, "set %s=%r" % (n, v), TOPIC, topic, (n, SET, v), validate=True)
        replace(t, "replace by %s=%r" % (n, v), TOPIC, topic, (n, v), validate=True)
    incremental(t, "two bad ones", TOPIC, topic, ("segment.bytes", SET, "abc"), ("no.such", SET, "1"), validate=True)
    replace(t, "replace by two bad ones", TOPIC, topic, ("segment.bytes", "abc"), ("retention.ms", "xyz"), validate=True)
    incremental(t, "lags that do not fit", TOPIC, topic, ("min.compaction.lag.ms", SET, "10"), ("max.compaction.lag.ms", SET, "5"), validate=True)
    incremental(t, "a segment below the batch", TOPIC, topic, ("segment.bytes", SET, "100"), ("max.message.bytes", SET, "1000000"), validate=True)
    t.see("nothing was changed", set_of(t, TOPIC, topic))


@case("configs/topic-operations", texts=True)
def topic_operations(t):
    topic = t.topic()

    def do(label, *ops, **kw):
        incremental(t, label, TOPIC, topic, *ops, **kw)
        t.see(label + ", then", set_of(t, TOPIC, topic))
    for v in t.versions("IncrementalAlterConfigs"):
        do("v%d set" % v, ("max.message.bytes", SET, "9%d" % v), version=v)
    do("append to a list at its default", ("cleanup.policy", APPEND, "compact"))
    do("append what is there", ("cleanup.policy", APPEND, "compact"))
    do("append two, one new", ("leader.replication.throttled.replicas", APPEND, "0:1,1:1"))
    do("append with blanks", ("leader.replication.throttled.replicas", APPEND, " 0:1 , 2:1"))
    do("append an empty value", ("cleanup.policy", APPEND, ""))
    do("append nonsense", ("cleanup.policy", APPEND, "nonsense"))
    do("subtract nonsense", ("cleanup.policy", SUBTRACT, "nonsense"))
    do("subtract one", ("cleanup.policy", SUBTRACT, "delete"))
    do("subtract the last", ("cleanup.policy", SUBTRACT, "compact"))
    do("subtract two at once", ("leader.replication.throttled.replicas", SUBTRACT, "0:1,1:1"))
    do("subtract from a list at its default", ("follower.replication.throttled.replicas", SUBTRACT, "0:1"))
    do("append to no list", ("max.message.bytes", APPEND, "5"))
    do("subtract from no list", ("max.message.bytes", SUBTRACT, "5"))
    do("append to an unknown setting", ("no.such", APPEND, "5"))
    do("subtract from an unknown setting", ("no.such", SUBTRACT, "5"))
    do("delete", ("max.message.bytes", DELETE, None))
    do("delete what is not set", ("max.message.bytes", DELETE, None))
    do("delete with a value", ("leader.replication.throttled.replicas", DELETE, "0:1"))
    do("delete an unknown setting", ("no.such", DELETE, None))
    do("set to null", ("retention.ms", SET, None))
    do("append null", ("cleanup.policy", APPEND, None))
    do("two nulls", ("retention.ms", SET, None), ("cleanup.policy", SUBTRACT, None))
    do("null and an unknown setting", ("no.such", SET, None))
    do("the same name twice", ("retention.ms", SET, "1"), ("retention.ms", SET, "2"))
    do("the same name set and deleted", ("retention.ms", SET, "1"), ("retention.ms", DELETE, None))
    do("one good, one bad", ("flush.ms", SET, "77"), ("segment.bytes", SET, "abc"))
    do("unknown operation", ("flush.ms", 4, "77"))
    do("unknown operation after a good one", ("flush.ms", SET, "77"), ("retention.ms", -1, "1"))
    do("unknown operation on an unknown setting", ("no.such", 9, "77"))
    do("no operations")
    do("validate only", ("flush.ms", SET, "78"), validate=True)
    do("many at once", ("flush.ms", SET, "79"), ("cleanup.policy", SET, "compact,delete"), ("retention.ms", DELETE, None), ("unclean.leader.election.enable", SET, "true"))
    shown(t, "described", TOPIC, topic, "flush.ms", "cleanup.policy", "retention.ms", "unclean.leader.election.enable", "segment.bytes", "no.such")
    do("blanks around a name", (" flush.ms ", SET, "80"))
    do("blanks around a value", ("flush.ms", SET, " 81 "))
    shown(t, "described with blanks", TOPIC, topic, "flush.ms")


@case("configs/topic-replace", texts=True)
def topic_replace(t):
    topic = t.topic(**{"flush.ms": 5, "segment.bytes": 1 << 20})

    def do(label, *pairs, **kw):
        replace(t, label, TOPIC, topic, *pairs, **kw)
        t.see(label + ", then", set_of(t, TOPIC, topic))
    for v in t.versions("AlterConfigs"):
        do("v%d" % v, ("flush.ms", "1%d" % v), version=v)
    do("two", ("flush.ms", "5"), ("retention.ms", "-1"))
    do("null", ("flush.ms", None))
    do("two nulls", ("flush.ms", None), ("retention.ms", None))
    do("null of an unknown setting", ("no.such", None))
    do("twice the same name", ("flush.ms", "1"), ("flush.ms", "2"))
    do("unknown", ("no.such", "2"), ("flush.ms", "3"))
    do("validate only", ("flush.ms", "3"), validate=True)
    do("validate only, bad", ("flush.ms", "x"), validate=True)
    do("blanks", ("flush.ms", " 4 "))
    do("nothing")


@case("configs/resources", texts=True)
def resources(t):
    """Which resources there are, and what becomes of one beside another."""
    topic, other = t.topic(), t.topic("other")
    for kind, name in ((TOPIC, ""), (TOPIC, t.name("none")), (TOPIC, "."), (TOPIC, "a b"), (TOPIC, "a/b"), (TOPIC, "a/"), (TOPIC, "/a"), (TOPIC, "a//b"), (TOPIC, "x" * 250),
                       (TOPIC, "__consumer_offsets_not"), (BROKER, "2"), (BROKER, "x"), (BROKER, "-1"), (BROKER, "01"), (BROKER, "+1"), (BROKER, " 1"), (BROKER, "99999999999"),
                       (LOGGER, ""), (LOGGER, "2"), (LOGGER, "x"), (CLIENT_METRICS, "m"), (CLIENT_METRICS, ""), (32, "g"), (0, "a"), (1, "a"), (3, "a"), (127, "a"), (-128, "a")):
        setting = ("interval.ms", "1000") if kind == CLIENT_METRICS else ("retention.ms", "1000") if kind == TOPIC else ("log.retention.ms", "1000")
        incremental(t, "incremental: %d %.20r" % (kind, name), kind, name, (setting[0], SET, setting[1]), validate=True)
        replace(t, "replace: %d %.20r" % (kind, name), kind, name, setting, validate=True)
        a = t.call("DescribeConfigs", 4, {"Resources": [{"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": [setting[0]]}], "IncludeSynonyms": True}, on=t.fresh())
        t.see("describe: %d %.20r" % (kind, name), a)

    def both(label, one, two, third=None, api="IncrementalAlterConfigs", validate=False):
        t.do(label, api, 1, {"ValidateOnly": validate, "Resources": [one, two] + ([third] if third else [])}, on=t.fresh())
        t.see(label + ", then", [set_of(t, TOPIC, topic), set_of(t, TOPIC, other)])
    good, good2, bad = (resource(TOPIC, topic, ("flush.ms", SET, "5")), resource(TOPIC, other, ("flush.ms", SET, "6")), resource(TOPIC, other, ("flush.ms", SET, "x")))
    both("two good", good, good2)
    both("one good, one bad", resource(TOPIC, topic, ("flush.ms", SET, "7")), bad)
    both("the same resource twice", resource(TOPIC, topic, ("flush.ms", SET, "8")), resource(TOPIC, topic, ("segment.ms", SET, "9")))
    both("the same resource twice beside another", resource(TOPIC, topic, ("flush.ms", SET, "8")), resource(TOPIC, topic, ("segment.ms", SET, "9")), resource(TOPIC, other, ("flush.ms", SET, "10")))
    both("an unknown type beside a good one", resource(TOPIC, topic, ("flush.ms", SET, "11")), resource(99, "x", ("a", SET, "b")))
    both("client metrics beside a good one", resource(TOPIC, topic, ("flush.ms", SET, "12")), resource(CLIENT_METRICS, "x", ("interval.ms", SET, "100")))
    both("replace: two good", replaced(TOPIC, topic, [("flush.ms", "13")]), replaced(TOPIC, other, [("flush.ms", "14")]), api="AlterConfigs")
    both("replace: the same resource twice", replaced(TOPIC, topic, [("flush.ms", "15")]), replaced(TOPIC, topic, [("flush.ms", "16")]), api="AlterConfigs")
    both("replace: one good, one bad", replaced(TOPIC, topic, [("flush.ms", "17")]), replaced(TOPIC, other, [("flush.ms", "x")]), api="AlterConfigs")
    both("replace: an unknown type beside a good one", replaced(TOPIC, topic, [("flush.ms", "18")]), replaced(99, "x", [("a", "b")]), api="AlterConfigs")
    both("replace: client metrics beside a good one", replaced(TOPIC, topic, [("flush.ms", "19")]), replaced(CLIENT_METRICS, "x", [("interval.ms", "100")]), api="AlterConfigs")
    t.do("incremental: no resources", "IncrementalAlterConfigs", 1, {"Resources": []}, on=t.fresh())
    t.do("replace: no resources", "AlterConfigs", 2, {"Resources": []}, on=t.fresh())


READ_ONLY = (("broker.id", "2"), ("port", "1"), ("zookeeper.connect", "x:1"), ("log.dirs", "/x"), ("inter.broker.protocol.version", "2.8"), ("auto.create.topics.enable", "false"),
             ("num.partitions", "3"), ("offsets.topic.num.partitions", "5"), ("default.replication.factor", "2"), ("group.initial.rebalance.delay.ms", "1"),
             ("transaction.max.timeout.ms", "1"), ("delete.topic.enable", "false"), ("authorizer.class.name", "x"), ("queued.max.requests", "5"))
LIVE = (("log.retention.ms", "100000"), ("log.retention.hours", "5"), ("log.segment.bytes", "2000000"), ("message.max.bytes", "2000000"), ("min.insync.replicas", "1"), ("log.cleanup.policy", "compact"),
        ("log.cleaner.threads", "2"), ("num.io.threads", "9"), ("num.io.threads", "100"), ("num.io.threads", "1"), ("num.io.threads", "0"), ("num.network.threads", "4"), ("num.replica.fetchers", "2"),
        ("num.replica.fetchers", "9"), ("log.flush.interval.ms", "5"), ("unclean.leader.election.enable", "true"), ("max.connections", "1000"), ("max.connections.per.ip", "500"),
        ("max.connections.per.ip.overrides", "127.0.0.1:500"), ("max.connections.per.ip.overrides", "nonsense"), ("max.connection.creation.rate", "1000"), ("listeners", "PLAINTEXT://:1,OTHER://:2"),
        ("advertised.listeners", "PLAINTEXT://elsewhere:1"), ("background.threads", "11"), ("num.recovery.threads.per.data.dir", "2"), ("log.message.timestamp.type", "LogAppendTime"),
        ("follower.replication.throttled.rate", "1000000"), ("leader.replication.throttled.rate", "1000000"), ("replica.alter.log.dirs.io.max.bytes.per.second", "5000000"),
        ("log.segment.bytes", "x"), ("log.segment.bytes", "1"), ("log.retention.ms", "-5"), ("compression.type", "brotli"), ("no.such.setting", "5"), ("no.such.setting", ""),
        ("ssl.keystore.password", "secret"), ("ssl.keystore.location", "/x"), ("listener.name.plaintext.ssl.keystore.password", "secret"), ("listener.name.plaintext.max.connections", "100"),
        ("listener.name.plaintext.max.connection.creation.rate", "100"), ("listener.name.other.max.connections", "100"), ("sasl.jaas.config", "x"), ("metric.reporters", "x.y.Z"),
        ("log.cleaner.enable", "false"), ("producer.id.expiration.ms", "90000"), ("transaction.partition.verification.enable", "false"), ("log.index.interval.bytes", "5000"),
        ("log.message.format.version", "2.8"), ("log.roll.ms", "50000"), ("remote.log.index.file.cache.total.size.bytes", "100000"), ("log.local.retention.ms", "5"))


@case("configs/broker-values", alone=True, texts=True)
def broker_values(t):
    """Judged only: nothing is changed."""
    for name in ("1", ""):
        where = "of broker 1" if name else "of all brokers"
        for n, v in READ_ONLY + LIVE:
            incremental(t, "set %s=%r %s" % (n, v, where), BROKER, name, (n, SET, v), validate=True)
            replace(t, "replace by %s=%r %s" % (n, v, where), BROKER, name, (n, v), validate=True)
        incremental(t, "delete a read-only one " + where, BROKER, name, ("broker.id", DELETE, None), validate=True)
        incremental(t, "delete an unknown one " + where, BROKER, name, ("no.such", DELETE, None), validate=True)
        incremental(t, "append to a list " + where, BROKER, name, ("log.cleanup.policy", APPEND, "compact"), validate=True)
        incremental(t, "append nonsense to a list " + where, BROKER, name, ("log.cleanup.policy", APPEND, "nonsense"), validate=True)
        incremental(t, "append to a read-only list " + where, BROKER, name, ("sasl.enabled.mechanisms", APPEND, "PLAIN"), validate=True)
        incremental(t, "append to no list " + where, BROKER, name, ("log.retention.ms", APPEND, "5"), validate=True)
        incremental(t, "append to an unknown one " + where, BROKER, name, ("no.such", APPEND, "5"), validate=True)
        incremental(t, "null " + where, BROKER, name, ("log.retention.ms", SET, None), validate=True)
        incremental(t, "the same name twice " + where, BROKER, name, ("log.retention.ms", SET, "1000"), ("log.retention.ms", SET, "2000"), validate=True)
        incremental(t, "two read-only ones " + where, BROKER, name, ("broker.id", SET, "5"), ("num.partitions", SET, "2"), validate=True)
        incremental(t, "a read-only and a bad one " + where, BROKER, name, ("broker.id", SET, "5"), ("log.segment.bytes", SET, "x"), validate=True)
        incremental(t, "unknown operation " + where, BROKER, name, ("log.retention.ms", 7, "1000"), validate=True)
        t.see("nothing was changed " + where, set_of(t, BROKER, name))


@case("configs/broker-changes", alone=True, texts=True)
def broker_changes(t):
    """Layers of dynamic settings over each other, and what topics say then. Everything is taken back at the end."""
    topic = t.topic()
    keys = ["log.retention.ms", "log.segment.bytes", "log.cleanup.policy", "log.flush.interval.ms", "no.such.setting"]
    topic_keys = ["retention.ms", "segment.bytes", "cleanup.policy", "flush.ms"]

    def all_of(label):
        for name in ("1", ""):
            shown(t, "%s: broker %r" % (label, name), BROKER, name, *keys)
        shown(t, "%s: topic" % label, TOPIC, topic, *topic_keys)
    all_of("before")
    try:
        incremental(t, "for all", BROKER, "", ("log.segment.bytes", SET, "3000000"), ("log.cleanup.policy", APPEND, "compact"))
        settle(t, "for all, then", BROKER, "", {"log.segment.bytes": "3000000", "log.cleanup.policy": "delete,compact"})
        incremental(t, "for one", BROKER, "1", ("log.segment.bytes", SET, "4000000"), ("log.flush.interval.ms", SET, "5000"))
        settle(t, "for one, then", BROKER, "1", {"log.segment.bytes": "4000000", "log.flush.interval.ms": "5000"})
        all_of("both")
        incremental(t, "an unknown one", BROKER, "1", ("no.such.setting", SET, "hidden"))
        settle(t, "an unknown one, then", BROKER, "1", {"log.segment.bytes": "4000000", "log.flush.interval.ms": "5000", "no.such.setting": None})
        all_of("with an unknown one")
        incremental(t, "delete for one", BROKER, "1", ("log.segment.bytes", DELETE, None), ("no.such.setting", DELETE, None))
        settle(t, "delete for one, then", BROKER, "1", {"log.flush.interval.ms": "5000"})
        all_of("deleted for one")
        replace(t, "replace for all", BROKER, "", ("log.segment.bytes", "5000000"))
        settle(t, "replace for all, then", BROKER, "", {"log.segment.bytes": "5000000"})
        replace(t, "replace for one by nothing", BROKER, "1")
        settle(t, "replace for one by nothing, then", BROKER, "1", {})
        all_of("replaced")
        incremental(t, "no settings", BROKER, "1")
        incremental(t, "as it is already", BROKER, "", ("log.segment.bytes", SET, "5000000"))
    finally:
        t.call("AlterConfigs", 2, {"Resources": [replaced(BROKER, "", []), replaced(BROKER, "1", [])]})
    settle(t, "at the end for all", BROKER, "", {})
    settle(t, "at the end for one", BROKER, "1", {})


KEYS = ["flush.ms", "retention.ms", "cleanup.policy", "segment.bytes", "log.retention.ms", "log.segment.bytes", "no.such", "ssl.truststore.password", "broker.id", "zookeeper.connection.timeout.ms",
        "log.retention.hours", "log.retention.minutes", "min.insync.replicas", "group.max.size"]


@case("configs/describe", texts=True)
def describe(t):
    topic = t.topic(**{"flush.ms": 5})
    for v in t.versions("DescribeConfigs"):
        for synonyms in (False, True):
            for kind, name in ((TOPIC, topic), (BROKER, ""), (BROKER, "1")):
                t.do("v%d %s synonyms %s" % (v, "topic" if kind == TOPIC else "broker %r" % name, synonyms), "DescribeConfigs", v, {
                    "Resources": [{"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": KEYS}], "IncludeSynonyms": synonyms})
        t.do("v%d everything of a topic" % v, "DescribeConfigs", v, {"Resources": [{"ResourceType": TOPIC, "ResourceName": topic, "ConfigurationKeys": None}], "IncludeSynonyms": True})
        t.do("v%d no keys" % v, "DescribeConfigs", v, {"Resources": [{"ResourceType": TOPIC, "ResourceName": topic, "ConfigurationKeys": []}], "IncludeSynonyms": True})
        t.do("v%d a topic twice" % v, "DescribeConfigs", v, {"Resources": [{"ResourceType": TOPIC, "ResourceName": topic, "ConfigurationKeys": ["flush.ms"]}] * 2})
    for c in described(t, BROKER, "1", None)["Configs"]:
        if not c["Name"].startswith("stoker."):
            t.see("broker's " + c["Name"], c)
