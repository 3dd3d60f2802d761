/* Packed batches. The checks of a call are made once for the whole batch (abi.c); then the function calls itself for one
 * sequence after another, with structs of its own whose pointers move on by what a sequence has. So a sequence's results
 * are, bit for bit, those of a call of its own, in every form, and a program that never sees offsets pays for one test.
 *
 * In the workspace: a head with the seal, then room for one sequence after another. Only training keeps them all, because
 * the backward call comes when the last one has run; else all use the same. */
#include "backends/cpu/abi_call.h"

static LLVMValueRef offset_at(Abi *a, LLVMValueRef offsets, LLVMValueRef i)
{
    LLVMValueRef at = LLVMBuildGEP2(a->b, a->i32, offsets, &i, 1, "");
    return LLVMBuildSExt(a->b, LLVMBuildLoad2(a->b, a->i32, at, ""), a->i64, "");
}

static LLVMValueRef offset_behind(Abi *a, LLVMValueRef offsets, LLVMValueRef i)
{
    return offset_at(a, offsets, LLVMBuildAdd(a->b, i, abi_i64(a, 1), ""));
}

static LLVMValueRef yes(const Abi *a)
{
    return LLVMConstInt(a->i1, 1, false);
}

/* They begin at 0, do not decrease, and end at T. */
static void emit_offsets_bad(Abi *a)
{
    LLVMTypeRef param[] = {a->ptr, a->i64, a->i64};
    a->offsets_bad = abi_fn(a, "offsets_bad", a->i1, 3, param, false);
    abi_optimize(a->offsets_bad);
    LLVMValueRef f = a->offsets_bad.fn, offsets = LLVMGetParam(f, 0), B = LLVMGetParam(f, 1);
    abi_return_if(a, abi_cmp(a, LLVMIntNE, offset_at(a, offsets, abi_i64(a, 0)), abi_i64(a, 0)), yes(a));
    AbiLoop i = abi_loop(a, abi_i64(a, 0), B);
    abi_return_if(a, abi_cmp(a, LLVMIntSLT, offset_behind(a, offsets, i.i), offset_at(a, offsets, i.i)), yes(a));
    abi_loop_end(a, i);
    LLVMBuildRet(a->b, abi_cmp(a, LLVMIntNE, offset_at(a, offsets, B), LLVMGetParam(f, 2)));
}

/* A length is at most what its sequence has. */
static void emit_packed_lengths_bad(Abi *a)
{
    LLVMTypeRef param[] = {a->ptr, a->ptr, a->i64};
    a->packed_lengths_bad = abi_fn(a, "packed_lengths_bad", a->i1, 3, param, false);
    abi_optimize(a->packed_lengths_bad);
    LLVMValueRef f = a->packed_lengths_bad.fn, offsets = LLVMGetParam(f, 1);
    AbiLoop i = abi_loop(a, abi_i64(a, 0), LLVMGetParam(f, 2));
    LLVMValueRef most = LLVMBuildSub(a->b, offset_behind(a, offsets, i.i), offset_at(a, offsets, i.i), "");
    LLVMValueRef n = offset_at(a, LLVMGetParam(f, 0), i.i);
    abi_return_if(a, abi_cmp(a, LLVMIntUGT, n, most), yes(a));
    abi_loop_end(a, i);
    LLVMBuildRet(a->b, LLVMConstNull(a->i1));
}

/* The seal of the sizes, and all offsets. */
static void emit_packed_seal(Abi *a)
{
    LLVMTypeRef param[] = {a->i64, a->ptr, a->i64};
    a->packed_seal = abi_fn(a, "packed_seal", a->i64, 3, param, false);
    abi_optimize(a->packed_seal);
    LLVMValueRef f = a->packed_seal.fn, h = LLVMBuildAlloca(a->b, a->i64, "");
    LLVMBuildStore(a->b, LLVMGetParam(f, 0), h);
    AbiLoop i = abi_loop(a, abi_i64(a, 0), LLVMBuildAdd(a->b, LLVMGetParam(f, 2), abi_i64(a, 1), ""));
    LLVMValueRef was = LLVMBuildLoad2(a->b, a->i64, h, "");
    LLVMBuildStore(a->b, abi_mixed(a, was, offset_at(a, LLVMGetParam(f, 1), i.i)), h);
    abi_loop_end(a, i);
    LLVMBuildRet(a->b, LLVMBuildLoad2(a->b, a->i64, h, ""));
}

