/* Sizes at run time: `measure` turns the caller's sizes into dims[] and the bytes of every array, `layout` places the
 * workspace. Both are straight lines; each step that may overflow ORs into one flag, which is read once at the end. */
#include "backends/cpu/abi.h"

typedef struct Known {
    Dim dim;
    LLVMValueRef value;
} Known;

typedef struct Sum {
    Abi *a;
    LLVMValueRef *sym; /* value of each dimension symbol; NULL: load it from dims[] */
    LLVMValueRef dims;
    LLVMValueRef bad;
    LLVMValueRef packed; /* i1: of a packed batch; NULL where there is none */
    VEC(Known) known; /* polynomials already computed */
} Sum;

static Sum sum_new(Abi *a, LLVMValueRef dims)
{
    return (Sum){.a = a, .sym = NEWN(a->arena, LLVMValueRef, a->nsym), .dims = dims, .bad = LLVMConstNull(a->i1)};
}

static void bad_if(Sum *s, LLVMValueRef cond)
{
    s->bad = abi_or(s->a, s->bad, cond);
}

static LLVMValueRef checked(Sum *s, const char *intrinsic, LLVMValueRef x, LLVMValueRef y)
{
    LLVMValueRef pair = abi_intrinsic(s->a, intrinsic, s->a->i64, 2, (LLVMValueRef[]){x, y});
    bad_if(s, LLVMBuildExtractValue(s->a->b, pair, 1, ""));
    return LLVMBuildExtractValue(s->a->b, pair, 0, "");
}

/* What depends on the time must hold of each sequence of a packed batch, which `sequence` asks; not of all together. */
static void bad_of_call(Sum *s, Dim d, LLVMValueRef cond)
{
    RecFace face = iface_face(s->a->k);
    bool timed = s->packed && rec_mentions_time(&face, d);
    bad_if(s, timed ? abi_and(s->a, cond, LLVMBuildNot(s->a->b, s->packed, "")) : cond);
}

static bool is_constant(LLVMValueRef v, int64_t n)
{
    return LLVMIsAConstantInt(v) && LLVMConstIntGetSExtValue(v) == n;
}

static LLVMValueRef mul(Sum *s, LLVMValueRef x, LLVMValueRef y)
{
    return is_constant(x, 1) ? y : is_constant(y, 1) ? x : checked(s, "llvm.smul.with.overflow", x, y);
}

static LLVMValueRef plus(Sum *s, LLVMValueRef x, LLVMValueRef y)
{
    return is_constant(x, 0) ? y : is_constant(y, 0) ? x : checked(s, "llvm.sadd.with.overflow", x, y);
}

static LLVMValueRef symbol(Sum *s, DimSym sym)
{
    if (!s->sym[sym])
        s->sym[sym] = abi_load(s->a, s->a->i64, s->dims, sym);
    return s->sym[sym];
}

static LLVMValueRef term(Sum *s, const DimTerm *t)
{
    LLVMValueRef v = abi_i64(s->a, t->coef);
    for (uint32_t i = 0; i < t->nsym; i++)
        v = mul(s, v, symbol(s, t->sym[i]));
    return v;
}

/* The value of a polynomial, computed once. */
static LLVMValueRef value(Sum *s, Dim d)
{
    for (uint32_t i = 0; i < s->known.n; i++)
        if (s->known.p[i].dim == d)
            return s->known.p[i].value;
    const DimTab *dims = s->a->k->dims;
    LLVMValueRef v = abi_i64(s->a, 0);
    for (uint32_t i = 0; i < dim_nterms(dims, d); i++)
        v = plus(s, v, term(s, dim_term(dims, d, i)));
    vec_push(s->a->arena, &s->known, (Known){d, v});
    return v;
}

/* ---- measure ---- */

static LLVMValueRef array_bytes(Sum *s, const Type *type, bool batched, Narrow narrow)
{
    Abi *a = s->a;
    Dim dim[MAXRANK + 1];
    uint32_t n = iface_array_dims(a->k, type, batched, dim);
    LLVMValueRef v = abi_i64(a, narrow_bytes(narrow, abi_element_bytes(a, type->dt)));
    RecFace face = iface_face(a->k);
    bool joined = s->packed && rec_over_time(&face, type);
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef axis = value(s, dim[i]);
        if (joined && dim[i] == dim_of(a->k->dims, a->k->batch))
            axis = LLVMBuildSelect(a->b, s->packed, abi_i64(a, 1), axis, "");
        bad_if(s, abi_cmp(a, LLVMIntSLT, axis, abi_i64(a, 0)));
        v = mul(s, v, axis);
    }
    return v;
}

