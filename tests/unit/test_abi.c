/* The public functions around the kernels: every status, what a kernel is given, where the workspace lies. */
#include <criterion/criterion.h>

#include <stdlib.h>

#include "tests/capi/toy_program.h"

/* ---- the interface as a C program sees it (backend.h) ---- */

typedef struct Sizes {
    int64_t T, B, D, H, G;
} Sizes;
typedef struct Params {
    const float *W;
} Params;
typedef struct Inputs {
    const float *x;
    const int32_t *lengths;
    const uint8_t *resets;
    const float *h0, *c0;
    const int32_t *offsets;
} Inputs;
typedef struct Outputs {
    void *h;
    float *hT, *cT;
} Outputs;
typedef struct Cotangents {
    const float *d_h, *d_hT, *d_cT;
} Cotangents;
typedef struct Grads {
    void *W;
} Grads;
typedef struct InputGrads {
    float *x, *h0, *c0;
} InputGrads;
typedef struct Carry {
    float *h, *c;
} Carry;
typedef struct CallOptions {
    void *workspace;
    size_t bytes;
    int passes;
    void *parallel, *context;
} CallOptions;

typedef size_t WorkspaceFn(const Sizes *, int);
typedef size_t PackedFn(const Sizes *, const int32_t *, int);
typedef int ForwardFn(const Sizes *, const Params *, const Inputs *, const Outputs *, const CallOptions *);
typedef int BackwardFn(const Sizes *, const Params *, const Inputs *, const Cotangents *, const Grads *,
                       const InputGrads *, const CallOptions *);
typedef int StreamFn(const Sizes *, const Params *, const Inputs *, const Outputs *, const Carry *,
                     const CallOptions *);
typedef int InitFn(const Sizes *, const Grads *, uint64_t);

/* ---- one loaded toy with arrays of its own ---- */

enum { ROOM = 4096, WORK = 1 << 16 };

typedef struct Bench {
    Toy t;
    CpuCode *code;
    WorkspaceFn *workspace;
    PackedFn *packed_workspace;
    ForwardFn *forward;
    BackwardFn *backward;
    StreamFn *chunk, *step;
    InitFn *init;
    Sizes s;
    Params p;
    Inputs in;
    Outputs out;
    Cotangents d;
    Grads g;
    InputGrads ig;
    Carry carry;
    CallOptions o;
    unsigned char *arrays, *work; /* all arrays, ROOM bytes each; the workspace */
    uint32_t narray;
} Bench;

static void *array(Bench *b)
{
    return b->arrays + (size_t)b->narray++ * ROOM;
}

#define SYMBOL(b, member, name)                                                                                        \
    do {                                                                                                               \
        void *at = cpu_symbol((b)->code, name);                                                                        \
        cr_assert(at, "%s is missing", name);                                                                          \
        memcpy(&(b)->member, &at, sizeof at);                                                                          \
    } while (0)

static void bench_load(Bench *b, const CpuOptions *options)
{
    Str error;
    b->code = cpu_load(toy_object(&b->t, options), b->t.k, options, &error);
    cr_assert(b->code, "%.*s", STRF(error));
    SYMBOL(b, workspace, "toy_workspace");
    SYMBOL(b, packed_workspace, "toy_packed_workspace");
    SYMBOL(b, forward, "toy_forward");
    SYMBOL(b, backward, "toy_backward");
    SYMBOL(b, chunk, "toy_chunk");
    SYMBOL(b, step, "toy_step");
    SYMBOL(b, init, "toy_init");
}

static void bench_arrays(Bench *b)
{
    b->arrays = calloc(16, ROOM);
    b->work = aligned_alloc(64, WORK);
    memset(b->work, 0xee, WORK);
    b->s = (Sizes){.T = 2, .B = 3, .D = 6, .H = 4, .G = 2};
    b->p.W = array(b);
    b->in = (Inputs){.x = array(b)};
    b->out = (Outputs){.h = array(b), .hT = array(b), .cT = array(b)};
    b->d = (Cotangents){.d_h = array(b)};
    b->g = (Grads){.W = array(b)};
    b->ig = (InputGrads){.x = array(b), .h0 = array(b), .c0 = array(b)};
    b->carry = (Carry){.h = array(b), .c = array(b)};
    b->o = (CallOptions){.workspace = b->work, .passes = RNN_PASS_FORWARD};
    b->o.bytes = b->workspace(&b->s, RNN_PASS_FORWARD);
}

static CpuOptions options_for(CpuLevel level)
{
    CpuOptions o = {.version = STR("0.1")};
    o.level[level] = true;
    return o;
}

static Bench bench_new(CpuOptions options)
{
    Arena *a = arena_new();
    Bench b = {.t = toy_new(a, "toy")};
    bench_load(&b, &options);
    bench_arrays(&b);
    return b;
}

static void bench_free(Bench *b)
{
    cpu_free(b->code);
    free(b->arrays);
    free(b->work);
    arena_free(b->t.a);
}

static int run_forward(Bench *b)
{
    return b->forward(&b->s, &b->p, &b->in, &b->out, &b->o);
}

static int run_backward(Bench *b)
{
    return b->backward(&b->s, &b->p, &b->in, &b->d, &b->g, &b->ig, &b->o);
}

