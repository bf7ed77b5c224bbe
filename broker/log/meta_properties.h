/* meta.properties of a log directory: whose it is. Keys we do not know are kept when it is
 * rewritten. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/err.h"
#include "broker/base/uuid.h"

struct meta_properties {
    bool exists;
    int32_t broker_id;        /* -1 if none */
    char *cluster_id;         /* NULL if none */
    struct uuid directory_id; /* zero if none */
    struct buf text;          /* as read */
};

void meta_properties_done(struct meta_properties *meta);
/* Errors: ERR_MALFORMED (another version, a broken id), ERR_IO. A file that is missing is no error.
 */
MUST_USE enum err meta_properties_read(const char *dir, struct meta_properties *ret);
/* Set both ids and write, if that changes anything. */
MUST_USE enum err meta_properties_claim(const char *dir, struct meta_properties *meta,
                                        int32_t broker_id, const char *cluster_id);
