/* A fetcher of this broker (number 1) that follows a scripted leader (number 2): requests go
 * through the real codec and back, one is under way at a time, the test answers it. Time is moved
 * by hand.
 */
#pragma once

#include "replica_fixture.h"

#include "broker/base/mailbox.h"
#include "broker/replica/fetcher.h"
#include "broker/replica/replication.h"
#include "broker/wire/api_key.h"
#include "wire/fetch.h"
#include "wire/list_offsets.h"
#include "wire/offset_for_leader_epoch.h"

#define LEADER     2
#define SESSION    77
#define BACKOFF_MS 1000

struct world {
    struct replicas *r;
    struct fetcher_settings settings;
    struct fetcher *fetcher;
    struct mailbox *flushed; /* syncs that have ended, for await_flushes() */

    enum err refusal; /* of the next sends */
    int32_t sends;    /* so many were tried */
    bool is_asked;    /* a request is under way */
    int16_t api_key, api_version;
    void *request; /* decoded, in the arena of r */
    fetcher_answered_fn *answered;
    void *answered_context;
};

int world_setup(void **state);
int world_teardown(void **state);
/* The same fetcher anew, after a change of the settings. */
void world_restart(struct world *w);

/* This broker becomes a follower of partition `id` of "t" (or of a topic without an id); no fetcher
 * knows yet. The reference is the world's manager's: it need not be given back. */
struct partition *hosted(struct world *w, int32_t id, int32_t leader_epoch);
struct partition *hosted_of(struct world *w, const char *topic, struct uuid topic_id, int32_t id,
                            int32_t leader_epoch);
void follow(struct world *w, struct partition *partition);
/* Both, and the requests that follow from it. */
struct partition *followed(struct world *w, int32_t id, int32_t leader_epoch);
/* Records that the log holds before: one batch each. */
void hold(struct partition *partition, int32_t leader_epoch, int32_t records);

/* Until what was appended is on the disk, where that is asked for, and the fetcher has heard of it.
 */
void await_flushes(struct world *w);
/* Let so much time pass. */
void pass(struct world *w, int64_t ms);

/* --- what was asked --- */
const struct fetch_request *asked_fetch(struct world *w);
/* The partition as the Fetch under way names it; NULL where it does not. */
const struct fetch_request_fetch_partition *asked_of(struct world *w, int32_t id);
int32_t asked_count(struct world *w);
bool is_forgotten(struct world *w, int32_t id);
int32_t forgotten_count(struct world *w);
void assert_asked(struct world *w, int32_t id, int64_t fetch_offset, int32_t last_fetched_epoch);
void assert_session(struct world *w, int32_t session_id, int32_t session_epoch);
/* ListOffsets of one partition with this timestamp; OffsetsForLeaderEpoch with this epoch. */
void assert_asked_offset(struct world *w, int32_t id, int64_t timestamp);
void assert_asked_epoch(struct world *w, int32_t id, int32_t epoch);

/* --- answers --- */
struct part {
    int32_t id;
    const char *topic; /* NULL: "t" */
    enum err error;
    int64_t high_watermark, log_start_offset;
    bool diverges;
    int32_t diverging_epoch;
    int64_t diverging_end;
    struct buf *records; /* let go of by the answer */
};
struct buf *batches(void);
/* A batch at the end of it. */
struct buf *with(struct buf *records, int64_t base_offset, int32_t count, int32_t leader_epoch);

void answer_session(struct world *w, int32_t session_id, const struct part *parts, int32_t count);
void answer(struct world *w, struct part part);
void answer_nothing(struct world *w);
void answer_error(struct world *w, enum err error);
void answer_lost(struct world *w, enum err e);
void answer_offset(struct world *w, int32_t id, enum err error, int64_t offset);
void answer_epoch(struct world *w, int32_t id, enum err error, int32_t epoch, int64_t end);

int32_t failed_count(struct world *w);
int64_t end_of(struct partition *partition);