static int run_chunk(Bench *b)
{
    return b->chunk(&b->s, &b->p, &b->in, &b->out, &b->carry, &b->o);
}

/* Sets up for training. */
static void train(Bench *b)
{
    b->o.passes = RNN_PASS_TRAIN;
    b->o.bytes = b->workspace(&b->s, RNN_PASS_TRAIN);
}

/* ---- the record that a kernel left ---- */

static int64_t word(const void *record, uint32_t i)
{
    int64_t v;
    memcpy(&v, (const char *)record + (size_t)i * 8, sizeof v);
    return v;
}

static int64_t seen_dim(const Bench *b, const void *record, DimSym s)
{
    (void)b;
    return word(record, s);
}

static bool seen_given(const Bench *b, const void *record, uint32_t arg)
{
    return word(record, dim_nsyms(b->t.k->dims) + arg) != 0;
}

static unsigned char *seen_buf(const Bench *b, const void *record, KBufId i)
{
    return (unsigned char *)(uintptr_t)word(record, dim_nsyms(b->t.k->dims) + b->t.k->arg.n + i);
}

static int64_t seen_seed(const Bench *b, const void *record)
{
    return word(record, dim_nsyms(b->t.k->dims) + b->t.k->arg.n + b->t.k->buf.n);
}

static int64_t seen_level(const Bench *b, const void *record)
{
    return word(record, dim_nsyms(b->t.k->dims) + b->t.k->arg.n + b->t.k->buf.n + 1);
}

/* A refused call writes nothing: neither arrays nor workspace. */
#define REFUSES(b, call, status)                                                                                       \
    do {                                                                                                               \
        unsigned char *copy = malloc(16 * ROOM + WORK);                                                                \
        memcpy(copy, (b)->arrays, 16 * ROOM);                                                                          \
        memcpy(copy + 16 * ROOM, (b)->work, WORK);                                                                     \
        int got = call;                                                                                                \
        cr_expect_eq(got, status, "line %d: %s, expected %s", __LINE__, cpu_status_text(got),                          \
                     cpu_status_text(status));                                                                         \
        cr_expect(memcmp(copy, (b)->arrays, 16 * ROOM) == 0, "line %d: arrays were written", __LINE__);                \
        cr_expect(memcmp(copy + 16 * ROOM, (b)->work, WORK) == 0, "line %d: workspace was written", __LINE__);         \
        free(copy);                                                                                                    \
    } while (0)

#define FINE(call)                                                                                                     \
    do {                                                                                                               \
        int got = call;                                                                                                \
        cr_expect_eq(got, RNN_OK, "line %d: %s", __LINE__, cpu_status_text(got));                                      \
    } while (0)

/* ---- statuses ---- */

Test(abi, null_pointers)
{
    Bench b = bench_new(options_for(CPU_BASELINE));
    REFUSES(&b, b.forward(NULL, &b.p, &b.in, &b.out, &b.o), RNN_NULL);
    REFUSES(&b, b.forward(&b.s, NULL, &b.in, &b.out, &b.o), RNN_NULL);
    REFUSES(&b, b.forward(&b.s, &b.p, NULL, &b.out, &b.o), RNN_NULL);
    REFUSES(&b, b.forward(&b.s, &b.p, &b.in, NULL, &b.o), RNN_NULL);
    REFUSES(&b, b.forward(&b.s, &b.p, &b.in, &b.out, NULL), RNN_NULL);
    Bench c = b;
    c.p.W = NULL;
    REFUSES(&b, run_forward(&c), RNN_NULL);
    c = b;
    c.in.x = NULL;
    REFUSES(&b, run_forward(&c), RNN_NULL);
    c = b;
    c.out.h = NULL;
    REFUSES(&b, run_forward(&c), RNN_NULL);
    c = b;
    c.carry.c = NULL;
    REFUSES(&b, run_chunk(&c), RNN_NULL);
    REFUSES(&b, b.chunk(&b.s, &b.p, &b.in, &b.out, NULL, &b.o), RNN_NULL);
    REFUSES(&b, b.backward(&b.s, &b.p, &b.in, NULL, &b.g, &b.ig, &b.o), RNN_NULL);
    REFUSES(&b, b.init(&b.s, NULL, 1), RNN_NULL);
    REFUSES(&b, b.init(&b.s, &(Grads){NULL}, 1), RNN_NULL);
    FINE(run_forward(&b));
    bench_free(&b);
}

Test(abi, arrays_without_elements_may_be_null)
{
    Bench b = bench_new(options_for(CPU_BASELINE));
    b.s.T = 0;
    b.in.x = NULL;
    FINE(run_forward(&b));
    cr_expect_not_null(seen_buf(&b, b.out.h, b.t.bx));
    b.s = (Sizes){.T = 2, .B = 0, .D = 6, .H = 4, .G = 2};
    b.out.hT = NULL;
    FINE(run_forward(&b));
    bench_free(&b);
}

