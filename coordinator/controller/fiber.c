/* Fibers over ucontext. The stack is mapped with a page below it that faults, so that an overflow
 * is a crash and not damage. The sanitizers are told of each switch, or they would take the other
 * stack for wild memory. */
#include "coordinator/controller/fiber.h"

#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "broker/base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

#define STACK_BYTES ((size_t)1 << 20) /* mapped, so only what is touched is used */

struct fiber {
    void (*run)(void *context);
    void *context;
    ucontext_t inside, outside;
    char *mapping;
    size_t mapping_bytes;
    bool running, ended;
    void *fake_inside, *fake_outside; /* AddressSanitizer's shadow stacks */
    const void *outside_stack;
    size_t outside_stack_bytes;
    void *tsan_inside, *tsan_outside;
};

static void switch_begins(void **save, const void *stack, size_t stack_bytes)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(save, stack, stack_bytes);
#else
    (void)save;
    (void)stack;
    (void)stack_bytes;
#endif
}

static void switch_ended(void *saved, const void **ret_stack, size_t *ret_stack_bytes)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(saved, ret_stack, ret_stack_bytes);
#else
    (void)saved;
    (void)ret_stack;
    (void)ret_stack_bytes;
#endif
}

static void enter(unsigned high, unsigned low)
{
    struct fiber *fiber = (struct fiber *)(((uintptr_t)high << 32) | low);
    switch_ended(NULL, &fiber->outside_stack, &fiber->outside_stack_bytes);
    fiber->run(fiber->context);
    fiber->ended = true;
    switch_begins(NULL, fiber->outside_stack, fiber->outside_stack_bytes);
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(fiber->tsan_outside, 0);
#endif
    setcontext(&fiber->outside);
}

struct fiber *fiber_new(void (*run)(void *context), void *context)
{
    struct fiber *fiber = mem_new(struct fiber);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    fiber->run = run;
    fiber->context = context;
    fiber->mapping_bytes = STACK_BYTES + page;
    fiber->mapping = mmap(NULL, fiber->mapping_bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (fiber->mapping == MAP_FAILED || mprotect(fiber->mapping, page, PROT_NONE) != 0)
        mem_stop(fiber->mapping_bytes);
    getcontext(&fiber->inside);
    fiber->inside.uc_stack.ss_sp = fiber->mapping + page;
    fiber->inside.uc_stack.ss_size = STACK_BYTES;
    fiber->inside.uc_link = NULL;
    uintptr_t self = (uintptr_t)fiber; /* makecontext passes ints only */
    makecontext(&fiber->inside, (void (*)(void))enter, 2, (unsigned)(self >> 32), (unsigned)self);
#if defined(__SANITIZE_THREAD__)
    fiber->tsan_inside = __tsan_create_fiber(0);
#endif
    return fiber;
}

void fiber_resume(struct fiber *fiber)
{
    assert(!fiber->running);
    assert(!fiber->ended);
    fiber->running = true;
    switch_begins(&fiber->fake_outside, fiber->inside.uc_stack.ss_sp, STACK_BYTES);
#if defined(__SANITIZE_THREAD__)
    fiber->tsan_outside = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fiber->tsan_inside, 0);
#endif
    swapcontext(&fiber->outside, &fiber->inside);
    switch_ended(fiber->fake_outside, NULL, NULL);
    fiber->running = false;
}

void fiber_pause(struct fiber *fiber)
{
    assert(fiber->running);
    switch_begins(&fiber->fake_inside, fiber->outside_stack, fiber->outside_stack_bytes);
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(fiber->tsan_outside, 0);
#endif
    swapcontext(&fiber->inside, &fiber->outside);
    switch_ended(fiber->fake_inside, &fiber->outside_stack, &fiber->outside_stack_bytes);
}

bool fiber_has_ended(const struct fiber *fiber)
{
    return fiber->ended;
}

void fiber_free(struct fiber *fiber)
{
    if (!fiber)
        return;
    assert(!fiber->running);
#if defined(__SANITIZE_THREAD__)
    __tsan_destroy_fiber(fiber->tsan_inside);
#endif
    munmap(fiber->mapping, fiber->mapping_bytes);
    free(fiber);
}
