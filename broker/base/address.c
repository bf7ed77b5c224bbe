/* Two walks over the list: one for each family. */
#include "broker/base/address.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

uint32_t address_count(const struct addrinfo *found)
{
    uint32_t count = 0;
    for (; found; found = found->ai_next)
        count++;
    return count;
}

const struct addrinfo *address_nth(const struct addrinfo *found, uint32_t n)
{
    assert(found);
    n %= address_count(found);
    for (int is_ipv4 = 1; is_ipv4 >= 0; is_ipv4--) {
        for (const struct addrinfo *a = found; a; a = a->ai_next) {
            if ((a->ai_family == AF_INET) == is_ipv4 && n-- == 0)
                return a;
        }
    }
    assert(!"n is less than their count");
    return NULL;
}
