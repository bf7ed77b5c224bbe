/* Memory that is there, or the process stops and says so. */
#include "broker/base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void mem_stop(size_t size_bytes)
{
    fprintf(stderr, "memory is exhausted: %zu bytes were wanted\n", size_bytes);
    abort();
}

void *mem_alloc(size_t size_bytes)
{
    void *memory = calloc(1, size_bytes ? size_bytes : 1);
    if (!memory)
        mem_stop(size_bytes);
    return memory;
}

void *mem_alloc_array(size_t count, size_t size_bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, size_bytes, &total))
        mem_stop(SIZE_MAX);
    return mem_alloc(total);
}

void *mem_resize(void *memory, size_t size_bytes)
{
    memory = realloc(memory, size_bytes ? size_bytes : 1);
    if (!memory)
        mem_stop(size_bytes);
    return memory;
}

void *mem_grow(void *memory, size_t *capacity, size_t need, size_t element_size_bytes)
{
    if (need <= *capacity)
        return memory;
    size_t grown = *capacity ? *capacity : 8;
    while (grown < need)
        if (__builtin_mul_overflow(grown, (size_t)2, &grown))
            mem_stop(SIZE_MAX);
    size_t total;
    if (__builtin_mul_overflow(grown, element_size_bytes, &total))
        mem_stop(SIZE_MAX);
    *capacity = grown;
    return mem_resize(memory, total);
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

char *mem_strndup(const char *text, size_t size_bytes)
{
    char *copy = mem_alloc(size_bytes + 1);
    if (size_bytes) /* text may be NULL then */
        memcpy(copy, text, size_bytes);
    return copy;
}

char *mem_printf(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        mem_stop(0);
    va_end(arguments);
    return text;
}

void *mem_try(size_t size_bytes)
{
    return malloc(size_bytes ? size_bytes : 1);
}
