/* The way between threads: a queue of messages with an eventfd that becomes readable when there is
 * something to take. Many posters, one taker. A post to a mailbox that is not empty makes no system
 * call. */
#pragma once

#include "broker/base/list.h"

struct mailbox;

struct mailbox *mailbox_new(void);
void mailbox_free(
    struct mailbox *mailbox); /* must be empty, or its messages are the caller's loss */

/* The descriptor to poll for reading. */
int mailbox_fd(const struct mailbox *mailbox);

/* Threads: any. Takes the message until it is received. */
void mailbox_post(struct mailbox *mailbox, struct list_node *message);

/* The same for all of a list, in their order; leaves it empty. */
void mailbox_post_all(struct mailbox *mailbox, struct list_node *messages);

/* Move all waiting messages to the end of `ret_messages` (an initialised list) in the order they
 * were posted, and clear the descriptor. Thread: the taker. */
void mailbox_receive(struct mailbox *mailbox, struct list_node *ret_messages);

/* Wait until there is a message or the time is up (-1: for ever). For takers without an event loop.
 */
void mailbox_wait(struct mailbox *mailbox, int timeout_ms);
