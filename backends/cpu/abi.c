/* The public functions: each checks everything, in this order, and only then writes: pointers to structs, sizes,
 * arrays, lengths, workspace, overlap, the seal of a backward call. Then it fills dims[] and bufs[] and calls a kernel; or,
 * with a packed batch, itself for each sequence (abi_packed.c).
 */
#include "backends/cpu/abi_call.h"

static LLVMValueRef status(Abi *a, RnnStatus s)
{
    return abi_i32(a, (int32_t)s);
}

static LLVMValueRef is_mode(Abi *a, LLVMValueRef mode, AbiMode m)
{
    return abi_cmp(a, LLVMIntEQ, mode, abi_i32(a, (int32_t)m));
}

/* ---- entering ---- */

/* A struct full of NULLs */
static LLVMValueRef nothing(Abi *a, uint32_t n)
{
    LLVMTypeRef type = LLVMArrayType2(a->i64, n ? n : 1);
    return abi_table(a, "nothing", type, (LLVMValueRef[]){LLVMConstNull(type)}, 1);
}

/* A struct that may be NULL reads as one full of NULLs. */
static LLVMValueRef or_nothing(Abi *a, LLVMValueRef p, uint32_t n)
{
    return LLVMBuildSelect(a->b, abi_is_null(a, p), nothing(a, n), p, "");
}

static void take_structs(Call *c)
{
    Abi *a = c->a;
    const IfaceFnInfo *info = iface_fn(c->fn);
    LLVMValueRef f = LLVMGetBasicBlockParent(LLVMGetInsertBlock(a->b)), missing = LLVMConstNull(a->i1);
    for (uint32_t i = 0; i < info->n; i++) {
        IfaceStruct s = info->takes[i];
        LLVMValueRef p = LLVMGetParam(f, i);
        bool optional = iface_may_be_null(a->iface, s);
        c->given[s] = optional ? or_nothing(a, p, a->iface->member[s].n) : p;
        if (!optional)
            missing = abi_or(a, missing, abi_is_null(a, p));
    }
    if (info->call) {
        c->options = LLVMGetParam(f, info->n);
        missing = abi_or(a, missing, abi_is_null(a, c->options));
    }
    abi_return_if(a, missing, status(a, RNN_NULL));
}

static void measure(Call *c, LLVMValueRef mode, LLVMValueRef keep, LLVMValueRef result_if_bad)
{
    Abi *a = c->a;
    LLVMValueRef arg[] = {c->given[IF_SIZES], mode, keep, c->dims, c->bytes};
    LLVMValueRef s = abi_call(a, a->measure, 5, arg);
    abi_return_if(a, abi_cmp(a, LLVMIntNE, s, abi_i32(a, RNN_OK)), result_if_bad ? result_if_bad : s);
}

static LLVMValueRef bytes_of(Call *c, uint32_t array)
{
    return abi_load(c->a, c->a->i64, c->bytes, array);
}

/* ---- arrays ---- */

/* What the carry stands for in chunk and step. */
static bool left_to_carry(const Call *c, IfaceStruct s, const IfaceMember *m)
{
    const KernProg *k = c->a->k;
    return c->stream && ((s == IF_INPUTS && k->arg.p[m->arg].role == ROLE_START) ||
                         (s == IF_OUTPUTS && k->out.p[m->out].role == OUT_FINAL));
}

/* NULL is fine for an array without elements: an empty vector's data() is NULL. */
static LLVMValueRef missing_array(Call *c, const IfaceMember *m, LLVMValueRef p, uint32_t array)
{
    Abi *a = c->a;
    if (m->optional)
        return LLVMConstNull(a->i1);
    return abi_and(a, abi_is_null(a, p), abi_cmp(a, LLVMIntNE, bytes_of(c, array), abi_i64(a, 0)));
}

/* The carry's array takes the places of a start value and of a final one; needs both to be read already. */
static LLVMValueRef take_carry(Call *c, const IfaceMember *m, LLVMValueRef p)
{
    LLVMBuilderRef b = c->a->b;
    LLVMValueRef *start = &c->array[m->arg], *final = &c->array[c->a->narg + m->out];
    *start = *start ? LLVMBuildSelect(b, c->stream, p, *start, "") : p;
    *final = *final ? LLVMBuildSelect(b, c->stream, p, *final, "") : p;
    return abi_and(c->a, c->stream, missing_array(c, m, p, m->arg));
}