Test(abi, sizes)
{
    Bench b = bench_new(options_for(CPU_BASELINE)), c = b;
    for (int i = 0; i < 5; i++) {
        c = b;
        memcpy((char *)&c.s + 8 * i, &(int64_t){-1}, 8);
        REFUSES(&b, run_forward(&c), RNN_SIZE);
        cr_expect_eq(b.workspace(&c.s, RNN_PASS_FORWARD), SIZE_MAX);
    }
    Sizes bad[] = {{2, 3, 5, 4, 2},
                   {2, 3, 6, 4, 0},
                   {2, 3, 6, INT64_MAX, 2},
                   {2, 3, 6, INT64_MAX / 2 + 1, 2},
                   {2, INT64_MAX / 4, 6, 4, 2},
                   {INT64_C(1) << 31, 3, 6, 4, 2},
                   {2, INT64_C(1) << 40, 6, INT64_C(1) << 40, 2},
                   {2, 3, INT64_MIN, 4, -1},
                   {0, INT64_C(1) << 61, 6, 1, 6}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        c = b;
        c.s = bad[i];
        REFUSES(&b, run_forward(&c), RNN_SIZE);
        cr_expect_eq(b.workspace(&c.s, RNN_PASS_TRAIN), SIZE_MAX, "sizes %zu", i);
    }
    bench_free(&b);
}

Test(abi, lengths)
{
    Bench b = bench_new(options_for(CPU_BASELINE)), c = b;
    int32_t good[] = {0, 2, 1}, longer[] = {0, 2, 3}, negative[] = {-1, 2, 2};
    c.in.lengths = longer;
    REFUSES(&b, run_forward(&c), RNN_LENGTH);
    c.in.lengths = negative;
    REFUSES(&b, run_forward(&c), RNN_LENGTH);
    REFUSES(&b, run_chunk(&c), RNN_LENGTH);
    c.in.lengths = good;
    FINE(run_forward(&c));
    cr_expect_eq((void *)seen_buf(&b, b.out.h, b.t.blengths), (void *)good);
    bench_free(&b);
}

/* head, zeros (the largest optional array of the pass), lengths, then buffers, each at 64; and 63 to reach an alignment
 */
Test(abi, workspace_query)
{
    Bench b = bench_new(options_for(CPU_BASELINE));
    cr_expect_eq(b.workspace(&b.s, RNN_PASS_FORWARD),
                 64u + 64 + 64 + 64 + 64 + 63); /* zeros: h0, 48 bytes; kept; scratch */
    cr_expect_eq(b.workspace(&b.s, RNN_PASS_TRAIN),
                 64u + 128 + 64 + 192 + 64 + 64 + 63);      /* zeros: d_h; kept: 3 * 12 reals; back */
    Sizes odd = {.T = 2, .B = 3, .D = 130, .H = 4, .G = 2}; /* c0: 780 bytes; scratch: 65 */
    cr_expect_eq(b.workspace(&odd, RNN_PASS_FORWARD), 64u + 832 + 64 + 64 + 128 + 63);
    cr_expect_eq(b.workspace(NULL, RNN_PASS_FORWARD), SIZE_MAX);
    cr_expect_eq(b.workspace(&b.s, 0), SIZE_MAX);
    cr_expect_eq(b.workspace(&b.s, 2), SIZE_MAX);
    Sizes zero = {.G = 1};
    cr_expect_eq(b.workspace(&zero, RNN_PASS_TRAIN), 64u + 63);
    bench_free(&b);
}

Test(abi, workspace_too_small)
{
    Bench b = bench_new(options_for(CPU_BASELINE)), c = b;
    c.o.workspace = NULL;
    REFUSES(&b, run_forward(&c), RNN_WORKSPACE);
    c = b;
    c.o.bytes--;
    REFUSES(&b, run_forward(&c), RNN_WORKSPACE);
    c = b;
    c.o.passes = RNN_PASS_TRAIN; /* needs more */
    REFUSES(&b, run_forward(&c), RNN_WORKSPACE);
    c = b;
    c.o.passes = 7;
    REFUSES(&b, run_forward(&c), RNN_WORKSPACE);
    bench_free(&b);
}

Test(abi, overlap)
{
    Bench b = bench_new(options_for(CPU_BASELINE)), c = b;
    size_t x_bytes = 2 * 3 * 6 * 4, h_bytes = 2 * 3 * 4 * 4;
    void *at[] = {(char *)b.in.x,
                  (char *)b.in.x + x_bytes - 4,
                  (char *)b.in.x - h_bytes + 4,
                  (char *)b.p.W,
                  (char *)b.out.hT,
                  (char *)b.out.cT,
                  b.work,
                  b.work + b.o.bytes - 63 - 4};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        c = b;
        c.out.h = at[i];
        REFUSES(&b, run_forward(&c), RNN_OVERLAP);
    }
    c = b;
    c.in.x = (float *)b.work; /* the workspace is written too */
    REFUSES(&b, run_forward(&c), RNN_OVERLAP);
    c = b;
    c.out.hT = c.out.cT;
    REFUSES(&b, run_forward(&c), RNN_OVERLAP);
    c = b;
    c.carry.h = c.carry.c;
    REFUSES(&b, run_chunk(&c), RNN_OVERLAP);
    c = b;
    memcpy(&c.carry.h, &b.in.x, sizeof(void *));
    REFUSES(&b, run_chunk(&c), RNN_OVERLAP);
    c = b;
    c.g.W = c.ig.x;
    train(&c);
    FINE(run_forward(&c));
    REFUSES(&b, run_backward(&c), RNN_OVERLAP);
    bench_free(&b);
}

