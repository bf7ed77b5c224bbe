/* The areas of config_keys[], joined by config_keys.c. */
#pragma once

#include "broker/config/config_key.h"

extern const struct config_key keys_server[];
extern const int32_t keys_server_count;
extern const struct config_key keys_zookeeper[];
extern const int32_t keys_zookeeper_count;
extern const struct config_key keys_log[];
extern const int32_t keys_log_count;
extern const struct config_key keys_replication[];
extern const int32_t keys_replication_count;
extern const struct config_key keys_groups[];
extern const int32_t keys_groups_count;
extern const struct config_key keys_transactions[];
extern const int32_t keys_transactions_count;
extern const struct config_key keys_observe[];
extern const int32_t keys_observe_count;
extern const struct config_key keys_security[];
extern const int32_t keys_security_count;
extern const struct config_key keys_remote[];
extern const int32_t keys_remote_count;
extern const struct config_key keys_kraft[];
extern const int32_t keys_kraft_count;