static LLVMValueRef take_array(Call *c, IfaceStruct s, uint32_t i)
{
    Abi *a = c->a;
    const IfaceMember *m = &a->iface->member[s].p[i];
    LLVMValueRef p = abi_load(a, a->ptr, c->given[s], i);
    if (m->offsets)
        return LLVMConstNull(a->i1);
    if (s == IF_CARRY)
        return take_carry(c, m, p);
    uint32_t array = m->arg != K_NONE ? m->arg : a->narg + m->out;
    c->array[array] = p;
    LLVMValueRef missing = missing_array(c, m, p, array);
    return left_to_carry(c, s, m) ? abi_and(a, missing, LLVMBuildNot(a->b, c->stream, "")) : missing;
}

static void take_arrays(Call *c)
{
    Abi *a = c->a;
    const IfaceFnInfo *info = iface_fn(c->fn);
    LLVMValueRef missing = LLVMConstNull(a->i1);
    for (uint32_t k = 0; k < info->n; k++)
        for (uint32_t i = 0; info->takes[k] != IF_SIZES && i < a->iface->member[info->takes[k]].n; i++)
            missing = abi_or(a, missing, take_array(c, info->takes[k], i));
    abi_return_if(a, missing, status(a, RNN_NULL));
}

/* A packed batch says so by its offsets. It has no step. */
static void take_offsets(Call *c, LLVMValueRef mode)
{
    Abi *a = c->a;
    if (!a->packs)
        return;
    c->offsets = abi_load(a, a->ptr, c->given[IF_INPUTS], a->offsets);
    c->packed = LLVMBuildIsNotNull(a->b, c->offsets, "");
    abi_return_if(a, abi_and(a, c->packed, is_mode(a, mode, ABI_STEP)), status(a, RNN_STREAM));
}

static LLVMValueRef dim_value(Call *c, DimSym s)
{
    return abi_load(c->a, c->a->i64, c->dims, s);
}

/* Runs what `then` emits only when p is given (or only when it is not). */
typedef struct If {
    LLVMBasicBlockRef done;
} If;

static If if_open(Abi *a, LLVMValueRef cond)
{
    LLVMBasicBlockRef body = abi_block(a), done = abi_block(a);
    LLVMBuildCondBr(a->b, cond, body, done);
    LLVMPositionBuilderAtEnd(a->b, body);
    return (If){done};
}

static void if_close(Abi *a, If i)
{
    LLVMBuildBr(a->b, i.done);
    LLVMPositionBuilderAtEnd(a->b, i.done);
}

static void check_offsets(Call *c)
{
    Abi *a = c->a;
    if (!a->packs)
        return;
    If packed = if_open(a, c->packed);
    LLVMValueRef B = dim_value(c, a->k->batch), arg[] = {c->offsets, B, dim_value(c, a->time)};
    abi_return_if(a, abi_call(a, a->offsets_bad, 3, arg), status(a, RNN_LENGTH));
    LLVMValueRef lengths = a->has_lengths ? c->array[a->length_arg] : NULL;
    if (lengths) {
        If given = if_open(a, LLVMBuildIsNotNull(a->b, lengths, ""));
        LLVMValueRef each[] = {lengths, c->offsets, B};
        abi_return_if(a, abi_call(a, a->packed_lengths_bad, 3, each), status(a, RNN_LENGTH));
        if_close(a, given);
    }
    if_close(a, packed);
}

static void check_lengths(Call *c)
{
    Abi *a = c->a;
    if (!a->has_lengths || !c->array[a->length_arg])
        return;
    LLVMValueRef p = c->array[a->length_arg];
    If given = if_open(a, LLVMBuildIsNotNull(a->b, p, ""));
    for (uint32_t i = 0; i < a->nlength; i++) {
        LLVMValueRef arg[] = {abi_length(a, p, i), dim_value(c, a->k->batch), dim_value(c, a->extent[i])};
        abi_return_if(a, abi_call(a, a->lengths_bad, 3, arg), status(a, RNN_LENGTH));
    }
    if_close(a, given);
}

