/* DeleteTopics: a mark under /admin/delete_topics for each; deletion.c does the rest. */
#include <inttypes.h>

#include "coordinator/controller/admin.h"

#define IDS_VERSION      6
#define DISABLED_VERSION 3 /* from here on TOPIC_DELETION_DISABLED can be said */

struct removal {
    struct controller *controller;
    struct call *call;
    struct delete_topics_response *response;
    size_t *writes; /* of each response entry */
    bool *go;
    struct map known; /* by name: those that have an entry */
};

static void set_error(struct removal *all, int32_t index, enum err e)
{
    all->response->responses[index].error_code = err_wire_code(e);
}

static void fill(struct removal *all, const struct delete_topics_request *request)
{
    struct arena *arena = all->call->arena;
    bool by_state = all->call->api_version >= IDS_VERSION;
    int32_t count = by_state ? request->topics_count : request->topic_names_count;
    struct delete_topics_response *response = arena_alloc(arena, sizeof *response);
    delete_topics_response_init(response);
    response->responses_count = count > 0 ? count : 0;
    response->responses = arena_new_array(
        arena, struct delete_topics_response_deletable_topic_result, (size_t)count + 1);
    all->response = response;
    all->writes = arena_new_array(arena, size_t, (size_t)count + 1);
    all->go = arena_new_array(arena, bool, (size_t)count + 1);
    for (int32_t i = 0; i < count; i++) {
        struct delete_topics_response_deletable_topic_result *result = &response->responses[i];
        delete_topics_response_deletable_topic_result_init(result);
        result->name = by_state ? request->topics[i].name : request->topic_names[i];
        if (by_state)
            result->topic_id = request->topics[i].topic_id;
    }
}

/* Deleted, and clients of this broker see it no more; what is left goes on behind. */
static bool is_gone(const struct controller *controller, const struct topic *topic)
{
    const struct controller_configs *configs = controller->configs;
    if (!topic->deleting || !topic->delete_started)
        return false;
    return configs && configs->shows_topic
               ? !configs->shows_topic(configs->context, slice_str(topic->name))
               : !topic->self_knows;
}

static void resolve(struct removal *all, int32_t index)
{
    struct context *context = &all->controller->context;
    struct delete_topics_response_deletable_topic_result *result = &all->response->responses[index];
    struct topic *topic;
    if (!slice_is_null(result->name)) {
        topic = context_topic(context, result->name);
    } else if (uuid_is_zero(result->topic_id)) { /* neither: as one whose name may not be told */
        set_error(all, index, ERR_TOPIC_AUTHORIZATION_FAILED);
        return;
    } else {
        topic = context_topic_by_id(context, result->topic_id);
        if (!topic) {
            set_error(all, index, ERR_UNKNOWN_TOPIC_ID);
            return;
        }
        result->name = arena_copy(all->call->arena, slice_str(topic->name));
    }
    if (!topic || is_gone(all->controller, topic))
        set_error(all, index, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    else /* what becomes of it is told in its first entry; the others stay without an error */
        all->go[index] = !map_put(&all->known, result->name, topic);
}

/* One topic by name and id at once: the whole request is refused. */
static bool has_both(const struct removal *all)
{
    for (int32_t i = 0; i < all->response->responses_count; i++) {
        const struct delete_topics_response_deletable_topic_result *asked =
            &all->response->responses[i];
        if (!slice_is_null(asked->name) && !uuid_is_zero(asked->topic_id))
            return true;
    }
    return false;
}

static enum err write_marks(struct removal *all)
{
    OWNED(wave) struct wave *wave = wave_new(all->controller);
    for (int32_t i = 0; i < all->response->responses_count; i++) {
        char path[PATH_MAX_BYTES];
        if (!all->go[i])
            continue;
        snprintf(path, sizeof path, "/admin/delete_topics/%.*s",
                 SLICE_ARG(all->response->responses[i].name));
        all->writes[i] = wave_guarded_create(wave, path, SLICE_NULL);
    }
    enum err e = wave_run(wave);
    for (int32_t i = 0; !e && i < all->response->responses_count; i++) {
        if (!all->go[i])
            continue;
        enum err written = wave_result(wave, all->writes[i])->error;
        if (!written || written == ERR_EXISTS) /* marked already: wait for it too */
            continue;
        all->go[i] = false;
        set_error(all, i, ERR_UNKNOWN_SERVER_ERROR);
    }
    return e;
}

static void late(void *response, int32_t index)
{
    ((struct delete_topics_response *)response)->responses[index].error_code =
        err_wire_code(ERR_REQUEST_TIMED_OUT);
}

static enum err event_delete_topics(struct controller *controller, void *context, bool cancelled)
{
    struct call *call = context;
    const struct delete_topics_request *request = call->request;
    struct removal all = {.controller = controller, .call = call};
    fill(&all, request);
    enum err refusal = ERR_OK, e = ERR_OK;
    if (cancelled || !controller->active)
        refusal = ERR_NOT_CONTROLLER;
    else if (!controller->settings.delete_topic_enable)
        refusal = call->api_version < DISABLED_VERSION ? ERR_INVALID_REQUEST
                                                       : ERR_TOPIC_DELETION_DISABLED;
    else if (has_both(&all))
        refusal = ERR_INVALID_REQUEST;
    for (int32_t i = 0; !refusal && i < all.response->responses_count; i++)
        resolve(&all, i);
    map_done(&all.known);
    if (!refusal)
        e = write_marks(&all);
    if (e)
        refusal = err_ends_event(e) ? ERR_NOT_CONTROLLER : ERR_UNKNOWN_SERVER_ERROR;
    if (refusal) {
        for (int32_t i = 0; i < all.response->responses_count; i++)
            set_error(&all, i, refusal);
        call->done(call->context, all.response);
        return e;
    }
    int32_t waited = 0;
    struct wait_topic *topics =
        arena_new_array(call->arena, struct wait_topic, (size_t)all.response->responses_count + 1);
    for (int32_t i = 0; i < all.response->responses_count; i++) {
        if (all.go[i])
            topics[waited++] =
                (struct wait_topic){.name = all.response->responses[i].name, .index = i};
    }
    wait_begin(controller, call, all.response, late, topics, waited, true, request->timeout_ms);
    return ERR_OK;
}

static const void *all_late(const struct call *call)
{
    struct call mine = *call;
    struct removal all = {.call = &mine};
    fill(&all, call->request);
    for (int32_t i = 0; i < all.response->responses_count; i++)
        late(all.response, i);
    return all.response;
}

void controller_delete_topics(struct controller *controller,
                              const struct delete_topics_request *request, int16_t api_version,
                              struct arena *arena, controller_done_fn *done, void *context)
{
    const struct call_kind kind = {&wire_message_delete_topics_request, api_version, all_late};
    controller_enqueue(controller, "delete-topics", event_delete_topics,
                       call_new_patient(controller, &kind, request, request->timeout_ms,
                                        api_version, arena, done, context));
}
