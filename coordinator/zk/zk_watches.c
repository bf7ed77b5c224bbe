/* A map from paths to the few views that watch there. */
#include "coordinator/zk/zk_watches.h"

#include "broker/base/mem.h"

struct watcher {
    struct zk_view *view;
    int kinds;
};

struct watched {
    struct watcher *watchers;
    size_t count, capacity;
};

static void watched_free(struct watched *watched)
{
    free(watched->watchers);
    free(watched);
}

void zk_watches_add(struct map *watches, struct slice path, struct zk_view *view,
                    enum zk_watch_kind kind)
{
    struct watched *watched = map_get(watches, path);
    if (!watched) {
        watched = mem_new(struct watched);
        map_put(watches, path, watched);
    }
    for (size_t i = 0; i < watched->count; i++) {
        if (watched->watchers[i].view == view) {
            watched->watchers[i].kinds |= kind;
            return;
        }
    }
    watched->watchers = mem_grow(watched->watchers, &watched->capacity, watched->count + 1,
                                 sizeof *watched->watchers);
    watched->watchers[watched->count++] = (struct watcher){view, kind};
}

/* Leave the watchers that still wait for something. */
static void drop_idle(struct watched *watched)
{
    size_t kept = 0;
    for (size_t i = 0; i < watched->count; i++) {
        if (watched->watchers[i].kinds)
            watched->watchers[kept++] = watched->watchers[i];
    }
    watched->count = kept;
}

struct zk_view **zk_watches_take(struct map *watches, struct slice path, int kinds,
                                 int32_t *ret_count)
{
    *ret_count = 0;
    struct watched *watched = map_get(watches, path);
    if (!watched)
        return NULL;
    struct zk_view **views = mem_new_array(struct zk_view *, watched->count);
    for (size_t i = 0; i < watched->count; i++) {
        if (watched->watchers[i].kinds & kinds)
            views[(*ret_count)++] = watched->watchers[i].view;
        watched->watchers[i].kinds &= ~kinds;
    }
    drop_idle(watched);
    if (watched->count == 0) {
        map_remove(watches, path);
        watched_free(watched);
    }
    return views;
}

int zk_watches_kinds(const struct map_entry *entry)
{
    const struct watched *watched = entry->value;
    int kinds = 0;
    for (size_t i = 0; i < watched->count; i++)
        kinds |= watched->watchers[i].kinds;
    return kinds;
}

void zk_watches_forget_view(struct map *watches, const struct zk_view *view)
{
    struct map_entry *entry;
    for (size_t at = 0; (entry = map_next(watches, &at));) {
        struct watched *watched = entry->value;
        for (size_t i = 0; i < watched->count; i++) {
            if (watched->watchers[i].view == view)
                watched->watchers[i].kinds = 0;
        }
        drop_idle(watched);
        if (watched->count == 0) {
            map_remove(watches, map_entry_key(entry));
            watched_free(watched);
        }
    }
}

void zk_watches_done(struct map *watches)
{
    struct map_entry *entry;
    for (size_t at = 0; (entry = map_next(watches, &at));)
        watched_free(entry->value);
    map_done(watches);
}
