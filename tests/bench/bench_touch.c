/* Writes to MIB mebibytes of memory once and gives them back. A virtual machine's memory is given to
 * it by the host page by page, at the first touch, and taken away again when it has been free for a
 * while; whoever touches it first pays, a second or two for a GiB. That is the page cache's price
 * and not the broker's, the same for every broker, so it is paid before a measurement begins.
 *
 *     bench_touch MIB */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096

int main(int argc, char **argv)
{
    size_t bytes = argc > 1 ? strtoul(argv[1], NULL, 10) << 20 : 0;
    if (!bytes) {
        fprintf(stderr, "bench_touch MIB\n");
        return 2;
    }
    volatile char *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return perror("mmap"), 1;
    for (size_t at = 0; at < bytes; at += PAGE_BYTES)
        memory[at] = 1;
    printf("touched=%zu\n", bytes);
    return 0;
}
