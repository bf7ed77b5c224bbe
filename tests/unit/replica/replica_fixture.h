/* What the tests of broker/replica and broker/api share: a real log manager in a directory of its
 * own (log_fixture), a metadata cache and a replica manager over it, and the controller's part,
 * said in one call each. This broker is number 1; brokers 1, 2 and 3 are alive unless told
 * otherwise. */
#pragma once

#include "log_fixture.h"

#include "broker/base/trace.h"
#include "broker/replica/replica_manager.h"

#define SELF          1
#define BROKERS_MAX   8
#define CONTROLLER    2
#define BROKER_EPOCH  100
#define CONTROL_EPOCH 7

struct replicas {
    struct fixture *logs;
    struct metadata_cache *cache;
    struct replica_manager *manager;
    struct arena *arena; /* of answers and requests, until the end of the test */
    int32_t min_insync_replicas;
    int32_t alive[BROKERS_MAX];
    int32_t alive_count;
    const char *racks[BROKERS_MAX];   /* by broker id; NULL: "rack" */
    struct isr_change *isr_wishes[8]; /* of followers that would join, on their way */
    int32_t isr_wishes_count;
    int64_t look_at_ms; /* when the manager wants its watermarks looked at; 0: it does not */
    int32_t looks_wanted;
};

struct replicas *replicas_new(void);
void replicas_free(struct replicas *r);
/* Over the log manager as it is now, after a test has made another. */
void replicas_make_manager(struct replicas *r);
/* For cmocka. */
int replicas_setup(void **state);
int replicas_teardown(void **state);

/* A topic id made of a number. */
struct uuid id_of(uint8_t number);

/* An UpdateMetadata that names `partitions` partitions of a topic, all with that leader. */
void tell_topic(struct replicas *r, const char *topic, struct uuid id, int32_t partitions,
                int32_t leader, int32_t leader_epoch);
/* An UpdateMetadata of no partition, for the brokers alive now. */
void tell_brokers(struct replicas *r);

/* A LeaderAndIsr of one partition. Zero stands for: this broker, alone, leads; epochs as above. */
struct role_spec {
    const char *topic; /* NULL: "t" */
    struct uuid id;
    int32_t partition, leader, leader_epoch, partition_epoch;
    int32_t controller_epoch;
    int64_t broker_epoch; /* 0: BROKER_EPOCH */
    int32_t replicas[BROKERS_MAX], isr[BROKERS_MAX];
    int32_t replicas_count, isr_count; /* isr 0: all replicas */
    bool is_new, is_kraft, is_recovering;
};
struct role_answer {
    int16_t error, partition_error;
};
struct role_answer tell_role(struct replicas *r, const struct role_spec *spec);
/* The same with metadata, asserting that it is accepted; the partition, a reference. */
struct partition *take_role(struct replicas *r, const struct role_spec *spec);

/* StopReplica of one partition: the error of the partition, or of the request. */
int16_t tell_stop(struct replicas *r, const char *topic, int32_t partition, int32_t leader_epoch,
                  bool is_delete);

/* Append as clients do; what the high watermark must reach is given. */
int64_t append_to(struct partition *partition, int32_t records);
enum err try_append_to(struct partition *partition, int16_t acks, const struct batch_spec *spec);

/* What is traced at one level, from traced_begin() to traced_end(). */
struct traced {
    enum trace_level level;
    int32_t lines;
    char last[512];
};
void traced_begin(struct traced *traced, enum trace_level level);
void traced_end(void);

#define assert_code(code, name) assert_int_equal(code, err_wire_code(name))