/* ---- one sequence ---- */

static uint32_t size_index(const Abi *a, DimSym s)
{
    uint32_t i = 0;
    while (a->iface->member[IF_SIZES].p[i].sym != s)
        i++;
    return i;
}

/* i64 sequence(sizes, offsets, b, train, dims, bytes, bufs): makes `sizes` those of sequence b alone, and dims[] and
 * bytes[] with them; the workspace that it takes, -1 when there is none for such sizes. */
static void emit_sequence(Abi *a)
{
    LLVMTypeRef param[] = {a->ptr, a->ptr, a->i64, a->i1, a->ptr, a->ptr, a->ptr};
    a->sequence = abi_fn(a, "sequence", a->i64, 7, param, false);
    LLVMValueRef f = a->sequence.fn, offsets = LLVMGetParam(f, 1), b = LLVMGetParam(f, 2), train = LLVMGetParam(f, 3);
    LLVMValueRef sizes = LLVMGetParam(f, 0), dims = LLVMGetParam(f, 4), bytes = LLVMGetParam(f, 5), bad = abi_i64(a, -1);
    LLVMValueRef places = LLVMBuildSub(a->b, offset_behind(a, offsets, b), offset_at(a, offsets, b), "");
    abi_store(a, places, sizes, size_index(a, a->time));
    abi_store(a, abi_i64(a, 1), sizes, size_index(a, a->k->batch));
    LLVMValueRef how[] = {sizes, abi_i32(a, ABI_NORMAL), LLVMBuildZExt(a->b, train, a->i64, ""), dims, bytes};
    abi_return_if(a, abi_cmp(a, LLVMIntNE, abi_call(a, a->measure, 5, how), abi_i32(a, RNN_OK)), bad);
    LLVMValueRef where[] = {dims, bytes, LLVMConstNull(a->ptr), LLVMGetParam(f, 6), train};
    LLVMValueRef room = abi_call(a, a->layout, 5, where);
    abi_return_if(a, abi_cmp(a, LLVMIntUGT, room, abi_i64(a, INT64_MAX - ABI_ALIGN)), bad);
    LLVMBuildRet(a->b, LLVMBuildAdd(a->b, room, abi_i64(a, ABI_ALIGN), ""));
}

static LLVMValueRef copied(Abi *a, LLVMValueRef from, uint32_t n)
{
    LLVMValueRef to = abi_words(a, n);
    LLVMBuildMemCpy(a->b, to, 8, from, 8, abi_i64(a, 8 * (int64_t)n));
    return to;
}

