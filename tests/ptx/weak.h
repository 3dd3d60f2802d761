/* Global memory as weak as PTX allows: for kernels whose threads tell each other something. */
#ifndef TESTS_PTX_WEAK_H
#define TESTS_PTX_WEAK_H

#include <stddef.h>
#include <stdint.h>

struct weak_memory; /* of one launch */
struct weak_block;  /* what its threads have told each other at barriers of the block */
struct weak_thread; /* what one thread has written, and how far it has seen */

struct weak_memory *weak_memory_new(void);
void weak_memory_free(struct weak_memory *m);
int64_t weak_time(const struct weak_memory *m); /* another one whenever something may have changed for others */
struct weak_block *weak_block_new(void);
void weak_block_free(struct weak_block *b);
struct weak_thread *weak_thread_new(struct weak_block *of); /* which must live longer */
void weak_thread_free(struct weak_thread *t);
struct weak_block *weak_block_of(const struct weak_thread *t);

void weak_read(const struct weak_memory *m, const struct weak_thread *t, uint64_t at, void *to, size_t n);
void weak_write(struct weak_thread *t, uint64_t at, const void *from, size_t n);
/* At once, as all threads see it: for flags. */
void weak_write_now(struct weak_memory *m, uint64_t at, const void *from, size_t n);
/* What it has written is there from now on, and what it knows from barriers of its block. */
void weak_release(struct weak_memory *m, struct weak_thread *t);
void weak_acquire(const struct weak_memory *m, struct weak_thread *t); /* it sees what is there now */
/* A barrier of a block: all n threads know, and see, what one of them does. Others learn nothing. */
void weak_meet(struct weak_thread **all, size_t n);

#endif
