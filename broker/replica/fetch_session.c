/* The cache of fetch sessions. A session keeps its partitions in a list (the order in which they
 * get their turn) and in a map by topic and number. The cache keeps sessions by id, and in a list
 * by last use, the oldest first. */
#include "broker/replica/fetch_session.h"

#include <sys/random.h>

#include "broker/base/list.h"
#include "broker/base/map.h"
#include "broker/base/thread.h"

#define INITIAL_EPOCH      0
#define FINAL_EPOCH        (-1) /* of a request: no session, and close the one it names */
#define EVICTABLE_AFTER_MS 120000

struct cached_partition {
    struct list_node node; /* in the session's order */
    char *topic;           /* NULL when it was asked by id */
    char *name;            /* of a topic asked by id, once it was found */
    struct uuid topic_id;
    int32_t partition;
    int64_t fetch_offset, log_start_offset;
    int32_t max_bytes, current_leader_epoch, last_fetched_epoch;
    int64_t sent_high_watermark, sent_log_start_offset;
};

struct fetch_session {
    struct list_node node; /* in the cache, by last use */
    int32_t id, next_epoch;
    bool is_follower, uses_ids, is_lent, is_doomed; /* doomed: freed when given back */
    int64_t created_ms, used_ms;
    struct map by_key;
    struct list_node partitions;
};

struct fetch_sessions {
    struct clock *clock;
    int32_t slots;

    struct lock lock; /* RANK_LEAF; guards the cache and every session not lent */
    struct map by_id;
    struct list_node by_use;
};

struct fetch_sessions *fetch_sessions_new(int32_t slots, struct clock *clock)
{
    struct fetch_sessions *sessions = mem_new(struct fetch_sessions);
    sessions->clock = clock;
    sessions->slots = slots;
    lock_init(&sessions->lock, RANK_LEAF, "fetch sessions");
    list_init(&sessions->by_use);
    return sessions;
}

static void cached_partition_free(struct cached_partition *cached)
{
    list_remove(&cached->node);
    free(cached->topic);
    free(cached->name);
    free(cached);
}

static void session_free(struct fetch_session *session)
{
    list_for_each (&session->partitions, node)
        cached_partition_free(list_entry(node, struct cached_partition, node));
    map_done(&session->by_key);
    free(session);
}

void fetch_sessions_free(struct fetch_sessions *sessions)
{
    if (!sessions)
        return;
    list_for_each (&sessions->by_use, node)
        session_free(list_entry(node, struct fetch_session, node));
    map_done(&sessions->by_id);
    lock_done(&sessions->lock);
    free(sessions);
}

int32_t fetch_sessions_count(struct fetch_sessions *sessions)
{
    LOCK_SCOPE(&sessions->lock);
    return (int32_t)sessions->by_id.count;
}

/* Out of the cache; freed now, or when the request that holds it gives it back. */
static void session_remove(struct fetch_sessions *sessions, struct fetch_session *session)
{
    map_remove(&sessions->by_id, MAP_KEY(session->id));
    list_remove(&session->node);
    if (session->is_lent)
        session->is_doomed = true;
    else
        session_free(session);
}

/* --- partitions of a session --- */

#define KEY_MAX (16 + 4 + 256)

static size_t partition_key(uint8_t key[static KEY_MAX], struct slice topic, struct uuid topic_id,
                            int32_t partition)
{
    memcpy(key, &topic_id, sizeof topic_id);
    memcpy(key + 16, &partition, sizeof partition);
    size_t size = topic.size < 256 ? topic.size : 256;
    if (size)
        memcpy(key + 20, topic.data, size);
    return 20 + size;
}

static void session_put(struct fetch_session *session, const struct fetch_partition *from)
{
    uint8_t key[KEY_MAX];
    size_t size = partition_key(key, from->topic, from->topic_id, from->partition);
    struct cached_partition *cached = map_get(&session->by_key, slice_of(key, size));
    if (!cached) {
        cached = mem_new(struct cached_partition);
        cached->topic = slice_dup(from->topic);
        cached->topic_id = from->topic_id;
        cached->partition = from->partition;
        cached->sent_high_watermark = -1;
        cached->sent_log_start_offset = -1;
        list_push_back(&session->partitions, &cached->node);
        map_put(&session->by_key, slice_of(key, size), cached);
    }
    cached->fetch_offset = from->fetch_offset;
    cached->log_start_offset = from->log_start_offset;
    cached->max_bytes = from->max_bytes;
    cached->current_leader_epoch = from->current_leader_epoch;
    cached->last_fetched_epoch = from->last_fetched_epoch;
}

