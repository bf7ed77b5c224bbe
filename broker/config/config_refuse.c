/* Nothing open by mistake: a file that asks for security which is not there yet must not start a
 * broker that works without it. The same for what would quietly change the meaning of a cluster:
 * KRaft, policies written in Java, tiered storage. Each refusal names its key. */
#include <strings.h>

#include "broker/config/config_internal.h"

static const char *given(const struct config *config, const char *name)
{
    const char *text = config_map_get(&config->inside->merged, name);
    return text && text[strspn(text, " \t")] ? text : NULL;
}

void config_refuse_listeners(const struct config *config, struct config_problems *problems)
{
    for (int32_t i = 0; i < config->listeners_count; i++) {
        const struct listener_config *listener = &config->listeners[i];
        if (listener->protocol != PROTOCOL_PLAINTEXT)
            config_problem_error(
                problems, "listeners",
                "listeners: listener %s asks for %s, and this broker has no TLS and "
                "no SASL yet; only PLAINTEXT listeners can be opened",
                listener->name, security_protocol_name(listener->protocol));
    }
    const char *between = given(config, "security.inter.broker.protocol");
    if (between && strcasecmp(between, "PLAINTEXT") != 0)
        config_problem_error(
            problems, "security.inter.broker.protocol",
            "security.inter.broker.protocol=%s: this broker has no TLS and no SASL "
            "yet; only PLAINTEXT is possible",
            between);
}

/* Refused when set at all, or (a boolean) when set to true. */
static const struct {
    const char *key, *why;
} refused[] = {
    {"authorizer.class.name",
     "this broker has no authorizer yet and would let everyone do everything"},
    {"zookeeper.ssl.client.enable", "this broker cannot speak TLS to ZooKeeper yet"},
    {"zookeeper.clientCnxnSocket",
     "it chooses a connection for TLS to ZooKeeper, which is not there yet"},
    {"zookeeper.set.acl", "access lists need SASL or TLS to ZooKeeper, which are not there yet"},
    {"process.roles", "this broker coordinates through ZooKeeper and cannot be a KRaft node"},
    {"controller.quorum.voters",
     "this broker coordinates through ZooKeeper and knows no KRaft quorum"},
    {"controller.quorum.bootstrap.servers",
     "this broker coordinates through ZooKeeper and knows no KRaft quorum"},
    {"controller.listener.names",
     "this broker coordinates through ZooKeeper and has no KRaft controllers"},
    {"zookeeper.metadata.migration.enable", "this broker cannot move to KRaft"},
    {"remote.log.storage.system.enable", "this broker has no tiered storage"},
    {"create.topic.policy.class.name",
     "this broker cannot run Java, so the policy would not be asked"},
    {"alter.config.policy.class.name",
     "this broker cannot run Java, so the policy would not be asked"},
    {"client.quota.callback.class", "this broker cannot run Java, so the quotas would not hold"},
    {"delegation.token.secret.key", "this broker has no delegation tokens yet"},
    {"delegation.token.master.key", "this broker has no delegation tokens yet"},
    {"sasl.jaas.config", "this broker has no SASL yet"},
};

static void refuse_keys(const struct config *config, struct config_problems *problems)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        const struct config_key *key = config_key_find(refused[i].key);
        const char *text = given(config, refused[i].key);
        if (!text || (key->type == CONFIG_BOOL && strcasecmp(text, "true") != 0))
            continue;
        config_problem_error(problems, refused[i].key, "%s=%s: %s", refused[i].key,
                             key->type == CONFIG_PASSWORD ? "[hidden]" : text, refused[i].why);
    }
}

/* Settings of authorizers, which config_keys[] does not have. */
static const char *const of_authorizers[] = {"super.users", "allow.everyone.if.no.acl.found"};

bool config_refuse_knows(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(of_authorizers); i++)
        if (strcmp(of_authorizers[i], name) == 0)
            return true;
    return strncmp(name, "zookeeper.ssl.", 14) == 0 || strncmp(name, "zookeeper.sasl.", 15) == 0;
}

