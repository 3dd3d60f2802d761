/* Loads, stores, fills, copies and products.
 *
 * Inside a vector loop an access with stride 1 in the loop's variable moves a whole vector; one that does not move with
 * the variable is a scalar; anything else goes lane by lane. In the last, incomplete round vectors are masked, and what
 * goes lane by lane repeats the last lane that counts, so that every address is a valid one.
 *
 * Buffers do not overlap (the public functions see to the caller's), and every access says so to LLVM; kern_memory()
 * has the exceptions. Nothing is said of a guess: another array may stand in for it (cpu_stands_in). */
#include "backends/cpu/emit.h"

LLVMTypeRef emit_memory_type(const Emit *e, KBufId b)
{
    DType dt = e->k->buf.p[b].dt;
    if (kern_buf_narrow(e->k, b))
        return gen_int1(&e->g, 16);
    return dt == DT_REAL ? gen_real1(&e->g) : gen_int1(&e->g, dt == DT_INT ? 32 : 8);
}

uint32_t emit_memory_bytes(const Emit *e, KBufId b)
{
    return narrow_bytes(kern_buf_narrow(e->k, b), emit_bytes(e, e->k->buf.p[b].dt));
}

LLVMValueRef emit_buf(Emit *e, KBufId b)
{
    CpuGen g = emit_gen(e, false);
    g.b = e->near.b;
    if (!e->near.buf[b])
        e->near.buf[b] = gen_load(&g, gen_ptr(&g), gen_at(&g, gen_ptr(&g), e->bufs, gen_i64(&g, b)), 8);
    return e->near.buf[b];
}

bool emit_can_be_null(const Emit *e, KBufId b)
{
    const KBuf *buf = &e->k->buf.p[b];
    return buf->kind == K_OUT && !e->given_buf[b] && e->k->out.p[buf->slot].role != OUT_VALUE;
}

/* ---- what does not overlap ---- */

static LLVMMetadataRef text_node(Emit *e, Str s)
{
    return LLVMMDStringInContext2(e->g.context, s.p, s.n);
}

static LLVMMetadataRef scope_node(Emit *e, KBufId b)
{
    if (e->scope[b])
        return e->scope[b];
    Str domain = str_fmt(e->arena, "%.*s", STRF(e->k->name));
    LLVMMetadataRef d = text_node(e, domain), in;
    in = LLVMMDNodeInContext2(e->g.context, &d, 1);
    LLVMMetadataRef pair[2] = {text_node(e, str_fmt(e->arena, "%.*s.%u", STRF(e->k->name), b)), in};
    return e->scope[b] = LLVMMDNodeInContext2(e->g.context, pair, 2);
}

static void make_scopes(Emit *e, KBufId b)
{
    LLVMMetadataRef *others = NEWN(e->arena, LLVMMetadataRef, e->k->buf.n), own = scope_node(e, kern_memory(e->k, b));
    uint32_t n = 0;
    for (KBufId i = 0; i < e->k->buf.n; i++)
        if (kern_memory(e->k, i) == i && i != kern_memory(e->k, b))
            others[n++] = scope_node(e, i);
    e->scope_of[b] = LLVMMetadataAsValue(e->g.context, LLVMMDNodeInContext2(e->g.context, &own, 1));
    e->not_scope[b] = LLVMMetadataAsValue(e->g.context, LLVMMDNodeInContext2(e->g.context, others, n));
}

static LLVMValueRef tag(Emit *e, LLVMValueRef access, KBufId b)
{
    const KBuf *buf = &e->k->buf.p[b];
    if (!LLVMIsALoadInst(access) && !LLVMIsAStoreInst(access) && !LLVMIsACallInst(access))
        return access;
    if (buf->kind == K_ARG && e->k->arg.p[buf->slot].role == ROLE_GUESS)
        return access;
    if (!e->scope_of[b])
        make_scopes(e, b);
    LLVMSetMetadata(access, e->scope_kind, e->scope_of[b]);
    LLVMSetMetadata(access, e->noalias_kind, e->not_scope[b]);
    return access;
}

/* ---- addresses ---- */

/* How an index moves with the lanes. */
typedef enum Motion { STILL, ONE_BY_ONE, ANYHOW } Motion;

static Motion motion(const Emit *e, const KIndex *at)
{
    Motion m = STILL;
    for (uint32_t i = 0; i < at->n; i++)
        if (emit_has_lanes(e, at->term[i].var))
            m = m == STILL && at->term[i].var == e->v.var && at->term[i].stride == DIM_ONE ? ONE_BY_ONE : ANYHOW;
    return m;
}

