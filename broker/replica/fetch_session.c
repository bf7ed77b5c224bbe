/* Fetch sessions at work: what a request makes of its session, and what the session wants answered.
 * A session keeps its partitions in a list (the order in which they get their turn) and in a map by
 * topic and number. */
#include "broker/replica/fetch_session_internal.h"

#define INITIAL_EPOCH 0
#define FINAL_EPOCH   (-1) /* of a request: no session, and close the one it names */

/* --- partitions of a session --- */

static void session_put(struct fetch_session *session, const struct fetch_partition *from,
                        struct arena *arena)
{
    struct slice key = fetch_partition_key(arena, from->topic, from->topic_id, from->partition);
    struct cached_partition *cached = map_get(&session->by_key, key);
    if (!cached) {
        cached = mem_new(struct cached_partition);
        cached->topic = slice_dup(from->topic);
        cached->topic_id = from->topic_id;
        cached->partition = from->partition;
        cached->sent_high_watermark = -1;
        cached->sent_log_start_offset = -1;
        list_push_back(&session->partitions, &cached->node);
        map_put(&session->by_key, key, cached);
    }
    cached->fetch_offset = from->fetch_offset;
    cached->log_start_offset = from->log_start_offset;
    cached->max_bytes = from->max_bytes;
    cached->current_leader_epoch = from->current_leader_epoch;
    cached->last_fetched_epoch = from->last_fetched_epoch;
}

static void session_forget(struct fetch_session *session, struct slice topic, struct uuid topic_id,
                           int32_t partition, struct arena *arena)
{
    struct slice key = fetch_partition_key(arena, topic, topic_id, partition);
    struct cached_partition *cached = map_remove(&session->by_key, key);
    if (cached)
        cached_partition_free(cached);
}

/* The session's partitions in their order. */
static void list_partitions(struct fetch_session *session, struct arena *arena,
                            struct fetch_context *ret)
{
    ret->partitions = arena_new_array(arena, struct fetch_partition, session->by_key.count + 1);
    ret->partitions_count = 0;
    list_for_each (&session->partitions, node) {
        struct cached_partition *cached = list_entry(node, struct cached_partition, node);
        ret->partitions[ret->partitions_count++] = (struct fetch_partition){
            .topic =
                slice_str(cached->topic ? cached->topic
                                        : cached->name), /* lives as long as the session is ours */
            .topic_id = cached->topic_id,
            .partition = cached->partition,
            .fetch_offset = cached->fetch_offset,
            .log_start_offset = cached->log_start_offset,
            .max_bytes = cached->max_bytes,
            .current_leader_epoch = cached->current_leader_epoch,
            .last_fetched_epoch = cached->last_fetched_epoch,
            .sent_high_watermark = cached->sent_high_watermark,
            .sent_log_start_offset = cached->sent_log_start_offset,
            .cached = cached,
        };
    }
}

/* --- a request begins --- */

static void begin_full(struct fetch_sessions *sessions, const struct fetch_request *request,
                       int16_t api_version, bool is_follower, struct arena *arena,
                       struct fetch_context *ret)
{
    struct fetch_session *old = map_get(&sessions->by_id, MAP_KEY(request->session_id));
    if (request->session_id && old)
        fetch_session_remove(sessions, old);
    fetch_request_read(request, api_version, arena, ret);
    if (request->session_epoch == FINAL_EPOCH)
        return;
    struct fetch_session *session =
        fetch_session_make(sessions, is_follower, api_version >= 13, ret->partitions_count);
    if (!session)
        return;
    for (int32_t i = 0; i < ret->partitions_count; i++)
        session_put(session, &ret->partitions[i], arena);
    session->is_lent = true;
    ret->session = session;
    ret->session_id = session->id;
    list_partitions(session, arena, ret);
}

