/* kern to LLVM: one function of the program for one level. Statements become code one after another; LLVM's own passes
 * clean up (accumulators live in memory until mem2reg), but no loop is vectorised and no operation reordered by LLVM.
 */
#include "backends/cpu/emit.h"
#include "backends/backend.h"

#include <math.h>

enum { LARGE = 150 }; /* statements of a function */

CpuGen emit_gen(const Emit *e, bool lanes)
{
    CpuGen g = e->g;
    if (!lanes)
        g.lanes = 1;
    return g;
}

/* ---- sizes: computed once, in the entry block, or once for each nest of a large function ----
 *
 * In a large function hundreds of sizes and addresses would be alive from its entry to its end; LLVM's allocation of
 * registers takes longest for those, and puts them into memory anyway, where they came from. */

static EmitNear near_new(const Emit *e, LLVMBuilderRef b, LLVMBasicBlockRef then)
{
    EmitNear near = {.b = b, .then = then};
    near.sym = NEWN(e->arena, LLVMValueRef, dim_nsyms(e->k->dims));
    near.buf = NEWN(e->arena, LLVMValueRef, e->k->buf.n);
    near.given = NEWN(e->arena, LLVMValueRef, e->k->arg.n);
    return near;
}

/* From here to emit_near_close, what is needed is computed here. Returns the place before. */
EmitNear emit_near_open(Emit *e)
{
    EmitNear outer = e->near;
    gen_enter(&e->g, gen_block(&e->g, "near"));
    LLVMBuilderRef b = LLVMCreateBuilderInContext(e->g.context);
    LLVMPositionBuilderAtEnd(b, LLVMGetInsertBlock(e->g.b));
    e->near = near_new(e, b, gen_block(&e->g, "nest"));
    for (DimSym s = 0; s < dim_nsyms(e->k->dims); s++)
        if (dim_sym_info(e->k->dims, s)->kind == DIM_PART)
            e->near.sym[s] = outer.sym[s];
    LLVMPositionBuilderAtEnd(e->g.b, e->near.then);
    return outer;
}

void emit_near_close(Emit *e, EmitNear outer)
{
    LLVMBuildBr(e->near.b, e->near.then);
    LLVMDisposeBuilder(e->near.b);
    e->near = outer;
}

static LLVMValueRef sym_value(Emit *e, DimSym s)
{
    CpuGen g = emit_gen(e, false);
    g.b = e->near.b;
    if (!e->near.sym[s] && dim_sym_info(e->k->dims, s)->kind == DIM_PART)
        e->near.sym[s] = emit_outer_part(e, s);
    if (!e->near.sym[s])
        e->near.sym[s] = gen_load(&g, gen_int1(&g, 64), gen_at(&g, gen_int1(&g, 64), e->dims, gen_i64(&g, s)), 8);
    return e->near.sym[s];
}

static LLVMValueRef term_value(Emit *e, const DimTerm *t)
{
    LLVMValueRef v = NULL;
    for (uint32_t i = 0; i < t->nsym; i++)
        v = v ? LLVMBuildNSWMul(e->near.b, v, sym_value(e, t->sym[i]), "") : sym_value(e, t->sym[i]);
    if (!v)
        return gen_i64(&e->g, t->coef);
    return t->coef == 1 ? v : LLVMBuildNSWMul(e->near.b, v, gen_i64(&e->g, t->coef), "");
}

LLVMValueRef emit_dim(Emit *e, Dim d)
{
    while (e->near.dim.n <= d)
        vec_push(e->arena, &e->near.dim, NULL);
    if (e->near.dim.p[d])
        return e->near.dim.p[d];
    LLVMValueRef sum = NULL;
    for (uint32_t i = 0; i < dim_nterms(e->k->dims, d); i++) {
        LLVMValueRef term = term_value(e, dim_term(e->k->dims, d, i));
        sum = sum ? LLVMBuildNSWAdd(e->near.b, sum, term, "") : term;
    }
    return e->near.dim.p[d] = sum ? sum : gen_i64(&e->g, 0);
}

LLVMValueRef emit_entry_memory(Emit *e, LLVMTypeRef type)
{
    return LLVMBuildAlloca(e->entry, type, "");
}

/* ---- variables ---- */

DType emit_dtype(const Emit *e, KVar v)
{
    return e->k->var.p[v].dt;
}

