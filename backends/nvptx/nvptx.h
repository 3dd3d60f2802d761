/* kern to PTX. What cannot be mapped is refused, with what is in the way and its place.
 *
 * A function is a list of kernels, launched in order on one stream: the end of a kernel is what all threads of a grid wait
 * for. Each statement at the top of a function becomes one kernel; statements become one together where a scalar that is
 * read from memory, or summed up, goes from one to the next. There are two kinds of kernels.
 *
 * Threads. The kernel is one NV_PANELS, NV_TILES or NV_SHARE: a chain of parallel loops (the elements of a product, a fill, a copy are such loops,
 * too), whose iterations are shared out among all threads of the grid. Serial loops around the chain may run inside each
 * thread, where iterations of different threads never meet in memory (share.c proves it). A thread takes every
 * grid-size-th iteration, so any grid and any block will do. Of NV_PANELS it is blocks that take turns, of NV_PANEL_THREADS threads each.
 *
 * Three such kernels, of the pieces of a recurrence, of the steps from piece to piece and of all places, can be one, NV_LOOK (look.c): its threads
 * tell each other by flags in global memory what they have done.
 *
 * Blocks. All other statements. The statement is cut along one axis or several, usually the batch and the heads, by the same proof that a CPU's tasks
 * need (ir/kern/tasks.c): a block has `piece` places of each, and no two blocks meet in memory. A loop that cannot be cut falls
 * into several, if its statements let it (split.c). What is left that cannot be cut, one block does. Inside, a block's threads go through a tree of nodes together:
 *
 *   NV_EACH     every thread computes it: scalars, which are the same in all threads of a block
 *   NV_ONE      the first thread does it: writes of scalars, and serial loops with nothing in them to share out
 *   NV_SHARE    iterations of a chain of parallel loops are shared out among the block's threads. Where they update
 *               accumulators from outside, each thread has a partial result, which it leaves in shared memory
 *   NV_TILES    a product of rounded factors (ir/kern/products.c): the elements of its result are shared out in tiles, one warp a
 *               tile, and the instructions for that multiply (tile.c)
 *   NV_PANELS   a product, at the top of a function: a block makes a tile of its result after the other, and brings panels of both
 *               factors, some places of depth at a time, through shared memory, by asynchronous copies where there are such (panels.c). Reals
 *               are multiplied by threads, rounded factors by warps, or by groups of four (emit_panels_*.c)
 *   NV_COMBINE  every thread adds up the partial results of those that had an iteration, in the order of threads
 *   NV_STEPS    a loop that the threads go through together; `leave` ends it for all of them
 *   NV_BARRIER  the threads wait for each other (bar.sync). There is one between two nodes, or two rounds of a loop, if memory
 *               that one writes is read or written by the other; none if each element is always touched by one and the same
 *               thread (barrier.c). Control flow at this level is the same for all threads, so all of them come there.
 *
 * Any other product is a chain of loops over its elements, with its depth in one fixed order, added up with fused multiply-add. So
 * results do not depend on the grid or the piece; of sums over threads (NV_COMBINE) they depend on the size of a block.
 *
 * What all steps of a block read alike, weights for instance, may stay in its shared memory: reside.c makes a second kernel for that, which is launched instead of
 * the first where it fits, and where there are steps enough.
 *
 * Where what a block reads does not fit, a team of blocks may go through the steps together: the iterations of each NV_SHARE are shared
 * out among the team's blocks first, along one axis, and an NV_BARRIER may be one for all threads of the team, which also orders what they
 * write to global memory; where all that it guards is touched by one block alone, it is one of the block. What blocks read of each other from step to step is in two slots that take turns (turns.c), so that one barrier a step is enough for it; loops over several times the axis are folded before (fold.c), so that what belongs to one place is made by one block. Each block keeps what its own iterations read. A team is a cluster, on a GPU that has such (barrier.cluster), or any number of
 * blocks that are launched to run at a time, and meet at a counter in global memory (emit_meet.c); which of the two is known when the kernel is launched.
 *
 * A thread's own variables are registers, and so is a state that it carries through all steps alone (carry.c); buffers are in global memory, which a barrier puts in order for a block. An index
 * out of range (K_CHECK) sets a flag in global memory.
 *
 * How many threads a block has is up to whoever launches it, but they are whole warps of 32 where there are tiles; launch_code.h takes as many as its largest NV_SHARE has iterations.
 *
 * A kernel gets the buffers that it touches, the sizes that it needs, and flags of arguments, as numbers of 64 bits. Arrays
 * are as on the CPU: a missing optional argument is an array of zeros, a missing optional output a null pointer. */
