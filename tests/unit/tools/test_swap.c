/* What stands in the way of replacing a JVM broker: each rule, on a cluster made by hand that is
 * otherwise ready. */
/* clang-format off: cmocka.h needs these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdlib.h>
#include <string.h>

#include "broker/base/mem.h"
#include "tools/swap.h"

static const int32_t all_three[] = {1, 2, 3}, others[] = {2, 3}, only_first[] = {1}, fourth[] = {4};

struct world {
    struct config_pair settings[8];
    struct swap_dir dirs[2];
    struct swap_partition partitions[8];
    struct swap_topic topics[3];
    struct swap_partition of_groups, of_transactions;
    struct swap_broker broker;
    struct swap_cluster cluster;
};

static void add_setting(struct world *world, const char *name, const char *value)
{
    world->settings[world->broker.settings_count++] = (struct config_pair){name, value};
}

static struct swap_partition *add_partition(struct world *world)
{
    int32_t id = world->topics[0].partitions_count++;
    world->partitions[id] = (struct swap_partition){.id = id,
                                                    .leader = 1,
                                                    .replicas = all_three,
                                                    .replicas_count = 3,
                                                    .isr = all_three,
                                                    .isr_count = 3};
    return &world->partitions[id];
}

/* On brokers 2 and 3. */
static struct swap_topic internal_topic(const char *name, struct swap_partition *partition)
{
    *partition = (struct swap_partition){
        .leader = 2, .replicas = others, .replicas_count = 2, .isr = others, .isr_count = 2};
    return (struct swap_topic){.name = name,
                               .is_compacted = true,
                               .min_isr = 1,
                               .partitions = partition,
                               .partitions_count = 1};
}

/* A broker of three, with a topic of one partition, that may be replaced; groups and transactions
 * lie on the others. */
static void make_ready(struct world *world)
{
    *world = (struct world){0};
    add_setting(world, "zookeeper.connect", "zk:2181");
    add_setting(world, "broker.id", "1");
    add_setting(world, "listeners", "PLAINTEXT://kafka1:9092");
    add_setting(world, "inter.broker.protocol.version", "3.9");
    world->dirs[0] = (struct swap_dir){.path = "/data", .replicas = 1};
    world->broker = (struct swap_broker){.id = 1,
                                         .is_live = true,
                                         .settings = world->settings,
                                         .settings_count = world->broker.settings_count,
                                         .dirs = world->dirs,
                                         .dirs_count = 1};
    texts_add(&world->broker.listeners, "PLAINTEXT PLAINTEXT");
    world->topics[0] = (struct swap_topic){
        .name = "orders", .min_isr = 2, .partitions = world->partitions, .partitions_count = 0};
    add_partition(world);
    world->topics[1] = internal_topic("__consumer_offsets", &world->of_groups);
    world->topics[2] = internal_topic("__transaction_state", &world->of_transactions);
    world->cluster = (struct swap_cluster){.brokers = &world->broker,
                                           .brokers_count = 1,
                                           .kafka_count = 3,
                                           .topics = world->topics,
                                           .topics_count = 3,
                                           .znodes = {.kraft_controller_epoch = -1}};
}

static const struct swap_finding *finding_about(const struct swap_findings *findings,
                                                const char *about)
{
    for (int32_t i = 0; i < findings->count; i++) {
        if (strcmp(findings->items[i].about, about) == 0 && findings->items[i].level != SWAP_NOTE)
            return &findings->items[i];
    }
    return NULL;
}

static void assert_found(struct swap_findings *findings, enum swap_level level, const char *about,
                         const char *part)
{
    const struct swap_finding *found = finding_about(findings, about);
    if (!found)
        fail_msg("nothing is said about %s", about);
    if (found->level != level || !strstr(found->sentence, part))
        fail_msg("level %d: %s", found->level, found->sentence);
    free(findings->items);
}

static void assert_broker_says(struct world *world, enum swap_level level, const char *about,
                               const char *part)
{
    struct swap_findings findings = {0};
    swap_judge_broker(&world->cluster, &world->broker, &findings);
    assert_int_equal(swap_is_blocked(&findings), level == SWAP_BLOCKS);
    assert_found(&findings, level, about, part);
}

static void assert_cluster_says(struct world *world, const char *about, const char *part)
{
    struct swap_findings findings = {0};
    swap_judge_cluster(&world->cluster, &findings);
    assert_true(swap_is_blocked(&findings));
    assert_found(&findings, SWAP_BLOCKS, about, part);
}

static void assert_cluster_warns(struct world *world, const char *about, const char *part)
{
    struct swap_findings findings = {0};
    swap_judge_cluster(&world->cluster, &findings);
    assert_false(swap_is_blocked(&findings));
    assert_found(&findings, SWAP_WARNING, about, part);
}

