/* A model of ZooKeeper in memory, in one thread, stepped by the test: `struct zk` for as many
 * clients as wanted on one tree. Nothing happens inside submit(): operations, answers and watch
 * events travel when zk_memory_run() or zk_memory_step() says so, so a test can lose a connection
 * or end a session between any two. Order is kept per client as over a TCP connection; with a seed,
 * clients advance at random relative to one another. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "coordinator/zk/zk.h"

struct zk_memory;

/* seed 0: clients advance in the order in which operations were submitted. */
struct zk_memory *zk_memory_new(uint64_t seed);
void zk_memory_free(struct zk_memory *memory); /* with its clients; calls nothing */

/* A client; set its owner and callbacks, then zk_memory_run(): the first thing it hears is
 * ZK_CONNECTED. */
struct zk *zk_memory_client(struct zk_memory *memory);
/* Ends the session in order: its ephemerals go, and nothing is called any more. */
void zk_memory_client_close(struct zk *client);
/* As if the process died: nothing is called any more, the session lives until
 * zk_memory_expire_session(). */
void zk_memory_client_kill(struct zk *client);

/* A second view of a client's session: ephemerals are shared, and expiry and connection loss hit
 * both. */
struct zk *zk_memory_view(struct zk *client);

/* One thing: execute one operation, or deliver one message. False if there is nothing to do. */
bool zk_memory_step(struct zk_memory *memory);
/* Steps until there is nothing to do; gives how many. */
size_t zk_memory_run(struct zk_memory *memory);

int64_t zk_memory_session_id(const struct zk *client);

/* ---- Faults ---- */
/* The connection breaks: operations not executed yet, and answers on their way, become
 * ERR_ZK_UNAVAILABLE, and ZK_CONNECTING is told. Operations submitted then wait for
 * zk_memory_connect(), which tells ZK_CONNECTED and delivers the watch events that were missed. */
void zk_memory_disconnect(struct zk *client);
void zk_memory_connect(struct zk *client);
/* The server ends the session: its ephemerals go at once. The client hears of it when it is
 * connected: outstanding operations fail with ERR_SESSION_EXPIRED, ZK_EXPIRED is told, then
 * ZK_CONNECTED with a new session id; what is submitted before ZK_EXPIRED was told fails likewise.
 */
void zk_memory_expire(struct zk *client);
void zk_memory_expire_session(struct zk_memory *memory, int64_t session_id);
/* Fail the n-th operation from now (1: the next one executed, a multi is one) of this client with
 * ERR_ZK_UNAVAILABLE; executed: whether it happens all the same. The connection breaks and comes
 * back. */
void zk_memory_lose_operation(struct zk *client, int32_t n, bool executed);
/* Nothing of this client advances until resumed (a stopped process). */
void zk_memory_pause(struct zk *client, bool paused);

/* ---- Looking in from outside, at once, without a session ---- */
bool zk_memory_get(struct zk_memory *memory, const char *path, struct slice *ret_data,
                   struct zk_stat *ret_stat);
/* Create with parents, or set: as a foreign client would. data NULL: null. Watches fire. */
void zk_memory_put(struct zk_memory *memory, const char *path, const char *data);
bool zk_memory_delete(struct zk_memory *memory, const char *path);
int32_t zk_memory_children_count(struct zk_memory *memory, const char *path);
int64_t zk_memory_zxid(const struct zk_memory *memory);
