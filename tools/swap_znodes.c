/* What ZooKeeper knows that no broker tells: who is allowed what, quotas, tokens, whether a
 * migration to KRaft was begun, which topics go. Nothing is written, not even a mistyped chroot. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/buf.h"
#include "coordinator/zk/zk_session.h"
#include "coordinator/zk/znode.h"
#include "tools/swap.h"

#define SESSION_TIMEOUT_MS 15000
#define CONNECT_TIMEOUT_MS 15000
#define READS_IN_FLIGHT    64

struct swap_zookeeper {
    struct zk_session *session;
    struct mailbox *mailbox;
    struct zk *zk;
    const char *chroot; /* "" or "/kafka" */
    const char *unread; /* the first read that failed, and why */
};

/* What one read found; a node that is not there is no error. */
struct found {
    bool is_there;
    struct slice data; /* lives as long as the process */
    struct texts children;
    const char *error;
};

enum err swap_zookeeper_open(const char *connect, const char *digest, struct swap_zookeeper **ret)
{
    struct swap_zookeeper *zookeeper = mem_new(struct swap_zookeeper);
    size_t size = strcspn(connect, "/"), chroot = strlen(connect + size);
    while (chroot && connect[size + chroot - 1] == '/')
        chroot--;
    zookeeper->chroot = cli_kept("%.*s", (int)chroot, connect + size);
    const struct zk_session_settings settings = {
        .connect = cli_kept("%.*s", (int)size, connect),
        .session_timeout_ms = SESSION_TIMEOUT_MS,
        .connection_timeout_ms = CONNECT_TIMEOUT_MS,
        .max_in_flight = READS_IN_FLIGHT,
        .auth_scheme = "digest",
        .auth = digest,
    };
    enum err e = zk_session_open(&settings, &zookeeper->session);
    if (e) {
        free(zookeeper);
        return e;
    }
    zookeeper->mailbox = mailbox_new();
    zookeeper->zk = zk_session_view(zookeeper->session, zookeeper->mailbox);
    *ret = zookeeper;
    return ERR_OK;
}

void swap_zookeeper_close(struct swap_zookeeper *zookeeper)
{
    if (!zookeeper)
        return;
    struct list_node left;
    zk_session_view_free(zookeeper->zk);
    list_init(&left);
    mailbox_receive(zookeeper->mailbox, &left);
    zk_session_run(&left);
    zk_session_close(zookeeper->session);
    mailbox_free(zookeeper->mailbox);
    free(zookeeper);
}

static void came(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    struct found *found = context;
    found->is_there = results->error == ERR_OK;
    if (results->error && results->error != ERR_NOT_FOUND)
        found->error = cli_kept("%s", err_text(results->error));
    if (found->is_there && results->data.size)
        found->data = slice_str(cli_kept("%.*s", SLICE_ARG(results->data)));
    for (int32_t i = 0; found->is_there && i < results->children_count; i++)
        texts_add(&found->children, cli_kept("%.*s", SLICE_ARG(results->children[i])));
}

static struct found read_node(struct swap_zookeeper *zookeeper, enum zk_op_kind kind,
                              const char *path)
{
    struct found found = {0};
    struct zk_op op = {.kind = kind, .path = slice_str(cli_kept("%s%s", zookeeper->chroot, path))};
    zk_session_wait(zookeeper->zk, &op, 1, came, &found);
    if (found.error && !zookeeper->unread)
        zookeeper->unread = cli_kept("%s: %s", path, found.error);
    return found;
}

static struct texts children_of(struct swap_zookeeper *zookeeper, const char *path)
{
    return read_node(zookeeper, ZK_OP_CHILDREN, path).children;
}

/* NULL where there is no node, or none with JSON in it; counted otherwise. */
static json_t *json_of(struct swap_zookeeper *zookeeper, const char *path)
{
    struct found found = read_node(zookeeper, ZK_OP_GET, path);
    return found.data.size ? json_loadb((const char *)found.data.data, found.data.size, 0, NULL)
                           : NULL;
}

/* --- the brokers' registrations --- */

static enum err read_registration(struct swap_zookeeper *zookeeper, struct arena *arena,
                                  const char *id, struct znode_broker *ret)
{
    struct found found = read_node(zookeeper, ZK_OP_GET, cli_kept("/brokers/ids/%s", id));
    return found.is_there ? znode_broker_decode(arena, found.data, ret) : ERR_NOT_FOUND;
}