static void read_size(Sum *s, LLVMValueRef sizes, LLVMValueRef mode, uint32_t i)
{
    Abi *a = s->a;
    DimSym sym = a->iface->member[IF_SIZES].p[i].sym;
    DimKind kind = dim_sym_info(a->k->dims, sym)->kind;
    LLVMValueRef v = abi_load(a, a->i64, sizes, i), init = abi_cmp(a, LLVMIntEQ, mode, abi_i32(a, ABI_INIT));
    if (a->has_time && sym == a->time)
        v = LLVMBuildSelect(a->b, abi_cmp(a, LLVMIntEQ, mode, abi_i32(a, ABI_STEP)), abi_i64(a, 1), v, "");
    if (kind == DIM_TIME || kind == DIM_BATCH)
        v = LLVMBuildSelect(a->b, init, abi_i64(a, 0), v, "");
    bad_if(s, abi_cmp(a, LLVMIntSLT, v, abi_i64(a, 0)));
    bool bounds = false;
    for (uint32_t k = 0; k < a->nlength; k++)
        bounds |= sym == a->extent[k];
    if (bounds) /* a length is an int of 32 bits */
        bad_if(s, abi_cmp(a, LLVMIntSGT, v, abi_i64(a, INT32_MAX)));
    s->sym[sym] = v;
}

/* P = D / G must be whole, unless it is rounded down */
static void derive(Sum *s, const struct RecDerivedDim *d)
{
    Abi *a = s->a;
    LLVMValueRef num = value(s, d->num), den = value(s, d->den);
    LLVMValueRef zero = abi_cmp(a, LLVMIntSLE, den, abi_i64(a, 0));
    den = LLVMBuildSelect(a->b, zero, abi_i64(a, 1), den, "");
    bad_of_call(s, d->den, zero);
    Dim whole = dim_of(a->k->dims, d->sym);
    if (!d->floor)
        bad_of_call(s, whole, abi_cmp(a, LLVMIntNE, LLVMBuildSRem(a->b, num, den, ""), abi_i64(a, 0)));
    s->sym[d->sym] = LLVMBuildSDiv(a->b, num, den, "");
    bad_of_call(s, whole, abi_cmp(a, LLVMIntSLT, s->sym[d->sym], abi_i64(a, 0)));
}

static void emit_measure(Abi *a)
{
    LLVMTypeRef param[] = {a->ptr, a->i32, a->i64, a->ptr, a->ptr};
    a->measure = abi_fn(a, "measure", a->i32, 5, param, false);
    LLVMValueRef f = a->measure.fn, dims = LLVMGetParam(f, 3), bytes = LLVMGetParam(f, 4);
    Sum s = sum_new(a, dims);
    s.sym[a->k->keep] = LLVMGetParam(f, 2);
    if (a->packs)
        s.packed = abi_cmp(a, LLVMIntEQ, LLVMGetParam(f, 1), abi_i32(a, ABI_PACKED));
    for (uint32_t i = 0; i < a->iface->member[IF_SIZES].n; i++)
        read_size(&s, LLVMGetParam(f, 0), LLVMGetParam(f, 1), i);
    for (uint32_t i = 0; i < a->k->derived.n; i++)
        derive(&s, &a->k->derived.p[i]);
    LLVMValueRef runs = abi_cmp(a, LLVMIntNE, LLVMGetParam(f, 1), abi_i32(a, ABI_INIT));
    for (uint32_t i = 0; i < a->k->need.n; i++) { /* a slice or an element outside its axis */
        Dim d = a->k->need.p[i].dim;
        bad_of_call(&s, d, abi_and(a, runs, abi_cmp(a, LLVMIntSLT, value(&s, d), abi_i64(a, 0))));
    }
    for (DimSym i = 0; i < a->nsym; i++)
        abi_store(a, s.sym[i] ? s.sym[i] : abi_i64(a, 0), dims, i);
    for (uint32_t i = 0; i < a->narg; i++)
        abi_store(a, array_bytes(&s, &a->k->arg.p[i].type, a->k->arg.p[i].batched, kern_arg_narrow(a->k, i)), bytes, i);
    for (uint32_t i = 0; i < a->nout; i++)
        abi_store(a, array_bytes(&s, &a->k->out.p[i].type, a->k->out.p[i].batched, kern_out_narrow(a->k, i)), bytes, a->narg + i);
    LLVMBuildRet(a->b, LLVMBuildSelect(a->b, s.bad, abi_i32(a, RNN_SIZE), abi_i32(a, RNN_OK), ""));
}

