/* The broker's own node, /brokers/ids/ID: an asynchronous state machine over a `struct zk` view.
 *
 *   IDLE ──> WRITING ──> REGISTERED ──(expiry)──> WRITING …
 *               │  ^
 *               v  │ every second, up to the stranger's session timeout
 *            WAITING ──> REFUSED
 *
 * IDLE: nothing was asked yet, or the session is away. WRITING: a multi (create, set) or the look
 * at who stands there is under way. WAITING: the node belongs to a session that is not ours; it may
 * be our own former process, so it is given time to expire, and is never deleted. REGISTERED: the
 * node is ours; broker_epoch is its czxid. REFUSED: the stranger outlived the wait; it tries again
 * with the next session. */
#pragma once

#include "broker/base/clock.h"
#include "broker/base/timers.h"
#include "coordinator/zk/zk.h"

struct registration;
struct znode_broker;

enum registration_state {
    REGISTRATION_IDLE,
    REGISTRATION_WRITING,
    REGISTRATION_WAITING,
    REGISTRATION_REGISTERED,
    REGISTRATION_REFUSED,
};

struct registration_callbacks {
    /* At start and again after each expiry. */
    void (*registered)(void *context, int64_t broker_epoch);
    /* ERR_DUPLICATE_BROKER_REGISTRATION: another living process has this id; others: what ZooKeeper
     * refused. The sentence is in the thread. */
    void (*refused)(void *context, enum err error);
    void *context;
};

/* Keeps zk, timers and clock; copies the rest. The timers are the owner's to run. wait_ms: how long
 * to wait for a stranger's session to end (its timeout, as far as it can be known). `broker` is
 * encoded anew for each attempt; its intact_since counts at birth only: registered once, this
 * process knows by itself since when it has lost nothing. Takes no callback of `zk`: the owner, who
 * may share the view, forwards state changes. */
struct registration *registration_new(struct zk *zk, struct timers *timers, struct clock *clock,
                                      int32_t broker_id, const struct znode_broker *broker,
                                      int32_t wait_ms,
                                      const struct registration_callbacks *callbacks);
/* Answers still on their way are swallowed; does not delete the node, which goes with the session.
 */
void registration_free(struct registration *registration);

/* Forward every state_changed of the view. The first ZK_CONNECTED registers. */
void registration_state_changed(struct registration *registration, enum zk_state state,
                                int64_t session_id);

/* Listeners changed while running: write the node anew (version -1, as Kafka). */
void registration_update(struct registration *registration, const struct znode_broker *broker);

/* Delete our node and make it anew, with another broker epoch: the controller takes it as a broker
 * that went and came back. Nothing while it is not ours. If the connection goes on the way, the old
 * node may still stand, which the broker epoch tells. */
void registration_renew(struct registration *registration);

enum registration_state registration_state(const struct registration *registration);
int64_t registration_broker_epoch(const struct registration *registration); /* -1: none */
