/* Reads what print.c writes; the form is described in kern.md. Only the form is checked here; whether the program keeps
 * the rules of kern is for kern_verify to say. Functions of the reader return false once something is wrong, with the
 * message kept from the first time. Blanks and new lines separate words alike. */
#include "ir/kern/text.h"
#include "ir/rec/text.h"

enum { MAXNUMBER = 1 << 20, MAXNEST = 64 };

typedef struct Reader {
    TextIn *in;
    KernProg *p;
    uint32_t depth;
} Reader;

/* ---- variables and elements ---- */

static bool variable(Reader *r, KVar *v)
{
    if (!in_expect(r->in, '%') || !in_number(r->in, UINT32_MAX, v))
        return false;
    if (*v >= MAXNUMBER)
        return in_fail(r->in, "the number is too large");
    while (r->p->var.n <= *v)
        kern_var(r->p, DT_REAL, false, (Str){0});
    return true;
}

static bool buffer(Reader *r, KBufId *b)
{
    in_blanks(r->in);
    if (in_peek(r->in) != 'b')
        return in_fail(r->in, "expected a buffer");
    r->in->s++;
    return in_number(r->in, UINT32_MAX, b);
}

static bool element(Reader *r, KBufId *b, KIndex *at)
{
    *at = (KIndex){0};
    if (!buffer(r, b) || !in_expect(r->in, '[') || !in_size(r->in, &at->base))
        return false;
    while (in_accept(r->in, ',')) {
        if (at->n == K_MAXTERM)
            return in_fail(r->in, "an address has too many terms");
        if (!variable(r, &at->term[at->n].var) || !in_expect_word(r->in, "by") ||
            !in_size(r->in, &at->term[at->n].stride))
            return false;
        at->n++;
    }
    return in_expect(r->in, ']');
}

static bool view(Reader *r, KView *v)
{
    return element(r, &v->buf, &v->at) && in_expect_word(r->in, "rows") && in_size(r->in, &v->row_stride) &&
           in_expect_word(r->in, "cols") && in_size(r->in, &v->col_stride);
}

/* `=`, or `+=` */
static bool assigns(Reader *r, bool *add)
{
    *add = in_accept(r->in, '+');
    return in_expect(r->in, '=');
}

/* ---- statements ---- */

static bool block(Reader *r, KBlock *to);

static void counts(Reader *r, KVar v)
{
    r->p->var.p[v].dt = DT_INT;
    r->p->var.p[v].loop = true;
}

static bool loop(Reader *r, KStmt *s, uint32_t kind)
{
    s->kind = K_LOOP;
    s->loop.kind = (KLoopKind)kind;
    if (!variable(r, &s->loop.var) || !in_expect(r->in, '<') || !in_size(r->in, &s->loop.extent))
        return false;
    s->loop.reverse = in_accept_word(r->in, "reverse");
    if (in_accept_word(r->in, "from") &&
        (!variable(r, &s->loop.from) || !in_expect_word(r->in, "by") || !in_size(r->in, &s->loop.by)))
        return false;
    counts(r, s->loop.var);
    return block(r, &s->loop.body);
}

static bool tasks(Reader *r, KStmt *s)
{
    s->kind = K_TASKS;
    if (!variable(r, &s->tasks.first) || !in_dim(r->in, &s->tasks.part) || !in_expect(r->in, '<') ||
        !in_size(r->in, &s->tasks.extent) || !in_expect_word(r->in, "grain") ||
        !in_number(r->in, MAXNUMBER, &s->tasks.grain) || !in_expect_word(r->in, "work") ||
        !in_size(r->in, &s->tasks.work) || !in_expect_word(r->in, "least") ||
        !in_number(r->in, UINT32_MAX, &s->tasks.least))
        return false;
    counts(r, s->tasks.first);
    return block(r, &s->tasks.body);
}

static bool strips(Reader *r, KStmt *s)
{
    s->kind = K_STRIPS;
    if (!variable(r, &s->strips.first) || !in_dim(r->in, &s->strips.part) || !in_expect(r->in, '<') ||
        !in_size(r->in, &s->strips.extent) || !in_expect_word(r->in, "length") || !in_size(r->in, &s->strips.length))
        return false;
    s->strips.reverse = in_accept_word(r->in, "reverse");
    counts(r, s->strips.first);
    return block(r, &s->strips.body);
}

