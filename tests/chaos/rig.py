"""A cluster in namespaces with its clients, from the first process to the verdict. Its script calls net.enter() before importing this."""
import collections
import logging
import os
import re
import shutil
import time

import asker
import checker
import disorder
import harness
import hosts
import net
import relay
import traffic
import watch
from confluent_kafka.admin import AdminClient, NewTopic

HEAL_SECONDS = 120 if hosts.JVM_BROKERS else 60
READ_SECONDS = 60                                    # from the last record to a reader's end of it
TOPICS = {"plain": (4, {}), "rolling": (3, {"segment.bytes": "200000"}), "squeezed": (3, {"compression.type": "zstd"})}
GO_BACK_SECONDS = 1.0
GONE = re.compile("code=(_?UNKNOWN_(TOPIC|PARTITION)|_DESTROY)")  # a client lets go of what a JVM broker at its start does not name
RATE = float(os.environ.get("CHAOS_RATE") or 250)    # records a second of each producer
logging.getLogger("kazoo").setLevel(logging.CRITICAL)  # it says that servers are away: they are


class Run:
    """A cluster with its clients, from the first process to the verdict."""

    def __init__(self, seed, topics=None, writer_settings=(), **settings):
        self.seed, self.begun = seed, time.monotonic()
        self.after_stop = lambda: None               # what a test does to the disks before they are compared
        self.net = net.Net({**hosts.BROKERS, **hosts.SERVERS})
        self.relay, self.folder = relay.Relay(seed), harness.temp_dir()
        self.hosts = hosts.Hosts(self.net, self.folder, **settings)
        self.hosts.start()
        topics = topics or TOPICS
        self.places = [(topic, partition) for topic, (count, _) in topics.items() for partition in range(count)]
        self._create(topics)
        self.watch = watch.Watch(self.hosts.zookeeper, self.places)
        harness.wait_for("all replicas are in sync", lambda: not self.watch.not_whole(), 120)
        bootstrap = self.hosts.bootstrap
        asking = traffic.Reader("the first", bootstrap, self.places, self.folder)
        asking.ends(60)                              # who is told by the controller that it leads may have to be told itself yet
        asking.finish()
        variants = writer_settings or ({}, {"compression.codec": "zstd", "linger.ms": 20}, {"compression.codec": "gzip", "max.in.flight": 1})
        self.writers = [traffic.Writer(number, bootstrap, self.places, RATE, seed + number, self.folder, **variant)
                        for number, variant in enumerate(variants, 1)]
        self.readers = [traffic.Reader("a reader", bootstrap, self.places, self.folder),
                        traffic.Reader("a reader in rack 1", bootstrap, self.places, self.folder, **{"client.rack": "rack1"}),
                        traffic.Reader("a reader that goes back", bootstrap, self.places, self.folder, GO_BACK_SECONDS,
                                       **{"client.rack": "rack2"})]

        self._await_first_records()
        counts = {topic: count for topic, (count, _) in topics.items()}
        self.askers = [asker.Asker(broker.name, broker.address, hosts.BROKER_PORT, counts) for broker in self.hosts.brokers
                       if not hosts.JVM_BROKERS]     # a JVM broker knows no topics at its start, and says so

    def _create(self, topics):
        admin = AdminClient({"bootstrap.servers": self.hosts.bootstrap})
        new = [NewTopic(name, count, 3, config={"retention.ms": "-1", **config}) for name, (count, config) in topics.items()]
        for future in admin.create_topics(new, operation_timeout=20).values():
            future.result(30)

    def _await_first_records(self):
        """A broker takes whatever sequence number a producer that it has never seen begins with, as Kafka does. Where it refuses a first
        batch and then takes the second, librdkafka believes the first to be there: lost by the client, so no fault is to bring that about.
        """
        def missing():
            return ["%d to %s-%d" % (writer.number, *place) for writer in self.writers for place in self.places
                    if all(offset == checker.Sent.PENDING for offset in writer.sent[place].offsets)]
        harness.wait_for("every producer is acknowledged by every partition", lambda: not missing(), 60)

    def say(self, line):
        print("     %5.1f  %s" % (time.monotonic() - self.begun, line), flush=True)

    def heal(self):
        """All faults are over; within so many seconds the cluster has to be whole again."""
        started, looks = time.monotonic(), self.watch.looks
        controller = self.hosts.wait_one_controller(HEAL_SECONDS)
        harness.wait_for("ZooKeeper names the controller that the brokers name", lambda: self.watch.controller == controller, 10)
        try:                                         # the look under way may have begun before the faults ended
            harness.wait_for("", lambda: self.hosts.check() or self.watch.looks > looks + 1 and not self.watch.not_whole(), HEAL_SECONDS)
        except AssertionError:
            raise AssertionError("not all replicas came back into the ISR within %d s: %s" % (HEAL_SECONDS, self.watch.not_whole()))
        self.say("whole again after %.1f s" % (time.monotonic() - started))

    def verdict(self):
        """Sentences about everything that is wrong with what the clients sent and saw, and with what is on the disks."""
        for writer in self.writers:
            writer.finish(HEAL_SECONDS)
        log = traffic.Reader("the log", self.hosts.bootstrap, self.places, self.folder)
        ends = log.ends()
        for reader in [log, *self.readers]:
            self._read_to_end(reader, ends)
        refused = [sentence for writer in self.writers for sentence in writer.refused]
        report = [sentence for sentence in refused if not (hosts.JVM_BROKERS and GONE.search(sentence))][:5]
        self.say("%d records refused: %s" % (len(refused), dict(collections.Counter(re.findall("code=([A-Z_]+)", "".join(refused))))))
        report += [sentence for reader in [log, *self.readers] for sentence in reader.wrong]
        self.say("everything was read")
        for one in self.askers:
            one.finish()
            report += one.wrong
        self.hosts.check()
        self.watch.finish()
        self.watch.check()
        replicas = self.replicas()
        self.say("the brokers stopped")
        disorder.tell(refused, self.hosts.brokers, self.say)
        resent = 0
        for place in self.places:
            logs = replicas[place]
            if len(logs) < 3 or len(set(logs.values())) != 1:
                report.append("%s-%d: the replicas differ: %s" % (*place, {
                    n: (len(other), first_difference(other, logs)) for n, other in logs.items()}))
            batches = checker.Batches("%s-%d" % place, next(iter(logs.values())))
            report += checker.judge(place, {w.number: w.sent[place] for w in self.writers}, log.seen[place],
                                    [reader.seen[place] for reader in self.readers], batches)
            resent += batches.resent
        self.say("%d records acknowledged, %d in the logs, %d of them sent again by clients under a new epoch" % (
            sum(w.acknowledged for w in self.writers), sum(len(s.tokens) for s in log.seen.values()), resent))
        self.say("%d records were read again" % sum(seen.again for reader in self.readers for seen in reader.seen.values()))
        self.say("%d answers named topics" % sum(one.answers for one in self.askers))
        self.say("longest pause of a producer %.2f s; %d leaders changed, %d controllers" % (
            max(w.longest for w in self.writers), self.watch.elections, self.watch.controllers))
        return report

    def _read_to_end(self, reader, ends):
        try:
            reader.wait_for(ends, READ_SECONDS)
        except AssertionError as e:                  # is it this client, or does the broker not serve the records?
            fresh = reader.again()
            fresh.wait_for(ends, HEAL_SECONDS)
            fresh.finish()
            sentence = "%s; another reader with the same settings has read everything" % e
            if not hosts.JVM_BROKERS:
                raise AssertionError(sentence)
            self.say(sentence)                       # a JVM broker at its start says that topics are gone, and librdkafka lets go of them
        reader.finish()

    def replicas(self):
        """Stops the brokers in order; {place: {broker: its log}}."""
        for broker in self.hosts.brokers:
            broker.terminate()
        for broker in self.hosts.brokers:
            broker.ended_well(hosts.SHUTDOWN_SECONDS)
        self.after_stop()
        return {(topic, partition): {b.id: b.log_bytes(topic, partition) for b in self.hosts.brokers
                                     if (b.log_dir / "data" / ("%s-%d" % (topic, partition))).is_dir()}
                for topic, partition in self.places}

    def end(self):
        """Leaves nothing in the way of another run within these namespaces."""
        for client in [*getattr(self, "writers", []), *getattr(self, "readers", []), *getattr(self, "askers", [])]:
            client.stopping.set()
        self.relay.stopping.set()
        for host in self.hosts.by_name.values():
            host.process and host.kill()
        for broker in self.hosts.brokers:
            if os.environ.get("STOKER_KEEP"):
                shutil.copytree(broker.log_dir / "data", broker.folder / "kept")
            net.run("umount", broker.log_dir)
        self.net.end_all()


def first_difference(log, logs):
    other = next(iter(logs.values()))
    return next((n for n, (a, b) in enumerate(zip(log, other)) if a != b), min(len(log), len(other)))
