/* A short lock around a list, and an eventfd that is written only when the list was empty. */
#include "broker/base/mailbox.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/base/mem.h"
#include "broker/base/thread.h"

struct mailbox {
    pthread_mutex_t mutex; /* not a ranked lock: it may be taken under any other and takes none */
    struct list_node messages;
    int fd;
};

struct mailbox *mailbox_new(void)
{
    struct mailbox *mailbox = mem_new(struct mailbox);
    pthread_mutex_init(&mailbox->mutex, NULL);
    list_init(&mailbox->messages);
    mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mailbox->fd < 0) {
        perror("eventfd");
        abort();
    }
    return mailbox;
}

void mailbox_free(struct mailbox *mailbox)
{
    if (!mailbox)
        return;
    close(mailbox->fd);
    pthread_mutex_destroy(&mailbox->mutex);
    free(mailbox);
}

int mailbox_fd(const struct mailbox *mailbox)
{
    return mailbox->fd;
}

void mailbox_post(struct mailbox *mailbox, struct list_node *message)
{
    pthread_mutex_lock(&mailbox->mutex);
    bool was_empty = list_is_empty(&mailbox->messages);
    list_push_back(&mailbox->messages, message);
    if (was_empty) /* under the lock, so that the taker cannot free the mailbox in between */
        eventfd_write(mailbox->fd, 1);
    pthread_mutex_unlock(&mailbox->mutex);
}

static void splice_back(struct list_node *to, struct list_node *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

void mailbox_post_all(struct mailbox *mailbox, struct list_node *messages)
{
    if (list_is_empty(messages))
        return;
    pthread_mutex_lock(&mailbox->mutex);
    if (list_is_empty(&mailbox->messages))
        eventfd_write(mailbox->fd, 1);
    splice_back(&mailbox->messages, messages);
    pthread_mutex_unlock(&mailbox->mutex);
}

void mailbox_receive(struct mailbox *mailbox, struct list_node *ret_messages)
{
    pthread_mutex_lock(&mailbox->mutex);
    if (!list_is_empty(&mailbox->messages)) {
        eventfd_t count;
        eventfd_read(mailbox->fd, &count);
        splice_back(ret_messages, &mailbox->messages);
    }
    pthread_mutex_unlock(&mailbox->mutex);
}

void mailbox_wait(struct mailbox *mailbox, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = mailbox->fd, .events = POLLIN};
    while (poll(&poll_fd, 1, timeout_ms) < 0 && errno == EINTR)
        ;
}
