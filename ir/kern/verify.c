/* The rules of kern. Every broken rule is said, with the statement that breaks it. */
#include "ir/kern/text.h"

typedef enum Scope { UNKNOWN, SEEN, GONE } Scope;

typedef struct Verify {
    const KernProg *p;
    Text *why;
    Scope *scope;      /* by variable */
    uint32_t *started; /* by variable: number of loops around its START; K_NONE for no accumulator */
    uint32_t depth;    /* loops, tasks and strips around */
    uint32_t task;     /* depth inside the innermost tasks, 0 outside */
    bool *part;        /* by dimension: it is of tasks or strips around */
    bool in_vector;
    bool may_leave; /* what has been checked of the body of a serial loop changes nothing */
    RecFn fn;
    bool ok;
} Verify;

static void broken(Verify *c, const KStmt *s, const char *rule)
{
    c->ok = false;
    if (s)
        kern_print_stmt(c->why, c->p, s);
    text_add(c->why, "%s%s\n", s ? ": " : "", rule);
}

static void need(Verify *c, bool ok, const KStmt *s, const char *rule)
{
    if (!ok)
        broken(c, s, rule);
}

/* ---- variables ---- */

static void uses(Verify *c, const KStmt *s, KVar v)
{
    need(c, v < c->p->var.n && c->scope[v] == SEEN, s, "a variable is used where it is not defined");
}

static bool is(const Verify *c, KVar v, DType dt)
{
    return v < c->p->var.n && c->p->var.p[v].dt == dt;
}

static void defines(Verify *c, const KStmt *s, KVar v)
{
    if (v >= c->p->var.n || c->scope[v] != UNKNOWN) {
        broken(c, s, "a variable is defined twice, or does not exist");
        return;
    }
    c->scope[v] = SEEN;
    need(c, c->p->var.p[v].loop == (s->kind == K_LOOP || s->kind == K_TASKS || s->kind == K_STRIPS), s,
         "only loops, tasks and strips define loop variables");
}

/* ---- memory ---- */

static void index_ok(Verify *c, const KStmt *s, const KIndex *at)
{
    for (uint32_t i = 0; i < at->n && i < K_MAXTERM; i++) {
        uses(c, s, at->term[i].var);
        need(c, is(c, at->term[i].var, DT_INT), s, "an address is computed from something that is no int");
        need(c, at->term[i].stride != DIM_ZERO, s, "an address has a term with stride 0");
    }
    need(c, at->n <= K_MAXTERM, s, "an address has too many terms");
}

static const KBuf *buffer(Verify *c, const KStmt *s, KBufId b, const KIndex *at)
{
    index_ok(c, s, at);
    if (b < c->p->buf.n)
        return &c->p->buf.p[b];
    broken(c, s, "the buffer does not exist");
    return NULL;
}

static void converts(Verify *c, const KStmt *s, KBufId b)
{
    need(c, b >= c->p->buf.n || kern_converts(s, c->p->buf.p[b].kind) || !kern_buf_narrow(c->p, b), s,
         "reals of 16 bits are used by more than a load, a store, a fill or a product of such factors");
}

static const KBuf *reads(Verify *c, const KStmt *s, KBufId b, const KIndex *at)
{
    const KBuf *buf = buffer(c, s, b, at);
    need(c, !buf || buf->kind != K_OUT, s, "an output is read");
    converts(c, s, b);
    return buf;
}

static const KBuf *writes(Verify *c, const KStmt *s, KBufId b, const KIndex *at)
{
    const KBuf *buf = buffer(c, s, b, at);
    need(c, !buf || buf->kind != K_ARG, s, "an argument is written");
    converts(c, s, b);
    return buf;
}

static void same_type(Verify *c, const KStmt *s, const KBuf *b, KVar v)
{
    need(c, !b || is(c, v, b->dt), s, "a variable and the buffer differ in their element type");
}

/* ---- statements ---- */

static void block(Verify *c, const KBlock *b);