Test(abi, what_only_touches_or_is_only_read_does_not_overlap)
{
    Bench b = bench_new(options_for(CPU_BASELINE)), c = b;
    c.in.x = b.p.W;
    c.in.h0 = b.p.W;
    FINE(run_forward(&c));
    c = b;
    c.out.hT = (float *)((char *)b.out.cT - 3 * 4 * 4); /* ends where cT begins */
    FINE(run_forward(&c));
    c = b;
    c.out.cT = (float *)((char *)b.out.hT - 3 * 3 * 4);
    FINE(run_forward(&c));
    bench_free(&b);
}

Test(abi, a_kernels_status_goes_through)
{
    Bench b = bench_new(options_for(CPU_BASELINE));
    int32_t index = RNN_INDEX;
    train(&b);
    memcpy(b.arrays, &index, sizeof index); /* W is the first array */
    cr_expect_eq(run_forward(&b), RNN_INDEX);
    memset(b.arrays, 0, sizeof index);
    REFUSES(&b, run_backward(&b), RNN_WORKSPACE);
    bench_free(&b);
}

/* ---- what a kernel is given ---- */

Test(abi, dims_and_given_flags)
{
    Bench b = bench_new(options_for(CPU_BASELINE));
    float h0[12] = {0};
    uint8_t resets[6] = {0};
    b.in.h0 = h0;
    b.in.resets = resets;
    FINE(run_forward(&b));
    const void *r = b.out.h;
    cr_expect_eq(seen_dim(&b, r, b.t.T), 2);
    cr_expect_eq(seen_dim(&b, r, b.t.B), 3);
    cr_expect_eq(seen_dim(&b, r, b.t.D), 6);
    cr_expect_eq(seen_dim(&b, r, b.t.H), 4);
    cr_expect_eq(seen_dim(&b, r, b.t.G), 2);
    cr_expect_eq(seen_dim(&b, r, b.t.P), 3);
    cr_expect_eq(seen_dim(&b, r, b.t.keep), 0);
    cr_expect(seen_given(&b, r, b.t.W) && seen_given(&b, r, b.t.x) && seen_given(&b, r, b.t.h0) &&
              seen_given(&b, r, b.t.resets));
    cr_expect(!seen_given(&b, r, b.t.c0) && !seen_given(&b, r, b.t.lengths) && !seen_given(&b, r, b.t.d_h));
    cr_expect_eq((const void *)seen_buf(&b, r, b.t.bh0), (const void *)h0);
    cr_expect_eq((const void *)seen_buf(&b, r, b.t.bx), (const void *)b.in.x);
    train(&b);
    FINE(run_forward(&b));
    cr_expect_eq(seen_dim(&b, r, b.t.keep), 1);
    bench_free(&b);
}

static bool all_bytes(const unsigned char *p, size_t n, unsigned char v)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != v)
            return false;
    return true;
}

Test(abi, missing_arguments_read_as_their_defaults)
{
    Bench b = bench_new(options_for(CPU_BASELINE));
    b.out.hT = NULL;
    FINE(run_forward(&b));
    const void *r = b.out.h;
    const int32_t *lengths = (const int32_t *)(const void *)seen_buf(&b, r, b.t.blengths);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(lengths[i], 2);
    cr_expect(all_bytes(seen_buf(&b, r, b.t.bh0), 48, 0));
    cr_expect(all_bytes(seen_buf(&b, r, b.t.bresets), 6, 0));
    cr_expect_null(seen_buf(&b, r, b.t.bhT));
    cr_expect_eq((void *)seen_buf(&b, r, b.t.bcT), (void *)b.out.cT);
    train(&b);
    b.out.hT = NULL;
    FINE(run_forward(&b));
    b.d.d_h = NULL;
    b.ig.x = NULL;
    FINE(run_backward(&b));
    cr_expect(all_bytes(seen_buf(&b, b.g.W, b.t.bd_h), 96, 0));
    cr_expect_null(seen_buf(&b, b.g.W, b.t.bgx));
    bench_free(&b);
}

/* Wherever the workspace starts, buffers lie in it, at multiples of 64, apart from each other; and nothing else is
 * written. */
Test(abi, workspace_of_any_alignment)
{
    Bench b = bench_new(options_for(CPU_BASELINE));
    train(&b);
    for (size_t shift = 0; shift < 64; shift++) {
        memset(b.work, 0xee, WORK);
        b.o.workspace = b.work + shift;
        FINE(run_forward(&b));
        FINE(run_backward(&b));
        KBufId id[] = {b.t.bd_hT, b.t.blengths, b.t.kept, b.t.scratch, b.t.back};
        unsigned char *end = b.work + shift + 64;
        for (int i = 0; i < 5; i++) {
            unsigned char *p = seen_buf(&b, b.g.W, id[i]);
            cr_expect_eq((uintptr_t)p % 64, 0u);
            cr_expect(p >= end, "buffer %d begins inside the one before", i);
            end = p + (size_t[]){96, 12, 144, 3, 24}[i];
        }
        cr_expect(end <= b.work + shift + b.o.bytes);
        cr_expect_eq((void *)seen_buf(&b, b.g.W, b.t.shared), (void *)seen_buf(&b, b.g.W, b.t.scratch));
        cr_expect(all_bytes(b.work, shift, 0xee) &&
                  all_bytes(b.work + shift + b.o.bytes, WORK - shift - b.o.bytes, 0xee));
    }
    bench_free(&b);
}