/* A variable as an i64, in one lane. Lanes of the last round beyond its end repeat the last one. */
static LLVMValueRef index_value(Emit *e, KVar v, uint32_t lane)
{
    CpuGen g = emit_gen(e, false);
    if (emit_in_front(e, v))
        g.b = e->front.b;
    LLVMTypeRef i64 = gen_int1(&g, 64);
    if (e->v.on && v == e->v.var) {
        LLVMValueRef l = gen_i64(&g, lane);
        if (e->v.count && lane) {
            LLVMValueRef last = LLVMBuildSub(g.b, e->v.count, gen_i64(&g, 1), "");
            l = gen_select(&g, gen_icmp(&g, LLVMIntSLT, l, last), l, last);
        }
        return LLVMBuildAdd(g.b, e->v.first, l, "");
    }
    if (e->k->var.p[v].loop) {
        emit_known(e, v);
        return e->var[v].value;
    }
    LLVMValueRef value = emit_var(e, v, false);
    return LLVMBuildSExt(g.b, e->var[v].lanes ? gen_lane(&g, value, lane) : value, i64, "");
}

static LLVMValueRef term(Emit *e, LLVMBuilderRef b, const KIndex *at, uint32_t i, uint32_t lane)
{
    LLVMValueRef v = index_value(e, at->term[i].var, lane);
    return at->term[i].stride == DIM_ONE ? v : LLVMBuildMul(b, v, emit_dim(e, at->term[i].stride), "");
}

/* What does not change in a vector loop is added first, so that it is one pointer, made in front of the loop; then what
 * does not move with the lanes. */
static LLVMValueRef address(Emit *e, KBufId b, const KIndex *at, uint32_t lane)
{
    LLVMTypeRef one = emit_memory_type(e, b);
    CpuGen front = e->g;
    front.b = e->front.b ? e->front.b : e->g.b;
    LLVMValueRef first = emit_dim(e, at->base), still = NULL, p;
    for (uint32_t i = 0; i < at->n; i++) {
        KVar v = at->term[i].var;
        if (emit_has_lanes(e, v))
            continue;
        if (!e->front.b || emit_in_front(e, v))
            first = LLVMBuildAdd(front.b, first, term(e, front.b, at, i, lane), "");
        else {
            LLVMValueRef t = term(e, e->g.b, at, i, lane);
            still = still ? LLVMBuildAdd(e->g.b, still, t, "") : t;
        }
    }
    p = gen_at(&front, one, emit_buf(e, b), first);
    if (still)
        p = gen_at(&e->g, one, p, still);
    for (uint32_t i = 0; i < at->n; i++)
        if (emit_has_lanes(e, at->term[i].var))
            p = gen_at(&e->g, one, p, term(e, e->g.b, at, i, lane));
    return p;
}

/* ---- between memory and registers: bools are bytes there, and reals of 16 bits are integers ---- */

static LLVMValueRef from_memory(const Emit *e, const CpuGen *g, KBufId b, LLVMValueRef v)
{
    Narrow n = kern_buf_narrow(e->k, b);
    if (n)
        return gen_widen(g, n, v);
    return e->k->buf.p[b].dt == DT_BOOL ? gen_icmp(g, LLVMIntNE, v, LLVMConstNull(LLVMTypeOf(v))) : v;
}

static LLVMValueRef to_memory(const Emit *e, const CpuGen *g, KBufId b, LLVMValueRef v)
{
    Narrow n = kern_buf_narrow(e->k, b);
    if (n)
        return gen_narrow(g, n, v);
    return e->k->buf.p[b].dt == DT_BOOL ? LLVMBuildZExt(g->b, v, gen_int(g, 8), "") : v;
}

/* ---- loads ---- */

static LLVMValueRef load_lanes(Emit *e, KBufId b, const KIndex *at)
{
    CpuGen *g = &e->g;
    LLVMTypeRef one = emit_memory_type(e, b);
    LLVMValueRef v = LLVMGetPoison(gen_lanes(g, one));
    for (uint32_t i = 0; i < g->lanes; i++)
        v = gen_put_lane(g, v, tag(e, gen_load(g, one, address(e, b, at, i), emit_memory_bytes(e, b)), b), i);
    return v;
}

