/* What stands in the way of a swap, rule by rule. A rule is here for as long as this broker lacks
 * what it names; whoever builds that takes the rule out. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/buf.h"
#include "broker/base/mem.h"
#include "broker/config/config_key.h"
#include "broker/config/metadata_version.h"
#include "tools/swap.h"

#define EXAMPLES_MAX 3 /* partitions that a sentence names */

static void find(struct swap_findings *ret, enum swap_level level, const char *about,
                 const char *sentence)
{
    ret->items = mem_grow(ret->items, &ret->capacity, (size_t)ret->count + 1, sizeof *ret->items);
    ret->items[ret->count++] = (struct swap_finding){level, about, sentence};
}

bool swap_is_blocked(const struct swap_findings *findings)
{
    for (int32_t i = 0; i < findings->count; i++) {
        if (findings->items[i].level == SWAP_BLOCKS)
            return true;
    }
    return false;
}

/* --- settings, as a start of stokerd would find them --- */

/* A line of config_check(): "error: …" or "warning: …", the rest is a summary. */
static void take_line(const char *line, size_t size, struct swap_findings *ret)
{
    static const struct {
        const char *prefix;
        enum swap_level level;
    } kinds[] = {{"error: ", SWAP_BLOCKS}, {"warning: ", SWAP_NOTE}};
    static const char by_option[] = "--override: "; /* where a setting of a broker came from here */
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        size_t prefix = strlen(kinds[i].prefix);
        if (size < prefix || strncmp(line, kinds[i].prefix, prefix) != 0)
            continue;
        line += prefix;
        size -= prefix;
        size_t place = strlen(by_option);
        if (size > place && strncmp(line, by_option, place) == 0) {
            line += place;
            size -= place;
        }
        find(ret, kinds[i].level, "settings", cli_kept("%.*s", (int)size, line));
        return;
    }
}

void swap_judge_settings(const char *path, const struct config_pair *settings, int32_t count,
                         struct swap_findings *ret)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    enum err e = config_check(path, settings, count, out);
    fclose(out);
    for (size_t at = 0; at < size;) {
        size_t length = strcspn(text + at, "\n");
        take_line(text + at, length, ret);
        at += length + 1;
    }
    if (e && !swap_is_blocked(ret))
        find(ret, SWAP_BLOCKS, "settings", cli_kept("%s", err_sentence(e)));
    free(text);
}

static const char *setting_of(const struct swap_broker *broker, const char *name)
{
    for (int32_t i = 0; i < broker->settings_count; i++) {
        if (strcmp(broker->settings[i].name, name) == 0)
            return broker->settings[i].value;
    }
    return NULL;
}

static void judge_protocol_version(const struct swap_broker *broker, struct swap_findings *ret)
{
    const char *text = setting_of(broker, "inter.broker.protocol.version");
    const char *version = text ? metadata_version_find(text) : NULL;
    if (version && metadata_version_compare(version, metadata_version_find("3.5-IV0")) < 0)
        find(ret, SWAP_BLOCKS, "protocol-version",
             cli_kept("inter.broker.protocol.version=%s: Stoker lives beside brokers that speak "
                      "3.5 to 3.9; raise it on every broker first",
                      text));
}

/* Taken, and without effect so far. */
static void judge_idle_settings(const struct swap_broker *broker, struct swap_findings *ret)
{
    static const char *const names[] = {"leader.replication.throttled.rate",
                                        "follower.replication.throttled.rate",
                                        "replica.alter.log.dirs.io.max.bytes.per.second"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *value = setting_of(broker, names[i]);
        if (value)
            find(ret, SWAP_WARNING, "settings",
                 cli_kept("%s=%s is kept and does nothing on a Stoker broker", names[i], value));
    }
}

/* Passwords; and names that the JVM broker does not know itself, those of plug-ins. */
static void judge_hidden_settings(const struct swap_broker *broker, struct swap_findings *ret)
{
    for (int32_t i = 0; i < broker->hidden.count; i++) {
        const char *name = broker->hidden.items[i];
        const struct config_key *key = config_key_find_inner(name);
        if (key && key->type == CONFIG_PASSWORD)
            find(ret, SWAP_BLOCKS, "security",
                 cli_kept("%s is set, and Stoker has no TLS, no SASL and no tokens yet", name));
        else
            find(ret, SWAP_NOTE, "settings",
                 cli_kept("unknown setting '%s' is set and does nothing on a Stoker broker", name));
    }
}