static enum err begin_incremental(struct fetch_sessions *sessions,
                                  const struct fetch_request *request, int16_t api_version,
                                  struct arena *arena, struct fetch_context *ret)
{
    struct fetch_session *session = map_get(&sessions->by_id, MAP_KEY(request->session_id));
    if (!session)
        return ERR_FETCH_SESSION_ID_NOT_FOUND;
    if (session->is_lent || session->next_epoch != request->session_epoch)
        return ERR_INVALID_FETCH_SESSION_EPOCH;
    if (session->uses_ids != (api_version >= 13))
        return ERR_FETCH_SESSION_TOPIC_ID_ERROR;
    struct fetch_context changes = {0};
    fetch_request_read(request, api_version, arena, &changes);
    for (int32_t i = 0; i < changes.partitions_count; i++)
        session_put(session, &changes.partitions[i], arena);
    for (int32_t t = 0; t < request->forgotten_topics_data_count; t++) {
        const struct fetch_request_forgotten_topic *topic = &request->forgotten_topics_data[t];
        for (int32_t i = 0; i < topic->partitions_count; i++)
            session_forget(session, session->uses_ids ? SLICE_NULL : topic->topic,
                           session->uses_ids ? topic->topic_id : UUID_ZERO, topic->partitions[i],
                           arena);
    }
    if (session->by_key.count == 0) {
        fetch_session_remove(sessions, session);
        ret->partitions = changes.partitions; /* those that it both names and forgets */
        ret->partitions_count = changes.partitions_count;
        return ERR_OK;
    }
    session->next_epoch = session->next_epoch == INT32_MAX ? 1 : session->next_epoch + 1;
    fetch_session_touch(sessions, session);
    session->is_lent = true;
    ret->session = session;
    ret->session_id = session->id;
    ret->is_incremental = true;
    list_partitions(session, arena, ret);
    return ERR_OK;
}

enum err fetch_sessions_begin(struct fetch_sessions *sessions, const struct fetch_request *request,
                              int16_t api_version, bool is_follower, struct arena *arena,
                              struct fetch_context *ret)
{
    *ret = (struct fetch_context){0};
    if (api_version < 7) {
        fetch_request_read(request, api_version, arena, ret);
        return ERR_OK;
    }
    /* The JVM broker's cache has 8 shards by id, and an id beyond them upsets it. */
    if (request->session_id / (INT32_MAX / 8) < 0 || request->session_id / (INT32_MAX / 8) >= 8)
        return err_note(ERR_UNKNOWN_SERVER_ERROR, "no fetch session can have the id %d",
                        request->session_id);
    LOCK_SCOPE(&sessions->lock);
    if (request->session_epoch == INITIAL_EPOCH || request->session_epoch == FINAL_EPOCH) {
        begin_full(sessions, request, api_version, is_follower, arena, ret);
        return ERR_OK;
    }
    return begin_incremental(sessions, request, api_version, arena, ret);
}

void fetch_session_remember_name(struct fetch_partition *partition, struct slice name)
{
    if (partition->cached && !partition->cached->name)
        partition->cached->name = slice_dup(name);
}

bool fetch_session_must_answer(struct fetch_context *context, struct fetch_partition *partition,
                               enum err error, int64_t high_watermark, int64_t log_start_offset,
                               bool has_records, bool has_news)
{
    struct cached_partition *cached = partition->cached;
    if (!cached)
        return true;
    assert(context->session && context->session->is_lent);
    bool must = error || has_records || has_news || cached->sent_high_watermark != high_watermark ||
                cached->sent_log_start_offset != log_start_offset;
    /* An error is told again with the recovery, so the watermark is forgotten. */
    cached->sent_high_watermark = error ? -1 : high_watermark;
    cached->sent_log_start_offset = error ? -1 : log_start_offset;
    if (has_records &&
        context->is_incremental) { /* to the end of the order: others get their turn */
        list_remove(&cached->node);
        list_push_back(&context->session->partitions, &cached->node);
    }
    return must || !context->is_incremental;
}

void fetch_session_end(struct fetch_sessions *sessions, struct fetch_context *context)
{
    struct fetch_session *session = context->session;
    if (!session)
        return;
    context->session = NULL;
    LOCK_SCOPE(&sessions->lock);
    session->is_lent = false;
    if (!session->is_doomed)
        return;
    list_remove(&session->node);
    fetch_session_free(session);
}
