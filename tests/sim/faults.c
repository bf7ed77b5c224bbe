/* See faults.h. */
#include "tests/sim/faults.h"

#include "tests/sim/calls.h"
#include "tests/sim/clients.h"
#include "tests/sim/requests.h"
#include "wire/api_key.h"
#include "wire/controlled_shutdown.h"

#define TOPICS         4
#define ANSWERS        4096
#define TARGET_MAX     3
#define GROWN_MAX      8
#define PASS_MAX_MS    2000
#define WHOLE_MS       60000
#define CALM_ONE_IN    8
#define REFUSED_ONE_IN 4

static const char *const names[TOPICS] = {"orders", "payments", "a.b", "clicks"};

struct faults {
    struct cluster *cluster;
    bool has_power_cuts;
    bool is_broken; /* a broker went away, and all was not whole since */
    bool is_cut;    /* by a power cut */
    bool has_ends;  /* since the cut sessions end; else controllers change */
    int16_t answers[ANSWERS];
    struct world_answer asked[ANSWERS];
    int32_t answer_count;
};

struct faults *faults_new(struct cluster *cluster, bool has_power_cuts)
{
    struct faults *faults = mem_new(struct faults);
    faults->cluster = cluster;
    faults->has_power_cuts = has_power_cuts;
    faults->is_broken = true; /* until all have begun */
    cluster->has_losses = cluster->world->loses_answers = true;
    if (has_power_cuts)
        cluster_set_min_isr(cluster, 2); /* with less, nothing is promised beyond a power cut */
    return faults;
}

void faults_free(struct faults *faults)
{
    free(faults);
}

static int16_t *answer_slot(struct faults *faults)
{
    return &faults->answers[faults->answer_count++ % ANSWERS];
}

static struct world_answer *asked_slot(struct faults *faults)
{
    return &faults->asked[faults->answer_count++ % ANSWERS];
}

/* How many replicas a partition is to have. One whose only replica loses power loses records. */
static int32_t draw_factor(struct faults *faults)
{
    int32_t least = faults->has_power_cuts ? 2 : 1;
    return least +
           (int32_t)world_random(faults->cluster->world, (uint32_t)(TARGET_MAX - least + 1));
}

/* Other replicas for a partition, or a cancellation. */
static void move_partition(struct faults *faults, const char *topic)
{
    struct world *world = faults->cluster->world;
    int32_t target[TARGET_MAX], count = draw_factor(faults);
    int32_t first = (int32_t)world_random(world, (uint32_t)world->broker_count);
    for (int32_t i = 0; i < count; i++)
        target[i] = (first + i) % world->broker_count;
    world_reassign(world, topic, (int32_t)world_random(world, 3), target,
                   world_random(world, 5) ? count : -1, asked_slot(faults));
}

/* ---- An orderly end ---- */

static void shutdown_answered(void *context, enum err e, const void *message)
{
    /* The broker ends whatever the controller says: as after the last retry. */
    (void)e, (void)message, (void)context;
}

static void shut_down(struct faults *faults, int32_t id)
{
    struct cluster *cluster = faults->cluster;
    struct world_broker *controller = world_controller(cluster->world);
    struct controlled_shutdown_request request;
    controlled_shutdown_request_init(&request);
    request.broker_id = id;
    request.broker_epoch = cluster->world->brokers[id].broker_epoch;
    if (controller && !call_send(cluster, id, controller->id, API_CONTROLLED_SHUTDOWN, 3, &request,
                                 shutdown_answered, NULL))
        for (uint32_t i = world_random(cluster->world, 600); i > 0; i--)
            cluster_step(cluster);
    if (cluster->world->brokers[id].up && !cluster->world->complaint[0])
        cluster_stop(cluster, id);
}

/* ---- Power ---- */

static void bring_back(struct faults *faults)
{
    struct world *world = faults->cluster->world;
    for (int32_t i = 0; i < world->broker_count; i++) {
        world_pause(world, i, false);
        if (!world->brokers[i].up)
            world_start(world, i);
    }
}

/* All is whole, and nothing is under way that says otherwise: a controller may not have heard yet
 * of a session that ended. */
static bool becomes_calm(struct faults *faults)
{
    struct cluster *cluster = faults->cluster;
    bring_back(faults);
    if (cluster_run_until(cluster, cluster_is_whole, WHOLE_MS))
        faults->is_broken = faults->is_cut = false;
    return !faults->is_broken;
}

