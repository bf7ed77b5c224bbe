/* Keeps the notes of this broker's leaders about complete replicas
 * (broker/replica/partition_complete.h) in ZooKeeper, beside the partitions' state znodes.
 *
 * Threads: control; note_keeper_post() from any. */
#pragma once

struct note_keeper;
struct partition;
struct server;

struct note_keeper *note_keeper_new(struct server *server);
/* After the control thread and its view have ended. */
void note_keeper_free(struct note_keeper *keeper);

/* Look at this partition's note. Its lock may be held. */
void note_keeper_post(struct note_keeper *keeper, struct partition *partition);