static LLVMValueRef load_vector(Emit *e, KBufId b, const KIndex *at)
{
    CpuGen *g = &e->g;
    uint32_t bytes = emit_memory_bytes(e, b);
    LLVMTypeRef one = emit_memory_type(e, b);
    if (!e->v.mask)
        return tag(e, gen_load(g, gen_lanes(g, one), address(e, b, at, 0), bytes), b);
    return tag(e, gen_load_first(g, one, address(e, b, at, 0), bytes, e->v.mask, e->v.count), b);
}

LLVMValueRef emit_index_address(Emit *e, KBufId b, const KIndex *at)
{
    return address(e, b, at, 0);
}

LLVMValueRef emit_address(Emit *e, const KStmt *s)
{
    return address(e, s->mem.buf, &s->mem.at, 0);
}

LLVMValueRef emit_load_as(Emit *e, const KStmt *s, LLVMTypeRef type, uint32_t bytes)
{
    return tag(e, gen_load(&e->g, type, emit_address(e, s), bytes), s->mem.buf);
}

/* ---- from round to round ---- */

void emit_carry(Emit *e, const KStmt *load, const KStmt *store, const KStmt *loop)
{
    CpuGen g = emit_gen(e, false);
    LLVMValueRef memory = emit_entry_memory(e, gen_type(&g, emit_dtype(e, load->mem.var)));
    vec_push(e->arena, &e->carry, (EmitCarry){load, store, loop, memory});
}

static const EmitCarry *carried_to(const Emit *e, const KStmt *load)
{
    for (uint32_t i = 0; i < e->carry.n; i++)
        if (e->carry.p[i].load == load)
            return &e->carry.p[i];
    return NULL;
}

static void carry_on(Emit *e, const KStmt *store, LLVMValueRef v)
{
    for (uint32_t i = 0; i < e->carry.n; i++)
        if (e->carry.p[i].store == store)
            LLVMBuildStore(e->g.b, v, e->carry.p[i].memory);
}

static void load_carried(Emit *e, const KStmt *s, const EmitCarry *c)
{
    CpuGen g = emit_gen(e, false);
    const KStmt *loop = c->loop;
    LLVMValueRef start = loop->loop.reverse ? LLVMBuildSub(g.b, emit_dim(e, loop->loop.extent), gen_i64(&g, 1), "") : gen_i64(&g, 0);
    LLVMValueRef i = emit_var(e, loop->loop.var, false);
    GenIf first = gen_if(&g, gen_icmp(&g, LLVMIntEQ, i, LLVMBuildIntCast2(g.b, start, LLVMTypeOf(i), true, "")));
    LLVMValueRef v = tag(e, gen_load(&g, emit_memory_type(e, s->mem.buf), address(e, s->mem.buf, &s->mem.at, 0), emit_memory_bytes(e, s->mem.buf)), s->mem.buf);
    LLVMBuildStore(g.b, from_memory(e, &g, s->mem.buf, v), c->memory);
    gen_end_if(&g, first);
    emit_set(e, s->mem.var, LLVMBuildLoad2(g.b, LLVMGetAllocatedType(c->memory), c->memory, ""), false);
}

void emit_load(Emit *e, const KStmt *s)
{
    const EmitCarry *carry = carried_to(e, s);
    if (carry) {
        load_carried(e, s, carry);
        return;
    }
    KBufId b = s->mem.buf;
    Motion m = motion(e, &s->mem.at);
    CpuGen g = emit_gen(e, m != STILL);
    LLVMValueRef v = m == STILL
                         ? tag(e, gen_load(&g, emit_memory_type(e, b), address(e, b, &s->mem.at, 0), emit_memory_bytes(e, b)), b)
                     : m == ONE_BY_ONE ? load_vector(e, b, &s->mem.at)
                                       : load_lanes(e, b, &s->mem.at);
    emit_set(e, s->mem.var, from_memory(e, &g, b, v), m != STILL);
}

/* ---- stores ---- */

static LLVMValueRef sum_of(const CpuGen *g, DType dt, LLVMValueRef a, LLVMValueRef b)
{
    return cpu_fun(g, FUN_ADD, (LLVMValueRef[]){a, b}, (DType[]){dt, dt});
}

static void store_one(Emit *e, const KStmt *s, LLVMValueRef v, uint32_t lane)
{
    CpuGen g = emit_gen(e, false);
    KBufId b = s->mem.buf;
    DType dt = e->k->buf.p[b].dt;
    uint32_t bytes = emit_memory_bytes(e, b);
    LLVMValueRef at = address(e, b, &s->mem.at, lane);
    if (s->mem.add) {
        LLVMValueRef old = tag(e, gen_load(&g, emit_memory_type(e, b), at, bytes), b);
        v = sum_of(&g, dt, from_memory(e, &g, b, old), v);
    }
    tag(e, gen_store(&g, to_memory(e, &g, b, v), at, bytes), b);
}

