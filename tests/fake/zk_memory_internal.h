/* Inside the model of ZooKeeper, for its own files. Names that they share begin with zkm_. */
#pragma once

#include "broker/base/list.h"
#include "broker/base/map.h"
#include "tests/fake/zk_memory.h"

struct node {
    char *path;
    uint8_t *data; /* NULL: null */
    struct zk_stat stat;
    struct node **children;
    size_t child_capacity; /* the count is in the stat */
    size_t child_slot;     /* in the parent's array */
};

struct session {
    struct list_node link;
    struct zk_memory *memory;
    int64_t id;
    bool connected, paused, gone;
    bool expiry_untold; /* expired while disconnected */
    int64_t generation;
    struct list_node views, outgoing, incoming, missed;
    int32_t lose_in; /* operations; 0: none */
    bool lose_executed;
};

struct view {
    struct zk zk; /* first */
    struct list_node link;
    struct session *session;
    int64_t seen_generation;
    struct list_node watches;
};

enum watch_kind { WATCH_DATA, WATCH_EXIST, WATCH_CHILD };

struct watch {
    struct list_node link;
    char *path;
    enum watch_kind kind;
    bool confirmed; /* the answer that armed it was delivered */
};

struct operation {
    struct list_node link;
    uint64_t order;
    struct view *view;
    struct zk_op *ops;
    int32_t count;
    bool multi;
    zk_done_fn *done;
    void *context;
};

enum message_kind { MESSAGE_RESULT, MESSAGE_WATCH, MESSAGE_STATE };

struct message {
    struct list_node link;
    uint64_t order;
    struct view *view;
    enum message_kind kind;
    struct operation *operation; /* RESULT: owned */
    struct zk_result *results;
    enum zk_event_kind event; /* WATCH */
    char *path;
    bool unconfirmed;
    enum zk_state state; /* STATE */
    int64_t session_id, generation;
};

struct zk_memory {
    struct map nodes;
    struct list_node sessions;
    int64_t zxid, next_session_id;
    uint64_t random, next_order;
    bool seeded;
};

extern const struct zk_functions zkm_functions;

/* --- zk_memory_tree.c --- */

struct node *zkm_find(const struct zk_memory *memory, struct slice path);
struct slice zkm_parent_path(struct slice path);
uint8_t *zkm_data_copy(struct slice data);
void zkm_link_node(struct zk_memory *memory, struct node *node);
void zkm_node_free(struct node *node);
struct node *zkm_node_new(struct slice path, struct slice data, int64_t zxid, int64_t owner);
void zkm_do_writes(struct zk_memory *memory, int64_t session_id, const struct zk_op *ops,
                   int32_t count, struct zk_result *results);
void zkm_do_read(struct zk_memory *memory, struct view *view, const struct zk_op *op,
                 struct zk_result *result);

/* --- zk_memory_watch.c --- */

struct message *zkm_message_new(struct view *view, enum message_kind kind);
void zkm_operation_free(struct operation *operation);
void zkm_results_free(struct zk_result *results, int32_t count);
void zkm_message_free(struct message *message);
void zkm_fire(struct zk_memory *memory, struct slice path, enum zk_event_kind event);
void zkm_arm(struct view *view, struct slice path, enum watch_kind kind);
void zkm_watches_drop(struct view *view, bool confirmed_too);
void zkm_confirm(struct view *view, struct slice path);
void zkm_state_message(struct view *view, enum zk_state state);
void zkm_tell(struct session *session, enum zk_state state);

/* --- zk_memory_run.c --- */

void zkm_fail_message(struct message *message, enum err error);
void zkm_fail_operation(struct operation *operation, enum err error);

/* --- zk_memory_session.c --- */

void zkm_queues_clear(struct session *session);
