/* What the next step of a long loop reads or writes is fetched while this one runs.
 *
 * A step over many places at once goes through a piece of each array, and the next step through the piece behind it. Such a piece is a
 * page or less: a processor that fetches ahead by itself has to find out anew for each of them, and waits for memory meanwhile. So
 * each piece of the next step is asked for in front of some statement of this one, a few at a time. Only where arrays are too long to
 * be in a cache anyway. */
#include "backends/cpu/emit.h"

enum {
    PRODUCTS = 3,                           /* of a step, at least */
    LINE = 64,                              /* bytes */
    PIECE_LEAST = 1024, PIECE_MOST = 32768, /* bytes of an array for one step */
    PARTS = 2,                              /* of a piece, at different times */
    ALL_LEAST = 6 << 20                     /* bytes of all pieces of all steps */
};

/* Where the piece of a step begins, and how far it is to the next one's, in elements. */
typedef struct Stream {
    KBufId buf;
    KIndex at;
    Dim stride;
} Stream;

struct EmitAhead {
    Emit *e;
    const KStmt *loop;
    bool *inside; /* by KVar: it is defined in the loop, or is its own */
    VEC(Stream) stream;
};

static bool is_kept(const EmitAhead *a, Dim stride)
{
    return dim_mentions(a->e->k->dims, stride, a->e->k->keep);
}

/* Of a state, what a step finds and what it leaves are different pieces. */
static bool is_listed(const EmitAhead *a, const Stream *x)
{
    for (uint32_t i = 0; i < a->stream.n; i++) {
        const Stream *y = &a->stream.p[i];
        if (y->buf == x->buf && y->stride == x->stride && (!is_kept(a, x->stride) || kern_index_eq(&y->at, &x->at)))
            return true;
    }
    return false;
}

/* Small beside another, which is a multiple of it by some size. */
static bool is_small(const EmitAhead *a, Dim stride)
{
    DimTab *t = a->e->k->dims;
    int64_t times;
    for (uint32_t i = 0; i < a->stream.n; i++) {
        Dim other = a->stream.p[i].stride, quotient;
        if (!is_kept(a, other) && dim_div(t, other, stride, &quotient) && !dim_is_const(t, quotient, &times))
            return true;
    }
    return false;
}

static void drop_small(EmitAhead *a)
{
    bool *small = NEWN(a->e->arena, bool, a->stream.n + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < a->stream.n; i++)
        small[i] = is_small(a, a->stream.p[i].stride);
    for (uint32_t i = 0; i < a->stream.n; i++)
        if (!small[i])
            a->stream.p[n++] = a->stream.p[i];
    a->stream.n = n;
}

static void see_access(void *cx, KBufId buf, KIndex *at)
{
    EmitAhead *a = cx;
    Stream x = {.buf = buf, .at = {.base = at->base}, .stride = kern_index_stride(at, a->loop->loop.var)};
    for (uint32_t i = 0; i < at->n; i++)
        if (!a->inside[at->term[i].var])
            x.at.term[x.at.n++] = at->term[i];
    if (x.stride != DIM_ZERO && !is_listed(a, &x))
        vec_push(a->e->arena, &a->stream, x);
}

static uint32_t products(const KBlock *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n; i++)
        n += b->p[i]->kind == K_GEMM ? 1 : kern_body(b->p[i]) ? products(kern_body(b->p[i])) : 0;
    return n;
}

EmitAhead *emit_find_ahead(Emit *e, const KStmt *s)
{
    int64_t steps;
    if (s->loop.kind != K_SERIAL || products(&s->loop.body) < PRODUCTS || dim_is_const(e->k->dims, s->loop.extent, &steps) || !e->g.vector_bytes || e->v.on || e->small)
        return NULL;
    EmitAhead *a = NEW(e->arena, EmitAhead);
    *a = (EmitAhead){.e = e, .loop = s, .inside = NEWN(e->arena, bool, e->k->var.n)};
    a->inside[s->loop.var] = true;
    emit_mark_defined(&s->loop.body, a->inside);
    for (uint32_t i = 0; i < s->loop.body.n; i++)
        kern_each_access(s->loop.body.p[i], see_access, a);
    drop_small(a);
    return a->stream.n ? a : NULL;
}

