/* CreateTopics, and the automatic creation by any broker. A topic is made by writing its settings
 * and then its assignment; the controller's watch does the rest. The sentences are those Kafka's
 * clients know. */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "coordinator/controller/admin.h"
#include "coordinator/controller/codec.h"

#define IBP_TOPIC_IDS    IBP_LEVEL(2, 8, 0, 0)
#define METADATA_TOPIC   "__cluster_metadata"
#define COLLISIONS_SHOWN 8
#define LISTS_SHOWN      32

struct plan {
    const struct create_topics_request_creatable_topic *asked;
    struct create_topics_response_creatable_topic_result *result;
    struct topic_znode znode;
    struct slice config;
    size_t config_write, topic_write;
    bool go;
};

struct creation {
    int64_t partitions_total; /* asked for by number, so far */
    struct controller *controller;
    struct call *call;
    const struct create_topics_request *request;
    struct plan *plans;
    const struct wave_result *topics, *deleted; /* children of their roots */
};

static void refuse(struct creation *all, struct plan *plan, enum err e)
{
    struct create_topics_response_creatable_topic_result *result = plan->result;
    plan->go = false;
    result->error_code = err_wire_code(e);
    /* What went wrong inside is not told. */
    result->error_message = e == ERR_UNKNOWN_SERVER_ERROR ? SLICE_NULL : say(all->call->arena, e);
    result->topic_id = UUID_ZERO;
    result->num_partitions = -1;
    result->replication_factor = -1;
    result->configs = NULL;
    result->configs_count = 0;
}

static bool is_child(const struct wave_result *children, struct slice name)
{
    for (int32_t i = 0; i < children->children_count; i++) {
        if (slice_equal(children->children[i], name))
            return true;
    }
    return false;
}

/* ---- Checks ---- */

static enum err check_name(struct creation *all, const struct plan *plan)
{
    struct slice name = plan->asked->name;
    int32_t same = 0;
    for (int32_t i = 0; i < all->request->topics_count; i++)
        same += slice_equal(all->request->topics[i].name, name);
    if (same > 1)
        return err_note(ERR_INVALID_REQUEST, "Found multiple entries for this topic.");
    if (slice_equal_str(name, METADATA_TOPIC))
        return err_note(ERR_INVALID_REQUEST,
                        "Creation of internal topic " METADATA_TOPIC " is prohibited.");
    struct topic *known = context_topic(&all->controller->context, name);
    if (all->controller->active && known)
        return err_note(ERR_TOPIC_ALREADY_EXISTS, "Topic '%.*s' already exists.", SLICE_ARG(name));
    return ERR_OK;
}

static enum err check_existing(struct creation *all, struct slice name)
{
    struct arena *arena = all->call->arena;
    enum err e = topic_name_check(name);
    if (e)
        return e;
    if (is_child(all->deleted, name))
        return err_note(ERR_TOPIC_ALREADY_EXISTS, "Topic '%.*s' is marked for deletion.",
                        SLICE_ARG(name));
    if (is_child(all->topics, name))
        return err_note(ERR_TOPIC_ALREADY_EXISTS, "Topic '%.*s' already exists.", SLICE_ARG(name));
    const char *collisions = "";
    int32_t shown = 0;
    for (int32_t i = 0; i < all->topics->children_count && shown < COLLISIONS_SHOWN; i++) {
        struct slice other = all->topics->children[i];
        if (topic_names_collide(name, other))
            collisions =
                arena_printf(arena, "%s%s%.*s", collisions, shown++ ? ", " : "", SLICE_ARG(other));
    }
    /* Those made before it by the same request count too. */
    for (const struct plan *plan = all->plans; plan->asked && shown < COLLISIONS_SHOWN; plan++) {
        if (plan->go && topic_names_collide(name, plan->asked->name))
            collisions = arena_printf(arena, "%s%s%.*s", collisions, shown++ ? ", " : "",
                                      SLICE_ARG(plan->asked->name));
    }
    if (shown > 0)
        return err_note(ERR_INVALID_TOPIC_EXCEPTION,
                        "Topic '%.*s' collides with existing topics: %s", SLICE_ARG(name),
                        collisions);
    return ERR_OK;
}

