/* Who is followed, from whom, and in what state. */
#include "broker/replica/fetcher_internal.h"

#include "broker/base/trace.h"

size_t followed_key_by_name(char key[static FOLLOWED_KEY_MAX], struct slice topic, int32_t id)
{
    size_t size =
        topic.size < FOLLOWED_KEY_MAX - sizeof id ? topic.size : FOLLOWED_KEY_MAX - sizeof id;
    memcpy(key, topic.data ? (const char *)topic.data : "", size);
    memcpy(key + size, &id, sizeof id);
    return size + sizeof id;
}

size_t followed_key_by_id(char key[static FOLLOWED_KEY_MAX], struct uuid topic_id, int32_t id)
{
    static_assert(sizeof topic_id + sizeof id <= FOLLOWED_KEY_MAX, "an id is shorter than a name");
    memcpy(key, &topic_id, sizeof topic_id);
    memcpy(key + sizeof topic_id, &id, sizeof id);
    return sizeof topic_id + sizeof id;
}

struct fetcher *fetcher_new(const struct fetcher_settings *settings,
                            const struct fetcher_leaders *leaders, struct clock *clock)
{
    struct fetcher *fetcher = mem_new(struct fetcher);
    fetcher->settings = *settings;
    fetcher->leaders = *leaders;
    fetcher->clock = clock;
    fetcher->arena = arena_new();
    return fetcher;
}

/* --- states --- */

static bool is_fetching(const struct followed *followed)
{
    return followed->state == FOLLOW_FETCHING && !timer_is_set(&followed->delay) &&
           !followed->is_held;
}

void followed_requeue(struct followed *followed)
{
    struct fetch_source *source = followed->source;
    list_remove(&followed->queue);
    if (!is_fetching(followed))
        fetch_source_forget(followed);
    if (timer_is_set(&followed->delay) || followed->state == FOLLOW_FAILED || followed->is_held)
        return;
    list_push_back(followed->state == FOLLOW_FETCHING ? &source->changed : &source->asking,
                   &followed->queue);
}

static void count_as(struct followed *followed, int32_t step)
{
    if (is_fetching(followed))
        followed->source->fetching_count += step;
}

void followed_move(struct followed *followed, enum follow_state state)
{
    count_as(followed, -1);
    followed->state = state;
    count_as(followed, +1);
    followed_requeue(followed);
}

void followed_hold(struct followed *followed)
{
    count_as(followed, -1);
    followed->is_held = true;
    list_remove(&followed->queue);
}

void followed_release(struct followed *followed)
{
    followed->is_held = false;
    count_as(followed, +1);
    followed_requeue(followed);
}

static void delay_is_over(struct timer *timer)
{
    struct followed *followed = CONTAINER_OF(timer, struct followed, delay);
    count_as(followed, +1);
    followed_requeue(followed);
    fetch_source_run(followed->source);
}

static void delay(struct followed *followed, int32_t ms)
{
    struct fetcher *fetcher = followed->source->fetcher;
    count_as(followed, -1);
    timer_set(&fetcher->timers, &followed->delay, clock_mono_ms(fetcher->clock) + ms);
    followed_requeue(followed);
}

void followed_delay(struct followed *followed)
{
    delay(followed, followed->source->fetcher->settings.backoff_ms);
}

/* The controller tells a leader and its followers at the same moment, so a follower may ask before
 * the leader knows; producers with acks=all wait for it meanwhile. */
void followed_await_leader(struct followed *followed)
{
    int32_t most_ms = followed->source->fetcher->settings.backoff_ms;
    int32_t ms = followed->await_ms ? 2 * followed->await_ms : AWAIT_LEADER_FIRST_MS;
    followed->await_ms = ms < most_ms ? ms : most_ms;
    delay(followed, followed->await_ms);
}

void followed_fail(struct followed *followed, const char *why)
{
    trace_error("replication of a partition has stopped topic=%s partition=%d leader=%d "
                "leader_epoch=%d: %s",
                partition_topic(followed->partition), followed->id, followed->source->leader_id,
                followed->leader_epoch, why);
    followed_move(followed, FOLLOW_FAILED);
}

void followed_await_role(struct followed *followed)
{
    trace_debug("the leader has a newer epoch topic=%s partition=%d leader=%d leader_epoch=%d",
                partition_topic(followed->partition), followed->id, followed->source->leader_id,
                followed->leader_epoch);
    followed_move(followed, FOLLOW_FAILED);
}

/* --- following --- */

static struct fetch_source *source_of(struct fetcher *fetcher, int32_t leader_id)
{
    struct fetch_source *source = map_get(&fetcher->sources, MAP_KEY(leader_id));
    if (source)
        return source;
    source = mem_new(struct fetch_source);
    source->fetcher = fetcher;
    source->leader_id = leader_id;
    list_init(&source->followed);
    list_init(&source->changed);
    list_init(&source->asking);
    map_put(&fetcher->sources, MAP_KEY(leader_id), source);
    return source;
}