/* What there is of a range is known inside of its tasks only. */
static void size(Verify *c, const KStmt *s, Dim d)
{
    for (DimSym i = 0; i < dim_nsyms(c->p->dims); i++)
        if (dim_sym_info(c->p->dims, i)->kind == DIM_PART && !c->part[i])
            need(c, !dim_mentions(c->p->dims, d, i), s, "a size depends on tasks or strips that are not around");
}

static void loop(Verify *c, const KStmt *s)
{
    bool outer = c->in_vector;
    size(c, s, s->loop.extent);
    if (s->loop.by != DIM_ZERO) {
        uses(c, s, s->loop.from);
        need(c, is(c, s->loop.from, DT_INT), s, "a loop starts at something that is no int");
    }
    defines(c, s, s->loop.var);
    need(c, is(c, s->loop.var, DT_INT), s, "a loop variable is no int");
    need(c, !outer || s->loop.kind == K_SERIAL, s, "a loop that is not serial inside a vector loop");
    c->in_vector = outer || s->loop.kind == K_VECTOR;
    c->depth++;
    c->may_leave = s->loop.kind == K_SERIAL && !outer;
    block(c, &s->loop.body);
    c->depth--;
    c->in_vector = outer;
    if (s->loop.var < c->p->var.n)
        c->scope[s->loop.var] = GONE;
}

static bool is_own_part(const Verify *c, DimSym part)
{
    return part < dim_nsyms(c->p->dims) && dim_sym_info(c->p->dims, part)->kind == DIM_PART && !c->part[part];
}

static void pieces(Verify *c, DimSym part, KVar first, const KBlock *body)
{
    c->part[part] = true;
    c->depth++;
    block(c, body);
    c->depth--;
    c->part[part] = false;
    if (first < c->p->var.n)
        c->scope[first] = GONE;
}

static void tasks(Verify *c, const KStmt *s)
{
    uint32_t outer = c->task;
    size(c, s, s->tasks.extent);
    defines(c, s, s->tasks.first);
    need(c, !c->in_vector, s, "tasks inside a vector loop");
    need(c, s->tasks.grain > 0, s, "tasks without a grain");
    if (!is_own_part(c, s->tasks.part)) {
        broken(c, s, "tasks without a dimension of their own for their part");
        return;
    }
    c->task = c->depth + 1;
    pieces(c, s->tasks.part, s->tasks.first, &s->tasks.body);
    c->task = outer;
}

static void strips(Verify *c, const KStmt *s)
{
    size(c, s, s->strips.extent);
    size(c, s, s->strips.length);
    defines(c, s, s->strips.first);
    need(c, c->depth == 0, s, "strips inside of another statement");
    if (is_own_part(c, s->strips.part))
        pieces(c, s->strips.part, s->strips.first, &s->strips.body);
    else
        broken(c, s, "strips without a dimension of their own for their part");
}

static void let(Verify *c, const KStmt *s)
{
    DType dt[3] = {DT_REAL, DT_REAL, DT_REAL};
    const FunInfo *f = fun_info(s->let.fun);
    for (uint32_t i = 0; i < f->arity; i++) {
        uses(c, s, s->let.arg[i]);
        if (s->let.arg[i] < c->p->var.n)
            dt[i] = c->p->var.p[s->let.arg[i]].dt;
    }
    need(c, f->result != 's' || f->arity < 2 || dt[f->arity - 1] == dt[f->arity - 2], s,
         "operands differ in their element type");
    need(c, is(c, s->let.var, fun_result(s->let.fun, dt)), s, "the element type is not the function's");
    defines(c, s, s->let.var);
}

static void start(Verify *c, const KStmt *s)
{
    need(c, s->acc.red < RED_COUNT, s, "no such reduction");
    defines(c, s, s->acc.var);
    if (s->acc.var < c->p->var.n)
        c->started[s->acc.var] = c->depth;
}

