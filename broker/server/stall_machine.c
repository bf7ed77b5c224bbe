/* See stall_machine.h. */
#include "broker/server/stall_machine.h"

#include <assert.h>

#include "broker/base/trace.h"

#define NOTICE_SHARE 4 /* after a fourth of the timeout followers are not judged any more */
#define NS_IN_MS     1000000

void stall_machine_init(struct stall_machine *machine, const struct stall_world *world,
                        int dirs_count, int64_t timeout_ms)
{
    assert(timeout_ms > 0);
    *machine = (struct stall_machine){.world = world,
                                      .dirs_count = dirs_count,
                                      .timeout_ms = timeout_ms,
                                      .notice_ms = timeout_ms / NOTICE_SHARE,
                                      .asked_of = -1};
}

/* How long the oldest operation has been under way, and where. */
static int64_t oldest_age_ms(const struct stall_machine *machine, int64_t now_ns, int *ret_dir)
{
    const struct stall_world *world = machine->world;
    int64_t oldest_ns = 0;
    for (int i = 0; i < machine->dirs_count; i++) {
        int64_t began_ns = world->oldest_began_ns(world->context, i);
        if (began_ns && began_ns < machine->awake_since_ns)
            began_ns = machine->awake_since_ns;
        if (began_ns && (!oldest_ns || began_ns < oldest_ns)) {
            oldest_ns = began_ns;
            *ret_dir = i;
        }
    }
    return oldest_ns && now_ns > oldest_ns ? (now_ns - oldest_ns) / NS_IN_MS : 0;
}

static void ask_for_relief(struct stall_machine *machine, int dir, int64_t age_ms, int64_t now_ms)
{
    const struct stall_world *world = machine->world;
    machine->asked_ms = now_ms;
    machine->asked_of = world->controller_id(world->context);
    machine->broker_epoch = world->broker_epoch(world->context);
    world->ask_for_relief(world->context, dir, age_ms);
}

/* Granted by the controller there is now, for the registration there is now? */
static bool must_ask_again(const struct stall_machine *machine, int64_t now_ms)
{
    const struct stall_world *world = machine->world;
    switch (world->relief(world->context)) {
    case RELIEF_AWAITED:
        return false;
    case RELIEF_REFUSED:
        return now_ms - machine->asked_ms >= STALL_ASK_AGAIN_MS;
    case RELIEF_GRANTED:
        break;
    }
    return machine->asked_of != world->controller_id(world->context) ||
           machine->broker_epoch != world->broker_epoch(world->context);
}

static void ask_for_renewal(struct stall_machine *machine, int64_t now_ms)
{
    machine->asked_ms = now_ms;
    machine->world->register_anew(machine->world->context, machine->broker_epoch);
}

static void be_well(struct stall_machine *machine, int dir, int64_t age_ms, int64_t now_ms)
{
    const struct stall_world *world = machine->world;
    if (age_ms < machine->timeout_ms || world->broker_epoch(world->context) < 0 ||
        !world->has_others(world->context))
        return;
    machine->state = DISK_STALLED;
    ask_for_relief(machine, dir, age_ms, now_ms);
}

static void be_stalled(struct stall_machine *machine, int64_t now_ms)
{
    const struct stall_world *world = machine->world;
    /* What began as the last slow one ended must have had the time to be found slow, too. */
    if (now_ms - machine->slow_ms >= machine->notice_ms + STALL_REST_MS) {
        trace_info("disk answers again, the broker registers anew");
        machine->state = DISK_RETURNING;
        machine->broker_epoch = world->broker_epoch(world->context);
        ask_for_renewal(machine, now_ms);
    } else if (must_ask_again(machine, now_ms)) {
        ask_for_relief(machine, -1, 0, now_ms);
    }
}

static void be_returning(struct stall_machine *machine, int64_t age_ms, int64_t now_ms)
{
    const struct stall_world *world = machine->world;
    if (world->broker_epoch(world->context) != machine->broker_epoch)
        machine->state = DISK_WELL;
    else if (age_ms >= machine->timeout_ms)
        machine->state = DISK_STALLED;
    else if (now_ms - machine->asked_ms >= STALL_REST_MS)
        ask_for_renewal(machine, now_ms);
}

/* Nobody looked for so long that this process or its machine must have been frozen: that time is
 * not the disk's, and the followers could not fetch in it. */
static void notice_own_sleep(struct stall_machine *machine, int64_t now_ns)
{
    int64_t since_ns = now_ns - machine->looked_ns;
    if (machine->looked_ns && since_ns / NS_IN_MS >= machine->notice_ms) {
        machine->awake_since_ns = now_ns;
        machine->world->disk_stood(machine->world->context, now_ns / NS_IN_MS);
    }
    machine->looked_ns = now_ns;
}

void stall_machine_look(struct stall_machine *machine, int64_t now_ns)
{
    notice_own_sleep(machine, now_ns);
    int dir = 0;
    int64_t age_ms = oldest_age_ms(machine, now_ns, &dir), now_ms = now_ns / NS_IN_MS;
    if (age_ms >= machine->notice_ms) {
        machine->slow_ms = now_ms;
        machine->world->disk_stood(machine->world->context, now_ms);
    }
    switch (machine->state) {
    case DISK_WELL:
        be_well(machine, dir, age_ms, now_ms);
        break;
    case DISK_STALLED:
        be_stalled(machine, now_ms);
        break;
    case DISK_RETURNING:
        be_returning(machine, age_ms, now_ms);
        break;
    }
}