static void test_a_broker_like_stoker_may_be_replaced(void **state)
{
    (void)state;
    struct world world;
    struct swap_findings findings = {0};
    make_ready(&world);
    swap_judge_cluster(&world.cluster, &findings);
    assert_int_equal(findings.count, 0);
    swap_judge_broker(&world.cluster, &world.broker, &findings);
    assert_int_equal(findings.count, 1);
    assert_int_equal(findings.items[0].level, SWAP_NOTE);
    assert_string_equal(findings.items[0].sentence,
                        "log directory /data holds 1 replica and is taken over as it is");
    free(findings.items);
}

static void test_settings_that_a_start_would_refuse_stand_in_the_way(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *part;
    } refused[] = {
        {"authorizer.class.name", "kafka.security.authorizer.AclAuthorizer",
         "authorizer.class.name=kafka.security.authorizer.AclAuthorizer: this broker has no"},
        {"listeners", "SSL://:9093", "asks for SSL"},
        {"remote.log.storage.system.enable", "true", "tiered storage"},
        {"zookeeper.set.acl", "true", "zookeeper.set.acl"},
        {"zookeeper.metadata.migration.enable", "true", "cannot move to KRaft"},
        {"create.topic.policy.class.name", "a.B", "cannot run Java"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct world world;
        make_ready(&world);
        add_setting(&world, refused[i].name, refused[i].value);
        assert_broker_says(&world, SWAP_BLOCKS, "settings", refused[i].part);
    }
    struct world world;
    make_ready(&world);
    texts_add(&world.broker.hidden, "allow.everyone.if.no.acl.found"); /* a plug-in's */
    texts_add(&world.broker.hidden, "listener.name.a.ssl.keystore.password");
    assert_broker_says(&world, SWAP_BLOCKS, "security",
                       "listener.name.a.ssl.keystore.password is set");
    make_ready(&world);
    texts_add(&world.broker.listeners, "SASL_SSL OUTSIDE");
    assert_broker_says(&world, SWAP_BLOCKS, "security",
                       "listener OUTSIDE is registered with SASL_SSL");
    make_ready(&world);
    world.settings[3].value = "3.4";
    assert_broker_says(&world, SWAP_BLOCKS, "protocol-version", "3.5 to 3.9");
    make_ready(&world);
    add_setting(&world, "leader.replication.throttled.rate", "1000");
    assert_broker_says(&world, SWAP_WARNING, "settings", "does nothing");
}

static void test_replicas_that_cannot_be_taken_over_stand_in_the_way(void **state)
{
    (void)state;
    struct world world;
    make_ready(&world);
    world.topics[0].name = "__consumer_offsets";
    world.topics[0].is_compacted = true;
    assert_broker_says(&world, SWAP_BLOCKS, "internal-topics",
                       "1 partition (__consumer_offsets-0) hold groups");
    make_ready(&world);
    world.topics[0].is_compacted = true;
    for (int i = 0; i < 4; i++)
        add_partition(&world);
    assert_broker_says(&world, SWAP_BLOCKS, "compaction",
                       "5 partitions (orders-0, orders-1, orders-2, …) are compacted");
    make_ready(&world);
    world.topics[0].is_tiered = true;
    assert_broker_says(&world, SWAP_BLOCKS, "tiered-storage", "remote.storage.enable=true");
    make_ready(&world);
    world.partitions[0].isr = others;
    world.partitions[0].isr_count = 2;
    assert_broker_says(&world, SWAP_BLOCKS, "under-replicated", "out of sync");
    make_ready(&world);
    world.dirs[0].moving = 2;
    assert_broker_says(&world, SWAP_BLOCKS, "log-dirs", "2 replicas are being moved to");
    make_ready(&world);
    world.dirs[0].error = "KAFKA_STORAGE_ERROR";
    assert_broker_says(&world, SWAP_BLOCKS, "log-dirs", "/data is offline (KAFKA_STORAGE_ERROR)");
}

static void test_a_coordinators_topic_that_would_come_to_be_on_stoker_is_a_warning(void **state)
{
    (void)state;
    struct world world;
    make_ready(&world);
    world.topics[1].name = "a";
    assert_cluster_warns(&world, "internal-topics",
                         "__consumer_offsets does not exist yet: the first consumer with a group");
    assert_cluster_warns(&world, "internal-topics", "kafka-consumer-groups.sh");
    make_ready(&world);
    world.cluster.topics_count = 2;
    assert_cluster_warns(
        &world, "internal-topics",
        "__transaction_state does not exist yet: the first transactional producer");
    assert_cluster_warns(&world, "internal-topics", "kafka-transactions.sh");
    world.cluster.stokers = fourth; /* then it is too late to leave the choice to a broker */
    world.cluster.stokers_count = 1;
    assert_cluster_warns(&world, "internal-topics", "--replica-assignment");
    world.cluster.kafka_count = 0; /* nobody creates it */
    struct swap_findings findings = {0};
    swap_judge_cluster(&world.cluster, &findings);
    assert_int_equal(findings.count, 0);
}