static void judge_listeners(const struct swap_broker *broker, struct swap_findings *ret)
{
    for (int32_t i = 0; i < broker->listeners.count; i++) {
        const char *listener = broker->listeners.items[i];
        if (strncmp(listener, "PLAINTEXT ", 10) != 0)
            find(ret, SWAP_BLOCKS, "security",
                 cli_kept("listener %s is registered with %.*s, and Stoker opens PLAINTEXT "
                          "listeners only",
                          strchr(listener, ' ') + 1, (int)strcspn(listener, " "), listener));
    }
}

/* --- partitions: each rule counts those that it is about, and names some --- */

struct group {
    int32_t count;
    struct buf examples;
};

static void group_add(struct group *group, const struct swap_topic *topic,
                      const struct swap_partition *partition)
{
    if (group->count++ < EXAMPLES_MAX)
        buf_printf(&group->examples, "%s%s-%" PRId32, group->count > 1 ? ", " : "", topic->name,
                   partition->id);
}

/* `format`: what is so of "N partitions (as a-0, b-1)", which stands before it. */
static void group_tell(struct group *group, struct swap_findings *ret, enum swap_level level,
                       const char *about, const char *rest)
{
    if (group->count)
        find(ret, level, about,
             cli_kept("%" PRId32 " partition%s (%.*s%s) %s", group->count,
                      group->count == 1 ? "" : "s", SLICE_ARG(buf_slice(&group->examples)),
                      group->count > EXAMPLES_MAX ? ", …" : "", rest));
    buf_done(&group->examples);
}

