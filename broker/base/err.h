/* Errors: a code that the program branches on, and a sentence that a person reads.
 *
 * One table lists every error: first those of Kafka's protocol under Kafka's own names and codes
 * (org.apache.kafka.common.protocol.Errors, 3.9), then ours, each with the code a client would be
 * given.
 *
 * The sentence waits in the thread until someone speaks it: err_note() starts it where the fault is
 * found, err_wrap() puts the wider view before it, err_sentence() reads it. Whoever decides what
 * happens next traces it, once. A result that crosses threads carries both the code and a copy of
 * the sentence. */
#pragma once

#include <stdint.h>

#include "broker/base/attributes.h"

/* X(NAME, code on the wire, text) */
#define ERR_TABLE(X)                                                                               \
    X(OK, 0, "no error")                                                                           \
    X(UNKNOWN_SERVER_ERROR, -1, "the server met an error it did not expect")                       \
    X(OFFSET_OUT_OF_RANGE, 1,                                                                      \
      "the offset is not within the range of offsets that the server keeps")                       \
    X(CORRUPT_MESSAGE, 2,                                                                          \
      "the record batch fails its checksum, or its size or format is not valid")                   \
    X(UNKNOWN_TOPIC_OR_PARTITION, 3, "this server does not host this topic-partition")             \
    X(INVALID_FETCH_SIZE, 4, "the fetch size is not valid")                                        \
    X(LEADER_NOT_AVAILABLE, 5, "there is no leader for this topic-partition at the moment")        \
    X(NOT_LEADER_OR_FOLLOWER, 6,                                                                   \
      "this broker is not the leader, or not a replica, of the topic-partition")                   \
    X(REQUEST_TIMED_OUT, 7, "the request timed out")                                               \
    X(BROKER_NOT_AVAILABLE, 8, "the broker is not available")                                      \
    X(REPLICA_NOT_AVAILABLE, 9, "the replica is not available")                                    \
    X(MESSAGE_TOO_LARGE, 10, "the batch is larger than max.message.bytes allows")                  \
    X(STALE_CONTROLLER_EPOCH, 11, "the controller has moved to another broker")                    \
    X(OFFSET_METADATA_TOO_LARGE, 12, "the metadata of the offset is too large")                    \
    X(NETWORK_EXCEPTION, 13, "the server disconnected before an answer was received")              \
    X(COORDINATOR_LOAD_IN_PROGRESS, 14, "the coordinator is loading")                              \
    X(COORDINATOR_NOT_AVAILABLE, 15, "the coordinator is not available")                           \
    X(NOT_COORDINATOR, 16, "this broker is not the coordinator")                                   \
    X(INVALID_TOPIC_EXCEPTION, 17, "the topic name is not valid for this request")                 \
    X(RECORD_LIST_TOO_LARGE, 18, "the batch is larger than segment.bytes")                         \
    X(NOT_ENOUGH_REPLICAS, 19, "fewer replicas are in sync than min.insync.replicas asks")         \
    X(NOT_ENOUGH_REPLICAS_AFTER_APPEND, 20,                                                        \
      "written, but to fewer in-sync replicas than min.insync.replicas asks")                      \
    X(INVALID_REQUIRED_ACKS, 21, "acks must be -1, 0 or 1")                                        \
    X(ILLEGAL_GENERATION, 22, "the group generation is not the current one")                       \
    X(INCONSISTENT_GROUP_PROTOCOL, 23, "the member's protocols do not fit those of the group")     \
    X(INVALID_GROUP_ID, 24, "the group id is not valid")                                           \
    X(UNKNOWN_MEMBER_ID, 25, "the coordinator does not know this member")                          \
    X(INVALID_SESSION_TIMEOUT, 26, "the session timeout is outside the range the broker allows")   \
    X(REBALANCE_IN_PROGRESS, 27, "the group is rebalancing, so a rejoin is needed")                \
    X(INVALID_COMMIT_OFFSET_SIZE, 28, "the committed offset data is too large")                    \
    X(TOPIC_AUTHORIZATION_FAILED, 29, "not authorized to access the topic")                        \
    X(GROUP_AUTHORIZATION_FAILED, 30, "not authorized to access the group")                        \
    X(CLUSTER_AUTHORIZATION_FAILED, 31, "not authorized for the cluster")                          \
    X(INVALID_TIMESTAMP, 32, "the timestamp of a record is out of the allowed range")              \
    X(UNSUPPORTED_SASL_MECHANISM, 33, "the SASL mechanism is not supported")                       \
    X(ILLEGAL_SASL_STATE, 34, "the request is not valid in this state of authentication")          \
    X(UNSUPPORTED_VERSION, 35, "this version of the API is not supported")                         \
    X(TOPIC_ALREADY_EXISTS, 36, "a topic of this name exists already")                             \
    X(INVALID_PARTITIONS, 37, "the number of partitions is not valid")                             \
    X(INVALID_REPLICATION_FACTOR, 38,                                                              \
      "the replication factor is below 1 or above the number of brokers")                          \
    X(INVALID_REPLICA_ASSIGNMENT, 39, "the replica assignment is not valid")                       \
    X(INVALID_CONFIG, 40, "the configuration is not valid")                                        \
    X(NOT_CONTROLLER, 41, "this is not the controller of the cluster")                             \
    X(INVALID_REQUEST, 42, "the request is malformed or not allowed here")                         \
    X(UNSUPPORTED_FOR_MESSAGE_FORMAT, 43,                                                          \
      "the message format on the broker does not support this")                                    \
    X(POLICY_VIOLATION, 44, "the request does not satisfy the configured policy")                  \
    X(OUT_OF_ORDER_SEQUENCE_NUMBER, 45, "a sequence number of the producer is missing")            \
    X(DUPLICATE_SEQUENCE_NUMBER, 46, "the sequence number was seen before")                        \
    X(INVALID_PRODUCER_EPOCH, 47, "the producer's epoch is an old one")                            \
    X(INVALID_TXN_STATE, 48, "the transaction is not in a state that allows this")                 \
    X(INVALID_PRODUCER_ID_MAPPING, 49, "the producer id does not belong to this transactional id") \
    X(INVALID_TRANSACTION_TIMEOUT, 50, "the transaction timeout is above what the broker allows")  \
    X(CONCURRENT_TRANSACTIONS, 51, "another operation of this transaction is still going on")      \
    X(TRANSACTION_COORDINATOR_FENCED, 52,                                                          \
      "the transaction coordinator is no longer the current one")                                  \
    X(TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 53, "not authorized to use the transactional id")     \
    X(SECURITY_DISABLED, 54, "security features are disabled")                                     \
    X(OPERATION_NOT_ATTEMPTED, 55, "the operation was not attempted")                              \
    X(KAFKA_STORAGE_ERROR, 56, "the disk that holds the log cannot be used")                       \
    X(LOG_DIR_NOT_FOUND, 57, "the log directory is not one of the broker's")                       \
    X(SASL_AUTHENTICATION_FAILED, 58, "SASL authentication failed")                                \
    X(UNKNOWN_PRODUCER_ID, 59, "the broker knows nothing of this producer id")                     \
    X(REASSIGNMENT_IN_PROGRESS, 60, "a reassignment of the partition is going on")                 \
    X(DELEGATION_TOKEN_AUTH_DISABLED, 61, "delegation tokens are not enabled")                     \
    X(DELEGATION_TOKEN_NOT_FOUND, 62, "the delegation token is not found")                         \
    X(DELEGATION_TOKEN_OWNER_MISMATCH, 63, "the principal is not the owner of the token")          \
    X(DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, 64,                                                    \
      "delegation token requests are not allowed on this connection")                              \
    X(DELEGATION_TOKEN_AUTHORIZATION_FAILED, 65, "delegation token authorization failed")          \
    X(DELEGATION_TOKEN_EXPIRED, 66, "the delegation token has expired")                            \
    X(INVALID_PRINCIPAL_TYPE, 67, "the principal type is not supported")                           \
    X(NON_EMPTY_GROUP, 68, "the group is not empty")                                               \
    X(GROUP_ID_NOT_FOUND, 69, "there is no such group")                                            \
    X(FETCH_SESSION_ID_NOT_FOUND, 70, "the fetch session is not known")                            \
    X(INVALID_FETCH_SESSION_EPOCH, 71, "the epoch of the fetch session is not the expected one")   \
    X(LISTENER_NOT_FOUND, 72, "the leader has no listener of the name the request came in by")     \
    X(TOPIC_DELETION_DISABLED, 73, "topic deletion is disabled")                                   \
    X(FENCED_LEADER_EPOCH, 74, "the leader epoch is older than the broker's")                      \
    X(UNKNOWN_LEADER_EPOCH, 75, "the leader epoch is newer than the broker's")                     \
    X(UNSUPPORTED_COMPRESSION_TYPE, 76,                                                            \
      "the client does not support the compression of these records")                              \
    X(STALE_BROKER_EPOCH, 77, "the broker epoch has changed")                                      \
    X(OFFSET_NOT_AVAILABLE, 78,                                                                    \
      "the leader's high watermark has not caught up since its election")                          \
    X(MEMBER_ID_REQUIRED, 79, "the group member needs an id before it joins")                      \
    X(PREFERRED_LEADER_NOT_AVAILABLE, 80, "the preferred leader is not available")                 \
    X(GROUP_MAX_SIZE_REACHED, 81, "the group has reached its maximum size")                        \
    X(FENCED_INSTANCE_ID, 82, "another member has taken over this group instance id")              \
    X(ELIGIBLE_LEADERS_NOT_AVAILABLE, 83, "no eligible leader is available")                       \
    X(ELECTION_NOT_NEEDED, 84, "the partition has the leader it should have")                      \
    X(NO_REASSIGNMENT_IN_PROGRESS, 85, "no reassignment of the partition is going on")             \
    X(GROUP_SUBSCRIBED_TO_TOPIC, 86, "the group is subscribed to the topic")                       \
    X(INVALID_RECORD, 87, "the record or batch breaks a rule of the broker")                       \
    X(UNSTABLE_OFFSET_COMMIT, 88, "there are offsets whose transaction has not ended")             \
    X(THROTTLING_QUOTA_EXCEEDED, 89, "the throttling quota is exceeded")                           \
    X(PRODUCER_FENCED, 90, "a newer producer with the same transactional id exists")               \
    X(RESOURCE_NOT_FOUND, 91, "there is no such resource")                                         \
    X(DUPLICATE_RESOURCE, 92, "the resource is named twice")                                       \
    X(UNACCEPTABLE_CREDENTIAL, 93, "the credential does not meet the criteria")                    \
    X(INCONSISTENT_VOTER_SET, 94, "the voter sets differ")                                         \
    X(INVALID_UPDATE_VERSION, 95, "the update version is not valid")                               \
    X(FEATURE_UPDATE_FAILED, 96, "the features could not be updated")                              \
    X(PRINCIPAL_DESERIALIZATION_FAILURE, 97, "the forwarded principal could not be read")          \
    X(SNAPSHOT_NOT_FOUND, 98, "the snapshot is not found")                                         \
    X(POSITION_OUT_OF_RANGE, 99, "the position is out of range")                                   \
    X(UNKNOWN_TOPIC_ID, 100, "this server does not host this topic id")                            \
    X(DUPLICATE_BROKER_REGISTRATION, 101, "a broker of this id is registered already")             \
    X(BROKER_ID_NOT_REGISTERED, 102, "the broker id is not registered")                            \
    X(INCONSISTENT_TOPIC_ID, 103, "the log's topic id differs from that of the request")           \
    X(INCONSISTENT_CLUSTER_ID, 104, "the cluster id differs from the broker's")                    \
    X(TRANSACTIONAL_ID_NOT_FOUND, 105, "the transactional id is not found")                        \
    X(FETCH_SESSION_TOPIC_ID_ERROR, 106, "the fetch session mixes topic ids and topic names")      \
    X(INELIGIBLE_REPLICA, 107, "a replica of the new ISR may not be in it")                        \
    X(NEW_LEADER_ELECTED, 108, "the partition was altered and a new leader elected")               \
    X(OFFSET_MOVED_TO_TIERED_STORAGE, 109, "the offset has moved to tiered storage")               \
    X(FENCED_MEMBER_EPOCH, 110, "the member epoch is fenced")                                      \
    X(UNRELEASED_INSTANCE_ID, 111, "the instance id is still in use")                              \
    X(UNSUPPORTED_ASSIGNOR, 112, "the assignor is not supported")                                  \
    X(STALE_MEMBER_EPOCH, 113, "the member epoch is stale")                                        \
    X(MISMATCHED_ENDPOINT_TYPE, 114, "the request went to an endpoint of the wrong type")          \
    X(UNSUPPORTED_ENDPOINT_TYPE, 115, "the endpoint type is not supported")                        \
    X(UNKNOWN_CONTROLLER_ID, 116, "the controller id is not known")                                \
    X(UNKNOWN_SUBSCRIPTION_ID, 117, "the subscription id is not known")                            \
    X(TELEMETRY_TOO_LARGE, 118, "the telemetry is too large")                                      \
    X(INVALID_REGISTRATION, 119, "the registration is not valid")                                  \
    X(TRANSACTION_ABORTABLE, 120, "the transaction met an error and must be aborted")              \
    /* ours */                                                                                     \
    X(NO_MEMORY, -1, "memory is exhausted")                                                        \
    X(NOT_FOUND, -1, "there is no such thing")                                                     \
    X(EXISTS, -1, "it exists already")                                                             \
    X(AGAIN, -1, "it cannot be done now; try again later")                                         \
    X(CLOSED, -1, "the other side has closed")                                                     \
    X(CANCELLED, -1, "it was cancelled")                                                           \
    X(IO, 56, "the disk failed")                                                                   \
    X(NO_SPACE, 56, "the disk is full")                                                            \
    X(SEGMENT_FULL, -1, "the segment has no room")                                                 \
    X(MALFORMED, 42, "the bytes do not follow their format")                                       \
    X(SESSION_EXPIRED, -1, "the ZooKeeper session has expired")                                    \
    X(ZK_UNAVAILABLE, -1, "ZooKeeper cannot be reached")                                           \
    X(ZK_BAD_VERSION, -1, "the znode has another version")                                         \
    X(ZK_NOT_EMPTY, -1, "the znode has children")                                                  \
    X(CONTROLLER_FENCED, 11, "another controller has been elected")