static void session_forget(struct fetch_session *session, struct slice topic, struct uuid topic_id,
                           int32_t partition)
{
    uint8_t key[KEY_MAX];
    size_t size = partition_key(key, topic, topic_id, partition);
    struct cached_partition *cached = map_remove(&session->by_key, slice_of(key, size));
    if (cached)
        cached_partition_free(cached);
}

/* --- reading the request --- */

static int32_t count_partitions(const struct fetch_request *request)
{
    int32_t count = 0;
    for (int32_t t = 0; t < request->topics_count; t++)
        count += request->topics[t].partitions_count > 0 ? request->topics[t].partitions_count : 0;
    return count;
}

static struct fetch_partition partition_from(const struct fetch_request_fetch_topic *topic,
                                             const struct fetch_request_fetch_partition *from,
                                             int16_t api_version)
{
    return (struct fetch_partition){
        .topic = api_version >= 13 ? SLICE_NULL : topic->topic,
        .topic_id = api_version >= 13 ? topic->topic_id : UUID_ZERO,
        .partition = from->partition,
        .fetch_offset = from->fetch_offset,
        .log_start_offset = from->log_start_offset,
        .max_bytes = from->partition_max_bytes,
        .current_leader_epoch = from->current_leader_epoch,
        .last_fetched_epoch = from->last_fetched_epoch,
        .sent_high_watermark = -1,
        .sent_log_start_offset = -1,
    };
}

#define FEW_PARTITIONS 8 /* up to this many are searched one by one for one named twice */

static bool is_same(const struct fetch_partition *a, const struct fetch_partition *b)
{
    return a->partition == b->partition && slice_equal(a->topic, b->topic) &&
           uuid_equal(a->topic_id, b->topic_id);
}

/* Where the partition stands already, or the next free place. */
static struct fetch_partition *place_for(struct fetch_context *context, struct map *seen,
                                         const struct fetch_partition *partition)
{
    struct fetch_partition *next = &context->partitions[context->partitions_count];
    if (context->partitions_count < FEW_PARTITIONS) {
        for (int32_t i = 0; i < context->partitions_count; i++)
            if (is_same(&context->partitions[i], partition))
                return &context->partitions[i];
        return next;
    }
    uint8_t key[KEY_MAX];
    struct slice whole = slice_of(
        key, partition_key(key, partition->topic, partition->topic_id, partition->partition));
    if (seen->count == 0)
        for (int32_t i = 0; i < context->partitions_count; i++) {
            uint8_t other[KEY_MAX];
            struct fetch_partition *p = &context->partitions[i];
            map_put(seen,
                    slice_of(other, partition_key(other, p->topic, p->topic_id, p->partition)), p);
        }
    struct fetch_partition *known = map_get(seen, whole);
    if (!known)
        map_put(seen, whole, next);
    return known ? known : next;
}

/* A partition may be named twice: the last one counts, in the place of the first. */
static void read_partitions(const struct fetch_request *request, int16_t api_version,
                            struct arena *arena, struct fetch_context *ret)
{
    struct map seen = {0};
    ret->partitions =
        arena_new_array(arena, struct fetch_partition, (size_t)count_partitions(request) + 1);
    ret->partitions_count = 0;
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct fetch_request_fetch_topic *topic = &request->topics[t];
        for (int32_t i = 0; i < topic->partitions_count; i++) {
            struct fetch_partition partition =
                partition_from(topic, &topic->partitions[i], api_version);
            struct fetch_partition *place = place_for(ret, &seen, &partition);
            *place = partition;
            if (place == &ret->partitions[ret->partitions_count])
                ret->partitions_count++;
        }
    }
    map_done(&seen);
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

/* --- making and finding sessions --- */

/* Whether `candidate` may go to make room for a newcomer of this kind and size (§11's order of
 * worth). */