/* ---- workspace ---- */

static LLVMValueRef layout(Call *c, LLVMValueRef base)
{
    LLVMValueRef arg[] = {c->dims, c->bytes, base, c->bufs, c->train};
    return abi_call(c->a, c->a->layout, 5, arg);
}

/* What a caller must give: the layout, and room to find the next multiple of 64 in it. */
static LLVMValueRef with_slack(Abi *a, LLVMValueRef total)
{
    return LLVMBuildAdd(a->b, total, abi_i64(a, ABI_ALIGN - 1), "");
}

/* How much the call takes of the workspace; -1 when sizes overflow. */
static LLVMValueRef whole_layout(Call *c)
{
    Abi *a = c->a;
    LLVMValueRef total = layout(c, c->base);
    if (!a->packs)
        return total;
    LLVMValueRef slot = LLVMBuildAlloca(a->b, a->i64, ""), arg[] = {c->given[IF_SIZES], c->offsets, c->train};
    LLVMBuildStore(a->b, total, slot);
    If packed = if_open(a, c->packed);
    LLVMBuildStore(a->b, abi_call(a, a->rooms, 3, arg), slot);
    if_close(a, packed);
    return LLVMBuildLoad2(a->b, a->i64, slot, "");
}

static void take_workspace(Call *c)
{
    Abi *a = c->a;
    LLVMValueRef space = abi_load(a, a->ptr, c->options, CALL_WORKSPACE),
                 bytes = abi_load(a, a->i64, c->options, CALL_BYTES);
    abi_return_if(a, abi_is_null(a, space), status(a, RNN_WORKSPACE));
    LLVMValueRef address = LLVMBuildPtrToInt(a->b, space, a->i64, "");
    LLVMValueRef skip = abi_and(a, LLVMBuildNeg(a->b, address, ""), abi_i64(a, ABI_ALIGN - 1));
    c->base = abi_offset(a, space, skip);
    c->total = whole_layout(c);
    abi_return_if(a, abi_cmp(a, LLVMIntEQ, c->total, abi_i64(a, -1)), status(a, RNN_SIZE));
    abi_return_if(a, abi_cmp(a, LLVMIntULT, bytes, with_slack(a, c->total)), status(a, RNN_WORKSPACE));
}

/* ---- overlap ---- */

static void add_range(Call *c, LLVMValueRef p, LLVMValueRef bytes)
{
    Abi *a = c->a;
    LLVMValueRef start = LLVMBuildPtrToInt(a->b, p, a->i64, ""), zero = abi_i64(a, 0);
    LLVMValueRef empty = abi_or(a, abi_cmp(a, LLVMIntEQ, start, zero), abi_cmp(a, LLVMIntEQ, bytes, zero));
    LLVMValueRef end = LLVMBuildAdd(a->b, start, bytes, "");
    abi_store(a, LLVMBuildSelect(a->b, empty, zero, start, ""), c->ranges, 2 * c->nrange);
    abi_store(a, LLVMBuildSelect(a->b, empty, zero, end, ""), c->ranges, 2 * c->nrange + 1);
    c->nrange++;
}

/* A carry array stands at its start value's number and at its final's: it is listed as the latter, which is written. */
static LLVMValueRef listed(const Call *c, uint32_t array)
{
    const Abi *a = c->a;
    if (c->stream && array < a->narg && a->k->arg.p[array].role == ROLE_START)
        return LLVMBuildSelect(a->b, c->stream, LLVMConstNull(a->ptr), c->array[array], "");
    return c->array[array];
}

static void add_ranges(Call *c, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        if (c->array[i])
            add_range(c, listed(c, i), bytes_of(c, i));
}

