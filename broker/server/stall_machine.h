/* When a broker whose disk stands still hands its leaders over, and when it comes back: the
 * decisions alone. What they look at and what they bring about is a table of functions, so that a
 * test can be the disk, the controller and the clock; disk_stall.c is the real one.
 *
 *   WELL ──(stoker.disk.stall.timeout.ms)──> STALLED ──(answers again)──> RETURNING ──> WELL
 *                                               ^                            │
 *                                               '────────(stands again)──────'
 *
 * WELL       nothing is asked. A broker that is alone, or not registered, stays here whatever its
 *            disk does: nobody could take over.
 * STALLED    the controller was asked to relieve this broker, and is asked again after an error,
 *            by another controller, or for another registration.
 * RETURNING  no operation has taken long for a while; the registration is to be made anew, and once
 *            it is, all is well.
 *
 * Thread: one, the same for all calls. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum relief_state { RELIEF_AWAITED, RELIEF_GRANTED, RELIEF_REFUSED };

/* None of them waits. */
struct stall_world {
    /* When the oldest operation in this directory began that is under way, ns of the monotonic
     * clock; 0: none. */
    int64_t (*oldest_began_ns)(void *context, int dir);
    bool (*has_others)(void *context);       /* other brokers live */
    int64_t (*broker_epoch)(void *context);  /* of the registration; negative: none */
    int32_t (*controller_id)(void *context); /* -1: not known */
    /* Followers are not to be blamed for the time up to now. */
    void (*disk_stood)(void *context, int64_t now_ms);
    /* Ask the controller to let others lead. `dir` has stood still for so long; -1: again. */
    void (*ask_for_relief)(void *context, int dir, int64_t age_ms);
    enum relief_state (*relief)(void *context); /* of the last that was asked for */
    /* Make the registration anew, if it is still the one of this epoch. */
    void (*register_anew)(void *context, int64_t broker_epoch);
    void *context;
};

enum stall_state { DISK_WELL, DISK_STALLED, DISK_RETURNING };

struct stall_machine {
    const struct stall_world *world;
    int dirs_count;
    int64_t timeout_ms, notice_ms;

    enum stall_state state;
    int64_t asked_ms;
    int32_t asked_of;     /* the controller that was asked for relief */
    int64_t broker_epoch; /* with which we asked */
    int64_t slow_ms;      /* when an operation was last found to take long */
    int64_t looked_ns, awake_since_ns;
};

/* A disk answers again when no operation that began in so long has taken long. */
#define STALL_REST_MS 1000
/* A refused relief is asked for again after so long. */
#define STALL_ASK_AGAIN_MS 200

/* Keeps `world`. timeout_ms > 0. */
void stall_machine_init(struct stall_machine *machine, const struct stall_world *world,
                        int dirs_count, int64_t timeout_ms);
/* Look at the disks, and do what follows. To be called often within the timeout. */
void stall_machine_look(struct stall_machine *machine, int64_t now_ns);
