/* What an idle connection costs the broker beyond the kernel's part: opens COUNT connections to a
 * network in this process, each after one answered request, and prints KiB of heap for each. */
#include <arpa/inet.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/base/trace.h"
#include "broker/server/network.h"

static enum err decode(const struct api_entry *entry, struct slice body, int16_t version,
                       struct arena *arena, void **ret)
{
    (void)entry, (void)body, (void)version;
    *ret = arena_alloc(arena, 16);
    return ERR_OK;
}

static enum err encode(const struct api_entry *entry, struct answer *answer, int16_t version,
                       const void *response)
{
    (void)entry, (void)version, (void)response;
    buf_put_be16(&answer->bytes, 0);
    return ERR_OK;
}

static void handle(struct request *request)
{
    request_answer(request, request->message);
}

static const struct api_entry *lookup(int16_t key)
{
    static const struct api_entry entry = {0,       0,      0,      INT16_MAX, "Echo",
                                           ON_LOOP, handle, decode, encode};
    return key == 0 ? &entry : NULL;
}

static bool open_one(uint16_t port)
{
    static const uint8_t request[] = {0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff};
    uint8_t answer[10];
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
           send(fd, request, sizeof request, 0) == sizeof request &&
           recv(fd, answer, sizeof answer, MSG_WAITALL) == sizeof answer;
}

int main(int argc, char **argv)
{
    int wanted = argc > 1 ? atoi(argv[1]) : 5000;
    struct rlimit files = {(rlim_t)wanted * 2 + 500, (rlim_t)wanted * 2 + 500};
    setrlimit(RLIMIT_NOFILE, &files);
    trace_set_level(TRACE_ERROR);
    struct listener_options listener = {"PLAINTEXT", "127.0.0.1", 0, false, INT32_MAX, INT32_MAX};
    struct network_options options;
    network_options_init(&options);
    options.listeners = &listener;
    options.listeners_count = 1;
    options.lookup = lookup;
    struct network *network;
    if (network_start(&options, &network)) {
        fprintf(stderr, "%s\n", err_sentence(ERR_IO));
        return 1;
    }
    network_open(network);
    uint16_t port = network_port(network, 0);
    for (int i = 0; i < 50; i++) /* the threads' own buffers are there then */
        if (!open_one(port))
            return perror("connect"), 1;
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < wanted; i++)
        if (!open_one(port))
            return perror("connect"), 1;
    size_t after = mallinfo2().uordblks;
    printf("idle connections=%d heap_kib_each=%.3f\n", wanted,
           (double)(after - before) / 1024 / wanted);
    network_stop(network, 1000);
    network_free(network);
    return 0;
}