static bool let(Reader *r, KStmt *s, KVar var, Str name)
{
    s->kind = K_LET;
    s->let.var = var;
    s->let.arg[0] = s->let.arg[1] = s->let.arg[2] = K_NONE;
    if (!fun_find(name, &s->let.fun))
        return in_fail(r->in, "`%.*s` is no function", STRF(name));
    for (uint32_t i = 0; i < fun_info(s->let.fun)->arity; i++)
        if (!in_expect(r->in, i ? ',' : '(') || !variable(r, &s->let.arg[i]))
            return false;
    return in_expect(r->in, ')');
}

static bool reduction(Reader *r, RecReduce *red)
{
    uint32_t n;
    if (!in_one_of(r->in, rec_reduce_text, RED_COUNT, &n))
        return false;
    *red = (RecReduce)n;
    return true;
}

/* `%3 : real = ...` */
static bool definition(Reader *r, KStmt *s)
{
    KVar v;
    if (!variable(r, &v) || !in_expect(r->in, ':') || !in_dtype(r->in, &r->p->var.p[v].dt) || !in_expect(r->in, '='))
        return false;
    Str w = in_word(r->in);
    if (str_is(w, "const"))
        return *s = (KStmt){.kind = K_CONST, .constant.var = v}, in_real(r->in, &s->constant.number);
    if (str_is(w, "size"))
        return *s = (KStmt){.kind = K_SIZE, .size.var = v}, in_size(r->in, &s->size.dim);
    if (str_is(w, "load"))
        return *s = (KStmt){.kind = K_LOAD, .mem.var = v}, element(r, &s->mem.buf, &s->mem.at);
    if (str_is(w, "start"))
        return *s = (KStmt){.kind = K_START, .acc.var = v, .acc.value = K_NONE}, reduction(r, &s->acc.red);
    if (str_is(w, "random"))
        return *s = (KStmt){.kind = K_RANDOM, .random.var = v},
               in_number(r->in, UINT32_MAX, &s->random.stream) && variable(r, &s->random.counter);
    if (str_is(w, "given"))
        return *s = (KStmt){.kind = K_GIVEN, .given.var = v}, in_number(r->in, UINT32_MAX, &s->given.arg);
    if (str_is(w, "check"))
        return *s = (KStmt){.kind = K_CHECK, .check.var = v},
               variable(r, &s->check.index) && in_expect(r->in, '<') && in_size(r->in, &s->check.bound);
    return let(r, s, v, w);
}

static bool store(Reader *r, KStmt *s)
{
    s->kind = K_STORE;
    return element(r, &s->mem.buf, &s->mem.at) && assigns(r, &s->mem.add) && variable(r, &s->mem.var);
}

static bool update(Reader *r, KStmt *s)
{
    s->kind = K_UPDATE;
    return variable(r, &s->acc.var) && reduction(r, &s->acc.red) && variable(r, &s->acc.value);
}

static bool factors(Reader *r, FactorType *out)
{
    if (!in_accept_word(r->in, "factors"))
        return true;
    for (*out = FACTOR_BF16; *out < FACTOR_COUNT; ++*out)
        if (in_accept_word(r->in, factor_text(*out)))
            return true;
    return in_fail(r->in, "expected bf16, f16 or tf32");
}

static bool gemm(Reader *r, KStmt *s)
{
    s->kind = K_GEMM;
    return in_expect_word(r->in, "m") && in_size(r->in, &s->gemm.m) && in_expect_word(r->in, "n") &&
           in_size(r->in, &s->gemm.n) && in_expect_word(r->in, "k") && in_size(r->in, &s->gemm.k) &&
           view(r, &s->gemm.c) && assigns(r, &s->gemm.add) && view(r, &s->gemm.a) && in_expect(r->in, '@') &&
           view(r, &s->gemm.b) && factors(r, &s->gemm.factor) && (!in_accept_word(r->in, "least") || in_number(r->in, UINT32_MAX, &s->gemm.least)) &&
           (!in_accept_word(r->in, "packed") || (element(r, &s->gemm.packed, &s->gemm.packed_at) &&
                                                 in_expect_word(r->in, "when") && in_size(r->in, &s->gemm.when)));
}