static void check_overlap(Call *c)
{
    Abi *a = c->a;
    if (c->base)
        add_range(c, c->base, c->total);
    add_ranges(c, c->a->narg, c->a->narg + c->a->nout);
    LLVMValueRef nwritten = abi_i64(a, c->nrange);
    add_ranges(c, 0, c->a->narg);
    if (c->offsets) {
        LLVMValueRef n = LLVMBuildAdd(a->b, dim_value(c, a->k->batch), abi_i64(a, 1), "");
        add_range(c, c->offsets, LLVMBuildMul(a->b, n, abi_i64(a, 4), ""));
    }
    LLVMValueRef arg[] = {c->ranges, nwritten, abi_i64(a, c->nrange)};
    abi_return_if(a, abi_call(a, a->overlap, 3, arg), status(a, RNN_OVERLAP));
}

/* ---- filling what the kernel reads ---- */

/* The shared zeros stand for every optional array that is missing: as many bytes as the largest of those. */
static void fill_zeros(Call *c)
{
    Abi *a = c->a;
    LLVMValueRef most = abi_i64(a, 0);
    for (uint32_t i = 0; i < a->narg; i++) {
        if (!c->array[i] || !cpu_takes_zeros(a->k, i, c->kernel))
            continue;
        LLVMValueRef n = LLVMBuildSelect(a->b, abi_is_null(a, c->array[i]), bytes_of(c, i), abi_i64(a, 0), "");
        most = LLVMBuildSelect(a->b, abi_cmp(a, LLVMIntSGT, n, most), n, most, "");
    }
    LLVMBuildMemSet(a->b, abi_load(a, a->ptr, c->bufs, a->nbuf), LLVMConstNull(a->i8), most, 1);
}

static void fill_lengths(Call *c)
{
    Abi *a = c->a;
    if (!a->has_lengths || !c->array[a->length_arg])
        return;
    If missing = if_open(a, abi_is_null(a, c->array[a->length_arg]));
    LLVMValueRef to = abi_load(a, a->ptr, c->bufs, a->nbuf + 1);
    for (uint32_t i = 0; i < a->nlength; i++)
        abi_call(a, a->lengths_fill, 3, (LLVMValueRef[]){abi_length(a, to, i), dim_value(c, a->k->batch), dim_value(c, a->extent[i])});
    if_close(a, missing);
}

static LLVMValueRef argument_or_default(Call *c, uint32_t arg)
{
    Abi *a = c->a;
    uint32_t slot = a->k->arg.p[arg].role == ROLE_LENGTH ? a->nbuf + 1 : a->nbuf, other = cpu_stands_in(a->k, arg);
    LLVMValueRef p = c->array[arg], instead = other == K_NONE ? NULL : c->array[other];
    return LLVMBuildSelect(a->b, abi_is_null(a, p), instead ? instead : abi_load(a, a->ptr, c->bufs, slot), p, "");
}

/* In inference a state is kept where its final value goes, if the caller gave that. */
static void fill_home(Call *c, uint32_t i)
{
    Abi *a = c->a;
    KBufId home = a->k->buf.p[i].home;
    LLVMValueRef p = home == K_NONE ? NULL : c->array[a->narg + a->k->buf.p[home].slot];
    if (!p)
        return;
    LLVMValueRef own = abi_or(a, c->train, abi_is_null(a, p));
    abi_store(a, LLVMBuildSelect(a->b, own, abi_load(a, a->ptr, c->bufs, i), p, ""), c->bufs, i);
}

static void fill_bufs(Call *c)
{
    Abi *a = c->a;
    for (uint32_t i = 0; i < a->nbuf; i++) {
        const KBuf *buf = &a->k->buf.p[i];
        if (buf->kind == K_WORK) {
            fill_home(c, i);
            continue;
        }
        uint32_t array = buf->kind == K_ARG ? buf->slot : a->narg + buf->slot;
        LLVMValueRef p = c->array[array] ? c->array[array] : LLVMConstNull(a->ptr);
        if (c->array[array] && buf->kind == K_ARG)
            p = argument_or_default(c, array);
        abi_store(a, p, c->bufs, i);
    }
}

/* dims[] behind the symbols: whether each argument was given */
static void fill_given(Call *c)
{
    Abi *a = c->a;
    for (uint32_t i = 0; i < a->narg; i++) {
        LLVMValueRef p = c->array[i] ? LLVMBuildIsNotNull(a->b, c->array[i], "") : LLVMConstNull(a->i1);
        abi_store(a, LLVMBuildZExt(a->b, p, a->i64, ""), c->dims, a->nsym + i);
    }
}

