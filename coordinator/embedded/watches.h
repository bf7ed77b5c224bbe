/* Who wants to hear of which path. One-shot watches (data, children), and those that stay
 * (persistent, persistent and recursive). A watcher hears one event once, however many of its
 * watches it fits. Thread: one owner. */
#pragma once

#include "broker/base/list.h"
#include "broker/base/map.h"
#include "coordinator/embedded/protocol.h"

enum watch_kind {
    WATCH_DATA = 1, /* also left by exists on a path that is not there */
    WATCH_CHILDREN = 2,
    WATCH_PERSISTENT = 4,
    WATCH_RECURSIVE = 8
};

/* Embedded in whoever watches. */
struct watcher {
    struct list_node watches;
    void (*notify)(struct watcher *watcher, enum zk_event event, struct slice path);
};

struct watches {
    struct map spots; /* path -> who watches it */
    size_t count, recursive_count;
};

void watches_done(struct watches *watches); /* all watchers have left */
void watcher_init(struct watcher *watcher,
                  void (*notify)(struct watcher *, enum zk_event, struct slice path));
void watcher_leave(struct watches *watches, struct watcher *watcher);

void watches_add(struct watches *watches, struct watcher *watcher, struct slice path,
                 unsigned kinds);
/* Which of `kinds` the watcher has on the path. */
unsigned watches_get(const struct watches *watches, const struct watcher *watcher,
                     struct slice path, unsigned kinds);
void watches_remove(struct watches *watches, struct watcher *watcher, struct slice path,
                    unsigned kinds);
void watches_fire(struct watches *watches, struct slice path, enum zk_event event);
