/* Reads what print.c writes; the form is described in kern.md. Only the form is checked here; whether the program keeps
 * the rules of kern is for kern_verify to say. Functions of the reader return false once something is wrong, with the
 * message kept from the first time. Blanks and new lines separate words alike. */
#include "ir/kern/text.h"
#include "ir/rec/text.h"

#include <stdlib.h>

enum { MAXNUMBER = 1 << 20, MAXNEST = 64, MAXDIGITS = 60 };

typedef struct Reader {
    Arena *a;
    KernProg *p;
    const char *s, *end;
    uint32_t line, depth;
    Str *error;
} Reader;

static bool fail(Reader *r, const char *what)
{
    if (r->error && !r->error->n)
        *r->error = str_fmt(r->a, "line %u: %s", r->line, what);
    return false;
}

/* ---- letters ---- */

static char peek(const Reader *r)
{
    return r->s < r->end ? *r->s : '\0';
}

static void blanks(Reader *r)
{
    for (; r->s < r->end && (*r->s == ' ' || *r->s == '\t' || *r->s == '\r' || *r->s == '\n'); r->s++)
        r->line += *r->s == '\n';
}

static bool accept(Reader *r, char c)
{
    blanks(r);
    if (peek(r) != c || r->s == r->end)
        return false;
    r->s++;
    return true;
}

