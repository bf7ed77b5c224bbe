/* A disk that stands still takes its broker with it: the threads that serve clients and followers
 * append themselves, and one after the other waits for it. The broker's ZooKeeper session lives on
 * meanwhile, so nobody takes its place, and its followers, who cannot fetch, would be thrown out of
 * the ISR as laggards. So a thread that never touches a disk looks at how long the oldest operation
 * has been under way (broker/log/disk_watch.h), and decides by the states of stall_machine.h:
 *
 * STALLED    the controller is asked to relieve this broker, as at an orderly stop (a request that
 *            a JVM controller knows too): whoever else is in sync leads, and we leave the ISRs.
 *            Partitions without another member in sync stay here and go on with the disk. What was
 *            led before is not acknowledged any more.
 * RETURNING  the registration is made anew, which ends the controller's view of a broker that is
 *            shutting down; we follow, catch up, and join.
 *
 * While an operation takes unusually long, and as long again as a follower may lag after it, no
 * follower is taken out of an ISR here.
 *
 * Threads: one of its own. */
#pragma once

struct disk_stall;
struct server;

/* Once the broker may be registered. NULL where the setting is 0. */
struct disk_stall *disk_stall_start(struct server *server);
/* Before the control and the controller thread end. */
void disk_stall_stop(struct disk_stall *stall);