/* ---- the seal ---- */

/* A buffer of the backward pass alone lives where forward kept something: a second backward call would read rubbish. */
static bool backward_spoils(const Abi *a)
{
    for (uint32_t i = 0; i < a->nbuf; i++)
        if (a->k->buf.p[i].shares != K_NONE && abi_uses(&a->k->buf.p[i], REC_BACKWARD))
            return true;
    return false;
}

static LLVMValueRef seal(Call *c)
{
    return abi_call(c->a, c->a->seal, 1, &c->dims);
}

/* That of a packed batch stands in its own head; each sequence has another one. */
static LLVMValueRef packed_seal(Call *c)
{
    Abi *a = c->a;
    return abi_call(a, a->packed_seal, 3, (LLVMValueRef[]){seal(c), c->offsets, dim_value(c, a->k->batch)});
}

static void check_seal(Call *c, LLVMValueRef expected)
{
    Abi *a = c->a;
    LLVMValueRef found = LLVMBuildLoad2(a->b, a->i64, c->base, "");
    abi_return_if(a, abi_cmp(a, LLVMIntNE, found, expected), status(a, RNN_WORKSPACE));
    if (backward_spoils(a))
        LLVMBuildStore(a->b, abi_i64(a, 0), c->base);
}

static void break_seal(Call *c)
{
    LLVMBuildStore(c->a->b, abi_i64(c->a, 0), c->base);
}

static void set_seal(Call *c, LLVMValueRef result, LLVMValueRef to)
{
    Abi *a = c->a;
    LLVMValueRef fine = abi_cmp(a, LLVMIntEQ, result, abi_i32(a, RNN_OK));
    LLVMValueRef word = LLVMBuildSelect(a->b, abi_and(a, fine, c->train), to, abi_i64(a, 0), "");
    LLVMBuildStore(a->b, word, c->base);
}

/* ---- whole functions ---- */

/* One call, in the function that has just been started. */
static Call call_here(Abi *a, IfaceFn fn, RecFn kernel)
{
    Call c = {.a = a, .fn = fn, .kernel = kernel};
    c.dims = abi_words(a, a->nsym + a->narg);
    c.bytes = abi_words(a, a->narg + a->nout);
    c.bufs = abi_words(a, a->nbuf + 2);
    c.ranges = abi_words(a, 2 * (a->narg + a->nout + 2));
    c.array = NEWN(a->arena, LLVMValueRef, a->narg + a->nout);
    c.train = LLVMConstNull(a->i1);
    return c;
}

static AbiFn public_fn(Abi *a, IfaceFn fn)
{
    const IfaceFnInfo *info = iface_fn(fn);
    LLVMTypeRef param[8];
    uint32_t n = 0;
    while (n < info->n + (uint32_t)info->call)
        param[n++] = a->ptr;
    if (fn == IFN_PACKED)
        param[n++] = a->ptr;
    if (fn == IFN_WORKSPACE || fn == IFN_PACKED)
        param[n++] = a->i32;
    if (fn == IFN_INIT)
        param[n++] = a->i64;
    return abi_fn(a, str_c(a->arena, iface_public(a->arena, a->prefix, fn)), fn == IFN_WORKSPACE || fn == IFN_PACKED ? a->i64 : a->i32, n,
                  param, true);
}

static Call call_new(Abi *a, IfaceFn fn, RecFn kernel)
{
    public_fn(a, fn);
    return call_here(a, fn, kernel);
}

/* passes: RNN_FORWARD or RNN_TRAIN; what is neither needs a workspace that does not exist. */
static LLVMValueRef known_passes(Abi *a, LLVMValueRef passes)
{
    return abi_or(a, abi_cmp(a, LLVMIntEQ, passes, abi_i32(a, RNN_PASS_FORWARD)),
                  abi_cmp(a, LLVMIntEQ, passes, abi_i32(a, RNN_PASS_TRAIN)));
}

static LLVMValueRef is_train(Abi *a, LLVMValueRef passes)
{
    return abi_cmp(a, LLVMIntEQ, passes, abi_i32(a, RNN_PASS_TRAIN));
}

