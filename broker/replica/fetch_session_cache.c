/* The cache of fetch sessions: found by id, and in a list by last use. Who has to give way to whom
 * when it is full is the JVM broker's rule (FetchSessionCache), so that a client meets the same
 * fate here: sessions of followers are worth more than those of consumers, larger ones more than
 * smaller ones, and what was unused for long is worth nothing. A session in use may have to go too
 * (most are, by fetches that wait); its request ends as it would have. */
#include "broker/replica/fetch_session_internal.h"

#include <sys/random.h>

#define EVICTABLE_AFTER_MS 120000

struct fetch_sessions *fetch_sessions_new(int32_t slots, struct clock *clock)
{
    struct fetch_sessions *sessions = mem_new(struct fetch_sessions);
    sessions->clock = clock;
    sessions->slots = slots;
    lock_init(&sessions->lock, RANK_LEAF, "fetch sessions");
    list_init(&sessions->by_use);
    list_init(&sessions->doomed);
    return sessions;
}

void session_partition_free(struct fetch_session *session, struct fetch_partition *item)
{
    if (item->at && session->beat)
        partition_follower_leaves(item->at, session->beat);
    fetch_partition_lost(item); /* first: a movement would make it due again */
    fetch_watch_remove(&session->watch, item);
    list_remove(&item->node);
    free(item->own_topic);
    free(item);
}

void fetch_session_free(struct fetch_session *session)
{
    list_for_each (&session->partitions, node)
        session_partition_free(session, list_entry(node, struct fetch_partition, node));
    map_done(&session->by_key);
    fetch_watch_done(&session->watch);
    follower_beat_unref(session->beat);
    free(session);
}

void fetch_sessions_bury(struct list_node *gone)
{
    for (struct list_node *node; (node = list_pop_front(gone));)
        fetch_session_free(list_entry(node, struct fetch_session, node));
}

/* Requests that still wait when the broker stops never give their sessions back. */
void fetch_sessions_free(struct fetch_sessions *sessions)
{
    if (!sessions)
        return;
    fetch_sessions_bury(&sessions->by_use);
    fetch_sessions_bury(&sessions->doomed);
    map_done(&sessions->by_id);
    lock_done(&sessions->lock);
    free(sessions);
}

int32_t fetch_sessions_count(struct fetch_sessions *sessions)
{
    LOCK_SCOPE(&sessions->lock);
    return (int32_t)sessions->by_id.count;
}

int64_t fetch_sessions_looks(const struct fetch_sessions *sessions)
{
    return atomic_load(&sessions->looks);
}

void fetch_session_remove(struct fetch_sessions *sessions, struct fetch_session *session,
                          struct list_node *ret_gone)
{
    map_remove(&sessions->by_id, MAP_KEY(session->id));
    list_remove(&session->node);
    session->is_doomed = session->is_lent;
    list_push_back(session->is_lent ? &sessions->doomed : ret_gone, &session->node);
}

void fetch_session_touch(struct fetch_sessions *sessions, struct fetch_session *session)
{
    session->used_ms = clock_mono_ms(sessions->clock);
    list_remove(&session->node);
    list_push_back(&sessions->by_use, &session->node);
}

/* --- who gives way --- */

/* Whether it may go at all: its age is that of its last use. */
static bool is_candidate(const struct fetch_session *session, bool for_follower)
{
    bool is_old = session->used_ms - session->created_ms > EVICTABLE_AFTER_MS;
    return is_old || (for_follower && !session->is_follower);
}

static int compare_worth(const struct fetch_session *a, const struct fetch_session *b)
{
    if (a->is_follower != b->is_follower)
        return a->is_follower ? 1 : -1;
    int32_t a_size = atomic_load(&a->size), b_size = atomic_load(&b->size);
    if (a_size != b_size)
        return a_size > b_size ? 1 : -1;
    return (a->id > b->id) - (a->id < b->id);
}

static struct fetch_session *least_worth(struct fetch_sessions *sessions, bool for_follower)
{
    struct fetch_session *least = NULL;
    list_for_each (&sessions->by_use, node) {
        struct fetch_session *session = list_entry(node, struct fetch_session, node);
        if (is_candidate(session, for_follower) && (!least || compare_worth(session, least) < 0))
            least = session;
    }
    return least;
}

static bool is_worth_less(const struct fetch_session *session, bool is_follower, int32_t size)
{
    if (session->is_follower != is_follower)
        return is_follower;
    return atomic_load(&session->size) < size; /* as large is as good, and was here first */
}

static bool make_room(struct fetch_sessions *sessions, bool is_follower, int32_t size,
                      struct list_node *ret_gone)
{
    if ((int32_t)sessions->by_id.count < sessions->slots)
        return true;
    if (list_is_empty(&sessions->by_use))
        return false; /* no slots at all */
    struct fetch_session *oldest = list_entry(sessions->by_use.next, struct fetch_session, node);
    if (clock_mono_ms(sessions->clock) - oldest->used_ms > EVICTABLE_AFTER_MS) {
        fetch_session_remove(sessions, oldest, ret_gone);
        return true;
    }
    struct fetch_session *least = least_worth(sessions, is_follower);
    if (!least || !is_worth_less(least, is_follower, size))
        return false;
    fetch_session_remove(sessions, least, ret_gone);
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

struct fetch_session *fetch_session_make(struct fetch_sessions *sessions, bool is_follower,
                                         bool uses_ids, int32_t size, struct list_node *ret_gone)
{
    if (!make_room(sessions, is_follower, size, ret_gone))
        return NULL;
    struct fetch_session *session = mem_new(struct fetch_session);
    session->id = random_id(sessions);
    session->next_epoch = 1;
    session->is_follower = is_follower;
    session->uses_ids = uses_ids;
    atomic_store(&session->size, size);
    session->created_ms = session->used_ms = clock_mono_ms(sessions->clock);
    list_init(&session->partitions);
    fetch_watch_init(&session->watch, is_follower);
    if (is_follower)
        session->beat = follower_beat_new(session->created_ms);
    map_put(&sessions->by_id, MAP_KEY(session->id), session);
    list_push_back(&sessions->by_use, &session->node);
    return session;
}