/* i64 rooms(sizes, offsets, train): the workspace of a packed batch, from its aligned begin on; -1 when there is none. */
static void emit_rooms(Abi *a)
{
    LLVMTypeRef param[] = {a->ptr, a->ptr, a->i1};
    a->rooms = abi_fn(a, "rooms", a->i64, 3, param, false);
    LLVMValueRef f = a->rooms.fn, train = LLVMGetParam(f, 2), sum = LLVMBuildAlloca(a->b, a->i64, "");
    uint32_t batch = size_index(a, a->k->batch);
    LLVMValueRef sizes = copied(a, LLVMGetParam(f, 0), a->iface->member[IF_SIZES].n), B = abi_load(a, a->i64, sizes, batch);
    LLVMValueRef dims = abi_words(a, a->nsym), bytes = abi_words(a, a->narg + a->nout), bufs = abi_words(a, a->nbuf + 2);
    LLVMBuildStore(a->b, abi_i64(a, 0), sum);
    AbiLoop b = abi_loop(a, abi_i64(a, 0), B);
    LLVMValueRef arg[] = {sizes, LLVMGetParam(f, 1), b.i, train, dims, bytes, bufs};
    LLVMValueRef room = abi_call(a, a->sequence, 7, arg), was = LLVMBuildLoad2(a->b, a->i64, sum, "");
    LLVMValueRef both = LLVMBuildAdd(a->b, was, room, ""), more = LLVMBuildSelect(a->b, abi_cmp(a, LLVMIntSGT, room, was), room, was, "");
    LLVMValueRef now = LLVMBuildSelect(a->b, train, both, more, ""), zero = abi_i64(a, 0);
    LLVMValueRef bad = abi_or(a, abi_cmp(a, LLVMIntSLT, room, zero), abi_cmp(a, LLVMIntSGT, now, abi_i64(a, INT64_MAX - 4 * ABI_ALIGN)));
    abi_return_if(a, abi_or(a, bad, abi_cmp(a, LLVMIntSLT, now, zero)), abi_i64(a, -1));
    LLVMBuildStore(a->b, now, sum);
    abi_loop_end(a, b);
    LLVMBuildRet(a->b, LLVMBuildAdd(a->b, LLVMBuildLoad2(a->b, a->i64, sum, ""), abi_i64(a, ABI_HEAD), ""));
}

/* ---- from one sequence to the next ---- */

/* void advance(words, table, n, bytes): word i, a pointer, moves on by bytes[table[i]], or stays where that is -1. */
static void emit_advance(Abi *a)
{
    LLVMTypeRef param[] = {a->ptr, a->ptr, a->i64, a->ptr};
    a->advance = abi_fn(a, "advance", a->none, 4, param, false);
    abi_optimize(a->advance);
    LLVMValueRef f = a->advance.fn;
    AbiLoop i = abi_loop(a, abi_i64(a, 0), LLVMGetParam(f, 2));
    LLVMValueRef array = LLVMBuildLoad2(a->b, a->i64, LLVMBuildGEP2(a->b, a->i64, LLVMGetParam(f, 1), &i.i, 1, ""), "");
    LLVMValueRef word = LLVMBuildGEP2(a->b, a->i64, LLVMGetParam(f, 0), &i.i, 1, ""), p = LLVMBuildLoad2(a->b, a->ptr, word, "");
    LLVMValueRef stays = abi_or(a, abi_cmp(a, LLVMIntSLT, array, abi_i64(a, 0)), abi_is_null(a, p)), zero = abi_i64(a, 0);
    LLVMValueRef row = LLVMBuildSelect(a->b, stays, zero, array, "");
    LLVMValueRef n = LLVMBuildLoad2(a->b, a->i64, LLVMBuildGEP2(a->b, a->i64, LLVMGetParam(f, 3), &row, 1, ""), "");
    LLVMBuildStore(a->b, LLVMBuildSelect(a->b, stays, p, abi_offset(a, p, n), ""), word);
    abi_loop_end(a, i);
    LLVMBuildRetVoid(a->b);
}

/* The array that a member moves along, -1 for none. */
static int64_t moves_along(const Abi *a, const IfaceMember *m)
{
    if (m->arg != K_NONE)
        return a->k->arg.p[m->arg].batched ? (int64_t)m->arg : -1;
    return m->out != K_NONE && a->k->out.p[m->out].batched ? (int64_t)a->narg + m->out : -1;
}

static LLVMValueRef move_table(Abi *a, IfaceStruct s)
{
    LLVMValueRef *row = NEWN(a->arena, LLVMValueRef, a->iface->member[s].n);
    for (uint32_t i = 0; i < a->iface->member[s].n; i++)
        row[i] = abi_i64(a, moves_along(a, &a->iface->member[s].p[i]));
    return abi_table(a, "moves", a->i64, row, a->iface->member[s].n);
}

/* ---- all of them ---- */

