/* The controller's three requests, built and queued. */
#pragma once

#include "coordinator/controller/batch.h"

/* Entries of one broker, sorted by topic and partition. */
void requests_leader_and_isr(struct controller *controller, struct broker_node *broker,
                             const struct batch_entry *entries, size_t count);
void requests_stop_replica(struct controller *controller, struct broker_node *broker,
                           const struct batch_entry *entries, size_t count);
/* The same partitions (sorted) and the whole broker list to each of the brokers. */
void requests_update_metadata(struct controller *controller, struct broker_node **brokers,
                              size_t broker_count, const struct partition_list *partitions);
