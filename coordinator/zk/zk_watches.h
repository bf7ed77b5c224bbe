/* Who waits for a change of which znode. A watch fires once; those that have not fired are told to
 * the next server when the connection moves, so that nothing is missed in between. The paths are
 * those of the server, with the chroot. Lock: the session's. */
#pragma once

#include "broker/base/map.h"
#include "broker/base/slice.h"

struct zk_view;

enum zk_watch_kind { ZK_WATCH_DATA = 1, ZK_WATCH_EXIST = 2, ZK_WATCH_CHILDREN = 4 };

void zk_watches_add(struct map *watches, struct slice path, struct zk_view *view,
                    enum zk_watch_kind kind);

/* The views whose watches `kinds` (a set) stood at `path`, each once; the watches are taken away.
 * Gives an array that is the caller's, NULL where there is none. */
struct zk_view **zk_watches_take(struct map *watches, struct slice path, int kinds,
                                 int32_t *ret_count);

/* What stands at a path: a set of kinds. */
int zk_watches_kinds(const struct map_entry *entry);

void zk_watches_forget_view(struct map *watches, const struct zk_view *view);
void zk_watches_done(struct map *watches); /* all of them; the map may be used anew */