/* ---- layout ---- */

typedef struct Place {
    Sum sum;
    LLVMValueRef bytes, base, bufs, train, at;
} Place;

static LLVMValueRef max_of(Abi *a, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildSelect(a->b, abi_cmp(a, LLVMIntSGT, x, y), x, y, "");
}

/* What only a backward pass needs takes no room in inference. */
static LLVMValueRef if_needed(Place *p, bool forward, LLVMValueRef size)
{
    Abi *a = p->sum.a;
    return forward ? size : LLVMBuildSelect(a->b, p->train, size, abi_i64(a, 0), "");
}

static LLVMValueRef zeros_bytes(Place *p)
{
    Abi *a = p->sum.a;
    LLVMValueRef most = abi_i64(a, 0);
    for (uint32_t i = 0; i < a->narg; i++) {
        bool forward = cpu_takes_zeros(a->k, i, REC_FORWARD), backward = cpu_takes_zeros(a->k, i, REC_BACKWARD);
        if (forward || backward)
            most = max_of(a, most, if_needed(p, forward, abi_load(a, a->i64, p->bytes, i)));
    }
    return most;
}

/* Takes `size` bytes at the next multiple of 64 and writes where into bufs[slot]. */
static void place(Place *p, LLVMValueRef size, uint32_t slot)
{
    Abi *a = p->sum.a;
    abi_store(a, abi_offset(a, p->base, p->at), p->bufs, slot);
    LLVMValueRef end = plus(&p->sum, plus(&p->sum, p->at, size), abi_i64(a, ABI_ALIGN - 1));
    p->at = abi_and(a, end, abi_i64(a, -ABI_ALIGN));
}

static void place_buffer(Place *p, uint32_t i)
{
    Abi *a = p->sum.a;
    const KBuf *buf = &a->k->buf.p[i];
    bool forward = cpu_memory_used(a->k, i, REC_FORWARD);
    if (buf->kind != K_WORK || cpu_memory_of(a->k, i) != i || !(forward || cpu_memory_used(a->k, i, REC_BACKWARD)))
        return;
    LLVMValueRef n = max_of(a, value(&p->sum, buf->size), abi_i64(a, 0));
    n = mul(&p->sum, n, abi_i64(a, abi_element_bytes(a, buf->dt)));
    place(p, if_needed(p, forward, n), i);
}

static void place_sharer(Place *p, uint32_t i)
{
    Abi *a = p->sum.a;
    uint32_t root = cpu_memory_of(a->k, i);
    if (root != i && (cpu_memory_used(a->k, root, REC_FORWARD) || cpu_memory_used(a->k, root, REC_BACKWARD)))
        abi_store(a, abi_load(a, a->ptr, p->bufs, root), p->bufs, i);
}

static void emit_layout(Abi *a)
{
    LLVMTypeRef param[] = {a->ptr, a->ptr, a->ptr, a->ptr, a->i1};
    a->layout = abi_fn(a, "layout", a->i64, 5, param, false);
    LLVMValueRef f = a->layout.fn;
    Place p = {.sum = sum_new(a, LLVMGetParam(f, 0)),
               .bytes = LLVMGetParam(f, 1),
               .base = LLVMGetParam(f, 2),
               .bufs = LLVMGetParam(f, 3),
               .train = LLVMGetParam(f, 4),
               .at = abi_i64(a, ABI_HEAD)};
    place(&p, zeros_bytes(&p), a->nbuf);
    if (a->has_lengths)
        place(&p, abi_load(a, a->i64, p.bytes, a->length_arg), a->nbuf + 1);
    for (uint32_t i = 0; i < a->nbuf; i++)
        place_buffer(&p, i);
    for (uint32_t i = 0; i < a->nbuf; i++)
        place_sharer(&p, i);
    LLVMBuildRet(a->b, LLVMBuildSelect(a->b, p.sum.bad, abi_i64(a, -1), p.at, ""));
}

void abi_emit_sizes(Abi *a)
{
    emit_measure(a);
    emit_layout(a);
}