static void store_vector(Emit *e, const KStmt *s, LLVMValueRef v)
{
    CpuGen *g = &e->g;
    KBufId b = s->mem.buf;
    if (s->mem.add)
        v = sum_of(g, e->k->buf.p[b].dt, from_memory(e, g, b, load_vector(e, b, &s->mem.at)), v);
    LLVMValueRef at = address(e, b, &s->mem.at, 0), out = to_memory(e, g, b, v);
    if (e->v.mask)
        gen_store_first(g, out, emit_memory_type(e, b), at, emit_memory_bytes(e, b), e->v.mask, e->v.count);
    else
        tag(e, gen_store(g, out, at, emit_memory_bytes(e, b)), b);
}

/* Without a mask: emit_loop.c runs the last round of such loops one iteration at a time. */
static void store_lanes(Emit *e, const KStmt *s, LLVMValueRef v)
{
    for (uint32_t i = 0; i < e->g.lanes; i++)
        store_one(e, s, gen_lane(&e->g, v, i), i);
}

/* Runs what follows, until gen_end_if, only when the caller gave the buffer. */
static GenIf if_given(Emit *e, KBufId b)
{
    return gen_if(&e->g, LLVMBuildIsNotNull(e->g.b, emit_buf(e, b), ""));
}

void emit_store(Emit *e, const KStmt *s)
{
    bool optional = emit_can_be_null(e, s->mem.buf);
    GenIf given = {NULL};
    Motion m = motion(e, &s->mem.at);
    bool lanes = m != STILL || emit_has_lanes(e, s->mem.var);
    LLVMValueRef v = emit_var(e, s->mem.var, lanes);
    if (s->mem.add && LLVMIsNull(v)) /* of a version of the code where a condition does not hold */
        return;
    if (optional)
        given = if_given(e, s->mem.buf);
    if (!lanes) {
        store_one(e, s, v, 0);
        carry_on(e, s, v);
    } else if (m == ONE_BY_ONE)
        store_vector(e, s, v);
    else
        store_lanes(e, s, v);
    if (optional)
        gen_end_if(&e->g, given);
}

/* ---- whole ranges ---- */

static LLVMValueRef fill_number(const Emit *e, const KStmt *s)
{
    LLVMTypeRef one = emit_memory_type(e, s->fill.buf);
    Narrow n = kern_buf_narrow(e->k, s->fill.buf);
    if (n)
        return LLVMConstInt(one, narrow_of(n, (float)s->fill.number), false);
    return e->k->buf.p[s->fill.buf].dt == DT_REAL ? LLVMConstReal(one, s->fill.number)
                                                  : LLVMConstInt(one, (unsigned long long)(long long)s->fill.number, true);
}

static void fill_with(Emit *e, const KStmt *s, LLVMValueRef at, LLVMValueRef count)
{
    CpuGen g = emit_gen(e, false);
    LLVMTypeRef one = emit_memory_type(e, s->fill.buf);
    LLVMValueRef v = fill_number(e, s);
    GenLoop l = gen_loop(&g, gen_i64(&g, 0), count, gen_i64(&g, 1), NULL, 0);
    tag(e, gen_store(&g, v, gen_at(&g, one, at, l.i), emit_memory_bytes(e, s->fill.buf)), s->fill.buf);
    gen_loop_end(&g, &l, NULL);
}

static LLVMValueRef bytes_of(Emit *e, LLVMValueRef count, KBufId b)
{
    return LLVMBuildMul(e->g.b, count, gen_i64(&e->g, emit_memory_bytes(e, b)), "");
}

void emit_fill(Emit *e, const KStmt *s)
{
    GenIf given = {NULL};
    if (emit_can_be_null(e, s->fill.buf))
        given = if_given(e, s->fill.buf);
    LLVMValueRef at = address(e, s->fill.buf, &s->fill.at, 0), count = emit_dim(e, s->fill.count);
    if (s->fill.number == 0)
        LLVMBuildMemSet(e->g.b, at, LLVMConstNull(gen_int1(&e->g, 8)), bytes_of(e, count, s->fill.buf), emit_memory_bytes(e, s->fill.buf));
    else
        fill_with(e, s, at, count);
    if (given.done)
        gen_end_if(&e->g, given);
}