static void index_put(struct followed *followed)
{
    struct fetch_source *source = followed->source;
    char key[FOLLOWED_KEY_MAX];
    size_t size = followed_key_by_name(key, followed->topic, followed->id);
    map_put(&source->by_name, slice_of(key, size), followed);
    if (uuid_is_zero(followed->topic_id)) {
        source->idless_count++;
    } else {
        size = followed_key_by_id(key, followed->topic_id, followed->id);
        map_put(&source->by_id, slice_of(key, size), followed);
    }
}

static void index_remove(struct followed *followed)
{
    struct fetch_source *source = followed->source;
    char key[FOLLOWED_KEY_MAX];
    size_t size = followed_key_by_name(key, followed->topic, followed->id);
    map_remove(&source->by_name, slice_of(key, size));
    if (uuid_is_zero(followed->topic_id)) {
        source->idless_count--;
    } else {
        size = followed_key_by_id(key, followed->topic_id, followed->id);
        map_remove(&source->by_id, slice_of(key, size));
    }
}

static void detach(struct followed *followed)
{
    struct fetch_source *source = followed->source;
    count_as(followed, -1);
    timer_cancel(&source->fetcher->timers, &followed->delay);
    list_remove(&followed->queue);
    list_remove(&followed->node);
    fetch_source_forget(followed);
    index_remove(followed);
    source->followed_count--;
    partition_unref(followed->partition);
    free(followed);
}

void fetcher_unfollow(struct fetcher *fetcher, struct partition *partition)
{
    struct followed *followed = map_remove(&fetcher->followed, MAP_KEY(partition));
    if (followed)
        detach(followed);
}

/* Without epochs of our own there is nothing to compare: only what is below the high watermark is
 * known to be the leader's too. */
static enum err prepare(struct followed *followed, enum follow_state *ret_state)
{
    const struct fetcher_settings *settings = &followed->source->fetcher->settings;
    struct follower_position position;
    *ret_state = FOLLOW_FETCHING;
    enum err e =
        partition_follower_position(followed->partition, followed->leader_epoch, &position);
    if (e)
        return e;
    if (position.last_fetched_epoch < 0)
        return partition_truncate(followed->partition, followed->leader_epoch,
                                  partition_high_watermark(followed->partition));
    followed->asked_epoch = position.last_fetched_epoch;
    if (!settings->truncates_on_fetch)
        *ret_state = FOLLOW_ASKING_EPOCH;
    return ERR_OK;
}

void fetcher_follow(struct fetcher *fetcher, struct partition *partition, int32_t leader_id,
                    int32_t leader_epoch)
{
    fetcher_unfollow(fetcher, partition);
    struct followed *followed = mem_new(struct followed);
    followed->partition = partition;
    followed->topic = slice_str(partition_topic(partition));
    followed->topic_id = partition_topic_id(partition);
    followed->id = partition_id(partition);
    followed->leader_epoch = leader_epoch;
    followed->delay.fire = delay_is_over;
    followed->source = source_of(fetcher, leader_id);
    followed->state = FOLLOW_FAILED;
    followed->is_held = map_get(&fetcher->flushing, MAP_KEY(partition));
    list_push_back(&followed->source->followed, &followed->node);
    followed->source->followed_count++;
    index_put(followed);
    map_put(&fetcher->followed, MAP_KEY(partition), followed);

    enum follow_state state;
    enum err e = prepare(followed, &state);
    trace_debug("partition followed topic=%s partition=%d leader=%d leader_epoch=%d error=%s",
                partition_topic(partition), followed->id, leader_id, leader_epoch, err_name(e));
    if (!e)
        followed_move(followed, state);
    else if (e != ERR_FENCED_LEADER_EPOCH) /* that one is followed anew at once */
        followed_fail(followed, err_sentence(e));
}

void fetcher_run(struct fetcher *fetcher)
{
    timers_run(&fetcher->timers, clock_mono_ms(fetcher->clock));
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&fetcher->sources, &i));)
        fetch_source_run(e->value);
}

int64_t fetcher_next_ms(const struct fetcher *fetcher)
{
    return timers_next_ms(&fetcher->timers);
}

void fetcher_count(const struct fetcher *fetcher, struct fetcher_counts *ret)
{
    *ret = (struct fetcher_counts){0};
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&fetcher->sources, &i));) {
        const struct fetch_source *source = e->value;
        ret->leaders += source->followed_count > 0;
        ret->followed += source->followed_count;
    }
    for (size_t i = 0; (e = map_next(&fetcher->followed, &i));)
        ret->failed += ((struct followed *)e->value)->state == FOLLOW_FAILED;
}

static void source_free(struct fetch_source *source)
{
    list_for_each (&source->followed, node)
        detach(list_entry(node, struct followed, node));
    fetch_source_reset_session(source);
    timer_cancel(&source->fetcher->timers, &source->backoff);
    map_done(&source->by_name);
    map_done(&source->by_id);
    map_done(&source->forgotten);
    free(source);
}

void fetcher_free(struct fetcher *fetcher)
{
    if (!fetcher)
        return;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&fetcher->sources, &i));)
        source_free(e->value);
    map_done(&fetcher->sources);
    map_done(&fetcher->followed);
    assert(!fetcher_is_flushing(fetcher));
    map_done(&fetcher->flushing);
    timers_done(&fetcher->timers);
    arena_free(fetcher->arena);
    free(fetcher);
}
