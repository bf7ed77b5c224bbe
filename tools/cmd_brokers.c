/* `stoker brokers check-swap`: what stands in the way of putting Stoker in the place of a broker,
 * or of all. It only reads. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/trace.h"
#include "tools/commands.h"
#include "tools/swap.h"

struct swap_options {
    const char *bootstrap, *command_config, *zookeeper, *file;
    const char *digest; /* "user:password", who we are to ZooKeeper */
    int64_t broker;
    bool json;
};

static const char *const level_names[] = {
    [SWAP_NOTE] = "note", [SWAP_WARNING] = "warning", [SWAP_BLOCKS] = "stands in the way"};

static const char *verdict_of(const struct swap_findings *findings)
{
    return swap_is_blocked(findings) ? level_names[SWAP_BLOCKS] : "ready";
}

/* --- as lines --- */

static void print_row(const char *who, const char *program, const char *level, const char *text)
{
    printf("%-8s %-8s %-18s %s\n", who, program, level, text);
}

/* What stands in the way first. */
static void print_findings(const char *who, const char *program,
                           const struct swap_findings *findings)
{
    if (!swap_is_blocked(findings))
        print_row(who, program, "ready", "");
    for (int level = SWAP_BLOCKS; level >= SWAP_NOTE; level--) {
        for (int32_t i = 0; i < findings->count; i++) {
            if ((int)findings->items[i].level == level)
                print_row(who, program, level_names[level], findings->items[i].sentence);
        }
    }
}

/* --- as JSON --- */

static json_t *findings_json(const struct swap_findings *findings)
{
    json_t *all = json_array();
    for (int32_t i = 0; i < findings->count; i++)
        json_array_append_new(
            all, json_pack("{s:s,s:s,s:s}", "level", level_names[findings->items[i].level], "about",
                           findings->items[i].about, "finding", findings->items[i].sentence));
    return all;
}

static json_t *subject_json(const struct swap_findings *findings)
{
    return json_pack("{s:s,s:o}", "verdict", verdict_of(findings), "findings",
                     findings_json(findings));
}

/* --- reading --- */

static const char *setting_of(const struct swap_broker *broker, const char *name)
{
    for (int32_t i = 0; i < broker->settings_count; i++) {
        if (strcmp(broker->settings[i].name, name) == 0)
            return broker->settings[i].value;
    }
    return NULL;
}

/* --zookeeper, else what a broker that was asked says it uses, or is itself (--standalone). */
static const char *zookeeper_of(const struct swap_options *options,
                                const struct swap_cluster *cluster)
{
    const char *connect = options->zookeeper;
    for (int32_t b = 0; !connect && b < cluster->brokers_count; b++) {
        connect = setting_of(&cluster->brokers[b], "stoker.embedded.listener");
        if (!connect)
            connect = setting_of(&cluster->brokers[b], "zookeeper.connect");
    }
    return connect;
}

static void read_zookeeper(const struct swap_options *options, struct swap_zookeeper *opened,
                           struct swap_cluster *cluster)
{
    struct swap_zookeeper *zookeeper = opened;
    const char *connect = zookeeper_of(options, cluster);
    cluster->znodes.unread = "name it with --zookeeper";
    if (!zookeeper && connect && swap_zookeeper_open(connect, options->digest, &zookeeper))
        cluster->znodes.unread = cli_kept("%s", err_sentence(ERR_ZK_UNAVAILABLE));
    if (!zookeeper)
        return;
    swap_zookeeper_read(zookeeper, cluster);
    swap_zookeeper_close(zookeeper);
}

/* What was read lives in the client. */
static void read_cluster(const struct swap_options *options, struct client **ret_client,
                         struct swap_cluster *cluster)
{
    struct swap_zookeeper *zookeeper = NULL;
    const char *bootstrap = options->bootstrap;
    if (!bootstrap) {
        cli_check(swap_zookeeper_open(options->zookeeper, options->digest, &zookeeper));
        bootstrap = swap_zookeeper_bootstrap(zookeeper);
    }
    if (!bootstrap) {
        swap_zookeeper_close(zookeeper);
        cli_fail("no broker with a PLAINTEXT listener is registered below %s", options->zookeeper);
    }
    cli_check(client_open(bootstrap, options->command_config, ret_client));
    swap_read_brokers(*ret_client, (int32_t)options->broker, cluster);
    read_zookeeper(options, zookeeper, cluster);
}

/* --- judging and telling --- */

