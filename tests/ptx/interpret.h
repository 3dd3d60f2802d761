/* A GPU's kernels, run from their PTX: for the test driver. */
#ifndef TESTS_PTX_INTERPRET_H
#define TESTS_PTX_INTERPRET_H

#include <stddef.h>
#include <stdint.h>

struct kernels; /* of one PTX text */

/* NULL when something in the text is not understood; a line on standard error says what. */
struct kernels *kernels_read(const char *ptx);
void kernels_free(struct kernels *k);
const void *kernels_find(const struct kernels *k, const char *name); /* NULL: there is none */
const char *kernel_name(const void *kernel);

enum { RUN_FINE = 0, RUN_ILLEGAL_ADDRESS = 700, RUN_TIMEOUT = 702, RUN_MISALIGNED = 716, RUN_FAILED = 719 };

struct grid {
    unsigned blocks, threads, shared;
    void **params;                              /* addresses of 64 bits each */
    int64_t most;                               /* instructions, until it is RUN_TIMEOUT */
    int backwards;                              /* last block and thread first */
    int (*may_touch)(uint64_t address, size_t); /* memory of the device */
    uint64_t seed;                              /* of the order in which threads run that tell each other something */
    unsigned cluster;                           /* blocks of a cluster; 0: there are none */
    int cooperative;                            /* all blocks run at a time */
};

/* A kernel in which threads tell each other something (acquire, release, atom, red, barriers of clusters) runs some blocks at a time, or one, thread by thread in any
 * order, on memory that is as weak as it may be (weak.h). Where all of them wait for each other it ends: RUN_TIMEOUT if some ask again and again, else RUN_FAILED. Others run block after block; in a block each thread runs to the next barrier, one after the other. A barrier that some threads
 * of a block do not come to is RUN_FAILED; so is shared memory that there is not. */
int kernel_run(const void *kernel, const struct grid *g);

#endif