/* Whole families: any zookeeper.ssl.* and, by listener, listener.name.<l>.(ssl|sasl).* */
static void refuse_families(const struct config *config, struct config_problems *problems)
{
    const struct config_map *merged = &config->inside->merged;
    for (int32_t i = 0; i < merged->count; i++) {
        const char *name = merged->entries[i].name;
        if (strcmp(name, "zookeeper.ssl.client.enable") == 0)
            continue;
        if (strncmp(name, "zookeeper.ssl.", 14) == 0)
            config_problem_error(problems, name,
                                 "%s: this broker cannot speak TLS to ZooKeeper yet", name);
        else if (strncmp(name, "zookeeper.sasl.", 15) == 0)
            config_problem_error(problems, name,
                                 "%s: this broker cannot speak SASL to ZooKeeper yet", name);
        else if (strncmp(name, "listener.name.", 14) == 0 &&
                 (strstr(name, ".ssl.") || strstr(name, ".sasl.")))
            config_problem_error(problems, name, "%s: this broker has no TLS and no SASL yet",
                                 name);
    }
}

/* Without a listener that speaks TLS or SASL a JVM broker takes no notice of these either; but who
 * set them may believe that something is protected. */
static void warn_of_idle_security(const struct config *config, struct config_problems *problems)
{
    const struct config_map *merged = &config->inside->merged;
    for (int32_t i = 0; i < merged->count; i++) {
        const char *name = merged->entries[i].name;
        bool is_idle = strncmp(name, "ssl.", 4) == 0 || strncmp(name, "sasl.", 5) == 0;
        for (size_t a = 0; a < ARRAY_SIZE(of_authorizers); a++)
            is_idle |= strcmp(name, of_authorizers[a]) == 0;
        if (is_idle && strcmp(name, "sasl.jaas.config") != 0)
            config_problem_warn(problems, name,
                                "%s protects nothing: this broker has no TLS, no SASL and no "
                                "authorizer yet",
                                name);
    }
}

static bool is_refused(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        if (strcmp(refused[i].key, name) == 0)
            return true;
    return false;
}

/* Who sets one of these to something else than its default expects something of it. */
static void warn_of_no_effect(const struct config *config, struct config_problems *problems)
{
    const struct config_map *merged = &config->inside->merged;
    for (int32_t i = 0; i < merged->count; i++) {
        const struct config_entry *entry = &merged->entries[i];
        const struct config_key *key = config_key_find(entry->name);
        const char *fallback = key ? config_key_fallback(key) : NULL;
        if (!key || !(key->flags & KEY_IDLE) || is_refused(key->name) ||
            strncmp(key->name, "ssl.", 4) == 0 || strncmp(key->name, "sasl.", 5) == 0 ||
            strcmp(entry->value, fallback ? fallback : "") == 0)
            continue;
        config_problem_warn(problems, key->name, "%s has no effect on this broker", key->name);
    }
    if (config->log_cleanup_policy & CONFIG_CLEANUP_COMPACT)
        config_problem_warn(problems, "log.cleanup.policy",
                            "log.cleanup.policy=%s: this broker does not compact yet; compacted "
                            "topics keep everything that retention leaves",
                            given(config, "log.cleanup.policy"));
}

#define RACK_AWARE_SELECTOR "org.apache.kafka.common.replica.RackAwareReplicaSelector"
#define LEADER_SELECTOR     "org.apache.kafka.common.replica.LeaderSelector"

static void refuse_classes(const struct config *config, struct config_problems *problems)
{
    const char *selector = given(config, "replica.selector.class");
    if (selector && strcmp(selector, RACK_AWARE_SELECTOR) != 0 &&
        strcmp(selector, LEADER_SELECTOR) != 0)
        config_problem_error(
            problems, "replica.selector.class",
            "replica.selector.class=%s: this broker cannot run Java; it knows " RACK_AWARE_SELECTOR,
            selector);
    const char *builder = given(config, "principal.builder.class");
    if (builder &&
        strcmp(builder, config_key_fallback(config_key_find("principal.builder.class"))) != 0)
        config_problem_error(problems, "principal.builder.class",
                             "principal.builder.class=%s: this broker cannot run Java", builder);
}

void config_refuse(const struct config *config, struct config_problems *problems)
{
    refuse_keys(config, problems);
    refuse_families(config, problems);
    refuse_classes(config, problems);
    warn_of_idle_security(config, problems);
    warn_of_no_effect(config, problems);
}