#ifndef BACKENDS_NVPTX_H
#define BACKENDS_NVPTX_H

#include "ir/kern/kern.h"

enum { NV_MAXLEVEL = 8, NV_SLOT = 8 /* bytes of a partial result in shared memory */, NV_KEEP = 16, NV_APART = 128 };

typedef struct NvParam {
    enum {
        NV_BUFFER,
        NV_SIZE,
        NV_GIVEN,
        NV_PIECE,   /* how many places of axis number `index` a block has; 1 or more */
        NV_TEAM,    /* how many blocks go through the steps together; those of a team are next to each other */
        NV_COUNTERS, /* address of an int32 of each team, NV_APART bytes apart, 0 at first; none: teams are clusters */
        NV_SEED,    /* of random numbers */
        NV_TROUBLE, /* address of an int32, set to 1 where an index is out of range */
    } kind;
    uint32_t index; /* KBufId, DimSym, RecArg index, number of a cut */
    bool written;   /* of a buffer: by this kernel */
} NvParam;

/* A loop whose iterations are shared out. Level 0 is the outermost; loops of one level have one extent. */
typedef struct NvAxis {
    const KStmt *loop;
    uint32_t level;
} NvAxis;

typedef enum NvKind { NV_EACH, NV_ONE, NV_SHARE, NV_TILES, NV_PANELS, NV_COMBINE, NV_STEPS, NV_BARRIER, NV_LOOK } NvKind;

/* What a step loads, and what the one before has stored there: see carry.c */
typedef struct NvCarry {
    const KStmt *load, *store;
} NvCarry;

/* A product, of rounded factors if that is not FACTOR_REAL: the loops that it has become, and what is in them. */
typedef struct NvTile {
    FactorType factor;
    const KStmt *row, *col, *depth;  /* loops, one inside the other */
    const KStmt *a, *b, *mul, *store; /* loads, their product, what is written */
} NvTile;

/* What a warp makes at once: pieces of 16 rows and 8 columns, which one instruction multiplies. */
enum { NV_WARP = 32, NV_TILE_ROWS = 16, NV_TILE_COLS = 8, NV_MOST_ROWS = 2, NV_MOST_COLS = 4 };

/* A block that makes tiles from panels: of reals its threads stand in a square, and each makes 1, 2 or 4 elements in either direction; of rounded
 * factors 8 warps make a tile of so many rows and columns. */
enum { NV_PANEL_SIDE = 16, NV_PANEL_THREADS = NV_PANEL_SIDE * NV_PANEL_SIDE, NV_PANEL_DEPTH = 16, NV_MOST_EACH = 4, NV_PANEL_ROWS = 128, NV_PANEL_COLS = 64 };

typedef struct NvNode NvNode;

/* Three shared loops in one kernel (look.c), for pieces in order. What stands in `step`, `start` and `take` is of the thread's own piece `own`. */
typedef struct NvLook {
    const KStmt *first;              /* the statement of `pieces` */
    const NvNode *pieces, *rest;     /* of each piece, alone: at first, and when its state is known; level 0 is the piece */
    const KStmt *loop;               /* over pieces: its variable, which way it goes */
    KBlock around;                   /* scalars of a step */
    const NvNode *step;              /* a step, from what its piece has left; its levels are levels 1.. of the others */
    KStmt *start, *take;             /* the state in front of all pieces; as piece `found` leaves it */
    KVar own, found;
    KBufId flag;                     /* by piece and thread in order, one of these; last, the next ticket */
} NvLook;
enum { NV_NOTHING, NV_SUM, NV_STATE }; /* what others may read of a piece */

typedef struct NvNodes {
    NvNode **p;
    uint32_t n, cap;
} NvNodes;