Test(abi, backward_needs_its_forward)
{
    Bench b = bench_new(options_for(CPU_BASELINE));
    train(&b);
    REFUSES(&b, run_backward(&b), RNN_WORKSPACE);
    b.o.passes = RNN_PASS_FORWARD;
    FINE(run_forward(&b));
    REFUSES(&b, run_backward(&b), RNN_WORKSPACE);
    train(&b);
    FINE(run_forward(&b));
    FINE(run_backward(&b));
    FINE(run_backward(&b)); /* it keeps what it read */
    b.s.T = 1;
    REFUSES(&b, run_backward(&b), RNN_WORKSPACE);
    b.s.T = 2;
    FINE(run_chunk(&b));
    REFUSES(&b, run_backward(&b), RNN_WORKSPACE);
    FINE(b.forward(&b.s, &b.p, &b.in, &b.out, &b.o));
    FINE(b.backward(&b.s, &b.p, &b.in, &b.d, &b.g, NULL, &b.o));
    bench_free(&b);
}

Test(abi, a_backward_pass_that_reuses_kept_memory_runs_once)
{
    Arena *a = arena_new();
    CpuOptions o = options_for(CPU_BASELINE);
    Bench b = {.t = toy_new(a, "toy")};
    b.t.k->buf.p[b.t.back].shares = b.t.kept;
    bench_load(&b, &o);
    bench_arrays(&b);
    train(&b);
    FINE(run_forward(&b));
    FINE(run_backward(&b));
    cr_expect_eq((void *)seen_buf(&b, b.g.W, b.t.back), (void *)seen_buf(&b, b.g.W, b.t.kept));
    REFUSES(&b, run_backward(&b), RNN_WORKSPACE);
    bench_free(&b);
}

Test(abi, the_carry_is_start_and_final_state)
{
    Bench b = bench_new(options_for(CPU_BASELINE));
    b.in.h0 = b.ig.h0; /* neither is read by chunk */
    b.out.hT = NULL;
    FINE(run_chunk(&b));
    const void *r = b.out.h;
    cr_expect_eq((void *)seen_buf(&b, r, b.t.bh0), (void *)b.carry.h);
    cr_expect_eq((void *)seen_buf(&b, r, b.t.bhT), (void *)b.carry.h);
    cr_expect_eq((void *)seen_buf(&b, r, b.t.bc0), (void *)b.carry.c);
    cr_expect_eq((void *)seen_buf(&b, r, b.t.bcT), (void *)b.carry.c);
    cr_expect(seen_given(&b, r, b.t.h0) && seen_given(&b, r, b.t.c0));
    cr_expect_eq(seen_dim(&b, r, b.t.T), 2);
    cr_expect_eq(seen_dim(&b, r, b.t.keep), 0);
    b.s.T = -77; /* not read by step */
    FINE(b.step(&b.s, &b.p, &b.in, &b.out, &b.carry, &b.o));
    cr_expect_eq(seen_dim(&b, r, b.t.T), 1);
    bench_free(&b);
}

Test(abi, what_looks_ahead_has_no_chunks)
{
    Arena *a = arena_new();
    CpuOptions o = options_for(CPU_BASELINE);
    Bench b = {.t = toy_new(a, "toy")};
    b.t.k->out.p[b.t.h].streams = false;
    bench_load(&b, &o);
    bench_arrays(&b);
    REFUSES(&b, run_chunk(&b), RNN_STREAM);
    REFUSES(&b, b.step(&b.s, &b.p, &b.in, &b.out, &b.carry, &b.o), RNN_STREAM);
    FINE(run_forward(&b));
    bench_free(&b);
}

Test(abi, init_gets_the_seed)
{
    Bench b = bench_new(options_for(CPU_BASELINE));
    b.s.T = -1; /* T and B are not read */
    b.s.B = -1;
    FINE(b.init(&b.s, &b.g, UINT64_C(0xfedcba9876543210)));
    cr_expect_eq((uint64_t)seen_seed(&b, b.g.W), UINT64_C(0xfedcba9876543210));
    b.s.D = 5;
    REFUSES(&b, b.init(&b.s, &b.g, 1), RNN_SIZE);
    bench_free(&b);
}

/* ---- packed batches ---- */

/* Sizes and workspace for sequences at these offsets. */
static void pack(Bench *b, const int32_t *offsets, int64_t B, int passes)
{
    b->s.B = B;
    b->s.T = offsets[B];
    b->in.offsets = offsets;
    b->o.passes = passes;
    b->o.bytes = b->packed_workspace(&b->s, offsets, passes);
}