static void update(Verify *c, const KStmt *s)
{
    uses(c, s, s->acc.var);
    uses(c, s, s->acc.value);
    if (s->acc.var >= c->p->var.n || s->acc.value >= c->p->var.n)
        return;
    need(c, c->started[s->acc.var] != K_NONE, s, "the variable is no accumulator");
    need(c, c->started[s->acc.var] == K_NONE || c->started[s->acc.var] <= c->depth, s,
         "the accumulator starts further inside");
    need(c, c->started[s->acc.var] >= c->task, s, "the accumulator starts outside of the tasks");
    need(c, is(c, s->acc.value, c->p->var.p[s->acc.var].dt), s, "the accumulator has another element type");
}

static void check(Verify *c, const KStmt *s)
{
    uses(c, s, s->check.index);
    need(c, is(c, s->check.index, DT_INT) && is(c, s->check.var, DT_INT), s, "an index is no int");
    defines(c, s, s->check.var);
}

static void gemm(Verify *c, const KStmt *s)
{
    const KBuf *b[3] = {reads(c, s, s->gemm.a.buf, &s->gemm.a.at), reads(c, s, s->gemm.b.buf, &s->gemm.b.at),
                        writes(c, s, s->gemm.c.buf, &s->gemm.c.at)};
    for (uint32_t i = 0; i < 3; i++)
        need(c, !b[i] || b[i]->dt == DT_REAL, s, "a product of what is not real");
    need(c,
         s->gemm.c.buf != s->gemm.a.buf || s->gemm.a.at.n || s->gemm.c.at.n || s->gemm.a.at.base != s->gemm.c.at.base,
         s, "a product writes over its operand");
    need(c, !c->in_vector, s, "a product inside a vector loop");
    need(c, !s->gemm.factor || s->gemm.when == DIM_ZERO, s, "a product of rounded factors reads a copy");
    size(c, s, s->gemm.m);
    size(c, s, s->gemm.n);
    size(c, s, s->gemm.k);
    size(c, s, s->gemm.when);
    if (s->gemm.when != DIM_ZERO)
        reads(c, s, s->gemm.packed, &s->gemm.packed_at);
}

static void pack(Verify *c, const KStmt *s)
{
    const KBuf *to = writes(c, s, s->pack.buf, &s->pack.at), *from = reads(c, s, s->pack.b.buf, &s->pack.b.at);
    need(c, !to || !from || (to->dt == DT_REAL && from->dt == DT_REAL), s, "a copy for products of what is not real");
    need(c, !to || to->kind == K_WORK, s, "a copy for products outside of the workspace");
    need(c, !c->in_vector, s, "a copy for products inside a vector loop");
    size(c, s, s->pack.k);
    size(c, s, s->pack.n);
    size(c, s, s->pack.when);
}

static void bulk(Verify *c, const KStmt *s)
{
    need(c, !c->in_vector, s, "a fill or copy inside a vector loop");
    size(c, s, s->kind == K_FILL ? s->fill.count : s->copy.count);
    if (s->kind == K_FILL) {
        writes(c, s, s->fill.buf, &s->fill.at);
        return;
    }
    const KBuf *to = writes(c, s, s->copy.dst, &s->copy.to), *from = reads(c, s, s->copy.src, &s->copy.from);
    need(c, !to || !from || to->dt == from->dt, s, "the buffers differ in their element type");
}

/* What stands in a loop's body before it, may only compute scalars. */
static void leave(Verify *c, const KStmt *s)
{
    uses(c, s, s->leave.var);
    need(c, is(c, s->leave.var, DT_BOOL), s, "a loop is left by what is no bool");
    need(c, c->may_leave, s, "a loop is left that is not serial, or that has changed something");
}