static LLVMValueRef piece_bytes(Emit *e, const Stream *x)
{
    return LLVMBuildMul(e->g.b, emit_dim(e, x->stride), gen_i64(&e->g, emit_memory_bytes(e, x->buf)), "");
}

/* i1: a cache would not keep it all. */
static LLVMValueRef is_much(Emit *e, const EmitAhead *a)
{
    CpuGen g = emit_gen(e, false);
    EmitNear outer = emit_near_open(e);
    LLVMValueRef all = gen_i64(&g, 0);
    for (uint32_t i = 0; i < a->stream.n; i++)
        all = LLVMBuildAdd(g.b, all, piece_bytes(e, &a->stream.p[i]), "");
    all = LLVMBuildMul(g.b, all, emit_dim(e, a->loop->loop.extent), "");
    LLVMValueRef much = gen_icmp(&g, LLVMIntSGE, all, gen_i64(&g, ALL_LEAST));
    emit_near_close(e, outer);
    return much;
}

/* The bytes of a part of the piece; 0 where fetching it does not pay. */
static LLVMValueRef part_bytes(Emit *e, LLVMValueRef much, const Stream *x)
{
    CpuGen g = emit_gen(e, false);
    LLVMValueRef bytes = piece_bytes(e, x);
    LLVMValueRef fits = LLVMBuildAnd(g.b, gen_icmp(&g, LLVMIntSGE, bytes, gen_i64(&g, PIECE_LEAST)),
                                     gen_icmp(&g, LLVMIntSLE, bytes, gen_i64(&g, PIECE_MOST)), "");
    LLVMValueRef some = gen_select(&g, LLVMBuildAnd(g.b, much, fits, ""), bytes, gen_i64(&g, 0));
    return LLVMBuildUDiv(g.b, some, gen_i64(&g, PARTS), "");
}

static void fetch(Emit *e, const KStmt *loop, LLVMValueRef much, const Stream *x, uint32_t part)
{
    CpuGen g = emit_gen(e, false);
    EmitNear outer = emit_near_open(e);
    LLVMTypeRef i32 = gen_int1(&g, 32);
    LLVMValueRef one = gen_i64(&g, 1), step = e->var[loop->loop.var].value;
    LLVMValueRef next = loop->loop.reverse ? LLVMBuildSub(g.b, step, one, "") : LLVMBuildAdd(g.b, step, one, "");
    LLVMValueRef begin = LLVMBuildMul(g.b, next, emit_dim(e, x->stride), "");
    LLVMValueRef from = gen_at(&g, emit_memory_type(e, x->buf), emit_index_address(e, x->buf, &x->at), begin), each = part_bytes(e, much, x);
    GenLoop l = gen_loop(&g, gen_i64(&g, 0), each, gen_i64(&g, LINE), NULL, 0);
    LLVMValueRef at = gen_at(&g, gen_int1(&g, 8), from, LLVMBuildAdd(g.b, LLVMBuildMul(g.b, each, gen_i64(&g, part), ""), l.i, ""));
    LLVMValueRef arg[4] = {at, LLVMConstInt(i32, 0, false), LLVMConstInt(i32, 3, false), LLVMConstInt(i32, 1, false)};
    gen_intrinsic(&g, "llvm.prefetch", LLVMTypeOf(at), arg, 4);
    gen_loop_end(&g, &l, NULL);
    emit_near_close(e, outer);
}

void emit_ahead(Emit *e, const EmitAhead *a)
{
    const KBlock *b = &a->loop->loop.body;
    uint32_t n = a->stream.n, all = n * PARTS, done = 0;
    LLVMValueRef much = is_much(e, a);
    for (uint32_t i = 0; i < b->n; i++) {
        for (; (uint64_t)done * b->n < (uint64_t)(i + 1) * all; done++)
            fetch(e, a->loop, much, &a->stream.p[done % n], done / n);
        emit_block(e, &(KBlock){.p = &b->p[i], .n = 1});
    }
}