static enum err check_config(struct creation *all, struct plan *plan)
{
    struct arena *arena = all->call->arena;
    struct controller_configs *configs = all->controller->configs;
    const struct create_topics_request_creatable_topic *asked = plan->asked;
    const char *nulls = "";
    for (int32_t i = 0; i < asked->configs_count; i++) {
        if (slice_is_null(asked->configs[i].value))
            nulls = arena_printf(arena, "%s%s%.*s", nulls, *nulls ? "," : "",
                                 SLICE_ARG(asked->configs[i].name));
    }
    if (*nulls)
        return err_note(ERR_INVALID_CONFIG, "Null value not supported for topic configs: %s",
                        nulls);
    plan->result->configs_count = 0;
    if (!configs)
        return ERR_OK;
    return configs->check_topic(configs->context, asked->name, asked->configs, asked->configs_count,
                                arena, &plan->result->configs, &plan->result->configs_count);
}

/* ---- Assignments ---- */

/* All topics of a request are laid out before the first is made. */
#define REQUEST_PARTITIONS_MAX 1000000

static enum err check_count(struct creation *all, int32_t partitions)
{
    if (partitions > TOPIC_PARTITIONS_MAX)
        return err_note(ERR_INVALID_PARTITIONS,
                        "Number of partitions must not be larger than %d: it is %" PRId32,
                        TOPIC_PARTITIONS_MAX, partitions);
    all->partitions_total += partitions > 0 ? partitions : 0;
    if (all->partitions_total > REQUEST_PARTITIONS_MAX)
        return err_note(ERR_INVALID_PARTITIONS,
                        "Number of partitions of all topics of a request must not be larger "
                        "than %d",
                        REQUEST_PARTITIONS_MAX);
    return ERR_OK;
}

static enum err assign_by_count(struct creation *all, struct plan *plan)
{
    struct controller *controller = all->controller;
    struct arena *arena = all->call->arena;
    int32_t partitions = plan->asked->num_partitions == -1 ? controller->settings.num_partitions
                                                           : plan->asked->num_partitions;
    int32_t factor = plan->asked->replication_factor == -1
                         ? controller->settings.default_replication_factor
                         : plan->asked->replication_factor;
    int32_t count = all->call->broker_count;
    struct assign_broker *brokers;
    enum err e = check_count(all, partitions);
    if (e)
        return e;
    if (all->call->is_auto) {
        brokers = arena_new_array(arena, struct assign_broker, (size_t)count + 1);
        for (int32_t i = 0; i < count; i++)
            brokers[i] =
                (struct assign_broker){all->call->brokers[i].broker_id, all->call->brokers[i].rack};
    } else {
        brokers = assign_live_brokers(controller, arena, &count);
    }
    struct ids *lists;
    e = assign_replicas(controller, arena, brokers, count, partitions, factor, -1, 0, &lists);
    if (e)
        return e;
    plan->znode.items = arena_new_array(arena, struct assignment, partitions);
    plan->znode.count = partitions;
    for (int32_t i = 0; i < partitions; i++)
        plan->znode.items[i] = (struct assignment){.partition = i, .replicas = lists[i]};
    return ERR_OK;
}

static const char *text_of_lists(struct arena *arena, const struct assignment *items, int32_t count)
{
    const char *text = "";
    for (int32_t i = 0; i < count && i < LISTS_SHOWN; i++) {
        const char *ids = "";
        for (int32_t k = 0; k < items[i].replicas.count && k < LISTS_SHOWN; k++)
            ids = arena_printf(arena, "%s%s%" PRId32, ids, k ? ", " : "", items[i].replicas.ids[k]);
        text = arena_printf(arena, "%s%s%" PRId32 " -> ArrayBuffer(%s)", text, i ? ", " : "",
                            items[i].partition, ids);
    }
    return text;
}

static int compare_partitions(const void *a, const void *b)
{
    const struct assignment *x = a, *y = b;
    return (x->partition > y->partition) - (x->partition < y->partition);
}

