/* Carries the wishes of this broker's leaders for another ISR to the controller (KIP-497): one
 * AlterPartition under way at a time, with all that have gathered meanwhile; and looks for replicas
 * that lag, every half of replica.lag.time.max.ms, and at watermarks that wait for one that is out.
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

/* Watermarks that wait for replicas out of the ISR are to be looked at then (monotonic). Threads:
 * any.
 */
void isr_sender_look_at_watermarks(struct isr_sender *sender, int64_t at_ms);

/* Takes the change. */
void isr_sender_post(struct isr_sender *sender, struct isr_change *change);