struct NvNode {
    NvKind kind;
    KStmt *s; /* of NV_STEPS the loop; NULL: NV_COMBINE, NV_BARRIER */
    /* NV_SHARE, NV_TILES, NV_PANELS */
    VEC(NvAxis) axis;
    uint32_t nlevel;
    Dim extent[NV_MAXLEVEL];
    Dim count;          /* of iterations: the product of the extents; NV_COMBINE: of the NV_SHARE in front */
    VEC(KStmt *) sum;   /* one K_UPDATE of each accumulator from outside; of NV_COMBINE, too */
    NvNodes body;       /* NV_STEPS */
    VEC(NvCarry) carry; /* NV_SHARE of a serial loop */
    const NvTile *tile; /* NV_TILES, NV_PANELS */
    bool team;          /* NV_BARRIER: of all blocks of the team */
    const NvLook *look; /* NV_LOOK, the only node of its kernel, which is none of blocks */
    const uint8_t *touches; /* by KBufId, NV_READS | NV_WRITES: while barriers are placed */
    uint32_t rows, cols; /* NV_TILES: how many pieces of 16 rows a warp has, and of 8 columns; NV_PANELS: a sixteenth of a tile's */
};

/* An axis along which a kernel is cut: a block has a piece of it. */
typedef struct NvCut {
    Dim axis;
    KVar first; /* the first place of the piece */
    DimSym part; /* how many there are */
    uint32_t piece; /* a good one */
} NvCut;

enum { NV_MAXCUT = 3 };

typedef struct NvKernel {
    Str name;
    KBlock before; /* scalars of the function that it needs: every thread computes them */
    KBlock root;   /* the statements that it does */
    bool blocks;
    NvNodes node;
    Dim threads;    /* not of blocks: the iterations that there are */
    VEC(NvCut) cut; /* of blocks, which are all pieces of all axes, those of the first next to each other; none: one block does it all */
    uint32_t nsum;  /* partial results that a thread has at once */
    VEC(KBufId) kept; /* arrays of a block that stay in its shared memory, behind partial results, each from a multiple of NV_KEEP bytes on */
    bool instead;   /* it does what the one before it does, and may be launched instead if what it keeps fits */
    Dim steps;      /* how often it then reads what it keeps */
    bool shared;    /* blocks go through the steps in teams, which wait for each other: a block of a team has a piece of `team`, and what it keeps is for that */
    NvCut team;     /* `piece` is not used */
    VEC(NvParam) param;
} NvKernel;

typedef struct NvFn {
    VEC(NvKernel) kernel;
    Str refused; /* why there is none; empty when there is */
    Span at;
} NvFn;

typedef struct NvPlan {
    Arena *arena;
    KernProg *k;
    Str arch;
    VEC(const NvTile *) tile;   /* products */
    VEC(const KStmt *) product; /* what is added up in products, a K_LET of FUN_MUL each: fused multiply-add */
    NvFn fn[REC_NFN];
} NvPlan;

typedef struct NvOptions {
    Str prefix; /* of the kernels' names; the program's name when empty */
    Str arch;   /* a row of arch.def */
    Str code;   /* what the kernels are loaded from: ptx, fatbin, or cubin, which runs on GPUs of one generation; empty: ptx */
    bool f64;
    FactorType products; /* what factors may be rounded to */
    Str version;
    Str source_file;
    const Sources *sources; /* whose lines are named in the kernels; NULL: none */
} NvOptions;

const char *nv_arch(uint32_t i); /* NULL past the last */
bool nv_is_alone(Str arch);      /* no later card runs it: it has a letter, as sm_90a */
bool nv_has_clusters(Str arch);
bool nv_multiplies(Str arch, FactorType f); /* it has products of tiles with such factors */

/* plan.c: which kernels. Statements of k are rewritten on the way: it is no program for another target any more. */
NvPlan *nv_plan(Arena *a, KernProg *k, const NvOptions *o);
void nv_print(Text *out, const NvPlan *p); /* print.c */
/* ptx.c: the kernels as text, in the lowest PTX version that the architecture has */
Str nv_ptx(const NvPlan *p, const NvOptions *o);
/* launcher.c: C that launches them, to be compiled beside `header`, and what that header declares */
enum { NV_DRIVER_FUNCTIONS = 14 };
/* launch_call.h, which stands in every header, launch_table.h and launch_code.h, which stand in every launcher */
extern const char nv_launch_call[], nv_launch_table[], nv_launch_code[];
Str nv_launcher(const NvPlan *p, const NvOptions *o, Str code, Str header);
Str nv_declarations(const NvPlan *p, const NvOptions *o);
/* manifest.c: what a program that launches them must know, as JSON */
Str nv_manifest(const NvPlan *p, const NvOptions *o);

#endif