static bool contains(const int32_t *ids, int32_t count, int32_t id)
{
    for (int32_t i = 0; i < count; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

/* Topics of the coordinators of groups and transactions: a JVM broker creates each, over all live
 * brokers, when the first client asks where its coordinator is. */
static const struct coordinators_topic {
    const char *name, *asker;
    const char *creator;       /* a harmless tool of Kafka's that asks */
    const char *count_setting; /* of its partitions, which must not be another number */
} coordinators_topics[] = {
    {"__consumer_offsets", "consumer with a group",
     "kafka-consumer-groups.sh --describe --group any", "offsets.topic.num.partitions"},
    {"__transaction_state", "transactional producer",
     "kafka-transactions.sh describe --transactional-id any",
     "transaction.state.log.num.partitions"},
};

static bool is_coordinators(const struct swap_topic *topic)
{
    for (size_t i = 0; i < ARRAY_SIZE(coordinators_topics); i++) {
        if (strcmp(topic->name, coordinators_topics[i].name) == 0)
            return true;
    }
    return false;
}

struct replicas {
    struct group only_here, below_min_isr, internal, compacted, tiered, lagging;
};

static void sort_replica(const struct swap_topic *topic, const struct swap_partition *partition,
                         int32_t broker, struct replicas *ret)
{
    bool is_in_sync = contains(partition->isr, partition->isr_count, broker);
    if (is_coordinators(topic))
        group_add(&ret->internal, topic, partition);
    else if (topic->is_compacted)
        group_add(&ret->compacted, topic, partition);
    if (topic->is_tiered)
        group_add(&ret->tiered, topic, partition);
    if (!is_in_sync && partition->leader >= 0)
        group_add(&ret->lagging, topic, partition);
    if (partition->replicas_count == 1)
        group_add(&ret->only_here, topic, partition);
    else if (is_in_sync && partition->isr_count - 1 < topic->min_isr)
        group_add(&ret->below_min_isr, topic, partition);
}

static void judge_replicas(const struct swap_cluster *cluster, int32_t broker,
                           struct swap_findings *ret)
{
    struct replicas found = {0};
    for (int32_t t = 0; t < cluster->topics_count; t++) {
        const struct swap_topic *topic = &cluster->topics[t];
        for (int32_t p = 0; p < topic->partitions_count; p++) {
            const struct swap_partition *partition = &topic->partitions[p];
            if (contains(partition->replicas, partition->replicas_count, broker))
                sort_replica(topic, partition, broker, &found);
        }
    }
    group_tell(&found.internal, ret, SWAP_BLOCKS, "internal-topics",
               "hold groups or transactions, which Stoker does not serve yet: move them to other "
               "brokers first");
    group_tell(&found.compacted, ret, SWAP_BLOCKS, "compaction",
               "are compacted, which Stoker does not do yet: they would keep everything");
    group_tell(&found.tiered, ret, SWAP_BLOCKS, "tiered-storage",
               "have remote.storage.enable=true, and Stoker has no tiered storage");
    group_tell(&found.lagging, ret, SWAP_BLOCKS, "under-replicated",
               "have their replica here out of sync: wait, or mend it");
    group_tell(&found.only_here, ret, SWAP_WARNING, "single-replica",
               "have their only replica here: they are away while the broker is exchanged");
    group_tell(&found.below_min_isr, ret, SWAP_WARNING, "min-isr",
               "fall below min.insync.replicas while the broker is exchanged: writers with "
               "acks=all wait");
}

static void judge_dirs(const struct swap_broker *broker, struct swap_findings *ret)
{
    for (int32_t i = 0; i < broker->dirs_count; i++) {
        const struct swap_dir *dir = &broker->dirs[i];
        if (dir->error)
            find(ret, SWAP_BLOCKS, "log-dirs",
                 cli_kept("log directory %s is offline (%s)", dir->path, dir->error));
        if (dir->moving)
            find(ret, SWAP_BLOCKS, "log-dirs",
                 cli_kept("%" PRId32 " replica%s being moved to log directory %s, which Stoker "
                          "would not finish: wait for the end",
                          dir->moving, dir->moving == 1 ? " is" : "s are", dir->path));
        if (!dir->error)
            find(ret, SWAP_NOTE, "log-dirs",
                 cli_kept("log directory %s holds %" PRId32 " replica%s and is taken over as it is",
                          dir->path, dir->replicas, dir->replicas == 1 ? "" : "s"));
    }
}

void swap_judge_broker(const struct swap_cluster *cluster, const struct swap_broker *broker,
                       struct swap_findings *ret)
{
    if (!broker->is_live)
        find(ret, SWAP_BLOCKS, "away",
             "the broker is not there: its settings and directories cannot be looked at");
    else if (broker->unread)
        find(ret, SWAP_BLOCKS, "unknown", broker->unread);
    if (broker->is_stoker)
        find(ret, SWAP_NOTE, "program", "this is a Stoker broker already");
    else if (broker->is_live && !broker->unread)
        swap_judge_settings(NULL, broker->settings, broker->settings_count, ret);
    judge_protocol_version(broker, ret);
    judge_idle_settings(broker, ret);
    judge_hidden_settings(broker, ret);
    judge_listeners(broker, ret);
    judge_dirs(broker, ret);
    judge_replicas(cluster, broker->id, ret);
}

/* --- the cluster --- */

static void judge_partitions(const struct swap_cluster *cluster, struct swap_findings *ret)
{
    struct group offline = {0}, under = {0};
    for (int32_t t = 0; t < cluster->topics_count; t++) {
        const struct swap_topic *topic = &cluster->topics[t];
        for (int32_t p = 0; p < topic->partitions_count; p++) {
            const struct swap_partition *partition = &topic->partitions[p];
            if (partition->leader < 0)
                group_add(&offline, topic, partition);
            else if (partition->isr_count < partition->replicas_count)
                group_add(&under, topic, partition);
        }
    }
    group_tell(&offline, ret, SWAP_BLOCKS, "offline", "have no leader now");
    group_tell(&under, ret, SWAP_BLOCKS, "under-replicated",
               "are under-replicated now: exchange a broker only while every replica is in sync");
}

static void judge_znodes(const struct swap_znodes *znodes, struct swap_findings *ret)
{
    if (znodes->unread) {
        find(ret, SWAP_BLOCKS, "zookeeper",
             cli_kept("ZooKeeper was not looked at, so ACLs, quotas and a migration to KRaft are "
                      "not known of: %s",
                      znodes->unread));
        return;
    }
    if (znodes->kraft_controller_epoch >= 0)
        find(ret, SWAP_BLOCKS, "kraft",
             cli_kept("a KRaft controller (epoch %" PRId64 ") has taken the cluster over: finish "
                      "or revert the migration",
                      znodes->kraft_controller_epoch));
    else if (znodes->is_migrating)
        find(ret, SWAP_BLOCKS, "kraft",
             "/migration stands in ZooKeeper: a migration to KRaft was begun; Stoker takes no part "
             "in one");
    if (znodes->features)
        find(ret, SWAP_BLOCKS, "features",
             cli_kept("finalized features that Stoker does not know: %s", znodes->features));
    if (znodes->acls)
        find(ret, SWAP_BLOCKS, "acls",
             cli_kept("%" PRId32 " resource%s ACLs, and Stoker would let everyone do everything",
                      znodes->acls, znodes->acls == 1 ? " has" : "s have"));
    if (znodes->tokens)
        find(ret, SWAP_BLOCKS, "tokens",
             cli_kept("%" PRId32 " delegation token%s handed out, and Stoker knows none",
                      znodes->tokens, znodes->tokens == 1 ? " is" : "s are"));
    if (znodes->quotas)
        find(ret, SWAP_BLOCKS, "quotas",
             cli_kept("%" PRId32 " quota%s set for users, clients or addresses, and Stoker would "
                      "not hold %s",
                      znodes->quotas, znodes->quotas == 1 ? " is" : "s are",
                      znodes->quotas == 1 ? "it" : "them"));
    if (znodes->deletions)
        find(ret, SWAP_BLOCKS, "deletions",
             cli_kept("%" PRId32 " topic%s being deleted: wait for the end", znodes->deletions,
                      znodes->deletions == 1 ? " is" : "s are"));
}

static bool has_topic(const struct swap_cluster *cluster, const char *name)
{
    for (int32_t t = 0; t < cluster->topics_count; t++) {
        if (strcmp(cluster->topics[t].name, name) == 0)
            return true;
    }
    return false;
}

static void warn_of_creation(const struct coordinators_topic *topic, bool has_stokers,
                             struct swap_findings *ret)
{
    const char *remedy =
        has_stokers
            ? cli_kept(
                  "Create it on JVM brokers only: kafka-topics.sh --create --topic %s --config "
                  "cleanup.policy=compact --config segment.bytes=104857600 "
                  "--replica-assignment …, with as many partitions as %s says",
                  topic->name, topic->count_setting)
            : cli_kept("Let it be created while only JVM brokers live: %s", topic->creator);
    find(ret, SWAP_WARNING, "internal-topics",
         cli_kept("%s does not exist yet: the first %s has a JVM broker create it over all live "
                  "brokers, also those of Stoker, which do not serve it yet. %s",
                  topic->name, topic->asker, remedy));
}

static bool has_stoker(const struct swap_cluster *cluster, const struct swap_partition *partition)
{
    for (int32_t i = 0; i < partition->replicas_count; i++) {
        if (contains(cluster->stokers, cluster->stokers_count, partition->replicas[i]))
            return true;
    }
    return false;
}

/* Also where one broker alone is asked about: the trouble comes from any that is Stoker. */
static void judge_coordinators_topics(const struct swap_cluster *cluster, struct swap_findings *ret)
{
    struct group on_stoker = {0};
    for (size_t i = 0; cluster->kafka_count && i < ARRAY_SIZE(coordinators_topics); i++) {
        if (!has_topic(cluster, coordinators_topics[i].name))
            warn_of_creation(&coordinators_topics[i], cluster->stokers_count > 0, ret);
    }
    for (int32_t t = 0; t < cluster->topics_count; t++) {
        const struct swap_topic *topic = &cluster->topics[t];
        for (int32_t p = 0; is_coordinators(topic) && p < topic->partitions_count; p++) {
            if (has_stoker(cluster, &topic->partitions[p]))
                group_add(&on_stoker, topic, &topic->partitions[p]);
        }
    }
    group_tell(&on_stoker, ret, SWAP_BLOCKS, "internal-topics",
               "lie on Stoker brokers, where groups and transactions are not served yet: move them "
               "to JVM brokers");
}

void swap_judge_cluster(const struct swap_cluster *cluster, struct swap_findings *ret)
{
    judge_znodes(&cluster->znodes, ret);
    judge_partitions(cluster, ret);
    judge_coordinators_topics(cluster, ret);
    if (cluster->reassignments_unread)
        find(ret, SWAP_BLOCKS, "reassignments", cluster->reassignments_unread);
    if (cluster->reassignments)
        find(ret, SWAP_BLOCKS, "reassignments",
             cli_kept("%" PRId32 " partition%s being reassigned: wait for the end",
                      cluster->reassignments, cluster->reassignments == 1 ? " is" : "s are"));
}
