/* The versions that inter.broker.protocol.version may name. */
#pragma once

/* "3.9" and "3.9.2" mean the newest of 3.9, "3.9-IV0" itself; NULL for what is no version. Gives
 * back the full name, fixed for ever. */
const char *metadata_version_find(const char *text);

/* Below zero, zero or above, as `a` is older than, the same as or newer than `b` (both names that
 * metadata_version_find() gave). */
int metadata_version_compare(const char *a, const char *b);
