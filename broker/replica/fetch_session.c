/* Fetch sessions at work: what a request makes of its session, and what the session wants answered.
 * A session keeps its partitions in a list (the order in which they get their turn) and in a map by
 * topic and number.
 *
 * Under the cache's lock a request only finds its session and borrows it; what it does to the
 * partitions of the session then is its own business. */
#include "broker/replica/fetch_session_internal.h"

#define INITIAL_EPOCH 0
#define FINAL_EPOCH   (-1) /* of a request: no session, and close the one it names */

/* --- partitions of a session --- */

static void to_the_end(struct fetch_session *session, struct fetch_partition *item)
{
    list_remove(&item->node);
    list_push_back(&session->partitions, &item->node);
    item->turn = session->next_turn++;
}

static struct fetch_partition *session_partition_new(struct fetch_session *session,
                                                     const struct fetch_partition *from)
{
    struct fetch_partition *item = mem_new(struct fetch_partition);
    item->own_topic = slice_dup(from->topic);
    item->topic = slice_str(item->own_topic);
    item->topic_id = from->topic_id;
    item->partition = from->partition;
    item->sent_high_watermark = -1;
    item->sent_log_start_offset = -1;
    item->watch = &session->watch;
    to_the_end(session, item);
    return item;
}

static void session_put(struct fetch_session *session, const struct fetch_partition *from,
                        struct arena *arena)
{
    struct slice key = fetch_partition_key(arena, from->topic, from->topic_id, from->partition);
    struct fetch_partition *item = map_get(&session->by_key, key);
    if (!item) {
        item = session_partition_new(session, from);
        map_put(&session->by_key, key, item);
    }
    item->fetch_offset = from->fetch_offset;
    item->log_start_offset = from->log_start_offset;
    item->max_bytes = from->max_bytes;
    item->current_leader_epoch = from->current_leader_epoch;
    item->last_fetched_epoch = from->last_fetched_epoch;
    fetch_watch_add(&session->watch, item);
}

static void session_forget(struct fetch_session *session, struct slice topic, struct uuid topic_id,
                           int32_t partition, struct arena *arena)
{
    struct slice key = fetch_partition_key(arena, topic, topic_id, partition);
    struct fetch_partition *item = map_remove(&session->by_key, key);
    if (item)
        session_partition_free(session, item);
}

/* --- a request begins --- */

static void lend(struct fetch_session *session, struct fetch_context *ret)
{
    session->is_lent = true;
    ret->session = session;
    ret->session_id = session->id;
    ret->watch = &session->watch;
}

static void begin_alone(struct arena *arena, bool is_follower, struct fetch_context *ret)
{
    ret->watch = arena_alloc(arena, sizeof *ret->watch);
    fetch_watch_init(ret->watch, is_follower);
    ret->watch->taken = arena_new_array(arena, struct fetch_partition *, ret->request_count + 1);
    ret->watch->taken_capacity = (size_t)ret->request_count + 1; /* never more */
    for (int32_t i = 0; i < ret->request_count; i++) {
        ret->request[i].watch = ret->watch;
        ret->request[i].turn = (uint64_t)i;
        fetch_watch_add(ret->watch, &ret->request[i]);
    }
}

static void begin_full(struct fetch_sessions *sessions, const struct fetch_request *request,
                       struct fetch_reader reader, struct arena *arena, struct fetch_context *ret)
{
    struct list_node gone;
    list_init(&gone);
    fetch_request_read(request, reader.api_version, arena, ret);
    lock_acquire(&sessions->lock);
    struct fetch_session *old = map_get(&sessions->by_id, MAP_KEY(request->session_id));
    if (request->session_id && old)
        fetch_session_remove(sessions, old, &gone);
    struct fetch_session *session = NULL;
    if (request->session_epoch != FINAL_EPOCH)
        session = fetch_session_make(sessions, reader.replica_id >= 0, reader.api_version >= 13,
                                     ret->request_count, &gone);
    if (session)
        lend(session, ret);
    lock_release(&sessions->lock);
    fetch_sessions_bury(&gone);
    if (!session) {
        begin_alone(arena, reader.replica_id >= 0, ret);
        return;
    }
    session->reader = reader;
    for (int32_t i = 0; i < ret->request_count; i++)
        session_put(session, &ret->request[i], arena);
}

