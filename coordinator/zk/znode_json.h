/* The few things that every znode's codec asks of jansson, with Kafka's strictness: a number must
 * be a JSON integer that fits, a string must be a string. For files of this folder. */
#pragma once

#include <jansson.h>

#include "coordinator/zk/znode.h"

static inline void json_t_free(json_t *json)
{
    json_decref(json);
}
DEFINE_OWNED(json_t)

/* An object, or ERR_MALFORMED. */
MUST_USE enum err znode_json_parse(struct slice text, json_t **ret_json);
/* The object in `text`, or a fresh one where there is none: for _update(). */
json_t *znode_json_edit(struct slice text);
/* Compact text in the arena. */
struct slice znode_json_dump(struct arena *arena, const json_t *json);

MUST_USE enum err znode_json_int32(const json_t *json, const char *key, int32_t *ret_value);
MUST_USE enum err znode_json_int16(const json_t *json, const char *key, int16_t *ret_value);
/* A string of decimal digits, as Kafka writes timestamps and producer ids. */
MUST_USE enum err znode_json_int64_text(const json_t *json, const char *key, int64_t *ret_value);
MUST_USE enum err znode_json_string(struct arena *arena, const json_t *json, const char *key,
                                    struct slice *ret_value);
MUST_USE enum err znode_json_ids(struct arena *arena, const json_t *array,
                                 struct znode_replicas *ret_ids);
json_t *znode_json_from_ids(const struct znode_replicas *ids);
json_t *znode_json_from_slice(struct slice s); /* JSON null for null */
json_t *znode_json_from_int64_text(int64_t value);
void znode_json_put_int(json_t *json, const char *key, int64_t value);