static bool expect(Reader *r, char c)
{
    return accept(r, c) || fail(r, str_fmt(r->a, "expected `%c`", c).p);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static Str word(Reader *r)
{
    blanks(r);
    const char *begin = r->s;
    while (is_letter(peek(r)) || (r->s > begin && (is_digit(peek(r)) || peek(r) == '.')))
        r->s++;
    return (Str){begin, (uint32_t)(r->s - begin)};
}

static bool accept_word(Reader *r, const char *w)
{
    blanks(r);
    const char *before = r->s;
    if (str_is(word(r), w))
        return true;
    r->s = before;
    return false;
}

static bool expect_word(Reader *r, const char *w)
{
    return accept_word(r, w) || fail(r, str_fmt(r->a, "expected `%s`", w).p);
}

static bool one_of(Reader *r, const char *const *text, uint32_t n, uint32_t *out)
{
    Str w = word(r);
    for (*out = 0; *out < n; ++*out)
        if (str_is(w, text[*out]))
            return true;
    return fail(r, str_fmt(r->a, "`%.*s` is none of the words that can stand here", STRF(w)).p);
}

static bool natural(Reader *r, uint32_t *out)
{
    blanks(r);
    uint64_t n = 0;
    if (!is_digit(peek(r)))
        return fail(r, "expected a number");
    for (; is_digit(peek(r)) && n <= UINT32_MAX; r->s++)
        n = n * 10 + (uint64_t)(peek(r) - '0');
    *out = (uint32_t)n;
    return n <= UINT32_MAX || fail(r, "the number is too large");
}

static bool real_number(Reader *r, double *out)
{
    blanks(r);
    char text[MAXDIGITS + 1] = {0};
    uint32_t n = 0;
    while (n < MAXDIGITS &&
           (is_letter(peek(r)) || is_digit(peek(r)) || peek(r) == '.' || peek(r) == '-' || peek(r) == '+'))
        text[n++] = *r->s++;
    char *rest;
    *out = strtod(text, &rest);
    return (n && !*rest) || fail(r, "expected a number");
}

static bool quoted(Reader *r, Str *out)
{
    Text t = {.arena = r->a};
    if (!expect(r, '"'))
        return false;
    while (r->s < r->end && *r->s != '"') {
        char c = *r->s++;
        if (c == '\\' && r->s < r->end) {
            c = *r->s++;
            c = c == 'n' ? '\n' : c;
        }
        text_put(&t, &c, 1);
    }
    *out = text_str(&t);
    return expect(r, '"');
}

/* ---- sizes and types ---- */

static bool dimension(Reader *r, DimSym *out)
{
    Str w = word(r);
    return (w.n && dim_find_sym(r->p->dims, w, out)) || fail(r, str_fmt(r->a, "`%.*s` is no dimension", STRF(w)).p);
}

static bool term(Reader *r, int64_t sign, Dim *out)
{
    int64_t coef = sign;
    Dim product = DIM_ONE;
    uint32_t nsym = 0;
    do {
        DimSym s;
        uint32_t n;
        blanks(r);
        if (is_digit(peek(r))) {
            if (!natural(r, &n))
                return false;
            if (__builtin_mul_overflow(coef, (int64_t)n, &coef) || coef > INT32_MAX || coef < -INT32_MAX)
                return fail(r, "the number is too large");
        } else {
            if (!dimension(r, &s))
                return false;
            if (++nsym > DIM_MAXDEG)
                return fail(r, "a size is a product of too many dimensions");
            product = dim_mul(r->p->dims, product, dim_of(r->p->dims, s));
        }
    } while (accept(r, '*'));
    *out = dim_mul(r->p->dims, product, dim_const(r->p->dims, coef));
    return true;
}

static bool size(Reader *r, Dim *out)
{
    *out = DIM_ZERO;
    for (int64_t sign = accept(r, '-') ? -1 : 1;;) {
        Dim one;
        if (!term(r, sign, &one))
            return false;
        *out = dim_add(r->p->dims, *out, one);
        blanks(r);
        if (r->end - r->s > 1 && r->s[1] == '=')
            return true; /* the `+` of `+=` */
        if (accept(r, '+'))
            sign = 1;
        else if (accept(r, '-'))
            sign = -1;
        else
            return true;
    }
}

static bool dtype(Reader *r, DType *out)
{
    static const char *const name[] = {"real", "int", "bool"};
    uint32_t dt;
    if (!one_of(r, name, 3, &dt))
        return false;
    *out = (DType)dt;
    return true;
}

static bool type(Reader *r, Type *t)
{
    *t = (Type){0};
    if (!dtype(r, &t->dt))
        return false;
    if (!accept(r, '['))
        return true;
    do {
        if (t->rank == MAXRANK)
            return fail(r, "too many axes");
        if (!size(r, &t->dim[t->rank++]))
            return false;
    } while (accept(r, ','));
    return expect(r, ']');
}

/* ---- variables and elements ---- */

static bool variable(Reader *r, KVar *v)
{
    if (!expect(r, '%') || !natural(r, v))
        return false;
    if (*v >= MAXNUMBER)
        return fail(r, "the number is too large");
    while (r->p->var.n <= *v)
        kern_var(r->p, DT_REAL, false, (Str){0});
    return true;
}

static bool buffer(Reader *r, KBufId *b)
{
    blanks(r);
    if (peek(r) != 'b')
        return fail(r, "expected a buffer");
    r->s++;
    return natural(r, b);
}

static bool element(Reader *r, KBufId *b, KIndex *at)
{
    *at = (KIndex){0};
    if (!buffer(r, b) || !expect(r, '[') || !size(r, &at->base))
        return false;
    while (accept(r, ',')) {
        if (at->n == K_MAXTERM)
            return fail(r, "an address has too many terms");
        if (!variable(r, &at->term[at->n].var) || !expect_word(r, "by") || !size(r, &at->term[at->n].stride))
            return false;
        at->n++;
    }
    return expect(r, ']');
}

static bool view(Reader *r, KView *v)
{
    return element(r, &v->buf, &v->at) && expect_word(r, "rows") && size(r, &v->row_stride) && expect_word(r, "cols") &&
           size(r, &v->col_stride);
}

/* `=`, or `+=` */
static bool assigns(Reader *r, bool *add)
{
    *add = accept(r, '+');
    return expect(r, '=');
}

/* ---- statements ---- */

static bool block(Reader *r, KBlock *to);

static bool loop(Reader *r, KStmt *s, uint32_t kind)
{
    s->kind = K_LOOP;
    s->loop.kind = (KLoopKind)kind;
    if (!variable(r, &s->loop.var) || !expect(r, '<') || !size(r, &s->loop.extent))
        return false;
    s->loop.reverse = accept_word(r, "reverse");
    r->p->var.p[s->loop.var].dt = DT_INT;
    r->p->var.p[s->loop.var].loop = true;
    return block(r, &s->loop.body);
}

static bool let(Reader *r, KStmt *s, KVar var, Str name)
{
    s->kind = K_LET;
    s->let.var = var;
    s->let.arg[0] = s->let.arg[1] = s->let.arg[2] = K_NONE;
    if (!fun_find(name, &s->let.fun))
        return fail(r, str_fmt(r->a, "`%.*s` is no function", STRF(name)).p);
    for (uint32_t i = 0; i < fun_info(s->let.fun)->arity; i++)
        if (!expect(r, i ? ',' : '(') || !variable(r, &s->let.arg[i]))
            return false;
    return expect(r, ')');
}

static bool reduction(Reader *r, RecReduce *red)
{
    uint32_t n;
    if (!one_of(r, rec_reduce_text, RED_COUNT, &n))
        return false;
    *red = (RecReduce)n;
    return true;
}

/* `%3 : real = ...` */
static bool definition(Reader *r, KStmt *s)
{
    KVar v;
    if (!variable(r, &v) || !expect(r, ':') || !dtype(r, &r->p->var.p[v].dt) || !expect(r, '='))
        return false;
    Str w = word(r);
    if (str_is(w, "const"))
        return *s = (KStmt){.kind = K_CONST, .constant.var = v}, real_number(r, &s->constant.number);
    if (str_is(w, "size"))
        return *s = (KStmt){.kind = K_SIZE, .size.var = v}, size(r, &s->size.dim);
    if (str_is(w, "load"))
        return *s = (KStmt){.kind = K_LOAD, .mem.var = v}, element(r, &s->mem.buf, &s->mem.at);
    if (str_is(w, "start"))
        return *s = (KStmt){.kind = K_START, .acc.var = v, .acc.value = K_NONE}, reduction(r, &s->acc.red);
    if (str_is(w, "random"))
        return *s = (KStmt){.kind = K_RANDOM, .random.var = v},
               natural(r, &s->random.stream) && variable(r, &s->random.counter);
    if (str_is(w, "given"))
        return *s = (KStmt){.kind = K_GIVEN, .given.var = v}, natural(r, &s->given.arg);
    if (str_is(w, "check"))
        return *s = (KStmt){.kind = K_CHECK, .check.var = v},
               variable(r, &s->check.index) && expect(r, '<') && size(r, &s->check.bound);
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

static bool gemm(Reader *r, KStmt *s)
{
    s->kind = K_GEMM;
    return expect_word(r, "m") && size(r, &s->gemm.m) && expect_word(r, "n") && size(r, &s->gemm.n) &&
           expect_word(r, "k") && size(r, &s->gemm.k) && view(r, &s->gemm.c) && assigns(r, &s->gemm.add) &&
           view(r, &s->gemm.a) && expect(r, '@') && view(r, &s->gemm.b);
}

static bool fill(Reader *r, KStmt *s)
{
    s->kind = K_FILL;
    return element(r, &s->fill.buf, &s->fill.at) && expect_word(r, "count") && size(r, &s->fill.count) &&
           expect(r, '=') && real_number(r, &s->fill.number);
}

static bool copy(Reader *r, KStmt *s)
{
    s->kind = K_COPY;
    return element(r, &s->copy.dst, &s->copy.to) && expect(r, '=') && element(r, &s->copy.src, &s->copy.from) &&
           expect_word(r, "count") && size(r, &s->copy.count);
}

static bool stmt(Reader *r, KStmt *s)
{
    blanks(r);
    if (peek(r) == '%')
        return definition(r, s);
    Str w = word(r);
    for (uint32_t i = 0; i < KERN_NLOOPKIND; i++)
        if (str_is(w, kern_loop_text[i]))
            return loop(r, s, i);
    if (str_is(w, "store"))
        return store(r, s);
    if (str_is(w, "update"))
        return update(r, s);
    if (str_is(w, "gemm"))
        return gemm(r, s);
    if (str_is(w, "fill"))
        return fill(r, s);
    if (str_is(w, "copy"))
        return copy(r, s);
    return fail(r, "expected a statement or `}`");
}

/* `{ ... }` */
static bool block(Reader *r, KBlock *to)
{
    if (r->depth == MAXNEST)
        return fail(r, "loops are nested too deeply");
    r->depth++;
    if (!expect(r, '{'))
        return false;
    while (!accept(r, '}')) {
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
    while (accept_word(r, "dim")) {
        uint32_t kind;
        DimSym s;
        Str name = word(r);
        if (!name.n || dim_find_sym(r->p->dims, name, &s))
            return fail(r, "expected the name of a new dimension");
        if (!one_of(r, rec_dim_kind_text, REC_NDIMKIND, &kind))
            return false;
        s = dim_sym_new(r->p->dims, name, (DimKind)kind);
        if (kind == DIM_BATCH)
            r->p->batch = s;
        if (kind == DIM_KEEP)
            r->p->keep = s;
    }
    for (DimSym s; accept_word(r, "open");) {
        if (!dimension(r, &s))
            return false;
        vec_push(r->a, &r->p->open, s);
    }
    for (struct RecDerivedDim d; accept_word(r, "derived");) {
        if (!dimension(r, &d.sym) || !expect(r, '=') || !size(r, &d.num) || !expect(r, '/') || !size(r, &d.den))
            return false;
        vec_push(r->a, &r->p->derived, d);
    }
    return true;
}

static bool args(Reader *r)
{
    while (accept_word(r, "arg")) {
        RecArg a = {.value = REC_NONE};
        uint32_t role;
        if (!quoted(r, &a.name) || !type(r, &a.type) || !one_of(r, rec_role_text, REC_NROLE, &role) ||
            !expect_word(r, "of") || !natural(r, &a.of))
            return false;
        a.role = (RecRole)role;
        a.optional = accept_word(r, "optional");
        a.frozen = accept_word(r, "frozen");
        a.batched = accept_word(r, "batched");
        vec_push(r->a, &r->p->arg, a);
    }
    return true;
}

static bool outs(Reader *r)
{
    while (accept_word(r, "out")) {
        RecOut o = {.value = REC_NONE};
        uint32_t role;
        if (!quoted(r, &o.name) || !type(r, &o.type) || !one_of(r, rec_out_role_text, REC_NOUTROLE, &role) ||
            !expect_word(r, "of") || !natural(r, &o.of))
            return false;
        o.role = (RecOutRole)role;
        o.batched = accept_word(r, "batched");
        o.streams = accept_word(r, "streams");
        vec_push(r->a, &r->p->out, o);
    }
    return true;
}

static bool bufs(Reader *r)
{
    while (accept_word(r, "buf")) {
        KBuf b = {0};
        KBufId id, shares = K_NONE;
        uint32_t kind, used;
        if (!buffer(r, &id) || !one_of(r, kern_buf_text, KERN_NBUFKIND, &kind))
            return false;
        b.kind = (KBufKind)kind;
        if (id != r->p->buf.n)
            return fail(r, "buffers are numbered in order");
        if (kind != K_WORK && !natural(r, &b.slot))
            return false;
        if (!dtype(r, &b.dt) || !size(r, &b.size) || !expect_word(r, "used") || !natural(r, &used))
            return false;
        b.used_by = (uint8_t)used;
        b.kept = accept_word(r, "kept");
        if (accept_word(r, "shares") && !buffer(r, &shares))
            return false;
        if (!quoted(r, &b.name))
            return false;
        kern_buf(r->p, b);
        r->p->buf.p[id].shares = shares;
    }
    return true;
}

static bool functions(Reader *r)
{
    for (uint32_t f = 0; f < REC_NFN; f++)
        if (accept_word(r, rec_fn_text[f])) {
            r->p->has_fn[f] = true;
            if (!block(r, &r->p->fn[f]))
                return false;
        }
    blanks(r);
    return r->s == r->end || fail(r, "expected a function or the end of the text");
}

static bool whole(Reader *r)
{
    return expect_word(r, "kern") && quoted(r, &r->p->name) && dims(r) && args(r) && outs(r) && bufs(r) && functions(r);
}

KernProg *kern_read(Arena *a, Str text, Str *error)
{
    Reader r = {.a = a, .s = text.p, .end = text.p + text.n, .line = 1, .error = error};
    if (error)
        *error = (Str){0};
    r.p = NEW(a, KernProg);
    r.p->arena = a;
    r.p->dims = dim_tab_new(a);
    r.p->batch = r.p->keep = UINT32_MAX;
    if (!whole(&r))
        return NULL;
    if (r.p->batch == UINT32_MAX || r.p->keep == UINT32_MAX)
        return fail(&r, "there is no dimension of kind batch, or of kind keep"), NULL;
    return r.p;
}