/* Borrow the session that the request may go on with. */
static enum err find_session(struct fetch_sessions *sessions, const struct fetch_request *request,
                             struct fetch_reader reader, struct fetch_context *ret)
{
    LOCK_SCOPE(&sessions->lock);
    struct fetch_session *session = map_get(&sessions->by_id, MAP_KEY(request->session_id));
    if (!session)
        return ERR_FETCH_SESSION_ID_NOT_FOUND;
    if (session->is_lent || session->next_epoch != request->session_epoch)
        return ERR_INVALID_FETCH_SESSION_EPOCH;
    if (session->uses_ids != (reader.api_version >= 13))
        return ERR_FETCH_SESSION_TOPIC_ID_ERROR;
    session->next_epoch = session->next_epoch == INT32_MAX ? 1 : session->next_epoch + 1;
    fetch_session_touch(sessions, session);
    lend(session, ret);
    return ERR_OK;
}

static void take_changes(struct fetch_session *session, const struct fetch_request *request,
                         struct arena *arena, const struct fetch_context *named)
{
    for (int32_t i = 0; i < named->request_count; i++)
        session_put(session, &named->request[i], arena);
    for (int32_t t = 0; t < request->forgotten_topics_data_count; t++) {
        const struct fetch_request_forgotten_topic *topic = &request->forgotten_topics_data[t];
        for (int32_t i = 0; i < topic->partitions_count; i++)
            session_forget(session, session->uses_ids ? SLICE_NULL : topic->topic,
                           session->uses_ids ? topic->topic_id : UUID_ZERO, topic->partitions[i],
                           arena);
    }
}

static bool is_same_reader(struct fetch_reader a, struct fetch_reader b)
{
    return a.replica_id == b.replica_id && a.api_version == b.api_version &&
           a.isolation_level == b.isolation_level;
}

/* Nothing is left in the session: it goes, and the answer is one without. */
static void close_empty(struct fetch_sessions *sessions, bool is_follower, struct arena *arena,
                        struct fetch_context *ret)
{
    struct list_node gone;
    list_init(&gone);
    struct fetch_session *session = ret->session;
    lock_acquire(&sessions->lock);
    session->is_lent = false;
    if (session->is_doomed) { /* it had to give way meanwhile */
        list_remove(&session->node);
        list_push_back(&gone, &session->node);
    } else {
        fetch_session_remove(sessions, session, &gone);
    }
    lock_release(&sessions->lock);
    fetch_sessions_bury(&gone);
    ret->session = NULL;
    ret->session_id = 0;
    begin_alone(arena, is_follower, ret); /* those that the request both names and forgets */
}

static enum err begin_incremental(struct fetch_sessions *sessions,
                                  const struct fetch_request *request, struct fetch_reader reader,
                                  struct arena *arena, struct fetch_context *ret)
{
    enum err e = find_session(sessions, request, reader, ret);
    if (e)
        return e;
    struct fetch_session *session = ret->session;
    if (session->beat) /* before the look at what is due: what rests has been fetched by this */
        follower_beat_fetched(session->beat, clock_mono_ms(sessions->clock));
    fetch_request_read(request, reader.api_version, arena, ret);
    take_changes(session, request, arena, ret);
    atomic_store(&session->size, (int32_t)session->by_key.count);
    if (session->by_key.count == 0) {
        close_empty(sessions, reader.replica_id >= 0, arena, ret);
        return ERR_OK;
    }
    ret->is_incremental = true;
    if (!is_same_reader(session->reader, reader)) {
        session->reader = reader;
        fetch_watch_set_reader(&session->watch, reader.replica_id >= 0);
        fetch_context_add_all(ret);
    }
    return ERR_OK;
}

