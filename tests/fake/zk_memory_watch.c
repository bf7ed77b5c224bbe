/* Messages on their way to a client, and the watches from which some of them come. A watch counts
 * from the moment the answer that armed it was delivered. */
#include "tests/fake/zk_memory_internal.h"

struct message *zkm_message_new(struct view *view, enum message_kind kind)
{
    struct message *message = mem_new(struct message);
    message->order = view->session->memory->next_order++;
    message->view = view;
    message->kind = kind;
    return message;
}

void zkm_operation_free(struct operation *operation)
{
    if (!operation)
        return;
    for (int32_t i = 0; i < operation->count; i++) {
        free((void *)operation->ops[i].path.data);
        free((void *)operation->ops[i].data.data);
    }
    free(operation->ops);
    free(operation);
}

void zkm_results_free(struct zk_result *results, int32_t count)
{
    for (int32_t i = 0; results && i < count; i++) {
        free((void *)results[i].path.data);
        free((void *)results[i].data.data);
        for (int32_t c = 0; c < results[i].children_count; c++)
            free((void *)results[i].children[c].data);
        free(results[i].children);
    }
    free(results);
}

void zkm_message_free(struct message *message)
{
    if (message->kind == MESSAGE_RESULT)
        zkm_results_free(message->results, message->operation->count);
    zkm_operation_free(message->operation);
    free(message->path);
    free(message);
}

void zkm_fire(struct zk_memory *memory, struct slice path, enum zk_event_kind event)
{
    list_for_each (&memory->sessions, s) {
        struct session *session = list_entry(s, struct session, link);
        list_for_each (&session->views, v) {
            struct view *view = list_entry(v, struct view, link);
            bool fired = false, confirmed = false;
            list_for_each (&view->watches, w) {
                struct watch *watch = list_entry(w, struct watch, link);
                bool hit = event == ZK_EVENT_CHILDREN  ? watch->kind == WATCH_CHILD
                           : event == ZK_EVENT_DELETED ? true
                                                       : watch->kind != WATCH_CHILD;
                if (!hit || !slice_equal(slice_str(watch->path), path))
                    continue;
                fired = true;
                confirmed = confirmed || watch->confirmed;
                list_remove(w);
                free(watch->path);
                free(watch);
            }
            if (!fired)
                continue;
            struct message *message = zkm_message_new(view, MESSAGE_WATCH);
            message->event = event;
            message->path = slice_dup(path);
            message->unconfirmed = !confirmed;
            list_push_back(session->connected ? &session->incoming : &session->missed,
                           &message->link);
        }
    }
}

void zkm_arm(struct view *view, struct slice path, enum watch_kind kind)
{
    list_for_each (&view->watches, w) {
        struct watch *watch = list_entry(w, struct watch, link);
        if (watch->kind == kind && slice_equal(slice_str(watch->path), path))
            return;
    }
    struct watch *watch = mem_new(struct watch);
    watch->path = slice_dup(path);
    watch->kind = kind;
    list_push_back(&view->watches, &watch->link);
}

void zkm_watches_drop(struct view *view, bool confirmed_too)
{
    list_for_each (&view->watches, w) {
        struct watch *watch = list_entry(w, struct watch, link);
        if (watch->confirmed && !confirmed_too)
            continue;
        list_remove(w);
        free(watch->path);
        free(watch);
    }
}

void zkm_confirm(struct view *view, struct slice path)
{
    list_for_each (&view->watches, w) {
        struct watch *watch = list_entry(w, struct watch, link);
        if (slice_equal(slice_str(watch->path), path))
            watch->confirmed = true;
    }
    /* It may have fired on the way: the client would learn of the change by its next connection. */
    list_for_each (&view->session->incoming, m) {
        struct message *message = list_entry(m, struct message, link);
        if (message->kind == MESSAGE_WATCH && message->view == view &&
            slice_equal(slice_str(message->path), path))
            message->unconfirmed = false;
    }
}

void zkm_state_message(struct view *view, enum zk_state state)
{
    struct message *message = zkm_message_new(view, MESSAGE_STATE);
    message->state = state;
    message->session_id = view->session->id;
    message->generation = view->session->generation;
    list_push_back(&view->session->incoming, &message->link);
}

void zkm_tell(struct session *session, enum zk_state state)
{
    list_for_each (&session->views, v)
        zkm_state_message(list_entry(v, struct view, link), state);
}
