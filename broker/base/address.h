/* What getaddrinfo() found for a name, in the order in which a JVM broker takes it: IPv4 before
 * IPv6. The system's own order is often the other way round, so that a name with both would be
 * bound, or connected to, where no broker of the cluster looks or listens. */
#pragma once

#include <netdb.h>
#include <stdint.h>

uint32_t address_count(const struct addrinfo *found);

/* The n-th, beginning again after the last one; `found` is not empty. */
const struct addrinfo *address_nth(const struct addrinfo *found, uint32_t n);
