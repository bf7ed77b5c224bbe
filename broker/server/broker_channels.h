/* Connections to brokers by their id, as the controller wants them (struct controller_peers): made
 * when something is sent, dropped when told. Thread: that of the event base. */
#pragma once

#include "broker/base/clock.h"
#include "coordinator/controller/controller.h"

struct broker_channels;
struct event_base;

struct broker_channels_options {
    struct event_base *base;
    struct clock *clock;
    const char *client_id;
    int64_t request_timeout_ms, connect_timeout_ms;
};

struct broker_channels *broker_channels_new(const struct broker_channels_options *options);
/* Nothing is called back after it. The loop must not run any more. */
void broker_channels_free(struct broker_channels *channels);
/* Whoever waits for another broker than this one is told this error at once. */
void broker_channels_give_up(struct broker_channels *channels, int32_t except_id, enum err e);
struct controller_peers *broker_channels_peers(struct broker_channels *channels);