static bool tell_cluster(const struct swap_cluster *cluster, json_t *json)
{
    struct swap_findings findings = {0};
    swap_judge_cluster(cluster, &findings);
    bool is_blocked = swap_is_blocked(&findings);
    if (json)
        json_object_set_new(json, "cluster", subject_json(&findings));
    else
        print_findings("cluster", "-", &findings);
    free(findings.items);
    return is_blocked;
}

static bool tell_broker(const struct swap_cluster *cluster, const struct swap_broker *broker,
                        const char *file, json_t *json)
{
    struct swap_findings findings = {0};
    const char *program = !broker->is_live ? "-" : broker->is_stoker ? "Stoker" : "Kafka";
    swap_judge_broker(cluster, broker, &findings);
    if (file)
        swap_judge_settings(file, NULL, 0, &findings);
    bool is_blocked = swap_is_blocked(&findings);
    if (json) {
        json_t *subject = subject_json(&findings);
        json_object_set_new(subject, "id", json_integer(broker->id));
        json_object_set_new(subject, "program", json_string(program));
        json_array_append_new(json, subject);
    } else {
        print_findings(cli_kept("%" PRId32, broker->id), program, &findings);
    }
    free(findings.items);
    return is_blocked;
}

static bool tell_file(const char *file, json_t *json)
{
    struct swap_findings findings = {0};
    swap_judge_settings(file, NULL, 0, &findings);
    bool is_blocked = swap_is_blocked(&findings);
    if (json)
        json_object_set_new(json, "file", subject_json(&findings));
    else
        print_findings("file", "-", &findings);
    free(findings.items);
    return is_blocked;
}

static int check_swap(const struct swap_options *options)
{
    bool is_blocked = false;
    bool is_file_alone = options->file && !options->bootstrap && !options->zookeeper;
    json_t *json = options->json ? json_object() : NULL;
    json_t *brokers = options->json ? json_array() : NULL;
    struct swap_cluster cluster = {0};
    OWNED(client) struct client *client = NULL;
    if (!is_file_alone)
        read_cluster(options, &client, &cluster);
    if (!json)
        print_row("BROKER", "PROGRAM", "VERDICT", "FINDING");
    if (!is_file_alone)
        is_blocked |= tell_cluster(&cluster, json);
    for (int32_t i = 0; i < cluster.brokers_count; i++)
        is_blocked |= tell_broker(&cluster, &cluster.brokers[i],
                                  options->broker >= 0 ? options->file : NULL, brokers);
    if (options->file && options->broker < 0)
        is_blocked |= tell_file(options->file, json);
    if (json) {
        json_object_set_new(json, "brokers", brokers);
        json_object_set_new(json, "verdict",
                            json_string(is_blocked ? level_names[SWAP_BLOCKS] : "ready"));
        cli_json_print(json);
    }
    return is_blocked ? 1 : 0;
}

int cmd_brokers(int argc, char **argv)
{
    struct swap_options options = {.broker = -1};
    struct texts words = {0};
    const char *auth = NULL;
    const struct option_row rows[] = {
        {"--bootstrap-server", OPTION_TEXT, &options.bootstrap, "HOST:PORT,...",
         "brokers to begin with; those registered in ZooKeeper without it"},
        {"--command-config", OPTION_TEXT, &options.command_config, "FILE",
         "settings of the client"},
        {"--zookeeper", OPTION_TEXT, &options.zookeeper, "HOST:PORT,...[/CHROOT]",
         "the ensemble; what the brokers say they use without it"},
        {"--zookeeper-auth", OPTION_TEXT, &auth, "digest:USER:PASSWORD",
         "who we are to ZooKeeper, as stoker.zookeeper.auth"},
        {"--broker", OPTION_INT, &options.broker, "ID", "this broker alone"},
        {"--file", OPTION_TEXT, &options.file, "FILE",
         "a server.properties that Stoker is to run with (of --broker ID)"},
        {"--json", OPTION_FLAG, &options.json, NULL, "print JSON"},
    };
    cli_parse("brokers", rows, ARRAY_SIZE(rows), argc, argv, &words);
    if (words.count != 1 || strcmp(words.items[0], "check-swap") != 0)
        cli_fail("say what: check-swap");
    options.digest = cli_digest_auth(auth);
    if (!options.bootstrap && !options.zookeeper && !options.file)
        cli_fail("name the cluster with --bootstrap-server or --zookeeper, or a --file");
    if (options.broker < -1 || options.broker > INT32_MAX)
        cli_fail("--broker is the id of a broker");
    if (!getenv("STOKER_TRACE"))
        trace_set_level(TRACE_ERROR); /* what is said here is for people at a terminal */
    return check_swap(&options);
}
