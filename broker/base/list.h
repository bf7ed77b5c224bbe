/* An intrusive doubly linked list with a head that is a node itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "broker/base/attributes.h"

struct list_node {
    struct list_node *prev, *next;
};

static inline void list_init(struct list_node *head)
{
    head->prev = head->next = head;
}
static inline bool list_is_empty(const struct list_node *head)
{
    return head->next == head;
}

/* A node that was never linked is zeroed or initialised; both count as not linked. */
static inline bool list_is_linked(const struct list_node *node)
{
    return node->next && node->next != node;
}

static inline void list_insert_before(struct list_node *place, struct list_node *node)
{
    node->prev = place->prev;
    node->next = place;
    place->prev->next = node;
    place->prev = node;
}

static inline void list_push_back(struct list_node *head, struct list_node *node)
{
    list_insert_before(head, node);
}
static inline void list_push_front(struct list_node *head, struct list_node *node)
{
    list_insert_before(head->next, node);
}

static inline void list_remove(struct list_node *node)
{
    if (!list_is_linked(node))
        return;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node, unlinked; NULL if there is none. */
static inline struct list_node *list_pop_front(struct list_node *head)
{
    if (list_is_empty(head))
        return NULL;
    struct list_node *node = head->next;
    list_remove(node);
    return node;
}

#define list_entry(node, type, member) CONTAINER_OF(node, type, member)

/* Safe against removal of the current entry. */
#define list_for_each(head, node)                                                                  \
    for (struct list_node *node = (head)->next, *node##_next = node->next; node != (head);         \
         node = node##_next, node##_next = node->next)
