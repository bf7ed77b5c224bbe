/* Carries the wishes of this broker's leaders for another ISR to the controller (KIP-497): one
 * AlterPartition under way at a time, with all that have gathered meanwhile; and looks for replicas
 * that lag, every half of replica.lag.time.max.ms.
 *
 * Threads: control; isr_sender_post() from any. */
#pragma once

#include "broker/replica/replication.h"

struct server;
struct isr_sender;

struct isr_sender *isr_sender_new(struct server *server);
void isr_sender_start(struct isr_sender *sender); /* thread: any, before the control thread runs */
/* After the control and the controller thread have ended. */
void isr_sender_free(struct isr_sender *sender);

/* Takes the change. */
void isr_sender_post(struct isr_sender *sender, struct isr_change *change);
