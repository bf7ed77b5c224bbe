/* The requests to one leader: one at a time, questions first, else a Fetch. The session remembers
 * at the leader what is followed, so a Fetch names only what has changed since the last one. */
#include "broker/replica/fetcher_internal.h"

#include "broker/base/trace.h"
#include "wire/api_key.h"

#define READ_UNCOMMITTED_LEVEL 0

struct followed *fetch_source_find(struct fetch_source *source, struct slice topic,
                                   struct uuid topic_id, int32_t id)
{
    char key[FOLLOWED_KEY_MAX];
    bool by_id = !uuid_is_zero(topic_id);
    size_t size =
        by_id ? followed_key_by_id(key, topic_id, id) : followed_key_by_name(key, topic, id);
    return map_get(by_id ? &source->by_id : &source->by_name, slice_of(key, size));
}

/* --- the session --- */

static void forgotten_free(struct forgotten *forgotten)
{
    if (!forgotten)
        return;
    free(forgotten->topic);
    free(forgotten);
}

/* As the session knows it: where names count, a topic that was made anew is the same to the leader,
 * and forgetting the old one would end the replication of the new. */
static size_t forgotten_key(char key[static FOLLOWED_KEY_MAX], const struct followed *followed)
{
    return followed->source->session_uses_ids
               ? followed_key_by_id(key, followed->topic_id, followed->id)
               : followed_key_by_name(key, followed->topic, followed->id);
}

void fetch_source_forget(struct followed *followed)
{
    if (!followed->in_session)
        return;
    followed->in_session = false;
    struct forgotten *forgotten = mem_new(struct forgotten);
    forgotten->topic = slice_dup(followed->topic);
    forgotten->topic_id = followed->topic_id;
    forgotten->id = followed->id;
    char key[FOLLOWED_KEY_MAX];
    size_t size = forgotten_key(key, followed);
    forgotten_free(map_put(&followed->source->forgotten, slice_of(key, size), forgotten));
}

static void clear_forgotten(struct fetch_source *source)
{
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&source->forgotten, &i));)
        forgotten_free(e->value);
    map_done(&source->forgotten);
    source->forgotten = (struct map){0};
}

/* The next request begins a session anew; all that is fetched is told again. */
void fetch_source_reset_session(struct fetch_source *source)
{
    source->session_epoch = 0;
    clear_forgotten(source);
    list_for_each (&source->followed, node) {
        struct followed *followed = list_entry(node, struct followed, node);
        followed->in_session = false;
        if (followed->state == FOLLOW_FETCHING && !timer_is_set(&followed->delay))
            followed_requeue(followed);
    }
}

/* --- sending --- */

static void backoff_is_over(struct timer *timer)
{
    fetch_source_run(CONTAINER_OF(timer, struct fetch_source, backoff));
}

void fetch_source_back_off(struct fetch_source *source)
{
    struct fetcher *fetcher = source->fetcher;
    source->backoff.fire = backoff_is_over;
    timer_set(&fetcher->timers, &source->backoff,
              clock_mono_ms(fetcher->clock) + fetcher->settings.backoff_ms);
}

bool fetch_source_send(struct fetch_source *source, int16_t api_key, int16_t version,
                       const void *request, fetcher_answered_fn *answered)
{
    const struct fetcher_leaders *leaders = &source->fetcher->leaders;
    enum err e = leaders->send(leaders->context, source->leader_id, api_key, version, request,
                               answered, source);
    if (e) {
        trace_debug("leader not reached leader=%d api=%d: %s", source->leader_id, api_key,
                    err_sentence(e));
        fetch_source_back_off(source);
        return false;
    }
    source->is_in_flight = true;
    return true;
}

/* --- the Fetch request --- */

static bool same_topic(const struct fetch_request_fetch_topic *topic,
                       const struct followed *followed)
{
    return slice_equal(topic->topic, followed->topic) &&
           uuid_equal(topic->topic_id, followed->topic_id);
}

/* The topic entry for the next partition: the last one if it is of the same topic. `partitions` is
 * the next free place of one array for all. */
static struct fetch_request_fetch_topic *topic_for(struct fetch_request *request,
                                                   const struct followed *followed,
                                                   struct fetch_request_fetch_partition *partitions)
{
    struct fetch_request_fetch_topic *last =
        request->topics_count ? &request->topics[request->topics_count - 1] : NULL;
    if (last && same_topic(last, followed))
        return last;
    struct fetch_request_fetch_topic *topic = &request->topics[request->topics_count++];
    fetch_request_fetch_topic_init(topic);
    topic->topic = followed->topic;
    topic->topic_id = followed->topic_id;
    topic->partitions = partitions;
    return topic;
}

