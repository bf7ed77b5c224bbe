/* The structs of a fetcher, for the files that share it: fetcher.c (who is followed),
 * fetch_source.c (the requests to one leader), fetch_answer.c (what a Fetch brought),
 * fetch_flush.c (its way to the disk), fetch_ask.c (the questions about offsets and epochs). */
#pragma once

#include "broker/base/arena.h"
#include "broker/base/map.h"
#include "broker/base/timers.h"
#include "broker/replica/fetcher.h"
#include "broker/replica/partition.h"
#include "wire/fetch.h"

#define FIRST_VERSION_WITH_IDS 13
#define LAST_VERSION_BY_NAME   12

/* Topic name or id, and the number. */
#define FOLLOWED_KEY_MAX (249 + 4)

#define AWAIT_LEADER_FIRST_MS 10 /* doubled each time, up to replica.fetch.backoff.ms */

enum follow_state {
    FOLLOW_FETCHING,
    FOLLOW_ASKING_EPOCH, /* where did our last epoch end at the leader? */
    FOLLOW_ASKING_END,   /* out of range: where does the leader's log end? */
    FOLLOW_ASKING_START, /* and where does it begin? */
    FOLLOW_FAILED,
};

struct followed {
    struct list_node node;  /* in its source's `followed` */
    struct list_node queue; /* in one of its source's queues, or in none while nothing is to say */
    struct timer delay;     /* set: it stays away from the leader until then */
    int32_t await_ms;       /* the last pause for a leader that did not know it; 0: it does */
    struct fetch_source *source;
    struct partition *partition; /* a reference */
    struct slice topic;          /* of the partition */
    struct uuid topic_id;
    int32_t id, leader_epoch;
    int32_t asked_epoch; /* ASKING_EPOCH */
    enum follow_state state;
    bool is_held; /* what it has is on its way to the disk: nothing is asked for it */

    bool in_session;     /* the leader's session has it, or gets it with the request under way */
    int64_t sent_offset; /* what the session says of it */
    int32_t sent_leader_epoch;
    int64_t leader_log_start; /* of its last answer */
};

struct forgotten {
    char *topic;
    struct uuid topic_id;
    int32_t id;
};

struct fetch_source {
    struct fetcher *fetcher;
    int32_t leader_id;
    struct list_node followed;
    struct map by_name, by_id; /* -> struct followed */
    int32_t followed_count, fetching_count, idless_count;

    struct list_node changed; /* FETCHING, and the leader must be told its position */
    struct list_node asking;  /* ASKING_… */
    struct map forgotten;     /* FOLLOWED_KEY -> struct forgotten, in the session and not wanted */

    int32_t session_id, session_epoch; /* epoch 0: the next request is a full one */
    bool session_uses_ids;
    bool is_in_flight;
    bool is_flushing;        /* what it sent: it is asked again afterwards */
    enum follow_state asked; /* by the request under way, where it is a question */
    struct timer backoff;
};

struct fetcher {
    struct fetcher_settings settings;
    struct fetcher_leaders leaders;
    struct clock *clock;
    struct timers timers;
    struct map sources;  /* leader id -> struct fetch_source */
    struct map followed; /* struct partition * -> struct followed */
    struct map flushing; /* struct partition * -> itself: what it has is not on the disk yet */
    struct arena *arena; /* of the request being made */
};

size_t followed_key_by_name(char key[static FOLLOWED_KEY_MAX], struct slice topic, int32_t id);
size_t followed_key_by_id(char key[static FOLLOWED_KEY_MAX], struct uuid topic_id, int32_t id);

/* fetcher.c */
/* Into the queue that its state asks for; out of the session where it is not to be fetched. */
void followed_requeue(struct followed *followed);
void followed_delay(struct followed *followed);
/* The same for a leader that may not have heard yet that it leads: briefly at first. */
void followed_await_leader(struct followed *followed);
void followed_fail(struct followed *followed, const char *why);
/* The leader knows a newer epoch: nothing is asked until the LeaderAndIsr that must follow. */
void followed_await_role(struct followed *followed);
/* Ask nothing for it; go on. */
void followed_hold(struct followed *followed);
void followed_release(struct followed *followed);
/* Another state; the one function that changes it. */
void followed_move(struct followed *followed, enum follow_state state);

/* fetch_source.c */
void fetch_source_run(struct fetch_source *source); /* send, if something is to be said */
void fetch_source_reset_session(struct fetch_source *source);
void fetch_source_back_off(struct fetch_source *source);
void fetch_source_forget(struct followed *followed);
struct followed *fetch_source_find(struct fetch_source *source, struct slice topic,
                                   struct uuid topic_id, int32_t id);
bool fetch_source_send(struct fetch_source *source, int16_t api_key, int16_t version,
                       const void *request, fetcher_answered_fn *answered);

/* fetch_answer.c */
void fetch_answered(void *context, enum err e, const void *response);

/* fetch_flush.c */
/* A log that must reach the disk before the next fetch says that we have what it holds: added to
 * the others of the same answer, which are made with the first. */
void fetch_flushes_add(struct fetch_flushes **flushes, struct followed *followed);
/* Begin them all, NULL for none. The source is not run until they have ended; not before the
 * return, unless they end at once. */
void fetch_flushes_begin(struct fetch_flushes *flushes);

/* fetch_ask.c */
void fetch_source_ask(struct fetch_source *source); /* of those that are `asking` */