const char *swap_zookeeper_bootstrap(struct swap_zookeeper *zookeeper)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct texts ids = children_of(zookeeper, "/brokers/ids");
    const char *list = NULL;
    for (int32_t i = 0; i < ids.count; i++) {
        struct znode_broker broker = {0};
        if (read_registration(zookeeper, arena, ids.items[i], &broker))
            continue;
        for (int32_t e = 0; e < broker.endpoint_count; e++) {
            const struct znode_endpoint *endpoint = &broker.endpoints[e];
            bool is_v6 = memchr(endpoint->host.data, ':', endpoint->host.size) != NULL;
            if (endpoint->security_protocol == PROTOCOL_PLAINTEXT)
                list =
                    cli_kept("%s%s%s%.*s%s:%d", list ? list : "", list ? "," : "", is_v6 ? "[" : "",
                             SLICE_ARG(endpoint->host), is_v6 ? "]" : "", endpoint->port);
        }
    }
    return list;
}

static void read_listeners(struct swap_zookeeper *zookeeper, struct swap_broker *broker)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct znode_broker node = {0};
    if (read_registration(zookeeper, arena, cli_kept("%d", broker->id), &node))
        return;
    for (int32_t e = 0; e < node.endpoint_count; e++)
        texts_add(&broker->listeners,
                  cli_kept("%s %.*s", znode_security_name(node.endpoints[e].security_protocol),
                           SLICE_ARG(node.endpoints[e].listener)));
}

/* --- what is counted --- */

static int32_t count_acls(struct swap_zookeeper *zookeeper)
{
    int32_t count = 0;
    struct texts types = children_of(zookeeper, "/kafka-acl");
    for (int32_t i = 0; i < types.count; i++)
        count += children_of(zookeeper, cli_kept("/kafka-acl/%s", types.items[i])).count;
    struct texts patterns = children_of(zookeeper, "/kafka-acl-extended");
    for (int32_t p = 0; p < patterns.count; p++) {
        const char *pattern = cli_kept("/kafka-acl-extended/%s", patterns.items[p]);
        types = children_of(zookeeper, pattern);
        for (int32_t i = 0; i < types.count; i++)
            count += children_of(zookeeper, cli_kept("%s/%s", pattern, types.items[i])).count;
    }
    return count;
}

/* Settings of a user, a client or an address that are no passwords of SCRAM. */
static bool has_quota(struct swap_zookeeper *zookeeper, const char *path)
{
    json_t *root = json_of(zookeeper, path);
    const char *name;
    json_t *value;
    bool has = false;
    json_object_foreach(json_object_get(root, "config"), name, value) has |=
        strncmp(name, "SCRAM-", 6) != 0;
    json_decref(root);
    return has;
}

static int32_t count_quotas(struct swap_zookeeper *zookeeper)
{
    static const char *const folders[] = {"/config/users", "/config/clients", "/config/ips"};
    int32_t count = 0;
    for (size_t f = 0; f < ARRAY_SIZE(folders); f++) {
        struct texts entities = children_of(zookeeper, folders[f]);
        for (int32_t i = 0; i < entities.count; i++) {
            const char *entity = cli_kept("%s/%s", folders[f], entities.items[i]);
            count += has_quota(zookeeper, entity);
            struct texts clients = children_of(zookeeper, cli_kept("%s/clients", entity));
            for (int32_t c = 0; f == 0 && c < clients.count; c++)
                count += has_quota(zookeeper, cli_kept("%s/clients/%s", entity, clients.items[c]));
        }
    }
    return count;
}

static const char *read_features(struct swap_zookeeper *zookeeper)
{
    json_t *root = json_of(zookeeper, "/feature");
    const char *name, *names = NULL;
    json_t *level;
    json_object_foreach(json_object_get(root, "features"), name, level) names =
        cli_kept("%s%s%s", names ? names : "", names ? ", " : "", name);
    json_decref(root);
    return names;
}

static int64_t read_kraft_epoch(struct swap_zookeeper *zookeeper)
{
    json_t *root = json_of(zookeeper, "/controller");
    json_t *number = json_object_get(root, "kraftControllerEpoch");
    int64_t epoch = json_is_integer(number) ? json_integer_value(number) : -1;
    json_decref(root);
    return epoch;
}

void swap_zookeeper_read(struct swap_zookeeper *zookeeper, struct swap_cluster *ret)
{
    struct swap_znodes *znodes = &ret->znodes;
    if (!read_node(zookeeper, ZK_OP_EXISTS, "/brokers/ids").is_there && !zookeeper->unread)
        zookeeper->unread = "there is no cluster of Kafka at this address and path";
    znodes->kraft_controller_epoch = read_kraft_epoch(zookeeper);
    znodes->is_migrating = read_node(zookeeper, ZK_OP_EXISTS, "/migration").is_there;
    znodes->features = read_features(zookeeper);
    znodes->acls = count_acls(zookeeper);
    znodes->tokens = children_of(zookeeper, "/delegation_token/tokens").count;
    znodes->quotas = count_quotas(zookeeper);
    znodes->deletions = children_of(zookeeper, "/admin/delete_topics").count;
    for (int32_t i = 0; i < ret->brokers_count; i++)
        read_listeners(zookeeper, &ret->brokers[i]);
    znodes->unread = zookeeper->unread;
}