static LLVMValueRef keep_of(Abi *a, LLVMValueRef train)
{
    return LLVMBuildZExt(a->b, train, a->i64, "");
}

/* The query takes the step's T as it stands: ask with T = 1. */
static void emit_workspace(Abi *a)
{
    Call c = call_new(a, IFN_WORKSPACE, REC_FORWARD);
    LLVMValueRef f = LLVMGetBasicBlockParent(LLVMGetInsertBlock(a->b)), passes = LLVMGetParam(f, 1),
                 bad = abi_i64(a, -1);
    c.given[IF_SIZES] = LLVMGetParam(f, 0);
    abi_return_if(a, abi_is_null(a, c.given[IF_SIZES]), bad);
    abi_return_if(a, LLVMBuildNot(a->b, known_passes(a, passes), ""), bad);
    c.train = is_train(a, passes);
    measure(&c, abi_i32(a, ABI_NORMAL), keep_of(a, c.train), bad);
    LLVMValueRef total = layout(&c, LLVMConstNull(a->ptr));
    LLVMValueRef overflow = abi_cmp(a, LLVMIntSGT, total, abi_i64(a, INT64_MAX - ABI_ALIGN));
    overflow = abi_or(a, overflow, abi_cmp(a, LLVMIntSLT, total, abi_i64(a, 0)));
    LLVMBuildRet(a->b, LLVMBuildSelect(a->b, overflow, bad, with_slack(a, total), ""));
}

static void emit_packed_workspace(Abi *a)
{
    Call c = call_new(a, IFN_PACKED, REC_FORWARD);
    LLVMValueRef f = LLVMGetBasicBlockParent(LLVMGetInsertBlock(a->b)), passes = LLVMGetParam(f, 2), bad = abi_i64(a, -1);
    c.given[IF_SIZES] = LLVMGetParam(f, 0);
    c.offsets = LLVMGetParam(f, 1);
    abi_return_if(a, abi_or(a, abi_is_null(a, c.given[IF_SIZES]), abi_is_null(a, c.offsets)), bad);
    abi_return_if(a, LLVMBuildNot(a->b, known_passes(a, passes), ""), bad);
    c.train = is_train(a, passes);
    measure(&c, abi_i32(a, ABI_PACKED), keep_of(a, c.train), bad);
    LLVMValueRef sound[] = {c.offsets, dim_value(&c, a->k->batch), dim_value(&c, a->time)};
    abi_return_if(a, abi_call(a, a->offsets_bad, 3, sound), bad);
    LLVMValueRef rooms = abi_call(a, a->rooms, 3, (LLVMValueRef[]){c.given[IF_SIZES], c.offsets, c.train});
    abi_return_if(a, abi_cmp(a, LLVMIntSLT, rooms, abi_i64(a, 0)), bad);
    LLVMBuildRet(a->b, with_slack(a, rooms));
}

/* Returns from the function if the batch is packed. */
static void run_packed(Call *c, AbiFn self, LLVMValueRef mode)
{
    Abi *a = c->a;
    LLVMValueRef s = NULL;
    if (!a->packs)
        return;
    If packed = if_open(a, c->packed);
    if (a->k->has_fn[REC_BACKWARD])
        s = packed_seal(c);
    if (c->fn == IFN_BACKWARD)
        check_seal(c, s);
    else
        break_seal(c);
    LLVMValueRef result = abi_packed_run(c, self, mode);
    if (s && c->fn != IFN_BACKWARD)
        set_seal(c, result, s);
    LLVMBuildRet(a->b, result);
    LLVMPositionBuilderAtEnd(a->b, packed.done);
}

