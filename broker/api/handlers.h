/* The handlers: one function a request, each a thin reading of the request onto the parts below. A
 * handler takes the request and sees to it that it is answered or refused exactly once. Where each
 * begins is in API_TABLE. */
#pragma once

#include "broker/api/request.h"

void handle_api_versions(struct request *request);
void handle_consumer_group_describe(struct request *request);
void handle_consumer_group_heartbeat(struct request *request);
void handle_create_acls(struct request *request);
void handle_create_delegation_token(struct request *request);
void handle_delete_acls(struct request *request);
void handle_delete_records(struct request *request);
void handle_describe_acls(struct request *request);
void handle_describe_cluster(struct request *request);
void handle_describe_delegation_token(struct request *request);
void handle_describe_log_dirs(struct request *request);
void handle_describe_producers(struct request *request);
void handle_envelope(struct request *request);
void handle_expire_delegation_token(struct request *request);
void handle_fetch(struct request *request);
void handle_find_coordinator(struct request *request);
void handle_init_producer_id(struct request *request);
void handle_leader_and_isr(struct request *request);
void handle_list_offsets(struct request *request);
void handle_metadata(struct request *request);
void handle_offset_for_leader_epoch(struct request *request);
void handle_produce(struct request *request);
void handle_renew_delegation_token(struct request *request);
void handle_sasl_authenticate(struct request *request);
void handle_sasl_handshake(struct request *request);
void handle_stop_replica(struct request *request);
void handle_update_metadata(struct request *request);

/* In broker/server, which joins the controller and ZooKeeper. */
void handle_allocate_producer_ids(struct request *request);
void handle_alter_partition(struct request *request);
void handle_alter_configs(struct request *request);
void handle_controlled_shutdown(struct request *request);
void handle_create_partitions(struct request *request);
void handle_create_topics(struct request *request);
void handle_delete_topics(struct request *request);
void handle_describe_configs(struct request *request);
void handle_leader_and_isr_with_settings(struct request *request);
void handle_incremental_alter_configs(struct request *request);
void handle_elect_leaders(struct request *request);
void handle_alter_reassignments(struct request *request);
void handle_list_reassignments(struct request *request);
void handle_update_features(struct request *request);
