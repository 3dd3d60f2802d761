/* Inside of backends/nvptx: what the files that make a plan share. */
#ifndef BACKENDS_NVPTX_PLAN_H
#define BACKENDS_NVPTX_PLAN_H

#include "backends/nvptx/nvptx.h"

/* A state that blocks of a team tell each other in two slots: see turns.c */
typedef struct NvTurn {
    KBufId state, two;
    Dim stride, slot; /* of the state, from step to step; elements */
} NvTurn;

typedef struct Map {
    Arena *a;
    KernProg *k;
    NvPlan *plan;
    NvFn *fn;
    NvKernel *kernel;
    KernPieces pieces;                      /* of the kernel's cuts */
    bool *own;                              /* by KBufId: each block of a team has its elements for itself */
    VEC(NvTurn) turn;                       /* of the kernel's team */
    KernApart *meet;                        /* barrier.c: of the kernel's statements */
    bool of_team;                           /* likewise: barriers are of the team, for now */
    bool *needs;                            /* by KVar: read by the kernel */
    bool *sizes, *given, *touched, *writes; /* by DimSym, RecArg index, KBufId: likewise */
    bool checks, random;
    uint32_t ninstead; /* kernels of the function that are launched instead of others */
    uint32_t apart; /* loops.c: loops around that are serial, or of several statements */
    uint32_t serial; /* likewise: serial loops around, and what the outermost one does */
    const KBlock *body;
} Map;

bool nv_refuse(Map *m, Span at, const char *why); /* false */

/* loops.c: fills, copies and products become loops. False: refused. */
bool nv_loops(Map *m, KBlock *b);
bool nv_is_scalar(const KStmt *s); /* without effect on memory */

/* share.c: which loops are shared out among threads */
enum { NV_READS = 1, NV_WRITES = 2 };
NvNode *nv_node(Map *m, NvKind kind, KStmt *s);
bool nv_chain(Map *m, NvNode *node, const KStmt *s);           /* a parallel loop, and those inside; false: not as the node has them */
bool nv_defines(const KStmt *s, KVar v);                       /* s, or anything inside it, or a loop that has it */
NvNode *nv_share(Map *m, KStmt *s);                            /* NULL: its threads would meet, or it is no chain */
void nv_find_sums(Map *m, NvNode *node, const KBlock *b);      /* in b, a part of node */
unsigned nv_touches(const KernProg *k, KStmt *s, KBufId memory); /* NV_READS | NV_WRITES */
/* Whether each element of a memory is always touched by one and the same thread, in both; in different rounds of a loop, or
 * else in the same ones of all loops around. */
bool nv_same_owner(Map *m, const NvNode *a, const NvNode *b, KBufId memory, const KStmt *round);

/* tile.c: products of rounded factors. rows: see NvNode, the most. NULL: it is something else */
NvNode *nv_tiles(Map *m, KStmt *s, uint32_t rows);
/* A product, of what factors ever: a chain whose last two loops are its rows and columns. NULL: it is something else */
NvNode *nv_product(Map *m, NvKind kind, KStmt *s);
/* panels.c: a product by whole blocks. NULL: it is something else, or too small */
NvNode *nv_panels(Map *m, KStmt *s);

void nv_find_carries(Map *m, NvNode *node); /* carry.c */

/* look.c: if statement `at` is the first of three that can be one kernel, a node for them. Statements of b change places: behind those that
 * come first now stand the three. NULL: it is not */
NvNode *nv_look(Map *m, KBlock *b, uint32_t at);

/* split.c: makes several loops of statement `at`. A variable is then defined in each of them. False: it stays one. */
bool nv_split(Map *m, KBlock *b, uint32_t at);
bool nv_has_leave(const KBlock *b); /* of the loop whose body it is */

/* reside.c: root, in which the loop `steps` reads what stays in the block. False: nothing does. The kernel's cuts are those of the root; with `team`
 * its team is found, or there is none, which is false, too */
bool nv_reside(Map *m, const KBlock *root, const KStmt *steps, bool team, KBlock *to);

void nv_fold(Map *m, KStmt *steps, Dim axis); /* fold.c: in a copy of steps, which are then cut along the axis */
/* turns.c: in a copy of steps, before they are cut; and what is to be done in front of them when they are */
void nv_take_turns(Map *m, KStmt *steps);
void nv_first_turns(Map *m, KStmt *steps, KBlock *front);

void nv_block_nodes(Map *m, NvNodes *to, const KBlock *b); /* block.c */
void nv_barriers(Map *m, NvNodes *nodes);                  /* barrier.c: puts them between nodes of the kernel */

#endif