/* The lists by partition; of a partition named twice, the last holds. */
static int32_t lists_of(const struct create_topics_request_creatable_topic *asked,
                        struct assignment *items)
{
    struct map known = {0};
    int32_t count = 0;
    for (int32_t i = 0; i < asked->assignments_count; i++) {
        const int32_t *partition = &asked->assignments[i].partition_index;
        struct assignment *item = map_get(&known, MAP_KEY(*partition));
        if (!item) {
            item = &items[count++];
            map_put(&known, MAP_KEY(*partition), item);
        }
        *item = (struct assignment){.partition = *partition,
                                    .replicas = {.ids = asked->assignments[i].broker_ids,
                                                 .count = asked->assignments[i].broker_ids_count}};
    }
    map_done(&known);
    qsort(items, (size_t)count, sizeof *items, compare_partitions);
    return count;
}

/* Kafka adds up the partitions that are not negative. What passes so without being the partitions
 * from 0 on breaks down later, and would be written as a topic that nobody can read. */
static enum err check_sequence(const struct assignment *items, int32_t count)
{
    int64_t sum = 0;
    for (int32_t i = 0; i < count; i++)
        sum += items[i].partition > 0 ? items[i].partition : 0;
    if (sum != (int64_t)count * (count - 1) / 2)
        return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                        "partitions should be a consecutive 0-based integer sequence");
    return items[0].partition < 0 ? ERR_UNKNOWN_SERVER_ERROR : ERR_OK;
}

/* Brokers that do not exist are accepted, as by Kafka in ZooKeeper mode. */
static enum err assign_by_hand(struct creation *all, struct plan *plan)
{
    struct arena *arena = all->call->arena;
    struct assignment *items =
        arena_new_array(arena, struct assignment, plan->asked->assignments_count);
    int32_t count = lists_of(plan->asked, items);
    plan->znode.items = items;
    plan->znode.count = count;
    for (int32_t i = 0; i < count; i++) {
        if (items[i].replicas.count != items[0].replicas.count)
            return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                            "All partitions should have the same number of replicas");
    }
    for (int32_t i = 0; i < count; i++) {
        if (ids_has_duplicate(&items[i].replicas))
            return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                            "Duplicate replica assignment found: HashMap(%s)",
                            text_of_lists(arena, items, count));
    }
    return check_sequence(items, count);
}

static enum err assign(struct creation *all, struct plan *plan)
{
    const struct create_topics_request_creatable_topic *asked = plan->asked;
    if (asked->assignments_count <= 0)
        return assign_by_count(all, plan);
    if (asked->num_partitions != -1 || asked->replication_factor != -1)
        return err_note(ERR_INVALID_REQUEST,
                        "Both numPartitions or replicationFactor and replicasAssignments were "
                        "set. Both cannot be used at the same time.");
    return assign_by_hand(all, plan);
}

static void prepare(struct creation *all, struct plan *plan)
{
    struct controller *controller = all->controller;
    enum err e = check_name(all, plan);
    if (!e)
        e = assign(all, plan);
    if (!e)
        e = check_existing(all, plan->asked->name);
    if (!e)
        e = check_config(all, plan);
    if (e) {
        refuse(all, plan, e);
        return;
    }
    struct arena *arena = all->call->arena;
    struct codec_setting *settings =
        arena_new_array(arena, struct codec_setting, (size_t)plan->asked->configs_count + 1);
    for (int32_t i = 0; i < plan->asked->configs_count; i++)
        settings[i] =
            (struct codec_setting){plan->asked->configs[i].name, plan->asked->configs[i].value};
    plan->config = codec_config_encode(arena, settings, plan->asked->configs_count);
    plan->result->num_partitions = plan->znode.count;
    plan->result->replication_factor =
        (int16_t)(plan->znode.count > 0 ? plan->znode.items[0].replicas.count : 0);
    plan->go = !all->request->validate_only;
    if (plan->go && controller->ibp_level >= IBP_TOPIC_IDS) {
        plan->znode.id = uuid_random();
        plan->result->topic_id = plan->znode.id;
    }
}

/* ---- Writing ---- */

static size_t put(struct creation *all, struct wave *wave, const char *path, struct slice data,
                  bool exists)
{
    if (!all->controller->active)
        return exists ? wave_set(wave, path, data, ZK_ANY_VERSION) : wave_create(wave, path, data);
    return exists ? wave_guarded_set(wave, path, data, ZK_ANY_VERSION)
                  : wave_guarded_create(wave, path, data);
}

