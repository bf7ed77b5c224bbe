/* `stoker topics`: what its two files share. cmd_topics.c takes the options and changes topics,
 * topics_describe.c prints them. */
#pragma once

#include <jansson.h>

#include "tools/client.h"
#include "tools/cli.h"

struct topics_options {
    const char *bootstrap, *command_config, *topic, *topic_id, *assignment, *delete_config;
    int64_t partitions, replication_factor, response_partition_limit;
    struct texts configs;
    bool create, list, describe, alter, delete_topics, if_exists, if_not_exists, exclude_internal;
    bool under_replicated, unavailable, under_min_isr, at_min_isr, with_overrides, json;
};

typedef struct metadata_response_metadata_response_topic topic_view;
typedef struct metadata_response_metadata_response_partition partition_view;

/* The topics that --topic names (a regular expression, or several behind commas) or --topic-id,
 * sorted by name; none is a mistake unless --if-exists was said or they are only listed. */
int32_t topics_pick(struct client *client, const struct topics_options *options,
                    topic_view ***ret_topics);

/* Gives back the exit status. */
int topics_describe(struct client *client, const struct topics_options *options);