uint32_t emit_bytes(const Emit *e, DType dt)
{
    return dt == DT_REAL ? (e->g.f64 ? 8 : 4) : dt == DT_INT ? 4 : 1;
}

bool emit_has_lanes(const Emit *e, KVar v)
{
    return e->v.on && (e->var[v].lanes || v == e->v.var);
}

void emit_set(Emit *e, KVar v, LLVMValueRef value, bool lanes)
{
    e->var[v] = (EmitVar){.value = value, .lanes = lanes};
}

void emit_known(Emit *e, KVar v)
{
    if (!e->var[v].value && e->task)
        emit_set(e, v, emit_outer_var(e, v), false);
    if (!e->var[v].value)
        ice("cpu: variable %u is used before it has a value", v);
}

static LLVMValueRef lane_numbers(Emit *e)
{
    CpuGen *g = &e->g;
    LLVMValueRef first = LLVMBuildTrunc(g->b, e->v.first, gen_int1(g, 32), "");
    return LLVMBuildAdd(g->b, gen_splat(g, first), gen_iota(g, 32), "");
}

bool emit_in_front(const Emit *e, KVar v)
{
    return e->front.b && !e->front.inside[v] && !e->var[v].memory;
}

/* Loop variables and sizes are 64 bits wide in scalar code; as values in computations all ints have 32. */
LLVMValueRef emit_var(Emit *e, KVar v, bool lanes)
{
    const EmitVar *var = &e->var[v];
    CpuGen g = e->g;
    if (e->v.on && v == e->v.var && lanes)
        return lane_numbers(e);
    emit_known(e, v);
    if (emit_in_front(e, v))
        g.b = e->front.b;
    LLVMValueRef value = var->memory ? LLVMBuildLoad2(g.b, var->memory, var->value, "") : var->value;
    if (e->k->var.p[v].loop)
        value = LLVMBuildTrunc(g.b, value, gen_int1(&g, 32), "");
    return lanes && !var->lanes ? gen_splat(&g, value) : value;
}

/* ---- simple statements ---- */

static LLVMValueRef constant_of(const CpuGen *g, DType dt, double number)
{
    switch (dt) {
    case DT_REAL: return LLVMConstReal(gen_real1(g), number);
    case DT_INT: return LLVMConstInt(gen_int1(g, 32), (unsigned long long)(long long)number, true);
    case DT_BOOL: return LLVMConstInt(gen_int1(g, 1), number != 0, false);
    case DT_COMPLEX: break;
    }
    ice("cpu: element type %d", (int)dt);
}

static bool is_known(const Emit *e, const KStmt *s)
{
    const KVar *a = s->let.arg, *b = e->equal.let ? e->equal.let->let.arg : NULL;
    return b && s->let.fun == FUN_EQ && ((a[0] == b[0] && a[1] == b[1]) || (a[0] == b[1] && a[1] == b[0]));
}

static void emit_let(Emit *e, const KStmt *s)
{
    if (is_known(e, s)) {
        emit_set(e, s->let.var, LLVMConstInt(gen_int1(&e->g, 1), e->equal.value, false), false);
        return;
    }
    LLVMValueRef arg[3] = {NULL, NULL, NULL};
    DType dt[3] = {DT_REAL, DT_REAL, DT_REAL};
    bool lanes = false;
    uint32_t n = fun_info(s->let.fun)->arity;
    for (uint32_t i = 0; i < n; i++)
        lanes |= emit_has_lanes(e, s->let.arg[i]);
    for (uint32_t i = 0; i < n; i++) {
        arg[i] = emit_var(e, s->let.arg[i], lanes);
        dt[i] = emit_dtype(e, s->let.arg[i]);
    }
    CpuGen g = emit_gen(e, lanes);
    LLVMValueRef (*fun)(const CpuGen *, Fun, const LLVMValueRef *, const DType *) = e->small ? cpu_fun_call : cpu_fun;
    LLVMValueRef sum = emit_sum(e, s, lanes);
    emit_set(e, s->let.var, sum ? sum : fun(&g, s->let.fun, arg, dt), lanes);
}

static void emit_size(Emit *e, const KStmt *s)
{
    LLVMValueRef size = LLVMBuildTrunc(e->g.b, emit_dim(e, s->size.dim), gen_int1(&e->g, 32), "");
    emit_set(e, s->size.var, size, false);
}