static enum err write_configs(struct creation *all, struct wave *wave)
{
    char path[PATH_MAX_BYTES];
    for (int pass = 0; pass < 2; pass++) {
        for (int32_t i = 0; i < all->request->topics_count; i++) {
            struct plan *plan = &all->plans[i];
            if (!plan->go || (pass && wave_result(wave, plan->config_write)->error != ERR_EXISTS))
                continue;
            snprintf(path, sizeof path, "/config/topics/%.*s", SLICE_ARG(plan->asked->name));
            plan->config_write = put(all, wave, path, plan->config, pass == 1);
        }
        enum err e = wave_run(wave);
        if (e)
            return e;
    }
    return ERR_OK;
}

/* The node is there: another's, or our own after a lost answer. */
static enum err is_ours(struct creation *all, struct wave *wave, const struct plan *plan,
                        bool *ret_ours)
{
    char path[PATH_MAX_BYTES];
    snprintf(path, sizeof path, "/brokers/topics/%.*s", SLICE_ARG(plan->asked->name));
    size_t get = wave_get(wave, path, false);
    enum err e = wave_run(wave);
    if (e)
        return e;
    struct topic_znode found = {0};
    if (!wave_result(wave, get)->error)
        codec_topic_decode(all->call->arena, wave_result(wave, get)->data, &found);
    *ret_ours = !uuid_is_zero(found.id) && uuid_equal(found.id, plan->znode.id);
    return ERR_OK;
}

static enum err write_topics(struct creation *all, struct wave *wave)
{
    char path[PATH_MAX_BYTES];
    for (int32_t i = 0; i < all->request->topics_count; i++) {
        struct plan *plan = &all->plans[i];
        if (!plan->go)
            continue;
        enum err e = wave_result(wave, plan->config_write)->error;
        if (e) {
            refuse(all, plan,
                   err_note(ERR_UNKNOWN_SERVER_ERROR, "write its settings: %s", err_text(e)));
            continue;
        }
        snprintf(path, sizeof path, "/brokers/topics/%.*s", SLICE_ARG(plan->asked->name));
        plan->topic_write = put(
            all, wave, path, codec_topic_encode(wave_arena(wave), SLICE_NULL, &plan->znode), false);
    }
    enum err e = wave_run(wave);
    for (int32_t i = 0; !e && i < all->request->topics_count; i++) {
        struct plan *plan = &all->plans[i];
        enum err written = plan->go ? wave_result(wave, plan->topic_write)->error : ERR_OK;
        bool ours = false;
        if (written == ERR_EXISTS)
            e = is_ours(all, wave, plan, &ours);
        if (written == ERR_EXISTS && !ours)
            refuse(all, plan,
                   err_note(ERR_TOPIC_ALREADY_EXISTS, "Topic '%.*s' already exists.",
                            SLICE_ARG(plan->asked->name)));
        else if (written && !ours)
            refuse(
                all, plan,
                err_note(ERR_UNKNOWN_SERVER_ERROR, "write its assignment: %s", err_text(written)));
    }
    return e;
}

/* ---- The event ---- */

static enum err create_all(struct creation *all)
{
    OWNED(wave) struct wave *wave = wave_new(all->controller);
    size_t topics = wave_children(wave, "/brokers/topics", false);
    size_t deleted = wave_children(wave, "/admin/delete_topics", false);
    enum err e = wave_run(wave);
    if (e)
        return e;
    /* copies: the wave grows below */
    struct wave_result topics_result = *wave_result(wave, topics);
    struct wave_result deleted_result = *wave_result(wave, deleted);
    all->topics = &topics_result;
    all->deleted = &deleted_result;
    for (int32_t i = 0; i < all->request->topics_count; i++)
        prepare(all, &all->plans[i]);
    e = write_configs(all, wave);
    return e ? e : write_topics(all, wave);
}

static void late(void *response, int32_t index)
{
    struct create_topics_response_creatable_topic_result *result =
        &((struct create_topics_response *)response)->topics[index];
    result->error_code = err_wire_code(ERR_REQUEST_TIMED_OUT);
    result->error_message = SLICE_NULL;
    result->num_partitions = -1;
    result->replication_factor = -1;
    result->configs = NULL;
    result->configs_count = 0;
}