/* The promise is about one fault at a time: as long as a broker was away, or only believed to be,
 * since all was whole, no power is cut; and after a cut no process ends until all is whole again.
 * Others may be stopped for a while, out of the ISR, cut off from ZooKeeper; and either controllers
 * change, or the sessions of others end (not both: a controller that has not seen how somebody came
 * back leaves it its role where the others of its ISR are away, see standing_is_doubtful()). Half
 * of those that lose power come back with an empty disk. */
static void cut_power(struct faults *faults, int32_t id)
{
    if (!faults->has_power_cuts || (faults->is_broken && !becomes_calm(faults)))
        return;
    struct world_broker *controller = world_controller(faults->cluster->world);
    faults->is_broken = faults->is_cut = true;
    faults->has_ends =
        controller && controller->id != id && world_random(faults->cluster->world, 2);
    if (world_random(faults->cluster->world, 2))
        cluster_cut_power(faults->cluster, id);
    else
        cluster_replace_disk(faults->cluster, id);
}

/* A broker goes away by another fault. */
static bool may_break(struct faults *faults)
{
    if (faults->is_cut &&
        (world_random(faults->cluster->world, CALM_ONE_IN) || !becomes_calm(faults)))
        return false;
    faults->is_broken = true;
    return true;
}

static void end_session(struct faults *faults, int32_t id)
{
    struct world_broker *controller = world_controller(faults->cluster->world);
    bool may_end = faults->is_cut && faults->has_ends && controller && controller->id != id;
    if (may_end || may_break(faults))
        world_expire(faults->cluster->world, id);
}

/* An operator forces an election: the old controller may be in the middle of an event. */
static void move_controller(struct faults *faults)
{
    if (!faults->is_cut || !faults->has_ends)
        zk_memory_delete(faults->cluster->world->zk, "/controller");
}

/* ---- Chance ---- */

/* Perhaps by somebody on the way, who refuses the next connection, too. */
static void disconnect(struct world *world, int32_t from, int32_t to)
{
    if (world->settings.crash_detection_enable && world_random(world, REFUSED_ONE_IN) == 0)
        world_refuse(world, from, to);
    else
        world_disconnect(world, from, to);
}

static void strike_broker(struct faults *faults, int32_t id)
{
    struct world *world = faults->cluster->world;
    struct world_broker *broker = &world->brokers[id];
    switch (world_random(world, 9)) {
    case 0:
        if (broker->up && may_break(faults))
            world_crash(world, id);
        break;
    case 1:
    case 2:
    case 3:
        if (!broker->up)
            world_start(world, id);
        break;
    case 4:
        end_session(faults, id);
        break;
    case 5:
        disconnect(world, id, (int32_t)world_random(world, (uint32_t)world->broker_count));
        break;
    case 6:
        if (broker->up)
            zk_memory_lose_operation(broker->session, 1 + (int32_t)world_random(world, 20),
                                     world_random(world, 2));
        break;
    case 7:
        world_pause(world, id, world_random(world, 2));
        break;
    case 8:
        if (world_random(world, 2))
            cut_power(faults, id);
        else if (broker->up && broker->accepting && !broker->paused && may_break(faults))
            shut_down(faults, id);
        break;
    }
}

static void strike_topics(struct faults *faults)
{
    struct world *world = faults->cluster->world;
    const char *topic = names[world_random(world, TOPICS)];
    switch (world_random(world, 7)) {
    case 0:
    case 1:
        world_create_topic(world, topic, 1 + (int32_t)world_random(world, 3),
                           (int16_t)draw_factor(faults), 10000, answer_slot(faults));
        break;
    case 2:
        world_grow_topic(world, topic, 2 + (int32_t)world_random(world, GROWN_MAX),
                         answer_slot(faults));
        break;
    case 3:
        if (world_random(world, 6) == 0)
            world_delete_topic(world, topic, answer_slot(faults));
        break;
    case 4:
        move_partition(faults, topic);
        break;
    case 5:
        world_elect(world, 0, topic, -1, 10000, 2, asked_slot(faults));
        break;
    case 6:
        move_controller(faults);
        break;
    }
}

void faults_strike(struct faults *faults)
{
    struct world *world = faults->cluster->world;
    switch (world_random(world, 4)) {
    case 0:
        strike_topics(faults);
        break;
    case 1:
        cluster_pass(faults->cluster, 1 + world_random(world, PASS_MAX_MS));
        break;
    default:
        strike_broker(faults, (int32_t)world_random(world, (uint32_t)world->broker_count));
        break;
    }
}

void faults_end(struct faults *faults)
{
    faults->cluster->has_losses = faults->cluster->world->loses_answers = false;
    bring_back(faults);
}
