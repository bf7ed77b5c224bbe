/* The cluster's single nodes: /controller, /controller_epoch, /cluster/id, /feature,
 * /latest_producer_id_block. */
#include <inttypes.h>

#include "coordinator/zk/znode_json.h"

/* ---- {"version":2,"brokerid":1,"timestamp":"1700000000000","kraftControllerEpoch":-1} ---- */

struct slice znode_controller_encode(struct arena *arena, int32_t broker_id, int64_t timestamp_ms)
{
    return slice_str(arena_printf(arena,
                                  "{\"version\":2,\"brokerid\":%" PRId32 ",\"timestamp\":\"%" PRId64
                                  "\",\"kraftControllerEpoch\":-1}",
                                  broker_id, timestamp_ms));
}

enum err znode_controller_decode(struct slice text, struct znode_controller *ret_controller)
{
    struct znode_controller controller = {.timestamp_ms = -1, .kraft_controller_epoch = -1};
    OWNED(json_t) json_t *json = NULL;
    enum err e = znode_json_parse(text, &json);
    if (!e)
        e = znode_json_int32(json, "brokerid", &controller.broker_id);
    if (!e && json_object_get(json, "kraftControllerEpoch"))
        e = znode_json_int32(json, "kraftControllerEpoch", &controller.kraft_controller_epoch);
    if (e)
        return err_wrap(e, "/controller '%.*s'", SLICE_ARG(text));
    if (znode_json_int64_text(json, "timestamp", &controller.timestamp_ms))
        controller.timestamp_ms = -1; /* nobody needs it */
    *ret_controller = controller;
    return ERR_OK;
}

/* ---- Decimal text ---- */

struct slice znode_controller_epoch_encode(struct arena *arena, int32_t controller_epoch)
{
    return slice_str(arena_printf(arena, "%" PRId32, controller_epoch));
}

enum err znode_controller_epoch_decode(struct slice text, int32_t *ret_controller_epoch)
{
    int64_t value;
    if (slice_is_null(text) || !slice_to_int64(text, &value) || value < 0 || value > INT32_MAX)
        return err_note(ERR_MALFORMED, "/controller_epoch '%.*s' is not an epoch", SLICE_ARG(text));
    *ret_controller_epoch = (int32_t)value;
    return ERR_OK;
}

/* ---- {"version":"1","id":"Rk9PQkFSMTIzNDU2Nzg5MA"} ---- */

struct slice znode_cluster_id_encode(struct arena *arena, struct slice id)
{
    OWNED(json_t) json_t *json = json_object();
    json_object_set_new(json, "version", json_string("1"));
    json_object_set_new(json, "id", znode_json_from_slice(id));
    return znode_json_dump(arena, json);
}

enum err znode_cluster_id_decode(struct arena *arena, struct slice text, struct slice *ret_id)
{
    OWNED(json_t) json_t *json = NULL;
    enum err e = znode_json_parse(text, &json);
    if (!e)
        e = znode_json_string(arena, json, "id", ret_id);
    return e ? err_wrap(e, "/cluster/id '%.*s'", SLICE_ARG(text)) : ERR_OK;
}

/* ---- {"version":1,"broker":1,"block_start":"0","block_end":"999"} ---- */

struct slice znode_producer_id_block_encode(struct arena *arena,
                                            const struct znode_producer_id_block *block)
{
    return slice_str(arena_printf(arena,
                                  "{\"version\":1,\"broker\":%" PRId32 ",\"block_start\":\"%" PRId64
                                  "\",\"block_end\":\"%" PRId64 "\"}",
                                  block->broker_id, block->first, block->last));
}

enum err znode_producer_id_block_decode(struct slice text,
                                        struct znode_producer_id_block *ret_block)
{
    struct znode_producer_id_block block = {0};
    OWNED(json_t) json_t *json = NULL;
    enum err e = znode_json_parse(text, &json);
    if (!e)
        e = znode_json_int32(json, "broker", &block.broker_id);
    if (!e)
        e = znode_json_int64_text(json, "block_start", &block.first);
    if (!e)
        e = znode_json_int64_text(json, "block_end", &block.last);
    if (!e && (block.first < 0 || block.last < block.first))
        e = err_note(ERR_MALFORMED, "the block is empty");
    if (e)
        return err_wrap(e, "/latest_producer_id_block '%.*s'", SLICE_ARG(text));
    *ret_block = block;
    return ERR_OK;
}

/* ---- {"features":{},"version":2,"status":1}, before 3.3 with version 1 and min_version_level ----
 */

struct slice znode_features_encode(struct arena *arena, int32_t json_version,
                                   const struct znode_features *features)
{
    OWNED(json_t) json_t *json = json_object();
    json_t *object = json_object();
    for (int32_t i = 0; i < features->count; i++) {
        const struct znode_feature *f = &features->features[i];
        json_t *levels = json_object();
        if (json_version < 2)
            znode_json_put_int(levels, "min_version_level", f->min_version);
        znode_json_put_int(levels, "max_version_level", f->max_version);
        json_object_setn_new(object, (const char *)f->name.data, f->name.size, levels);
    }
    json_object_set_new(json, "features", object);
    znode_json_put_int(json, "version", json_version);
    znode_json_put_int(json, "status", features->enabled ? 1 : 0);
    return znode_json_dump(arena, json);
}

static enum err feature_parse(struct arena *arena, const char *name, const json_t *levels,
                              int32_t version, struct znode_feature *ret_feature)
{
    struct znode_feature f = {.min_version = 1};
    f.name = slice_str(arena_strdup(arena, slice_str(name)));
    enum err e = znode_json_int16(levels, "max_version_level", &f.max_version);
    if (!e && version < 2)
        e = znode_json_int16(levels, "min_version_level", &f.min_version);
    if (!e && (f.min_version < 1 || f.max_version < f.min_version))
        e = err_note(ERR_MALFORMED, "levels must be 1 or more");
    if (!e)
        *ret_feature = f;
    return e ? err_wrap(e, "feature %s", name) : ERR_OK;
}

enum err znode_features_decode(struct arena *arena, struct slice text,
                               struct znode_features *ret_features)
{
    struct znode_features features = {0};
    OWNED(json_t) json_t *json = NULL;
    int32_t version = 0, status = 0;
    enum err e = znode_json_parse(text, &json);
    if (!e)
        e = znode_json_int32(json, "version", &version);
    if (!e && (version < 1 || version > 2))
        e = err_note(ERR_MALFORMED, "version %" PRId32 " is not supported", version);
    if (!e)
        e = znode_json_int32(json, "status", &status);
    if (!e && (status < 0 || status > 1))
        e = err_note(ERR_MALFORMED, "status %" PRId32 " is not known", status);
    json_t *object = e ? NULL : json_object_get(json, "features");
    if (!e && !json_is_object(object))
        e = err_note(ERR_MALFORMED, "'features' is missing");
    size_t count = e ? 0 : json_object_size(object);
    features.features = arena_new_array(arena, struct znode_feature, count ? count : 1);
    const char *name;
    json_t *levels;
    json_object_foreach(object, name, levels)
    {
        if (!e)
            e = feature_parse(arena, name, levels, version, &features.features[features.count++]);
    }
    if (e)
        return err_wrap(e, "/feature '%.*s'", SLICE_ARG(text));
    features.enabled = status == 1;
    *ret_features = features;
    return ERR_OK;
}
