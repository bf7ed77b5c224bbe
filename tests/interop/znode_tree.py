"""Everything that ZooKeeper holds of a cluster, made comparable between two clusters: path, kind, data version, ACL and the bytes.

Only what no two clusters share is replaced (times, ids of clusters and topics, ports), each where it stands and nowhere else. What
Stoker writes otherwise on purpose is in DIFFERENCES with its reason; what is not is compared byte for byte, order of keys included.
"""
import json
import re

SKIPPED = ("/zookeeper",)                            # the server's own


class Difference:
    """Stoker writes this otherwise: pattern of the path, pattern in the text and what Kafka has in its place (None: no such znode)."""

    def __init__(self, why, path, text=None, instead=None):
        self.why, self.path, self.text, self.instead = why, re.compile(path), text and re.compile(text), instead
        self.seen = False

    def apply(self, path, text):
        if not self.path.fullmatch(path):
            return text
        if self.text is None:
            self.seen = True
            return None
        changed, count = self.text.subn(self.instead, text or "")
        self.seen = self.seen or count > 0
        return changed if count else text


DIFFERENCES = [
    Difference("the last replica standing: which other replicas have all that an ISR of one has; beside the state, since a JVM "
               "controller would drop an unknown key", r"/brokers/topics/[^/]+/partitions/\d+/stoker_complete"),
    Difference("the last replica standing: since when a broker has lost nothing", r"/brokers/ids/\d+", r',"stoker_intact_since":-?\d+', ""),
    Difference("the last replica standing: until when a partition that has no leader had one, and how much its "
               "controller knew of an ISR that lacks members", r"/brokers/topics/[^/]+/partitions/\d+/state",
               r',"stoker_led_zxid":\d+,"stoker_led_version":\d+', ""),
]

# What no two clusters share: pattern of the path, pattern in the text, and what stands there instead.
OWN = [
    (r"/brokers/ids/\d+|/controller", r'"timestamp":"\d{13}"', '"timestamp":"TIME"'),
    (r"/brokers/topics/[^/]+", r'"topic_id":"[A-Za-z0-9_-]{22}"', '"topic_id":"ID"'),
    (r"/cluster/id", r'"id":"[A-Za-z0-9_-]{22}"', '"id":"ID"'),
]


def sort_settings(text):
    """The settings of an entity stand in the order of Java's hash table there, and as they came here: both sorted."""
    parsed = json.loads(text)
    rebuilt = json.dumps({**parsed, "config": dict(sorted(parsed["config"].items()))}, separators=(",", ":"), ensure_ascii=False)
    plain = json.dumps(parsed, separators=(",", ":"), ensure_ascii=False)
    assert plain == text, "the settings are not written compactly: %s" % text
    return rebuilt


def comparable(path, data, ports, anyhow):
    """ports: {port: name}; anyhow: topics whose replicas were chosen by chance."""
    text = data.decode()
    for where, what, instead in OWN:
        if re.fullmatch(where, path):
            text = re.sub(what, instead, text)
    if re.fullmatch(r"/brokers/ids/\d+", path):
        for port, name in ports.items():
            text = re.sub(r"(:|\b)%d\b" % port, r"\1" + name, text)
    if re.fullmatch(r"/config/(topics|brokers)/.+", path):
        text = sort_settings(text)
    topic = re.match(r"/brokers/topics/([^/]+)", path)
    if topic and topic[1] in anyhow:
        text = re.sub(r'\[[123](,[123])*\]', lambda m: "[%d by chance]" % len(m[0].split(",")), text)
        text = re.sub(r'"leader":[123]\b', '"leader":"by chance"', text)
    return text


def walk(client, path="/"):
    found, ahead = {}, [path]
    while ahead:
        asked = [(p, client.get_async(p), client.get_acls_async(p), client.get_children_async(p)) for p in ahead]
        ahead = []
        for p, node, acls, children in asked:
            data, stat = node.get(10)
            found[p] = (data, stat, acls.get(10)[0])
            ahead += [p.rstrip("/") + "/" + name for name in children.get(10) if p.rstrip("/") + "/" + name not in SKIPPED]
    return found


def dump(client, ports, anyhow, differences=()):
    """{path: what is comparable of it}. A znode that goes while one looks raises NoNodeError: ask again."""
    tree = {}
    for path, (data, stat, acls) in walk(client).items():
        text = None if data is None else comparable(path, data, ports, anyhow)
        gone = False
        for difference in differences:
            after = difference.apply(path, text)
            gone = gone or (after is None and difference.text is None and difference.path.fullmatch(path))
            text = after if not gone else None
        if gone:
            continue
        shown = ", ".join("%s:%s %d" % (acl.id.scheme, acl.id.id, acl.perms) for acl in acls)
        tree[path] = "%s, version %d, %s: %s" % ("ephemeral" if stat.ephemeralOwner else "persistent", stat.version, shown,
                                                 "null" if data is None else repr(text))
    return tree


def one_step_less(tree, paths):
    """The tree as if these states had been written once less, with one leader epoch less."""
    def less(match):
        return match[1] + str(int(match[2]) - 1)
    return {path: re.sub(r'(, version |"leader_epoch":)(\d+)', less, text) if path in paths else text for path, text in tree.items()}


def differences_between(theirs, ours):
    """A line for each path that is not the same."""
    told = []
    for path in sorted(set(theirs) | set(ours)):
        if theirs.get(path) != ours.get(path):
            told.append("%s\n    Kafka:  %s\n    Stoker: %s" % (path, theirs.get(path, "no such znode"), ours.get(path, "no such znode")))
    return told