static bool pack(Reader *r, KStmt *s)
{
    s->kind = K_PACK;
    return element(r, &s->pack.buf, &s->pack.at) && in_expect(r->in, '=') && in_expect_word(r->in, "k") &&
           in_size(r->in, &s->pack.k) && in_expect_word(r->in, "n") && in_size(r->in, &s->pack.n) &&
           view(r, &s->pack.b) && in_expect_word(r->in, "when") && in_size(r->in, &s->pack.when);
}

static bool fill(Reader *r, KStmt *s)
{
    s->kind = K_FILL;
    return element(r, &s->fill.buf, &s->fill.at) && in_expect_word(r->in, "count") && in_size(r->in, &s->fill.count) &&
           in_expect(r->in, '=') && in_real(r->in, &s->fill.number);
}

static bool copy(Reader *r, KStmt *s)
{
    s->kind = K_COPY;
    return element(r, &s->copy.dst, &s->copy.to) && in_expect(r->in, '=') && element(r, &s->copy.src, &s->copy.from) &&
           in_expect_word(r->in, "count") && in_size(r->in, &s->copy.count);
}

static bool stmt(Reader *r, KStmt *s)
{
    in_blanks(r->in);
    if (in_peek(r->in) == '%')
        return definition(r, s);
    Str w = in_word(r->in);
    for (uint32_t i = 0; i < KERN_NLOOPKIND; i++)
        if (str_is(w, kern_loop_text[i]))
            return loop(r, s, i);
    if (str_is(w, "tasks"))
        return tasks(r, s);
    if (str_is(w, "strips"))
        return strips(r, s);
    if (str_is(w, "store"))
        return store(r, s);
    if (str_is(w, "update"))
        return update(r, s);
    if (str_is(w, "gemm"))
        return gemm(r, s);
    if (str_is(w, "pack"))
        return pack(r, s);
    if (str_is(w, "fill"))
        return fill(r, s);
    if (str_is(w, "copy"))
        return copy(r, s);
    if (str_is(w, "leave"))
        return *s = (KStmt){.kind = K_LEAVE}, variable(r, &s->leave.var);
    return in_fail(r->in, "expected a statement or `}`");
}

/* `{ ... }` */
static bool block(Reader *r, KBlock *to)
{
    if (r->depth == MAXNEST)
        return in_fail(r->in, "loops are nested too deeply");
    r->depth++;
    if (!in_expect(r->in, '{'))
        return false;
    while (!in_accept(r->in, '}')) {
        KStmt s = {.kind = K_KIND_COUNT};
        if (!stmt(r, &s))
            return false;
        kern_add(r->p, to, s);
    }
    r->depth--;
    return true;
}

/* ---- what stands around ---- */

static bool dims(Reader *r)
{
    while (in_accept_word(r->in, "dim")) {
        DimSym s;
        if (!in_new_dim(r->in, &s))
            return false;
        DimKind kind = dim_sym_info(r->in->dims, s)->kind;
        if (kind == DIM_BATCH)
            r->p->batch = s;
        if (kind == DIM_KEEP)
            r->p->keep = s;
    }
    for (DimSym s; in_accept_word(r->in, "open");) {
        if (!in_dim(r->in, &s))
            return false;
        vec_push(r->in->a, &r->p->open, s);
    }
    for (struct RecDerivedDim d = {0}; in_accept_word(r->in, "derived");) {
        if (!rec_read_derived(r->in, &d))
            return false;
        vec_push(r->in->a, &r->p->derived, d);
    }
    for (struct RecNeed n = {0}; in_accept_word(r->in, "need");) {
        if (!in_size(r->in, &n.dim))
            return false;
        vec_push(r->in->a, &r->p->need, n);
    }
    return true;
}