static void emit_random(Emit *e, const KStmt *s)
{
    bool lanes = emit_has_lanes(e, s->random.counter);
    CpuGen g = emit_gen(e, lanes);
    LLVMValueRef counter = emit_var(e, s->random.counter, lanes);
    counter = LLVMBuildZExt(g.b, counter, gen_int(&g, 64), "");
    emit_set(e, s->random.var, cpu_random(&g, e->seed, s->random.stream, counter), lanes);
}

/* The flags stand behind the sizes. */
static void emit_given(Emit *e, const KStmt *s)
{
    CpuGen g = emit_gen(e, false);
    LLVMValueRef *flag = &e->near.given[s->given.arg];
    g.b = e->near.b;
    if (!*flag) {
        LLVMValueRef at = gen_at(&g, gen_int1(&g, 64), e->dims, gen_i64(&g, dim_nsyms(e->k->dims) + s->given.arg));
        *flag = gen_icmp(&g, LLVMIntNE, gen_load(&g, gen_int1(&g, 64), at, 8), gen_i64(&g, 0));
    }
    emit_set(e, s->given.var, *flag, false);
}

static LLVMValueRef any_lane(const CpuGen *g, LLVMValueRef bits)
{
    if (g->lanes == 1)
        return bits;
    LLVMTypeRef packed = gen_int1(g, g->lanes);
    return LLVMBuildICmp(g->b, LLVMIntNE, LLVMBuildBitCast(g->b, bits, packed, ""), LLVMConstNull(packed), "");
}

/* There is no element 0 to read instead. */
static void leave_if_empty(Emit *e, LLVMValueRef bound)
{
    CpuGen g = emit_gen(e, false);
    if (LLVMIsAConstantInt(bound) && LLVMConstIntGetSExtValue(bound) > 0)
        return;
    GenIf empty = gen_if(&g, gen_icmp(&g, LLVMIntSLE, bound, gen_i64(&g, 0)));
    emit_leave(e);
    LLVMPositionBuilderAtEnd(g.b, empty.done);
}

/* Compared in 64 bits without sign, so that a negative index is a large one. */
static void emit_check(Emit *e, const KStmt *s)
{
    bool lanes = emit_has_lanes(e, s->check.index);
    CpuGen g = emit_gen(e, lanes);
    leave_if_empty(e, emit_dim(e, s->check.bound));
    LLVMValueRef index = emit_var(e, s->check.index, lanes), bound = gen_splat(&g, emit_dim(e, s->check.bound));
    LLVMValueRef wide = LLVMBuildSExt(g.b, index, gen_int(&g, 64), "");
    LLVMValueRef bad = gen_icmp(&g, LLVMIntUGE, wide, bound);
    emit_set(e, s->check.var, gen_select(&g, bad, LLVMConstNull(LLVMTypeOf(index)), index), lanes);
    if (lanes && e->v.mask)
        bad = LLVMBuildAnd(g.b, bad, e->v.mask, "");
    LLVMValueRef before = LLVMBuildLoad2(g.b, gen_int1(&g, 1), e->failed, "");
    LLVMBuildStore(g.b, LLVMBuildOr(g.b, before, any_lane(&g, bad), ""), e->failed);
}

static void leave_loop(Emit *e, const KStmt *s)
{
    LLVMBasicBlockRef on = gen_block(&e->g, "on");
    LLVMBuildCondBr(e->g.b, emit_var(e, s->leave.var, false), e->behind_loop, on);
    LLVMPositionBuilderAtEnd(e->g.b, on);
}

/* Who goes through strips is alone: the length of the one at hand is told to tasks by its place among the sizes. */
static void emit_piece(Emit *e, const KStmt *s, LLVMValueRef first, LLVMValueRef part)
{
    CpuGen g = emit_gen(e, false);
    emit_set(e, s->strips.first, first, false);
    LLVMBuildStore(g.b, part, gen_at(&g, gen_int1(&g, 64), e->dims, gen_i64(&g, s->strips.part)));
    EmitNear outer = emit_near_open(e);
    e->near.sym[s->strips.part] = part;
    emit_block(e, &s->strips.body);
    emit_near_close(e, outer);
}