/* What forward, backward, chunk and step have in common, up to the kernel: the body of `self`. */
static LLVMValueRef checked_kernel(Call *c, AbiFn self, LLVMValueRef mode)
{
    Abi *a = c->a;
    LLVMValueRef one = mode ? mode : abi_i32(a, ABI_NORMAL);
    take_offsets(c, one);
    measure(c, a->packs ? LLVMBuildSelect(a->b, c->packed, abi_i32(a, ABI_PACKED), one, "") : one, keep_of(a, c->train), NULL);
    take_arrays(c);
    check_lengths(c);
    check_offsets(c);
    take_workspace(c);
    check_overlap(c);
    run_packed(c, self, mode);
    if (c->fn == IFN_BACKWARD)
        check_seal(c, seal(c));
    else
        break_seal(c);
    fill_zeros(c);
    fill_lengths(c);
    fill_bufs(c);
    fill_given(c);
    return abi_run_kernel(a, c->kernel, c->dims, c->bufs, abi_i64(a, 0), c->options);
}

/* i32 run(sizes, params, inputs, outputs, carry, call, mode): forward, chunk and step, which differ in what they take
 * for start values, and in whether `passes` counts. Its parameters are chunk's, and the mode. */
static void emit_run(Abi *a)
{
    LLVMTypeRef param[] = {a->ptr, a->ptr, a->ptr, a->ptr, a->ptr, a->ptr, a->i32};
    a->run = abi_fn(a, "run", a->i32, 7, param, false);
    Call c = call_here(a, IFN_CHUNK, REC_FORWARD);
    LLVMValueRef mode = LLVMGetParam(a->run.fn, 6), whole = is_mode(a, mode, ABI_NORMAL);
    c.stream = LLVMBuildNot(a->b, whole, "");
    take_structs(&c);
    LLVMValueRef passes = abi_load(a, a->i32, c.options, CALL_PASSES);
    LLVMValueRef unknown = LLVMBuildNot(a->b, known_passes(a, passes), "");
    abi_return_if(a, abi_and(a, whole, unknown), status(a, RNN_WORKSPACE));
    c.train = abi_and(a, whole, is_train(a, passes));
    LLVMValueRef result = checked_kernel(&c, a->run, mode);
    if (a->k->has_fn[REC_BACKWARD])
        set_seal(&c, result, seal(&c));
    LLVMBuildRet(a->b, result);
}

static void call_run(Abi *a, AbiFn f, uint32_t call, LLVMValueRef carry, AbiMode mode)
{
    LLVMValueRef arg[7];
    for (uint32_t i = 0; i < 4; i++)
        arg[i] = LLVMGetParam(f.fn, i);
    arg[4] = carry;
    arg[5] = LLVMGetParam(f.fn, call);
    arg[6] = abi_i32(a, (int32_t)mode);
    LLVMBuildRet(a->b, abi_call(a, a->run, 7, arg));
}

static void emit_forward(Abi *a)
{
    AbiFn f = public_fn(a, IFN_FORWARD);
    call_run(a, f, 4, nothing(a, a->iface->member[IF_CARRY].n), ABI_NORMAL);
}

static void emit_stream(Abi *a, IfaceFn fn)
{
    Str why;
    AbiFn f = public_fn(a, fn);
    if (iface_streams(a->k, &why))
        call_run(a, f, 5, LLVMGetParam(f.fn, 4), fn == IFN_STEP ? ABI_STEP : ABI_CHUNK);
    else
        LLVMBuildRet(a->b, status(a, RNN_STREAM));
}

static void emit_backward(Abi *a)
{
    AbiFn self = public_fn(a, IFN_BACKWARD);
    Call c = call_here(a, IFN_BACKWARD, REC_BACKWARD);
    take_structs(&c);
    c.train = LLVMConstInt(a->i1, 1, false);
    LLVMBuildRet(a->b, checked_kernel(&c, self, NULL));
}

/* init has no workspace: what its kernel needs besides its arguments stands on the stack, and is small. */
static void init_scratch(Call *c)
{
    Abi *a = c->a;
    int64_t n, sum = 0;
    for (uint32_t i = 0; i < a->nbuf; i++) {
        const KBuf *buf = &a->k->buf.p[i];
        if (buf->kind != K_WORK || !abi_uses(buf, REC_INIT))
            continue;
        if (!dim_is_const(a->k->dims, buf->size, &n) || (sum += n) > 8192)
            ice("init of %.*s needs a workspace of %.*s elements", STRF(a->k->name),
                STRF(dim_str(a->arena, a->k->dims, buf->size)));
        abi_store(a, abi_words(a, (uint32_t)n), c->bufs, i);
    }
}