Test(abi, offsets_go_from_0_up_to_T)
{
    Bench b = bench_new(options_for(CPU_BASELINE));
    int32_t good[] = {0, 0, 3, 3}, late[] = {1, 1, 2, 3}, down[] = {0, 2, 1, 3}, below[] = {0, -1, 2, 3}, end[] = {0, 1, 2, 2},
            *bad[] = {late, down, below, end};
    pack(&b, good, 3, RNN_PASS_FORWARD);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Bench c = b;
        c.in.offsets = bad[i];
        REFUSES(&b, run_forward(&c), RNN_LENGTH);
        REFUSES(&b, run_chunk(&c), RNN_LENGTH);
        REFUSES(&b, run_backward(&c), RNN_LENGTH);
        cr_expect_eq(b.packed_workspace(&b.s, bad[i], RNN_PASS_FORWARD), SIZE_MAX, "offsets %zu", i);
    }
    int32_t lengths[] = {0, 3, 1}, own[] = {0, 2, 0};
    b.in.lengths = lengths; /* the last sequence has no place, though the batch has */
    REFUSES(&b, run_forward(&b), RNN_LENGTH);
    b.in.lengths = own;
    FINE(run_forward(&b));
    REFUSES(&b, b.step(&b.s, &b.p, &b.in, &b.out, &b.carry, &b.o), RNN_STREAM);
    bench_free(&b);
}

Test(abi, nothing_is_packed)
{
    Bench b = bench_new(options_for(CPU_BASELINE));
    int32_t none[] = {0};
    pack(&b, none, 0, RNN_PASS_TRAIN);
    cr_expect_eq(b.o.bytes, 64u + 63);
    b.in.x = NULL;
    FINE(run_forward(&b));
    FINE(run_backward(&b));
    cr_expect_eq(word(b.out.h, 0), 0, "no kernel has run");
    bench_free(&b);
}

/* head; for each sequence what it takes alone, and 64 to begin at a multiple of that; and 63 */
Test(abi, packed_workspace_query)
{
    Bench b = bench_new(options_for(CPU_BASELINE));
    int32_t offsets[] = {0, 0, 3, 3, 33};
    pack(&b, offsets, 4, RNN_PASS_FORWARD);
    Sizes one = b.s;
    size_t most = 0, sum = 0, n;
    for (int i = 0; i < 4; i++) {
        one.B = 1;
        one.T = offsets[i + 1] - offsets[i];
        n = b.workspace(&one, RNN_PASS_FORWARD) + 1;
        most = n > most ? n : most;
        sum += b.workspace(&one, RNN_PASS_TRAIN) + 1;
    }
    cr_expect_eq(b.o.bytes, 64u + most + 63);
    cr_expect_eq(b.packed_workspace(&b.s, offsets, RNN_PASS_TRAIN), 64u + sum + 63);
    cr_expect_eq(b.packed_workspace(NULL, offsets, RNN_PASS_FORWARD), SIZE_MAX);
    cr_expect_eq(b.packed_workspace(&b.s, NULL, RNN_PASS_FORWARD), SIZE_MAX);
    cr_expect_eq(b.packed_workspace(&b.s, offsets, 2), SIZE_MAX);
    b.s.D = 5; /* P = D / G */
    cr_expect_eq(b.packed_workspace(&b.s, offsets, RNN_PASS_FORWARD), SIZE_MAX);
    REFUSES(&b, run_forward(&b), RNN_SIZE);
    b.s.D = 6;
    b.o.bytes--;
    REFUSES(&b, run_forward(&b), RNN_WORKSPACE);
    b.o.bytes++;
    FINE(run_forward(&b));
    bench_free(&b);
}

/* The last sequence's record is whole. */
static void expect_last(const int32_t *offsets, int64_t B)
{
    Bench b = bench_new(options_for(CPU_BASELINE));
    int32_t lengths[3] = {0};
    uint8_t resets[8] = {0};
    pack(&b, offsets, B, RNN_PASS_TRAIN);
    b.in.lengths = lengths;
    b.in.resets = resets;
    b.in.h0 = b.carry.h; /* some array */
    FINE(run_forward(&b));
    int64_t t = offsets[B - 1], n = offsets[B] - t;
    const float *r = (const float *)b.out.h + t * 4;
    cr_expect_eq(seen_dim(&b, r, b.t.T), n);
    cr_expect_eq(seen_dim(&b, r, b.t.B), 1);
    cr_expect_eq(seen_dim(&b, r, b.t.keep), 1);
    cr_expect_eq((const void *)seen_buf(&b, r, b.t.bx), (const void *)(b.in.x + t * 6));
    cr_expect_eq((const void *)seen_buf(&b, r, b.t.bh), (const void *)r);
    cr_expect_eq((const void *)seen_buf(&b, r, b.t.blengths), (const void *)(lengths + B - 1));
    cr_expect_eq((const void *)seen_buf(&b, r, b.t.bresets), (const void *)(resets + t));
    cr_expect_eq((const void *)seen_buf(&b, r, b.t.bh0), (const void *)(b.in.h0 + (B - 1) * 4));
    cr_expect_eq((const void *)seen_buf(&b, r, b.t.bhT), (const void *)(b.out.hT + (B - 1) * 4));
    cr_expect_eq((const void *)seen_buf(&b, r, b.t.bcT), (const void *)(b.out.cT + (B - 1) * 3));
    cr_expect_eq((const void *)seen_buf(&b, r, b.t.bW), (const void *)b.p.W);
    cr_expect(seen_given(&b, r, b.t.h0) && !seen_given(&b, r, b.t.c0));
    unsigned char *kept = seen_buf(&b, r, b.t.kept);
    cr_expect(kept >= b.work && kept + (1 + n) * 4 * 4 <= b.work + b.o.bytes);
    FINE(run_backward(&b));
    cr_expect_eq((void *)seen_buf(&b, b.g.W, b.t.kept), (void *)kept, "what the forward pass kept of this sequence");
    cr_expect_eq((const void *)seen_buf(&b, b.g.W, b.t.bd_h), (const void *)(b.d.d_h + t * 4));
    cr_expect_eq((const void *)seen_buf(&b, b.g.W, b.t.bgx), (const void *)(b.ig.x + t * 6));
    cr_expect_eq((const void *)seen_buf(&b, b.g.W, b.t.bgh0), (const void *)(b.ig.h0 + (B - 1) * 4));
    cr_expect_eq((const void *)seen_buf(&b, b.g.W, b.t.bgW), (const void *)b.g.W);
    bench_free(&b);
}

