/* The model. Per session there are two queues, as on a connection: operations on their way to the
 * server, and messages (answers, watch events, states) on their way to the client. A step moves one
 * thing at the head of one queue. Its parts stand in files of their own: tree, watch, run, session;
 * here are its birth and death, and what a test does behind the clients' backs. */
#include "tests/fake/zk_memory_internal.h"

struct zk_memory *zk_memory_new(uint64_t seed)
{
    struct zk_memory *memory = mem_new(struct zk_memory);
    list_init(&memory->sessions);
    memory->random = seed;
    memory->seeded = seed != 0;
    memory->next_session_id = 0x10001;
    zkm_link_node(memory, zkm_node_new(SLICE_LITERAL("/"), SLICE_LITERAL(""), 0, 0));
    return memory;
}

void zk_memory_free(struct zk_memory *memory)
{
    if (!memory)
        return;
    for (struct list_node *s; (s = list_pop_front(&memory->sessions));) {
        struct session *session = list_entry(s, struct session, link);
        zkm_queues_clear(session);
        for (struct list_node *v; (v = list_pop_front(&session->views));)
            free(list_entry(v, struct view, link));
        free(session);
    }
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&memory->nodes, &i));)
        zkm_node_free(e->value);
    map_done(&memory->nodes);
    free(memory);
}

/* --- from outside --- */

bool zk_memory_get(struct zk_memory *memory, const char *path, struct slice *ret_data,
                   struct zk_stat *ret_stat)
{
    struct node *node = zkm_find(memory, slice_str(path));
    if (!node)
        return false;
    if (ret_data)
        *ret_data = slice_of(node->data, node->data ? (size_t)node->stat.data_size : 0);
    if (ret_stat)
        *ret_stat = node->stat;
    return true;
}

static enum err write_at_once(struct zk_memory *memory, enum zk_op_kind kind, struct slice path,
                              struct slice data)
{
    struct zk_op op = {.kind = kind, .path = path, .data = data, .zk_version = ZK_ANY_VERSION};
    struct zk_result result = {0};
    zkm_do_writes(memory, 0, &op, 1, &result);
    free((void *)result.path.data);
    return result.error;
}

void zk_memory_put(struct zk_memory *memory, const char *path, const char *data)
{
    struct slice at = slice_str(path);
    if (zkm_find(memory, at)) {
        write_at_once(memory, ZK_OP_SET, at, slice_str(data));
        return;
    }
    OWNED_MEM char *parent = slice_dup(zkm_parent_path(at));
    if (!zkm_find(memory, slice_str(parent)))
        zk_memory_put(memory, parent, NULL);
    write_at_once(memory, ZK_OP_CREATE, at, slice_str(data));
}

bool zk_memory_delete(struct zk_memory *memory, const char *path)
{
    return write_at_once(memory, ZK_OP_DELETE, slice_str(path), SLICE_NULL) == ERR_OK;
}

int32_t zk_memory_children_count(struct zk_memory *memory, const char *path)
{
    struct node *node = zkm_find(memory, slice_str(path));
    return node ? node->stat.children_count : -1;
}

int64_t zk_memory_zxid(const struct zk_memory *memory)
{
    return memory->zxid;
}
