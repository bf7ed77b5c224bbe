/* `stoker configs`: what its two files share. cmd_configs.c takes the options and changes settings,
 * configs_describe.c reads and prints them. */
#pragma once

#include "tools/cli.h"
#include "tools/client.h"
#include "wire/describe_configs.h"

enum entity_kind { ENTITY_TOPICS, ENTITY_BROKERS, ENTITY_LOGGERS };

/* What the options call an entity type, how a sentence calls one of them, Kafka's resource type. */
struct entity_type {
    const char *name, *one;
    enum entity_kind kind;
    int8_t resource_type;
};

struct configs_options {
    const char *bootstrap, *command_config, *topic, *broker, *logger, *zookeeper, *controller;
    const char *user, *client, *ip, *add, *add_file, *delete_names, *zk_tls_config_file;
    struct texts entity_types, entity_names; /* users and clients may be named together */
    bool user_defaults, client_defaults, ip_defaults, force, describe, alter, all, entity_default,
        broker_defaults, json;
};

typedef struct describe_configs_response_describe_configs_result described;

/* Every setting of one entity, sorted by name. Ends the process where the broker refuses. */
described *configs_read(struct client *client, const struct entity_type *type, const char *name);

/* Was this set for the entity itself? */
bool configs_is_own(const struct entity_type *type, const char *name, int8_t source);

/* One entity, or all of the type where the name is NULL. Gives back the exit status. */
int configs_describe(struct client *client, const struct configs_options *options,
                     const struct entity_type *type, const char *name);