static bool may_evict(const struct fetch_session *candidate, bool is_follower, int32_t size,
                      int64_t now_ms)
{
    if (candidate->is_lent)
        return false;
    if (now_ms - candidate->used_ms > EVICTABLE_AFTER_MS)
        return true;
    bool is_old = now_ms - candidate->created_ms > EVICTABLE_AFTER_MS;
    if (is_follower ? candidate->is_follower && !is_old : !is_old)
        return false;
    bool privileged = candidate->is_follower && !is_old;
    bool newcomer_privileged = is_follower;
    if (privileged != newcomer_privileged)
        return newcomer_privileged;
    return (int32_t)candidate->by_key.count <= size;
}

static bool make_room(struct fetch_sessions *sessions, bool is_follower, int32_t size,
                      int64_t now_ms)
{
    if ((int32_t)sessions->by_id.count < sessions->slots)
        return true;
    struct fetch_session *least = NULL;
    list_for_each (&sessions->by_use, node) {
        struct fetch_session *candidate = list_entry(node, struct fetch_session, node);
        if (!may_evict(candidate, is_follower, size, now_ms))
            continue;
        if (now_ms - candidate->used_ms > EVICTABLE_AFTER_MS) {
            least = candidate;
            break;
        }
        if (!least || candidate->by_key.count < least->by_key.count)
            least = candidate;
    }
    if (!least)
        return false;
    session_remove(sessions, least);
    return true;
}

static int32_t random_id(struct fetch_sessions *sessions)
{
    for (;;) {
        int32_t id = 0;
        if (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id)
            abort(); /* never short for so few bytes */
        id &= INT32_MAX;
        if (id && !map_get(&sessions->by_id, MAP_KEY(id)))
            return id;
    }
}

static struct fetch_session *session_new(struct fetch_sessions *sessions, bool is_follower,
                                         bool uses_ids)
{
    struct fetch_session *session = mem_new(struct fetch_session);
    session->id = random_id(sessions);
    session->next_epoch = 1;
    session->is_follower = is_follower;
    session->uses_ids = uses_ids;
    session->created_ms = session->used_ms = clock_mono_ms(sessions->clock);
    list_init(&session->partitions);
    map_put(&sessions->by_id, MAP_KEY(session->id), session);
    list_push_back(&sessions->by_use, &session->node);
    return session;
}

static void begin_full(struct fetch_sessions *sessions, const struct fetch_request *request,
                       int16_t api_version, bool is_follower, struct arena *arena,
                       struct fetch_context *ret)
{
    struct fetch_session *old = map_get(&sessions->by_id, MAP_KEY(request->session_id));
    if (request->session_id && old)
        session_remove(sessions, old);
    read_partitions(request, api_version, arena, ret);
    if (request->session_epoch == FINAL_EPOCH)
        return;
    if (!make_room(sessions, is_follower, ret->partitions_count, clock_mono_ms(sessions->clock)))
        return;
    struct fetch_session *session = session_new(sessions, is_follower, api_version >= 13);
    for (int32_t i = 0; i < ret->partitions_count; i++)
        session_put(session, &ret->partitions[i]);
    session->is_lent = true;
    ret->session = session;
    ret->session_id = session->id;
    list_partitions(session, arena, ret); /* a partition named twice: the last counts */
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
    read_partitions(request, api_version, arena, &changes);
    for (int32_t i = 0; i < changes.partitions_count; i++)
        session_put(session, &changes.partitions[i]);
    for (int32_t t = 0; t < request->forgotten_topics_data_count; t++) {
        const struct fetch_request_forgotten_topic *topic = &request->forgotten_topics_data[t];
        for (int32_t i = 0; i < topic->partitions_count; i++)
            session_forget(session, session->uses_ids ? SLICE_NULL : topic->topic,
                           session->uses_ids ? topic->topic_id : UUID_ZERO, topic->partitions[i]);
    }
    if (session->by_key.count == 0) {
        session_remove(sessions, session);
        return ERR_OK;
    }
    session->next_epoch = session->next_epoch == INT32_MAX ? 1 : session->next_epoch + 1;
    session->used_ms = clock_mono_ms(sessions->clock);
    list_remove(&session->node);
    list_push_back(&sessions->by_use, &session->node);
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
        read_partitions(request, api_version, arena, ret);
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
    if (session->is_doomed)
        session_free(session);
}
