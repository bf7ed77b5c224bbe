/* inter.broker.protocol.version and what follows from it. */
#include "coordinator/controller/versions.h"

#include <stdio.h>
#include <string.h>

#define IV_LAST 99

enum err ibp_parse(const char *text, int32_t *ret_level)
{
    int major = 0, minor = 0, patch = 0, iv = IV_LAST, used = 0;
    char release[32];
    const char *dash = strstr(text, "-IV");
    size_t size = dash ? (size_t)(dash - text) : strlen(text);
    if (size >= sizeof release)
        return err_note(ERR_INVALID_CONFIG, "inter.broker.protocol.version '%s' is too long", text);
    snprintf(release, sizeof release, "%.*s", (int)size, text);
    bool ok = sscanf(release, "%d.%d.%d%n", &major, &minor, &patch, &used) == 3;
    if (!ok) {
        patch = 0;
        ok = sscanf(release, "%d.%d%n", &major, &minor, &used) == 2;
    }
    ok = ok && (size_t)used == size;
    if (ok && dash) {
        used = 0;
        ok = sscanf(dash + 3, "%d%n", &iv, &used) == 1 && dash[3 + used] == '\0';
    }
    if (!ok || major < 0 || minor < 0 || minor > 99 || patch < 0 || patch > 99 || iv < 0 ||
        iv > IV_LAST || major > 99)
        return err_note(ERR_INVALID_CONFIG, "inter.broker.protocol.version '%s' is no version",
                        text);
    if (major > 0)
        patch = 0; /* from 1.0 on only the first two numbers count */
    *ret_level = IBP_LEVEL(major, minor, patch, iv);
    return ERR_OK;
}

static const struct step {
    int32_t level;
    int16_t api_version;
} leader_and_isr_steps[] = {{IBP_LEVEL(3, 4, 0, 0), 7}, {IBP_LEVEL(3, 2, 0, 0), 6},
                            {IBP_LEVEL(2, 8, 0, 1), 5}, {IBP_LEVEL(2, 4, 0, 1), 4},
                            {IBP_LEVEL(2, 4, 0, 0), 3}, {IBP_LEVEL(2, 2, 0, 0), 2},
                            {IBP_LEVEL(1, 0, 0, 0), 1}, {0, 0}},
  update_metadata_steps[] =
      {{IBP_LEVEL(3, 4, 0, 0), 8},  {IBP_LEVEL(2, 8, 0, 1), 7}, {IBP_LEVEL(2, 4, 0, 1), 6},
       {IBP_LEVEL(2, 2, 0, 0), 5},  {IBP_LEVEL(1, 0, 0, 0), 4}, {IBP_LEVEL(0, 10, 2, 0), 3},
       {IBP_LEVEL(0, 10, 0, 1), 2}, {IBP_LEVEL(0, 9, 0, 0), 1}, {0, 0}},
  stop_replica_steps[] = {{IBP_LEVEL(3, 4, 0, 0), 4},
                          {IBP_LEVEL(2, 6, 0, 0), 3},
                          {IBP_LEVEL(2, 4, 0, 1), 2},
                          {IBP_LEVEL(2, 2, 0, 0), 1},
                          {0, 0}};

static int16_t step_of(const struct step *steps, int32_t level)
{
    while (level < steps->level)
        steps++;
    return steps->api_version;
}

struct rpc_versions rpc_versions_of(int32_t ibp_level)
{
    return (struct rpc_versions){.leader_and_isr = step_of(leader_and_isr_steps, ibp_level),
                                 .update_metadata = step_of(update_metadata_steps, ibp_level),
                                 .stop_replica = step_of(stop_replica_steps, ibp_level)};
}