static void emit_init(Abi *a)
{
    Call c = call_new(a, IFN_INIT, REC_INIT);
    LLVMValueRef seed = LLVMGetParam(LLVMGetBasicBlockParent(LLVMGetInsertBlock(a->b)), iface_fn(IFN_INIT)->n);
    init_scratch(&c);
    take_structs(&c);
    measure(&c, abi_i32(a, ABI_INIT), abi_i64(a, 0), NULL);
    take_arrays(&c);
    check_overlap(&c);
    fill_bufs(&c);
    fill_given(&c);
    LLVMBuildRet(a->b, abi_run_kernel(a, REC_INIT, c.dims, c.bufs, seed, LLVMConstNull(a->ptr)));
}

/* What kern takes for an array's size is what the caller is told to bring. */
static void check_buffer(const Abi *a, const KBuf *buf)
{
    Dim dim[MAXRANK + 1], size = DIM_ONE;
    bool is_arg = buf->kind == K_ARG;
    const Type *type = is_arg ? &a->k->arg.p[buf->slot].type : &a->k->out.p[buf->slot].type;
    uint32_t n =
        iface_array_dims(a->k, type, is_arg ? a->k->arg.p[buf->slot].batched : a->k->out.p[buf->slot].batched, dim);
    for (uint32_t i = 0; i < n; i++)
        size = dim_mul(a->k->dims, size, dim[i]);
    if (size != buf->size || type->dt != buf->dt)
        ice("abi: array `%.*s` of %.*s has %.*s elements in kern, %.*s in the interface",
            STRF(is_arg ? a->k->arg.p[buf->slot].name : a->k->out.p[buf->slot].name), STRF(a->k->name),
            STRF(dim_str(a->arena, a->k->dims, buf->size)), STRF(dim_str(a->arena, a->k->dims, size)));
}

static Abi abi_new(CpuModule *m)
{
    const KernProg *k = m->kern;
    Abi a = {.m = m,
             .arena = m->arena,
             .k = k,
             .iface = iface_of(m->arena, k),
             .prefix = iface_prefix(k, m->options.prefix),
             .cx = m->context,
             .b = m->builder,
             .nsym = dim_nsyms(k->dims),
             .narg = k->arg.n,
             .nout = k->out.n,
             .nbuf = k->buf.n};
    a.i1 = LLVMInt1TypeInContext(m->context);
    a.i8 = LLVMInt8TypeInContext(m->context);
    a.i32 = LLVMInt32TypeInContext(m->context);
    a.i64 = LLVMInt64TypeInContext(m->context);
    a.ptr = LLVMPointerTypeInContext(m->context, 0);
    a.none = LLVMVoidTypeInContext(m->context);
    a.has_time = iface_time(k, &a.time);
    for (uint32_t i = 0; a.has_time && i < k->arg.n; i++)
        if (k->arg.p[i].role == ROLE_LENGTH) {
            a.has_lengths = true;
            a.length_arg = i;
            a.nlength = iface_extents(k, &k->arg.p[i].type, a.extent);
        }
    a.packs = iface_packs(k);
    while (a.packs && !a.iface->member[IF_INPUTS].p[a.offsets].offsets)
        a.offsets++;
    for (uint32_t i = 0; i < a.nbuf; i++)
        if (k->buf.p[i].kind != K_WORK)
            check_buffer(&a, &k->buf.p[i]);
    return a;
}

void cpu_emit_abi(CpuModule *m)
{
    Abi a = abi_new(m);
    abi_emit_sizes(&a);
    abi_emit_checks(&a);
    if (a.packs)
        abi_emit_packed(&a);
    abi_emit_level(&a);
    emit_workspace(&a);
    if (a.packs)
        emit_packed_workspace(&a);
    emit_run(&a);
    emit_forward(&a);
    if (iface_has_fn(a.k, IFN_BACKWARD))
        emit_backward(&a);
    emit_stream(&a, IFN_CHUNK);
    emit_stream(&a, IFN_STEP);
    if (iface_has_fn(a.k, IFN_INIT))
        emit_init(&a);
    abi_emit_info(&a);
}