enum err {
#define X(name, code, text) ERR_##name,
    ERR_TABLE(X)
#undef X
};

/* Bytes; longer ones end in "...". As much as an answer of Kafka can hold of a string, so that a
 * sentence that repeats a request's names is whole wherever a JVM broker's is. */
#define ERR_SENTENCE_MAX (INT16_MAX + 1)

/* The code that a client is given: Kafka's own, or for our errors the one that tells it best. */
int16_t err_wire_code(enum err e);

/* The error of a code read from the wire; UNKNOWN_SERVER_ERROR where the code is not known. */
enum err err_from_wire(int16_t code);

/* "NOT_LEADER_OR_FOLLOWER", and the table's text. Never NULL. */
const char *err_name(enum err e);
const char *err_text(enum err e);

/* Start the thread's sentence anew; gives back `e`, so that it reads `return err_note(ERR_IO,
 * "…")`. */
enum err err_note(enum err e, const char *format, ...) PRINTF_LIKE(2, 3);

/* The same with strerror(errno) behind it: ERR_NO_SPACE for ENOSPC and EDQUOT, ERR_NO_MEMORY for
 * ENOMEM, else ERR_IO. */
enum err err_note_errno(const char *format, ...) PRINTF_LIKE(1, 2);

/* Put the wider view before the sentence: "append to orders-3: " + what was there, or the table's
 * text if nothing was noted for `e`. ERR_OK passes through and leaves the sentence alone. */
enum err err_wrap(enum err e, const char *format, ...) PRINTF_LIKE(2, 3);

/* The sentence of this thread if it belongs to `e`, else the table's text. Borrowed until the next
 * note. */
const char *err_sentence(enum err e);