static void emit_strips(Emit *e, const KStmt *s)
{
    CpuGen g = emit_gen(e, false);
    LLVMValueRef one = gen_i64(&g, 1), n = emit_dim(e, s->strips.extent), length = emit_dim(e, s->strips.length);
    length = gen_select(&g, gen_icmp(&g, LLVMIntSLT, length, one), one, length);
    LLVMValueRef count = LLVMBuildSDiv(g.b, LLVMBuildNSWAdd(g.b, n, LLVMBuildNSWSub(g.b, length, one, ""), ""), length, "");
    GenLoop l = gen_loop(&e->g, gen_i64(&g, 0), count, one, NULL, 0);
    LLVMValueRef i = s->strips.reverse ? LLVMBuildSub(g.b, LLVMBuildSub(g.b, count, one, ""), l.i, "") : l.i;
    LLVMValueRef first = LLVMBuildNSWMul(g.b, i, length, ""), rest = LLVMBuildNSWSub(g.b, n, first, "");
    emit_piece(e, s, first, gen_select(&g, gen_icmp(&g, LLVMIntSLT, rest, length), rest, length));
    gen_loop_end(&e->g, &l, NULL);
}

static void emit_kind(Emit *e, const KStmt *s)
{
    switch (s->kind) {
    case K_LOOP: emit_loop(e, s); return;
    case K_LET: emit_let(e, s); return;
    case K_CONST:
        emit_set(e, s->constant.var, constant_of(&e->g, emit_dtype(e, s->constant.var), s->constant.number), false);
        return;
    case K_SIZE: emit_size(e, s); return;
    case K_LOAD: emit_load(e, s); return;
    case K_STORE: emit_store(e, s); return;
    case K_START: emit_start(e, s); return;
    case K_UPDATE: emit_update(e, s); return;
    case K_RANDOM: emit_random(e, s); return;
    case K_GIVEN: emit_given(e, s); return;
    case K_CHECK: emit_check(e, s); return;
    case K_LEAVE: leave_loop(e, s); return;
    case K_GEMM: emit_gemm(e, s); return;
    case K_PACK: emit_pack(e, s); return;
    case K_FILL: emit_fill(e, s); return;
    case K_COPY: emit_copy(e, s); return;
    case K_TASKS: emit_tasks(e, s); return;
    case K_STRIPS: emit_strips(e, s); return;
    case K_KIND_COUNT: break;
    }
    ice("cpu: statement %d", (int)s->kind);
}

void emit_at(Emit *e, Span at)
{
    LLVMMetadataRef line = e->lines ? e->lines->at(e->lines->cx, at) : NULL;
    if (line)
        LLVMSetCurrentDebugLocation2(e->g.b, line);
}

static void emit_stmt(Emit *e, const KStmt *s)
{
    LLVMMetadataRef around = e->lines ? LLVMGetCurrentDebugLocation2(e->g.b) : NULL;
    emit_at(e, s->at);
    emit_kind(e, s);
    if (e->lines)
        LLVMSetCurrentDebugLocation2(e->g.b, around);
}

static bool has_loop(const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (kern_body(b->p[i]))
            return true;
    return false;
}

/* Something that uses many sizes and pointers, but not the steps around other nests. */
static bool is_nest(const KStmt *s)
{
    if (s->kind == K_LOOP)
        return s->loop.kind != K_SERIAL || !has_loop(&s->loop.body);
    return s->kind == K_GEMM || s->kind == K_PACK || s->kind == K_TASKS || s->kind == K_FILL || s->kind == K_COPY;
}

static void emit_nest(Emit *e, const KStmt *s)
{
    EmitNear outer = emit_near_open(e);
    e->large = false;
    emit_stmt(e, s);
    e->large = true;
    emit_near_close(e, outer);
}

void emit_block(Emit *e, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (e->large && is_nest(b->p[i]))
            emit_nest(e, b->p[i]);
        else
            emit_stmt(e, b->p[i]);
}

static uint32_t count(const KBlock *b)
{
    uint32_t n = b->n;
    for (uint32_t i = 0; i < b->n; i++)
        n += kern_body(b->p[i]) && b->p[i]->kind != K_TASKS ? count(kern_body(b->p[i])) : 0;
    return n;
}

void emit_body(Emit *e, const KBlock *b)
{
    e->large = count(b) > LARGE;
    emit_block(e, b);
}

/* ---- the function ---- */

static const char *const fn_name[REC_NFN] = {"forward", "backward", "init"};