static void test_a_coordinators_topic_on_a_stoker_broker_stands_in_the_way(void **state)
{
    (void)state;
    struct world world;
    make_ready(&world);
    world.cluster.stokers = fourth;
    world.cluster.stokers_count = 1;
    struct swap_findings findings = {0};
    swap_judge_cluster(&world.cluster, &findings);
    assert_int_equal(findings.count, 0);
    world.of_groups.replicas = all_three;
    world.of_groups.replicas_count = 3;
    world.of_groups.isr = all_three;
    world.of_groups.isr_count = 3;
    world.cluster.stokers = only_first;
    assert_cluster_says(&world, "internal-topics",
                        "1 partition (__consumer_offsets-0) lie on Stoker brokers");
}

static void test_what_is_away_during_the_swap_is_a_warning(void **state)
{
    (void)state;
    struct world world;
    make_ready(&world);
    world.partitions[0].replicas = world.partitions[0].isr = only_first;
    world.partitions[0].replicas_count = world.partitions[0].isr_count = 1;
    assert_broker_says(&world, SWAP_WARNING, "single-replica", "have their only replica here");
    make_ready(&world);
    world.topics[0].min_isr = 3;
    assert_broker_says(&world, SWAP_WARNING, "min-isr", "fall below min.insync.replicas");
}

static void test_a_broker_that_is_away_or_silent_stands_in_the_way(void **state)
{
    (void)state;
    struct world world;
    make_ready(&world);
    world.broker.is_live = false;
    world.broker.settings_count = 0;
    assert_broker_says(&world, SWAP_BLOCKS, "away", "the broker is not there");
    make_ready(&world);
    world.broker.unread = "its settings cannot be read: why";
    assert_broker_says(&world, SWAP_BLOCKS, "unknown", "cannot be read: why");
}

static void test_a_cluster_at_work_on_itself_stands_in_the_way(void **state)
{
    (void)state;
    struct world world;
    make_ready(&world);
    world.partitions[0].leader = -1;
    assert_cluster_says(&world, "offline", "1 partition (orders-0) have no leader now");
    make_ready(&world);
    world.partitions[0].isr_count = 2;
    assert_cluster_says(&world, "under-replicated", "are under-replicated now");
    make_ready(&world);
    world.cluster.reassignments = 3;
    assert_cluster_says(&world, "reassignments", "3 partitions are being reassigned");
    make_ready(&world);
    world.cluster.znodes.deletions = 1;
    assert_cluster_says(&world, "deletions", "1 topic is being deleted");
}

static void test_what_zookeeper_holds_and_stoker_does_not_keep_stands_in_the_way(void **state)
{
    (void)state;
    struct world world;
    make_ready(&world);
    world.cluster.znodes.kraft_controller_epoch = 7;
    assert_cluster_says(&world, "kraft", "a KRaft controller (epoch 7)");
    make_ready(&world);
    world.cluster.znodes.is_migrating = true;
    assert_cluster_says(&world, "kraft", "/migration stands in ZooKeeper");
    make_ready(&world);
    world.cluster.znodes.features = "metadata.version";
    assert_cluster_says(&world, "features", "metadata.version");
    make_ready(&world);
    world.cluster.znodes.acls = 2;
    assert_cluster_says(&world, "acls", "2 resources have ACLs");
    make_ready(&world);
    world.cluster.znodes.quotas = 1;
    assert_cluster_says(&world, "quotas", "1 quota is set");
    make_ready(&world);
    world.cluster.znodes.tokens = 1;
    assert_cluster_says(&world, "tokens", "1 delegation token is handed out");
    make_ready(&world);
    world.cluster.znodes.unread = "no connection";
    assert_cluster_says(&world, "zookeeper", "was not looked at");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_broker_like_stoker_may_be_replaced),
        cmocka_unit_test(test_settings_that_a_start_would_refuse_stand_in_the_way),
        cmocka_unit_test(test_replicas_that_cannot_be_taken_over_stand_in_the_way),
        cmocka_unit_test(test_a_coordinators_topic_that_would_come_to_be_on_stoker_is_a_warning),
        cmocka_unit_test(test_a_coordinators_topic_on_a_stoker_broker_stands_in_the_way),
        cmocka_unit_test(test_what_is_away_during_the_swap_is_a_warning),
        cmocka_unit_test(test_a_broker_that_is_away_or_silent_stands_in_the_way),
        cmocka_unit_test(test_a_cluster_at_work_on_itself_stands_in_the_way),
        cmocka_unit_test(test_what_zookeeper_holds_and_stoker_does_not_keep_stands_in_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