Test(abi, packed_sequences_have_their_parts)
{
    static const int32_t offsets[] = {0, 2, 2, 5};
    for (int64_t B = 1; B <= 3; B++)
        expect_last(offsets, B);
}

Test(abi, a_packed_chunk_carries_each_sequence)
{
    Bench b = bench_new(options_for(CPU_BASELINE));
    int32_t offsets[] = {0, 2, 5};
    pack(&b, offsets, 2, RNN_PASS_FORWARD);
    FINE(run_chunk(&b));
    const float *r = (const float *)b.out.h + 2 * 4;
    cr_expect_eq((void *)seen_buf(&b, r, b.t.bh0), (void *)(b.carry.h + 4));
    cr_expect_eq((void *)seen_buf(&b, r, b.t.bhT), (void *)(b.carry.h + 4));
    cr_expect_eq((void *)seen_buf(&b, r, b.t.bc0), (void *)(b.carry.c + 3));
    cr_expect_eq((void *)seen_buf(&b, r, b.t.bcT), (void *)(b.carry.c + 3));
    bench_free(&b);
}

Test(abi, a_packed_backward_pass_needs_its_forward)
{
    Bench b = bench_new(options_for(CPU_BASELINE));
    int32_t offsets[] = {0, 1, 4}, other[] = {0, 2, 4}, whole[] = {0, 4};
    pack(&b, offsets, 2, RNN_PASS_TRAIN);
    REFUSES(&b, run_backward(&b), RNN_WORKSPACE);
    FINE(run_forward(&b));
    FINE(run_backward(&b));
    FINE(run_backward(&b));
    b.in.offsets = other;
    b.o.bytes = WORK;
    REFUSES(&b, run_backward(&b), RNN_WORKSPACE);
    b.in.offsets = NULL;
    REFUSES(&b, run_backward(&b), RNN_WORKSPACE);
    b.s.B = 1;
    FINE(run_forward(&b));
    FINE(run_backward(&b));
    b.in.offsets = whole;
    REFUSES(&b, run_backward(&b), RNN_WORKSPACE);
    bench_free(&b);
}

Test(abi, packed_arrays_overlap)
{
    Bench b = bench_new(options_for(CPU_BASELINE)), c = b;
    int32_t offsets[] = {0, 1, 4};
    pack(&b, offsets, 2, RNN_PASS_FORWARD);
    c = b;
    c.out.h = (char *)b.in.x + 4 * 6 * 4 - 4; /* x is [4, 6] */
    REFUSES(&b, run_forward(&c), RNN_OVERLAP);
    c.out.h = (char *)b.in.x + 4 * 6 * 4;
    FINE(run_forward(&c));
    c = b;
    c.out.cT = c.out.hT + 7; /* hT is [2, 4] */
    REFUSES(&b, run_forward(&c), RNN_OVERLAP);
    c = b;
    memcpy(c.out.hT, offsets, sizeof offsets);
    c.in.offsets = (const int32_t *)(const void *)(c.out.hT - 2);
    memcpy(c.out.hT - 2, offsets, sizeof offsets);
    REFUSES(&b, run_forward(&c), RNN_OVERLAP);
    c = b;
    c.o.workspace = (char *)b.out.h;
    REFUSES(&b, run_forward(&c), RNN_OVERLAP);
    bench_free(&b);
}

/* An index outside of its axis in one sequence: the others run all the same. */
Test(abi, the_status_of_a_packed_sequence_goes_through)
{
    Bench b = bench_new(options_for(CPU_BASELINE));
    int32_t offsets[] = {0, 1, 4};
    memcpy(&b.arrays[0], &(int32_t){RNN_INDEX}, 4); /* the first word of W */
    pack(&b, offsets, 2, RNN_PASS_TRAIN);
    cr_expect_eq(run_forward(&b), RNN_INDEX);
    cr_expect_eq(seen_dim(&b, (const float *)b.out.h + 4, b.t.T), 3);
    REFUSES(&b, run_backward(&b), RNN_WORKSPACE);
    bench_free(&b);
}