/* The caller's structs, as one sequence after another has them. */
typedef struct Own {
    LLVMValueRef of[IF_NSTRUCT], options, at, result;
} Own;

static Own own_structs(Call *c)
{
    Abi *a = c->a;
    const IfaceFnInfo *info = iface_fn(c->fn);
    Own own = {.at = LLVMBuildAlloca(a->b, a->ptr, ""), .result = LLVMBuildAlloca(a->b, a->i32, "")};
    for (uint32_t i = 0; i < info->n; i++)
        own.of[info->takes[i]] = copied(a, c->given[info->takes[i]], a->iface->member[info->takes[i]].n);
    abi_store(a, LLVMConstNull(a->ptr), own.of[IF_INPUTS], a->offsets);
    own.options = copied(a, c->options, CALL_NWORD);
    LLVMBuildStore(a->b, abi_offset(a, c->base, abi_i64(a, ABI_HEAD)), own.at);
    LLVMBuildStore(a->b, abi_i32(a, RNN_OK), own.result);
    return own;
}

static LLVMValueRef call_self(Call *c, const Own *own, AbiFn self, LLVMValueRef mode)
{
    const IfaceFnInfo *info = iface_fn(c->fn);
    LLVMValueRef arg[8];
    for (uint32_t i = 0; i < info->n; i++)
        arg[i] = own->of[info->takes[i]];
    arg[info->n] = own->options;
    arg[info->n + 1] = mode;
    return abi_call(c->a, self, info->n + (mode ? 2u : 1u), arg);
}

static void run_sequence(Call *c, const Own *own, AbiFn self, LLVMValueRef mode, LLVMValueRef b)
{
    Abi *a = c->a;
    const IfaceFnInfo *info = iface_fn(c->fn);
    LLVMValueRef arg[] = {own->of[IF_SIZES], c->offsets, b, c->train, c->dims, c->bytes, c->bufs};
    LLVMValueRef room = abi_call(a, a->sequence, 7, arg), at = LLVMBuildLoad2(a->b, a->ptr, own->at, "");
    abi_store(a, at, own->options, CALL_WORKSPACE);
    abi_store(a, room, own->options, CALL_BYTES);
    LLVMValueRef now = call_self(c, own, self, mode), was = LLVMBuildLoad2(a->b, a->i32, own->result, "");
    LLVMBuildStore(a->b, LLVMBuildSelect(a->b, abi_cmp(a, LLVMIntEQ, now, abi_i32(a, RNN_OK)), was, now, ""), own->result);
    for (uint32_t i = 1; i < info->n; i++) {
        uint32_t n = a->iface->member[info->takes[i]].n;
        if (n)
            abi_call(a, a->advance, 4, (LLVMValueRef[]){own->of[info->takes[i]], move_table(a, info->takes[i]), abi_i64(a, n), c->bytes});
    }
    LLVMValueRef kept = LLVMBuildSelect(a->b, c->train, room, abi_i64(a, 0), "");
    LLVMBuildStore(a->b, abi_offset(a, at, kept), own->at);
}

/* An index outside of its axis does not keep the sequences behind it from running, as in a batch that is not packed. */
LLVMValueRef abi_packed_run(Call *c, AbiFn self, LLVMValueRef mode)
{
    Abi *a = c->a;
    LLVMValueRef B = abi_load(a, a->i64, c->dims, a->k->batch); /* run_sequence writes over it */
    Own own = own_structs(c);
    AbiLoop b = abi_loop(a, abi_i64(a, 0), B);
    run_sequence(c, &own, self, mode, b.i);
    abi_loop_end(a, b);
    return LLVMBuildLoad2(a->b, a->i32, own.result, "");
}

void abi_emit_packed(Abi *a)
{
    emit_offsets_bad(a);
    if (a->has_lengths)
        emit_packed_lengths_bad(a);
    if (a->k->has_fn[REC_BACKWARD])
        emit_packed_seal(a);
    emit_sequence(a);
    emit_rooms(a);
    emit_advance(a);
}