static bool describe(struct followed *followed, struct fetch_request_fetch_partition *ret)
{
    struct follower_position position;
    if (partition_follower_position(followed->partition, followed->leader_epoch, &position))
        return false;
    const struct fetcher_settings *settings = &followed->source->fetcher->settings;
    fetch_request_fetch_partition_init(ret);
    ret->partition = followed->id;
    ret->current_leader_epoch = followed->leader_epoch;
    ret->fetch_offset = position.fetch_offset;
    ret->last_fetched_epoch = settings->truncates_on_fetch ? position.last_fetched_epoch : -1;
    ret->log_start_offset = position.log_start_offset;
    ret->partition_max_bytes = settings->max_bytes;
    followed->sent_offset = position.fetch_offset;
    followed->sent_leader_epoch = followed->leader_epoch;
    return true;
}

static void cancel_forgetting(struct followed *followed)
{
    char key[FOLLOWED_KEY_MAX];
    size_t size = forgotten_key(key, followed);
    forgotten_free(map_remove(&followed->source->forgotten, slice_of(key, size)));
}

static size_t count_changed(const struct fetch_source *source)
{
    size_t count = 0;
    list_for_each (&source->changed, node)
        count++;
    return count;
}

/* What it costs is what has changed, not what is followed. */
static void list_changed(struct fetch_source *source, struct fetch_request *request)
{
    struct arena *arena = source->fetcher->arena;
    size_t count = count_changed(source);
    request->topics = arena_new_array(arena, struct fetch_request_fetch_topic, count + 1);
    struct fetch_request_fetch_partition *partitions =
        arena_new_array(arena, struct fetch_request_fetch_partition, count + 1);
    for (struct list_node *node; (node = list_pop_front(&source->changed));) {
        struct followed *followed = list_entry(node, struct followed, queue);
        if (!describe(followed, partitions)) {
            followed_move(followed, FOLLOW_FAILED); /* its new role is on its way to us */
            continue;
        }
        topic_for(request, followed, partitions)->partitions_count++;
        partitions++;
        cancel_forgetting(followed);
        followed->in_session = true;
    }
}

static void list_forgotten(struct fetch_source *source, struct fetch_request *request)
{
    struct arena *arena = source->fetcher->arena;
    request->forgotten_topics_data =
        arena_new_array(arena, struct fetch_request_forgotten_topic, source->forgotten.count + 1);
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&source->forgotten, &i));) {
        const struct forgotten *forgotten = e->value;
        struct fetch_request_forgotten_topic *topic =
            &request->forgotten_topics_data[request->forgotten_topics_data_count++];
        fetch_request_forgotten_topic_init(topic);
        topic->topic = arena_copy(arena, slice_str(forgotten->topic));
        topic->topic_id = forgotten->topic_id;
        topic->partitions = arena_new_array(arena, int32_t, 1);
        topic->partitions[0] = forgotten->id;
        topic->partitions_count = 1;
    }
    clear_forgotten(source);
}

static void settle_ids(struct fetch_source *source)
{
    bool uses_ids = source->idless_count == 0 &&
                    source->fetcher->settings.fetch_version >= FIRST_VERSION_WITH_IDS;
    if (uses_ids != source->session_uses_ids && source->session_epoch > 0)
        fetch_source_reset_session(source);
    source->session_uses_ids = uses_ids;
}

static void fill_head(struct fetch_source *source, struct fetch_request *request)
{
    const struct fetcher_settings *settings = &source->fetcher->settings;
    fetch_request_init(request);
    request->replica_id = settings->broker_id;
    request->replica_state.replica_id = settings->broker_id;
    request->replica_state.replica_epoch =
        settings->broker_epoch ? settings->broker_epoch(settings->context) : -1;
    request->max_wait_ms = settings->wait_max_ms;
    request->min_bytes = settings->min_bytes;
    request->max_bytes = settings->response_max_bytes;
    request->isolation_level = READ_UNCOMMITTED_LEVEL;
    request->session_id = source->session_id;
    request->session_epoch = source->session_epoch;
}

static int16_t version_of(const struct fetch_source *source)
{
    int16_t version = source->fetcher->settings.fetch_version;
    bool by_name = !source->session_uses_ids && version > LAST_VERSION_BY_NAME;
    return by_name ? LAST_VERSION_BY_NAME : version;
}

static void fetch(struct fetch_source *source)
{
    settle_ids(source);
    int16_t version = version_of(source);
    struct fetch_request request;
    fill_head(source, &request);
    if (version >= 15)
        request.replica_id = -1; /* it stands in the tagged state */
    else
        fetch_request_replica_state_init(&request.replica_state);
    list_changed(source, &request);
    trace_debug("fetch leader=%d session=%d epoch=%d topics=%d fetching=%d", source->leader_id,
                source->session_id, source->session_epoch, request.topics_count,
                source->fetching_count);
    if (source->fetching_count > 0) {
        if (source->session_epoch > 0)
            list_forgotten(source, &request);
        if (!fetch_source_send(source, API_FETCH, version, &request, fetch_answered))
            fetch_source_reset_session(source);
    }
    arena_reset(source->fetcher->arena);
}

void fetch_source_run(struct fetch_source *source)
{
    if (source->is_in_flight || source->is_flushing || timer_is_set(&source->backoff))
        return;
    if (!list_is_empty(&source->asking))
        fetch_source_ask(source);
    else if (source->fetching_count > 0)
        fetch(source);
}