/* An array that has the time behind another axis is not in one piece for each sequence. */
Test(abi, what_cannot_be_packed_has_no_offsets)
{
    Arena *a = arena_new();
    Toy t = toy_new(a, "toy");
    cr_expect(iface_packs(t.k));
    Type *x = &t.k->arg.p[t.x].type;
    x->dim[0] = dim_of(t.k->dims, t.D), x->dim[1] = dim_of(t.k->dims, t.T);
    cr_expect_not(iface_packs(t.k));
    x->dim[0] = dim_of(t.k->dims, t.T), x->dim[1] = dim_of(t.k->dims, t.D);
    Dim later = dim_add(t.k->dims, dim_of(t.k->dims, t.T), DIM_ONE);
    t.k->out.p[t.h].type.dim[0] = later;
    cr_expect_not(iface_packs(t.k));
    t.k->out.p[t.h].type.dim[0] = dim_of(t.k->dims, t.T);
    t.k->derived.p[0].num = dim_of(t.k->dims, t.T); /* P = T / G, of which c0 is */
    cr_expect_not(iface_packs(t.k));
    t.k->derived.p[0].num = dim_of(t.k->dims, t.D);
    cr_expect(iface_packs(t.k));
    DimSym second = dim_sym_new(t.k->dims, STR("S"), DIM_TIME);
    vec_push(a, &t.k->open, second);
    cr_expect_not(iface_packs(t.k));
    arena_free(a);
}

/* ---- levels ---- */

Test(abi, the_best_level_of_this_machine_runs)
{
    CpuOptions o = {.version = STR("0.1"), .level = {true, true, true}};
    int best = 0;
    for (int l = 0; l < CPU_NLEVEL; l++)
        best = cpu_level_here((CpuLevel)l) ? l : best;
    Bench b = bench_new(o);
    for (int i = 0; i < 2; i++) {
        FINE(run_forward(&b));
        cr_expect_eq(seen_level(&b, b.out.h), best);
    }
    bench_free(&b);
}

Test(abi, only_levels_that_were_built_run)
{
    for (int l = 0; l < CPU_NLEVEL; l++) {
        Bench b = bench_new(options_for((CpuLevel)l));
        FINE(run_forward(&b));
        cr_expect_eq(seen_level(&b, b.out.h), l);
        bench_free(&b);
    }
    CpuOptions o = {.version = STR("0.1")};
    o.level[CPU_BASELINE] = o.level[CPU_AVX512] = true;
    Bench b = bench_new(o);
    FINE(run_forward(&b));
    cr_expect_eq(seen_level(&b, b.out.h), cpu_level_here(CPU_AVX512) ? CPU_AVX512 : CPU_BASELINE);
    bench_free(&b);
}

/* ---- the JIT's own calls ---- */

Test(abi, calls_by_index)
{
    Bench b = bench_new(options_for(CPU_BASELINE));
    int64_t dims[16] = {0};
    const void *in[9] = {0};
    void *out[8] = {0};
    dims[b.t.T] = 2, dims[b.t.B] = 3, dims[b.t.D] = 6, dims[b.t.H] = 4, dims[b.t.G] = 2;
    in[b.t.W] = b.p.W, in[b.t.x] = b.in.x, out[b.t.h] = b.out.h, out[b.t.hT] = b.out.hT, out[b.t.gW] = b.g.W;
    FINE(cpu_call(b.code, REC_FORWARD, dims, in, out, false, 0));
    cr_expect_eq(cpu_call(b.code, REC_BACKWARD, dims, in, out, true, 0), RNN_WORKSPACE);
    FINE(cpu_call(b.code, REC_FORWARD, dims, in, out, true, 0));
    cr_expect_eq((void *)seen_buf(&b, b.out.h, b.t.bhT), (void *)b.out.hT);
    FINE(cpu_call(b.code, REC_BACKWARD, dims, in, out, true, 0));
    cr_expect_eq((const void *)seen_buf(&b, b.g.W, b.t.bx), (const void *)b.in.x);
    out[b.t.wW] = b.g.W;
    FINE(cpu_call(b.code, REC_INIT, dims, in, out, false, 7));
    cr_expect_eq(seen_seed(&b, b.g.W), 7);
    void *carried[9] = {0};
    memcpy(carried, in, sizeof in);
    cr_expect_eq(cpu_call_chunk(b.code, true, dims, carried, out), RNN_NULL);
    carried[b.t.h0] = b.carry.h, carried[b.t.c0] = b.carry.c;
    FINE(cpu_call_chunk(b.code, true, dims, carried, out));
    cr_expect_eq((void *)seen_buf(&b, b.out.h, b.t.bhT), (void *)b.carry.h);
    bench_free(&b);
}

Test(abi, a_broken_object_is_refused)
{
    Toy t = toy_new(arena_new(), "toy");
    CpuOptions o = options_for(CPU_BASELINE);
    Str error = STR("");
    cr_expect_null(cpu_load(STR("this is no object file"), t.k, &o, &error));
    cr_expect(error.n > 0);
    arena_free(t.a);
}