enum err fetch_sessions_begin(struct fetch_sessions *sessions, const struct fetch_request *request,
                              int16_t api_version, struct arena *arena, struct fetch_context *ret)
{
    struct fetch_reader reader = {.replica_id = fetch_request_replica_id(request, api_version),
                                  .api_version = api_version,
                                  .isolation_level = request->isolation_level};
    *ret = (struct fetch_context){.sessions = sessions};
    if (api_version < 7) {
        fetch_request_read(request, api_version, arena, ret);
        begin_alone(arena, reader.replica_id >= 0, ret);
        return ERR_OK;
    }
    /* The JVM broker's cache has 8 shards by id, and an id beyond them upsets it. */
    if (request->session_id / (INT32_MAX / 8) < 0 || request->session_id / (INT32_MAX / 8) >= 8)
        return err_note(ERR_UNKNOWN_SERVER_ERROR, "no fetch session can have the id %d",
                        request->session_id);
    if (request->session_epoch == INITIAL_EPOCH || request->session_epoch == FINAL_EPOCH) {
        begin_full(sessions, request, reader, arena, ret);
        return ERR_OK;
    }
    return begin_incremental(sessions, request, reader, arena, ret);
}

/* --- at work --- */

void fetch_context_add_all(struct fetch_context *context)
{
    if (!context->session) {
        for (int32_t i = 0; i < context->request_count; i++)
            fetch_watch_add(context->watch, &context->request[i]);
        return;
    }
    list_for_each (&context->session->partitions, node)
        fetch_watch_add(context->watch, list_entry(node, struct fetch_partition, node));
}

void fetch_context_take(struct fetch_context *context)
{
    fetch_watch_take(context->watch);
    context->partitions = context->watch->taken;
    context->partitions_count = (int32_t)context->watch->taken_count;
    atomic_fetch_add(&context->sessions->looks, context->partitions_count);
}

void fetch_context_keep(struct fetch_context *context, struct fetch_partition *partition)
{
    fetch_watch_add(context->watch, partition);
}

void fetch_context_rest(struct fetch_context *context, struct fetch_partition *partition,
                        int32_t leader_epoch)
{
    const struct fetch_session *session = context->session;
    bool is_followers = session && session->reader.replica_id >= 0;
    if (is_followers &&
        !partition_follower_rests(partition->at, leader_epoch, session->reader.replica_id,
                                  partition->fetch_offset, session->beat))
        fetch_context_keep(context, partition);
}

void fetch_context_remember_name(const struct fetch_context *context,
                                 struct fetch_partition *partition, struct slice name)
{
    if (!context->session) {
        partition->topic = name;
        return;
    }
    partition->own_topic = slice_dup(name);
    partition->topic = slice_str(partition->own_topic);
}

bool fetch_session_must_answer(struct fetch_context *context, struct fetch_partition *partition,
                               enum err error, int64_t high_watermark, int64_t log_start_offset,
                               bool has_records, bool has_news)
{
    if (!context->session)
        return true;
    assert(context->session->is_lent);
    bool must = error || has_records || has_news ||
                partition->sent_high_watermark != high_watermark ||
                partition->sent_log_start_offset != log_start_offset;
    /* An error is told again with the recovery, so the watermark is forgotten. */
    partition->sent_high_watermark = error ? -1 : high_watermark;
    partition->sent_log_start_offset = error ? -1 : log_start_offset;
    if (has_records && context->is_incremental) /* others get their turn */
        to_the_end(context->session, partition);
    return must || !context->is_incremental;
}

/* --- the end --- */

static void end_alone(struct fetch_context *context)
{
    for (int32_t i = 0; i < context->request_count; i++)
        fetch_partition_lost(&context->request[i]);
    context->watch->taken = NULL; /* the request's */
    fetch_watch_done(TAKE(context->watch));
}

void fetch_session_end(struct fetch_context *context)
{
    struct fetch_session *session = TAKE(context->session);
    if (!session) {
        end_alone(context);
        return;
    }
    lock_acquire(&context->sessions->lock);
    session->is_lent = false;
    bool is_over = session->is_doomed;
    if (is_over)
        list_remove(&session->node);
    lock_release(&context->sessions->lock);
    if (is_over)
        fetch_session_free(session);
}
