/* A partition that is led here, for tests. */
#include "leading_world.h"

void leading_world_init(struct leading_world *w)
{
    w->r = replicas_new();
    w->live = live_brokers_new();
    live_brokers_set(w->live, (int32_t[]){1, 2, 3}, 3);
    w->host.live_brokers = w->live;
    atomic_store(&w->host.replica_lag_max_ms, LAG_MS);
}

void leading_world_done(struct leading_world *w)
{
    partition_unref(w->p);
    live_brokers_free(w->live);
    replicas_free(w->r);
}

int leading_setup(void **state)
{
    struct leading_world *w = mem_new(struct leading_world);
    leading_world_init(w);
    *state = w;
    return 0;
}

int leading_teardown(void **state)
{
    leading_world_done(*state);
    free(*state);
    return 0;
}

struct role_spec leading_role(int32_t leader_epoch, int32_t in_sync)
{
    return (struct role_spec){.leader_epoch = leader_epoch,
                              .partition_epoch = leader_epoch * 10,
                              .id = id_of(1),
                              .replicas = {1, 2, 3},
                              .replicas_count = 3,
                              .isr = {1, 2, 3},
                              .isr_count = in_sync};
}

struct partition *lead(struct leading_world *w, int32_t leader_epoch, int32_t in_sync)
{
    struct role_spec spec = leading_role(leader_epoch, in_sync);
    partition_unref(w->p);
    w->p = take_role(w->r, &spec);
    partition_set_host(w->p, &w->host);
    return w->p;
}

int64_t leading_pass(struct leading_world *w, int64_t ms)
{
    clock_manual_advance_ms(&w->r->logs->clock, ms);
    return clock_mono_ms(&w->r->logs->clock.clock);
}