static void stmt(Verify *c, const KStmt *s)
{
    switch (s->kind) {
    case K_LOOP: loop(c, s); break;
    case K_TASKS: tasks(c, s); break;
    case K_STRIPS: strips(c, s); break;
    case K_LET: let(c, s); break;
    case K_CONST: defines(c, s, s->constant.var); break;
    case K_SIZE:
        defines(c, s, s->size.var);
        need(c, is(c, s->size.var, DT_INT), s, "a size is an int");
        break;
    case K_LOAD:
        same_type(c, s, reads(c, s, s->mem.buf, &s->mem.at), s->mem.var);
        defines(c, s, s->mem.var);
        break;
    case K_STORE:
        uses(c, s, s->mem.var);
        same_type(c, s, writes(c, s, s->mem.buf, &s->mem.at), s->mem.var);
        break;
    case K_START: start(c, s); break;
    case K_UPDATE: update(c, s); break;
    case K_RANDOM:
        uses(c, s, s->random.counter);
        defines(c, s, s->random.var);
        need(c, c->fn == REC_INIT && is(c, s->random.var, DT_REAL), s, "random numbers are real and made by init only");
        break;
    case K_GIVEN:
        defines(c, s, s->given.var);
        need(c, s->given.arg < c->p->arg.n && is(c, s->given.var, DT_BOOL), s, "no such argument, or no bool");
        break;
    case K_CHECK: check(c, s); break;
    case K_LEAVE: leave(c, s); break;
    case K_GEMM: gemm(c, s); break;
    case K_PACK: pack(c, s); break;
    case K_FILL:
    case K_COPY: bulk(c, s); break;
    case K_KIND_COUNT: broken(c, NULL, "a statement without a kind"); break;
    }
}

/* A variable is known behind its definition, to the end of the block. */
static void block(Verify *c, const KBlock *b)
{
    bool serial = c->may_leave;
    for (uint32_t i = 0; i < b->n; i++) {
        serial = serial && (kern_defines(b->p[i]) != K_NONE || b->p[i]->kind == K_LEAVE);
        c->may_leave = serial;
        stmt(c, b->p[i]);
    }
    c->may_leave = false;
    for (uint32_t i = 0; i < b->n; i++)
        if (kern_defines(b->p[i]) < c->p->var.n)
            c->scope[kern_defines(b->p[i])] = GONE;
}

/* ---- buffers ---- */

static void buf(Verify *c, KBufId id)
{
    const KBuf *b = &c->p->buf.p[id];
    need(c, b->kind != K_ARG || b->slot < c->p->arg.n, NULL, "a buffer of no argument");
    need(c, b->kind != K_OUT || b->slot < c->p->out.n, NULL, "a buffer of no output");
    const KBuf *home = b->home < c->p->buf.n ? &c->p->buf.p[b->home] : NULL;
    need(c, b->home == K_NONE || (home && b->kind == K_WORK && home->kind == K_OUT && home->dt == b->dt && b->shares == K_NONE), NULL,
         "a buffer has a home that it does not fit");
    if (b->shares == K_NONE)
        return;
    const KBuf *o = b->shares < c->p->buf.n ? &c->p->buf.p[b->shares] : NULL;
    need(c,
         o && b->kind == K_WORK && o->kind == K_WORK && o->shares == K_NONE && o->size == b->size && o->dt == b->dt &&
             !b->kept,
         NULL, "a buffer shares memory with one that does not fit");
}

bool kern_verify(const KernProg *p, Text *why)
{
    Arena *own = arena_new();
    Verify c = {.p = p, .why = why, .ok = true};
    c.scope = NEWN(own, Scope, p->var.n);
    c.started = NEWN(own, uint32_t, p->var.n);
    c.part = NEWN(own, bool, dim_nsyms(p->dims));
    for (KVar v = 0; v < p->var.n; v++)
        c.started[v] = K_NONE;
    for (KBufId b = 0; b < p->buf.n; b++)
        buf(&c, b);
    for (uint32_t f = 0; f < REC_NFN; f++) {
        c.fn = (RecFn)f;
        block(&c, &p->fn[f]);
    }
    arena_free(own);
    return c.ok;
}