static struct create_topics_response *respond(struct creation *all)
{
    struct arena *arena = all->call->arena;
    int32_t count = all->request->topics_count;
    struct create_topics_response *response = arena_alloc(arena, sizeof *response);
    create_topics_response_init(response);
    response->topics_count = count;
    response->topics = arena_new_array(arena, struct create_topics_response_creatable_topic_result,
                                       (size_t)count + 1);
    all->plans = arena_new_array(arena, struct plan, (size_t)count + 1);
    for (int32_t i = 0; i < count; i++) {
        create_topics_response_creatable_topic_result_init(&response->topics[i]);
        response->topics[i].error_message = SLICE_NULL;
        response->topics[i].name = all->request->topics[i].name;
        all->plans[i] =
            (struct plan){.asked = &all->request->topics[i], .result = &response->topics[i]};
    }
    return response;
}

static void answer_created(struct creation *all, struct create_topics_response *response)
{
    struct arena *arena = all->call->arena;
    int32_t waited = 0;
    struct wait_topic *topics =
        arena_new_array(arena, struct wait_topic, (size_t)response->topics_count + 1);
    for (int32_t i = 0; i < response->topics_count; i++) {
        if (all->plans[i].go)
            topics[waited++] = (struct wait_topic){.name = response->topics[i].name, .index = i};
    }
    if (all->call->is_auto)
        all->call->done(all->call->context, response);
    else
        wait_begin(all->controller, all->call, response, late, topics, waited, false,
                   all->request->timeout_ms);
}

static enum err event_create_topics(struct controller *controller, void *context, bool cancelled)
{
    struct call *call = context;
    struct creation all = {.controller = controller, .call = call, .request = call->request};
    struct create_topics_response *response = respond(&all);
    enum err e = ERR_OK;
    if (cancelled || (!call->is_auto && !controller->active))
        e = ERR_NOT_CONTROLLER;
    else
        e = create_all(&all);
    if (!e) {
        answer_created(&all, response);
        return ERR_OK;
    }
    for (int32_t i = 0; i < response->topics_count; i++) {
        refuse(&all, &all.plans[i],
               err_ends_event(e) || e == ERR_NOT_CONTROLLER ? ERR_NOT_CONTROLLER
                                                            : ERR_UNKNOWN_SERVER_ERROR);
        response->topics[i].error_message = SLICE_NULL;
    }
    call->done(call->context, response);
    return e == ERR_NOT_CONTROLLER ? ERR_OK : e;
}

static const void *all_late(const struct call *call)
{
    const struct create_topics_request *request = call->request;
    struct create_topics_response *response = arena_alloc(call->arena, sizeof *response);
    create_topics_response_init(response);
    response->topics_count = request->topics_count;
    response->topics =
        arena_new_array(call->arena, struct create_topics_response_creatable_topic_result,
                        (size_t)request->topics_count + 1);
    for (int32_t i = 0; i < request->topics_count; i++) {
        create_topics_response_creatable_topic_result_init(&response->topics[i]);
        response->topics[i].name = request->topics[i].name;
        late(response, i);
    }
    return response;
}

void controller_create_topics(struct controller *controller,
                              const struct create_topics_request *request, struct arena *arena,
                              controller_done_fn *done, void *context)
{
    static const struct call_kind kind = {&wire_message_create_topics_request, 7, all_late};
    controller_enqueue(
        controller, "create-topics", event_create_topics,
        call_new_patient(controller, &kind, request, request->timeout_ms, 0, arena, done, context));
}

void controller_auto_create_topics(struct controller *controller,
                                   const struct create_topics_request *request,
                                   const struct controller_assignable *brokers,
                                   int32_t broker_count, struct arena *arena,
                                   controller_done_fn *done, void *context)
{
    struct call *call = call_new(request, 0, arena, done, context);
    call->is_auto = true;
    call->brokers = brokers;
    call->broker_count = broker_count;
    controller_enqueue(controller, "auto-create-topics", event_create_topics, call);
}
