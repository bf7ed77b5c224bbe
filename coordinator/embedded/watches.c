/* Watches by path; one record for each pair of path and watcher. */
#include "coordinator/embedded/watches.h"

#include "coordinator/embedded/tree.h"

struct spot {
    char *path;
    size_t path_size;
    struct list_node watches;
};
struct watch {
    struct list_node at_spot, at_watcher;
    struct watcher *watcher;
    struct spot *spot;
    unsigned kinds;
};

void watcher_init(struct watcher *watcher,
                  void (*notify)(struct watcher *, enum zk_event, struct slice path))
{
    list_init(&watcher->watches);
    watcher->notify = notify;
}
void watches_done(struct watches *watches)
{
    assert(watches->spots.count == 0);
    map_done(&watches->spots);
}
static void watch_free(struct watches *watches, struct watch *w)
{
    struct spot *spot = w->spot;
    list_remove(&w->at_spot);
    list_remove(&w->at_watcher);
    watches->count--;
    free(w);
    if (!list_is_empty(&spot->watches))
        return;
    (void)map_remove(&watches->spots, slice_of(spot->path, spot->path_size));
    free(spot->path);
    free(spot);
}
static void watch_drop_kinds(struct watches *watches, struct watch *w, unsigned kinds)
{
    if (w->kinds & kinds & WATCH_RECURSIVE)
        watches->recursive_count--;
    w->kinds &= ~kinds;
    if (!w->kinds)
        watch_free(watches, w);
}
static struct watch *watch_find(const struct watches *watches, const struct watcher *watcher,
                                struct slice path)
{
    struct spot *spot = path.data ? map_get(&watches->spots, path) : NULL;
    if (!spot)
        return NULL;
    list_for_each (&spot->watches, node) {
        struct watch *w = list_entry(node, struct watch, at_spot);
        if (w->watcher == watcher)
            return w;
    }
    return NULL;
}
void watcher_leave(struct watches *watches, struct watcher *watcher)
{
    while (!list_is_empty(&watcher->watches))
        watch_drop_kinds(watches, list_entry(watcher->watches.next, struct watch, at_watcher), ~0u);
}
static struct spot *spot_get(struct watches *watches, struct slice path)
{
    struct spot *spot = map_get(&watches->spots, path);
    if (spot)
        return spot;
    spot = mem_new(struct spot);
    spot->path = slice_dup(path);
    spot->path_size = path.size;
    list_init(&spot->watches);
    (void)map_put(&watches->spots, path, spot);
    return spot;
}
void watches_add(struct watches *watches, struct watcher *watcher, struct slice path,
                 unsigned kinds)
{
    if (!path.data)
        return;
    struct watch *w = watch_find(watches, watcher, path);
    if (!w) {
        w = mem_new(struct watch);
        w->watcher = watcher;
        w->spot = spot_get(watches, path);
        list_push_back(&w->spot->watches, &w->at_spot);
        list_push_back(&watcher->watches, &w->at_watcher);
        watches->count++;
    }
    if (kinds & ~w->kinds & WATCH_RECURSIVE)
        watches->recursive_count++;
    w->kinds |= kinds;
}
unsigned watches_get(const struct watches *watches, const struct watcher *watcher,
                     struct slice path, unsigned kinds)
{
    struct watch *w = watch_find(watches, watcher, path);
    return w ? w->kinds & kinds : 0;
}
void watches_remove(struct watches *watches, struct watcher *watcher, struct slice path,
                    unsigned kinds)
{
    struct watch *w = watch_find(watches, watcher, path);
    if (w)
        watch_drop_kinds(watches, w, kinds);
}
static unsigned kinds_for(enum zk_event event)
{
    switch (event) {
    case EVENT_CREATED:
    case EVENT_DATA_CHANGED:
        return WATCH_DATA | WATCH_PERSISTENT | WATCH_RECURSIVE;
    case EVENT_DELETED:
        return WATCH_DATA | WATCH_CHILDREN | WATCH_PERSISTENT | WATCH_RECURSIVE;
    case EVENT_CHILD:
        return WATCH_CHILDREN | WATCH_PERSISTENT;
    }
    return 0;
}
/* An ancestor's recursive watch, unless the same watcher was told at a deeper path. */
static bool was_told_deeper(const struct watches *watches, const struct watcher *watcher,
                            struct slice path, struct slice at, unsigned kinds)
{
    for (struct slice p = path; p.size > at.size; p = path_parent(p))
        if (watches_get(watches, watcher, p, p.size == path.size ? kinds : WATCH_RECURSIVE))
            return true;
    return false;
}
static void fire_at(struct watches *watches, struct slice at, struct slice path,
                    enum zk_event event, unsigned kinds)
{
    struct spot *spot = map_get(&watches->spots, at);
    if (!spot)
        return;
    list_for_each (&spot->watches, node) {
        struct watch *w = list_entry(node, struct watch, at_spot);
        if ((w->kinds & kinds) && !was_told_deeper(watches, w->watcher, path, at, kinds))
            w->watcher->notify(w->watcher, event, path);
    }
}
static void drop_one_shots(struct watches *watches, struct slice path, unsigned kinds)
{
    struct spot *spot = map_get(&watches->spots, path);
    size_t left = 0;
    if (spot)
        list_for_each (&spot->watches, node)
            left++;
    for (struct list_node *node = left ? spot->watches.next : NULL, *next; left-- > 0;
         node = next) {
        next = node->next; /* stays: the spot goes only with its last watch */
        watch_drop_kinds(watches, list_entry(node, struct watch, at_spot), kinds);
    }
}
void watches_fire(struct watches *watches, struct slice path, enum zk_event event)
{
    unsigned kinds = kinds_for(event);
    fire_at(watches, path, path, event, kinds);
    for (struct slice p = path;
         p.size > 1 && watches->recursive_count > 0 && event != EVENT_CHILD;) {
        p = path_parent(p);
        fire_at(watches, p, path, event, WATCH_RECURSIVE);
    }
    drop_one_shots(watches, path, kinds & (WATCH_DATA | WATCH_CHILDREN));
}