void emit_copy(Emit *e, const KStmt *s)
{
    GenIf given = {NULL};
    uint32_t align = emit_memory_bytes(e, s->copy.dst);
    if (emit_can_be_null(e, s->copy.dst))
        given = if_given(e, s->copy.dst);
    LLVMValueRef to = address(e, s->copy.dst, &s->copy.to, 0), from = address(e, s->copy.src, &s->copy.from, 0);
    LLVMBuildMemCpy(e->g.b, to, align, from, align, bytes_of(e, emit_dim(e, s->copy.count), s->copy.dst));
    if (given.done)
        gen_end_if(&e->g, given);
}

static GemmArg gemm_arg(Emit *e, const KStmt *s)
{
    const KView *a = &s->gemm.a, *b = &s->gemm.b, *c = &s->gemm.c;
    return (GemmArg){
        .m = emit_dim(e, s->gemm.m),
        .n = emit_dim(e, s->gemm.n),
        .k = emit_dim(e, s->gemm.k),
        .a = address(e, a->buf, &a->at, 0),
        .a_row = emit_dim(e, a->row_stride),
        .a_col = emit_dim(e, a->col_stride),
        .b = address(e, b->buf, &b->at, 0),
        .b_row = emit_dim(e, b->row_stride),
        .b_col = emit_dim(e, b->col_stride),
        .c = address(e, c->buf, &c->at, 0),
        .c_row = emit_dim(e, c->row_stride),
        .c_col = emit_dim(e, c->col_stride),
        .copied = s->gemm.when != DIM_ZERO,
    };
}

/* A copy pays where lanes would have to be added up often: with the widest vectors. */
static bool packs(const CpuGen *g)
{
    return g->vector_bytes >= 64;
}

static LLVMValueRef is_not_0(Emit *e, Dim d)
{
    return LLVMBuildICmp(e->g.b, LLVMIntNE, emit_dim(e, d), gen_i64(&e->g, 0), "");
}

void emit_pack(Emit *e, const KStmt *s)
{
    CpuGen g = emit_gen(e, false);
    if (!packs(&g))
        return;
    const KView *b = &s->pack.b;
    GenIf pays = gen_if(&g, is_not_0(e, s->pack.when));
    LLVMValueRef none = gen_i64(&g, 0), to = address(e, s->pack.buf, &s->pack.at, 0);
    LLVMValueRef param[GEMM_NPARAM] = {none,
                                       emit_dim(e, s->pack.n),
                                       emit_dim(e, s->pack.k),
                                       to,
                                       none,
                                       none,
                                       address(e, b->buf, &b->at, 0),
                                       emit_dim(e, b->row_stride),
                                       emit_dim(e, b->col_stride),
                                       to,
                                       none,
                                       none,
                                       LLVMConstInt(gen_int1(&g, 1), 0, false)};
    LLVMBuildCall2(g.b, cpu_gemm_type(&g), cpu_gemm_function(&g, GEMM_COPY), param, GEMM_NPARAM, "");
    gen_end_if(&g, pays);
}

/* The same product by the copy, where there is one. A thread's columns begin at a multiple of KERN_PANEL. */
static void use_copy(Emit *e, const CpuGen *g, const KStmt *s, GemmCall *call)
{
    LLVMValueRef there = is_not_0(e, s->gemm.when), *b = &call->param[GEMM_B], *b_col = &call->param[GEMM_B + 2];
    call->fn = gen_select(g, there, cpu_gemm_function(g, GEMM_PACKED), call->fn);
    *b = gen_select(g, there, address(e, s->gemm.packed, &s->gemm.packed_at, 0), *b);
    *b_col = gen_select(g, there, call->param[GEMM_K], *b_col);
}

void emit_gemm(Emit *e, const KStmt *s)
{
    GenIf given = {NULL};
    CpuGen g = emit_gen(e, false);
    if (emit_can_be_null(e, s->gemm.c.buf))
        given = if_given(e, s->gemm.c.buf);
    GemmArg arg = gemm_arg(e, s);
    GemmCall call = cpu_gemm_call(&g, &arg, s->gemm.add);
    if (s->gemm.when != DIM_ZERO && packs(&g))
        use_copy(e, &g, s, &call);
    if (s->gemm.least)
        emit_product(e, &call, s->gemm.least);
    else
        LLVMBuildCall2(g.b, cpu_gemm_type(&g), call.fn, call.param, GEMM_NPARAM, "");
    if (given.done)
        gen_end_if(&e->g, given);
}
