/* One record with acks=all to each of PARTITIONS partitions of a cluster, so that every replica has
 * a segment on disk.
 *
 *     bench_write_once PARTITIONS ID=PORT...
 *
 * Each broker ID at PORT is sent what it leads, in one request. Fails if one is refused. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/client.h"
#include "tests/bench/failover_metadata.h"

#define ACKS_ALL  (-1)
#define NO_BROKER (-1)

static void write_to(const char *text, size_t wanted)
{
    const char *equals = strchr(text, '=');
    if (!equals)
        bench_fail("'%s' is not ID=PORT", text);
    OWNED_MEM char *id = mem_strndup(text, (size_t)(equals - text));
    struct metadata_view view = {0};
    size_t refused = 0;
    int fd = bench_connect((uint16_t)bench_number(equals + 1));
    if (fd < 0 || !metadata_ask(fd, NO_BROKER, &view))
        bench_fail("broker %s does not answer", id);
    if (view.led != wanted)
        bench_fail("%zu of %zu partitions are led, %zu were wanted", view.led, view.count, wanted);
    if (!produce_to_led(fd, &view, (int32_t)bench_number(id), ACKS_ALL, &refused) || refused > 0)
        bench_fail("broker %s refused %zu records", id, refused);
    metadata_view_clear(&view);
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        bench_fail("bench_write_once PARTITIONS ID=PORT...");
    for (int i = 2; i < argc; i++)
        write_to(argv[i], (size_t)bench_number(argv[1]));
    printf("partitions=%ld\n", bench_number(argv[1]));
    return 0;
}
