/* Part of every generated launcher: the types of its tables. rnnc itself launches from tables of the same types (program.c). */
typedef struct cuda_term { /* coef * sizes[symbol[0]] * ... */
    int64_t coef;
    int n, symbol[8];
} cuda_term;

typedef struct cuda_dim { /* a sum of terms */
    int first, n;
} cuda_dim;

typedef struct cuda_derived { /* sizes[symbol] = num / den, which is rounded down or must be whole */
    int symbol, rounded;
    cuda_dim num, den;
} cuda_derived;

enum { CUDA_ARGUMENT, CUDA_OUTPUT, CUDA_WORK };

typedef struct cuda_buffer {
    int kind, slot;     /* of an argument or output */
    int shares;         /* the buffer whose memory it is in, or -1 */
    int bytes;          /* of an element */
    int uses;           /* 1: forward, 2: backward, 4: init; of work: all that is in its memory */
    cuda_dim size;
} cuda_buffer;

enum { CUDA_MUST = 1, CUDA_LENGTHS = 2 };

typedef struct cuda_array { /* an argument or an output */
    int flags;
    int uses; /* as of buffers */
    int bytes;
    cuda_dim size;
} cuda_array;

typedef struct cuda_member { /* of a struct, in order */
    int argument, output; /* or -1; a carry is both, a start value and a final one */
} cuda_member;

typedef struct cuda_struct {
    int first, n; /* members */
    int optional; /* may be NULL as a whole */
} cuda_struct;

enum { CUDA_BUFFER, CUDA_SIZE, CUDA_GIVEN, CUDA_PIECE, CUDA_TEAM, CUDA_COUNTERS, CUDA_SEED, CUDA_TROUBLE };

typedef struct cuda_param {
    int kind, index;
} cuda_param;

typedef struct cuda_cut { /* an axis of which blocks have pieces */
    int part;           /* the symbol of a piece's length, in sizes of work */
    int piece;
    cuda_dim axis;
} cuda_cut;

enum { CUDA_CUTS = 3 };

typedef struct cuda_kernel {
    const char *name;
    int blocks, cuts; /* not cut: one block does it all */
    int each;               /* not of blocks: iterations that a thread has at once */
    int tile_rows, tile_cols; /* not of blocks: or blocks take such parts of matrices of rows x cols, which the axis counts the elements of; or 0 */
    cuda_dim rows, cols;
    int sums;               /* partial results of a thread */
    int full;               /* 1: a block has all threads that it may have; else as many as its largest work */
    int first_work, works;  /* iterations that a block's threads share out, sizes in which `part` is a piece */
    cuda_dim threads;       /* not of blocks: iterations */
    int first, n; /* parameters */
    int instead;            /* 1: of the one before, where `kept` bytes of shared memory fit, for some steps or more */
    cuda_dim steps, kept;
    cuda_cut team;          /* blocks of a team have pieces of it, as many as blocks; part: -1 where there are no teams */
    cuda_cut cut[CUDA_CUTS];
} cuda_kernel;

typedef struct cuda_program {
    const void *code;
    int major, minor; /* of the architecture, or of the oldest */
    int only;         /* 1: the code runs on no later major one */
    int clusters;     /* 1: teams may be clusters */
    int nsymbol, nsize, nderived, nneed, narg, nout, nbuf, nkernel[3], nextent;
    const int *size; /* the symbol of each member of sizes */
    const int *bounded; /* of each: 1: lengths count it */
    int keep, batch, time; /* symbols; time: -1 if there is none */
    const int *extent; /* symbols that lengths count, axis by axis */
    const cuda_term *term;
    const cuda_derived *derived;
    const cuda_dim *need; /* not below 0 */
    const cuda_dim *work;
    const cuda_array *arg, *out;
    const cuda_member *member;
    const cuda_buffer *buf;
    const cuda_kernel *kernel; /* forward's, backward's, init's */
    const cuda_param *param;
} cuda_program;