LLVMValueRef cpu_declare_kernel(CpuModule *m, RecFn fn, CpuLevel level)
{
    LLVMTypeRef ptr = LLVMPointerTypeInContext(m->context, 0), i64 = LLVMInt64TypeInContext(m->context);
    LLVMTypeRef i32 = LLVMInt32TypeInContext(m->context);
    LLVMTypeRef type = LLVMFunctionType(i32, (LLVMTypeRef[]){ptr, ptr, i64, ptr}, 4, false);
    Str name = str_fmt(m->arena, "%.*s.%s.%s", STRF(m->kern->name), fn_name[fn], cpu_level_info(level)->text);
    LLVMValueRef f = LLVMAddFunction(m->module, str_c(m->arena, name), type);
    LLVMSetLinkage(f, m->apart ? LLVMExternalLinkage : LLVMInternalLinkage);
    LLVMSetVisibility(f, m->apart ? LLVMHiddenVisibility : LLVMDefaultVisibility);
    cpu_set_target(m->context, f, level);
    return f;
}

static bool has_check(const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i]->kind == K_CHECK || (kern_body(b->p[i]) && has_check(kern_body(b->p[i]))))
            return true;
    return false;
}

static bool has_tasks(const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i]->kind == K_TASKS || (b->p[i]->kind == K_GEMM && b->p[i]->gemm.least) ||
            (kern_body(b->p[i]) && has_tasks(kern_body(b->p[i]))))
            return true;
    return false;
}

bool emit_start_checks(Emit *e, const KBlock *b)
{
    if (!has_check(b))
        return false;
    e->failed = emit_entry_memory(e, gen_int1(&e->g, 1));
    LLVMBuildStore(e->entry, LLVMConstNull(gen_int1(&e->g, 1)), e->failed);
    return true;
}

LLVMValueRef emit_failed(Emit *e)
{
    LLVMTypeRef i1 = gen_int1(&e->g, 1);
    return e->failed ? LLVMBuildLoad2(e->g.b, i1, e->failed, "") : LLVMConstNull(i1);
}

Emit emit_open(const CpuGen *g, Arena *a, const KernProg *k, RecFn which, LLVMValueRef fn)
{
    Emit e = {.g = *g, .entry = LLVMCreateBuilderInContext(g->context), .arena = a, .k = k, .which = which, .fn = fn};
    e.scope_of = NEWN(a, LLVMValueRef, k->buf.n);
    e.not_scope = NEWN(a, LLVMValueRef, k->buf.n);
    e.scope = NEWN(a, LLVMMetadataRef, k->buf.n);
    e.given_buf = NEWN(a, bool, k->buf.n);
    e.var = NEWN(a, EmitVar, k->var.n);
    e.scope_kind = LLVMGetMDKindIDInContext(g->context, "alias.scope", 11);
    e.noalias_kind = LLVMGetMDKindIDInContext(g->context, "noalias", 7);
    LLVMPositionBuilderAtEnd(e.entry, LLVMAppendBasicBlockInContext(g->context, fn, "entry"));
    e.near = near_new(&e, e.entry, LLVMAppendBasicBlockInContext(g->context, fn, "start"));
    LLVMPositionBuilderAtEnd(e.g.b, e.near.then);
    return e;
}

void emit_close(Emit *e)
{
    LLVMBuildBr(e->entry, e->near.then);
    LLVMDisposeBuilder(e->entry);
}

LLVMValueRef cpu_emit_kernel(CpuModule *m, RecFn fn, CpuLevel level)
{
    CpuGen g = cpu_gen(m->context, m->module, m->builder, level, m->options.precision == PREC_F64);
    g.apart = m->apart;
    LLVMTypeRef i32 = gen_int1(&g, 32);
    Emit e = emit_open(&g, m->arena, m->kern, fn, cpu_declare_kernel(m, fn, level));
    e.dims = LLVMGetParam(e.fn, 0);
    e.bufs = LLVMGetParam(e.fn, 1);
    e.seed = LLVMGetParam(e.fn, 2);
    e.product = emit_find_products(m->arena, m->kern, &m->kern->fn[fn]);
    if (has_tasks(&m->kern->fn[fn]))
        emit_task_args(&e, LLVMGetParam(e.fn, 3));
    emit_start_checks(&e, &m->kern->fn[fn]);
    emit_body(&e, &m->kern->fn[fn]);
    LLVMValueRef bad = LLVMConstInt(i32, RNN_INDEX, false), fine = LLVMConstInt(i32, RNN_OK, false);
    LLVMBuildRet(g.b, gen_select(&g, emit_failed(&e), bad, fine));
    emit_close(&e);
    return e.fn;
}