static bool args(Reader *r)
{
    while (in_accept_word(r->in, "arg")) {
        RecArg a = {.value = REC_NONE};
        uint32_t role;
        if (!in_quoted(r->in, &a.name) || !in_type(r->in, &a.type) ||
            !in_one_of(r->in, rec_role_text, REC_NROLE, &role) || !in_expect_word(r->in, "of") ||
            !in_number(r->in, UINT32_MAX, &a.of))
            return false;
        a.role = (RecRole)role;
        rec_read_arg_marks(r->in, &a);
        vec_push(r->in->a, &r->p->arg, a);
    }
    return true;
}

static bool outs(Reader *r)
{
    while (in_accept_word(r->in, "out")) {
        RecOut o = {.value = REC_NONE};
        uint32_t role;
        if (!in_quoted(r->in, &o.name) || !in_type(r->in, &o.type) ||
            !in_one_of(r->in, rec_out_role_text, REC_NOUTROLE, &role) || !in_expect_word(r->in, "of") ||
            !in_number(r->in, UINT32_MAX, &o.of))
            return false;
        o.role = (RecOutRole)role;
        rec_read_out_marks(r->in, &o);
        vec_push(r->in->a, &r->p->out, o);
    }
    return true;
}

static bool bufs(Reader *r)
{
    while (in_accept_word(r->in, "buf")) {
        KBuf b = {0};
        KBufId id, shares = K_NONE, home = K_NONE;
        uint32_t kind, used;
        if (!buffer(r, &id) || !in_one_of(r->in, kern_buf_text, KERN_NBUFKIND, &kind))
            return false;
        b.kind = (KBufKind)kind;
        if (id != r->p->buf.n)
            return in_fail(r->in, "buffers are numbered in order");
        if (kind != K_WORK && !in_number(r->in, UINT32_MAX, &b.slot))
            return false;
        if (!in_dtype(r->in, &b.dt) || !in_size(r->in, &b.size) || !in_expect_word(r->in, "used") ||
            !in_number(r->in, UINT32_MAX, &used))
            return false;
        b.used_by = (uint8_t)used;
        b.kept = in_accept_word(r->in, "kept");
        if (in_accept_word(r->in, "shares") && !buffer(r, &shares))
            return false;
        if (in_accept_word(r->in, "home") && !buffer(r, &home))
            return false;
        if (!in_quoted(r->in, &b.name))
            return false;
        kern_buf(r->p, b);
        r->p->buf.p[id].shares = shares;
        r->p->buf.p[id].home = home;
    }
    return true;
}

static bool functions(Reader *r)
{
    for (uint32_t f = 0; f < REC_NFN; f++)
        if (in_accept_word(r->in, rec_fn_text[f])) {
            r->p->has_fn[f] = true;
            if (!block(r, &r->p->fn[f]))
                return false;
        }
    in_blanks(r->in);
    return r->in->s == r->in->end || in_fail(r->in, "expected a function or the end of the text");
}

static bool narrow(Reader *r)
{
    bool is_bf16, is_narrow = in_accept_word(r->in, "narrow");
    if (!is_narrow)
        return true;
    is_bf16 = in_accept_word(r->in, "bf16");
    r->p->narrow = is_bf16 ? NARROW_BF16 : NARROW_F16;
    return is_bf16 || in_expect_word(r->in, "f16");
}

static bool whole(Reader *r)
{
    return in_expect_word(r->in, "kern") && in_quoted(r->in, &r->p->name) && narrow(r) && dims(r) && args(r) && outs(r) && bufs(r) &&
           functions(r);
}

KernProg *kern_read(Arena *a, Str text, Str *error)
{
    TextIn in = in_new(a, text, false, error);
    Reader r = {.in = &in};
    r.p = NEW(a, KernProg);
    r.p->arena = a;
    r.p->dims = in.dims;
    r.p->batch = r.p->keep = UINT32_MAX;
    if (!whole(&r))
        return NULL;
    if (r.p->batch == UINT32_MAX || r.p->keep == UINT32_MAX)
        return in_fail(&in, "there is no dimension of kind batch, or of kind keep"), NULL;
    return r.p;
}
