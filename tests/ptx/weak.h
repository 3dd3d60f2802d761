/* Global memory as weak as PTX allows: for kernels whose threads tell each other something. */
#ifndef TESTS_PTX_WEAK_H
#define TESTS_PTX_WEAK_H

#include <stddef.h>
#include <stdint.h>

struct weak_memory; /* of one launch */
struct weak_thread; /* what one thread has written, and how far it has seen */

struct weak_memory *weak_memory_new(void);
void weak_memory_free(struct weak_memory *m);
struct weak_thread *weak_thread_new(void);
void weak_thread_free(struct weak_thread *t);

void weak_read(const struct weak_memory *m, const struct weak_thread *t, uint64_t at, void *to, size_t n);
void weak_write(struct weak_thread *t, uint64_t at, const void *from, size_t n);
/* At once, as all threads see it: for flags. */
void weak_write_now(struct weak_memory *m, uint64_t at, const void *from, size_t n);
void weak_release(struct weak_memory *m, struct weak_thread *t); /* what it has written is there from now on */
void weak_acquire(const struct weak_memory *m, struct weak_thread *t); /* it sees what is there now */

#endif
