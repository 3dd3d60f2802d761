/* Plans for GPUs without a GPU: every thread of every block goes through its nodes, one thread after the other, in several
 * orders, and every access is looked at. Two threads that touch one element, one of them writing, with no barrier and no end
 * of a kernel between them, are an error, whatever came out. What comes out is what the interpreter says of the program
 * before it was mapped. */
#ifndef TESTS_PTX_BLOCKS_H
#define TESTS_PTX_BLOCKS_H

#include "backends/nvptx/nvptx.h"
#include "tests/unit/kern_data.h"

typedef struct Pair {
    const KernProg *k; /* as it was */
    const NvPlan *plan;
    const char *what;
} Pair;

/* Factors are not rounded here: it is about who does what, and when. False: the entry has no such form. */
bool pair_new(Arena *a, const Entry *e, RecForm form, FactorType products, Pair *out);
KernProg *lowered(Arena *a, const Entry *e, RecForm form, FactorType products); /* NULL: likewise */

/* All entries of a file, or of all files of a folder; the sum of what `check` returns. */
typedef uint32_t EntryCheck(const Entry *e, RecForm form, FactorType products);
uint32_t each_entry(const char *file, RecForm form, FactorType products, EntryCheck *check);
uint32_t each_file(const char *folder, RecForm form, EntryCheck *check);

/* A barrier, and whether two accesses were seen that nothing else keeps in order; of a team's, by two of its blocks. */
typedef struct Need {
    const NvNode *barrier;
    Str kernel;
    bool needed, needed_for_team;
} Need;
typedef struct Needs {
    Need *p;
    uint32_t n, cap;
} Needs;

enum { NCASE = 20 };
Case case_number(uint32_t i); /* one of several sizes, orders and numbers of threads */
/* What is wrong with the plan on these sizes; empty: nothing. */
Str run_case(Arena *a, const Pair *p, const Case *c);
Str run_case_without(Arena *a, const Pair *p, const Case *c, const NvNode *barrier, bool weaker); /* weaker: it is one of the block, not of the team */
Str run_case_for_needs(Arena *a, const Pair *p, const Case *c, Needs *needs); /* which are marked in needs */

#endif
