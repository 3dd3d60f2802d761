/* Reads what print.c writes. Only the form is checked here (words, references to what exists, counts that the form
 * itself needs); whether the program keeps the rules of rec is for rec_verify to say. Ops get new ids, in order.
 *
 * A line is a statement. Blanks separate words; a line that starts with `#` is a comment. Functions of the reader
 * return false once something is wrong, with the message kept from the first time. */
#include "ir/rec/text.h"

#include <stdlib.h>

enum { MAXDEPTH = 64, MAXNUMBER = 1 << 22 };

typedef struct Reader {
    Arena *a;
    RecProg *p;
    DimTab *dims;
    const char *s, *end;
    uint32_t line, depth;
    VEC(RecId) id; /* by number in the text */
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
    return r->s < r->end ? *r->s : '\n';
}

static void blanks(Reader *r)
{
    while (r->s < r->end && (*r->s == ' ' || *r->s == '\t' || *r->s == '\r'))
        r->s++;
}

static bool accept(Reader *r, char c)
{
    blanks(r);
    if (r->s == r->end || *r->s != c)
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

/* One of n words. */
static bool one_of(Reader *r, const char *const *text, uint32_t n, uint32_t *out)
{
    Str w = word(r);
    for (*out = 0; *out < n; ++*out)
        if (str_is(w, text[*out]))
            return true;
    return fail(r, str_fmt(r->a, "`%.*s` is none of the words that can stand here", STRF(w)).p);
}

static bool number(Reader *r, uint32_t most, uint32_t *out)
{
    blanks(r);
    uint64_t n = 0;
    if (!is_digit(peek(r)))
        return fail(r, "expected a number");
    for (; is_digit(peek(r)) && n <= most; r->s++)
        n = n * 10 + (uint64_t)(peek(r) - '0');
    *out = (uint32_t)n;
    return n <= most || fail(r, "the number is too large");
}

static bool quoted(Reader *r, Str *out)
{
    Text t = {.arena = r->a};
    while (r->s < r->end && *r->s != '"' && *r->s != '\n') {
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

static bool name(Reader *r, Str *out)
{
    if (accept(r, '"'))
        return quoted(r, out);
    *out = str_copy(r->a, word(r));
    return out->n || fail(r, "expected a name");
}

static bool opt_text(Reader *r, const char *key, Str *out)
{
    return !accept_word(r, key) || (expect(r, '"') && quoted(r, out));
}

static bool end_line(Reader *r)
{
    blanks(r);
    if (r->s == r->end)
        return true;
    if (*r->s != '\n')
        return fail(r, "expected the end of the line");
    r->s++;
    r->line++;
    return true;
}

/* Goes to the next line with something on it; false at the end of the text. */
static bool next_line(Reader *r)
{
    for (blanks(r); r->s < r->end; blanks(r)) {
        if (*r->s == '#')
            while (r->s < r->end && *r->s != '\n')
                r->s++;
        else if (*r->s != '\n')
            return true;
        if (r->s < r->end)
            r->s++;
        r->line++;
    }
    return false;
}

/* ---- sizes and types ---- */

static bool factor(Reader *r, DimTerm *term, DimSym *sym)
{
    blanks(r);
    if (is_digit(peek(r))) {
        uint32_t n;
        if (!number(r, INT32_MAX, &n))
            return false;
        term->coef *= (int64_t)n;
        return (term->coef < INT64_C(1) << 31 && term->coef > -(INT64_C(1) << 31)) ||
               fail(r, "the number is too large");
    }
    Str w = word(r);
    if (!w.n || !dim_find_sym(r->dims, w, sym))
        return fail(r, str_fmt(r->a, "`%.*s` is no dimension", STRF(w)).p);
    if (term->nsym == DIM_MAXDEG)
        return fail(r, "a size is a product of too many dimensions");
    term->sym[term->nsym++] = *sym;
    return true;
}

static bool term(Reader *r, int64_t sign, Dim *out)
{
    DimTerm t = {.coef = sign};
    DimSym sym;
    do
        if (!factor(r, &t, &sym))
            return false;
    while (accept(r, '*'));
    *out = dim_const(r->dims, t.coef);
    for (uint32_t i = 0; i < t.nsym; i++)
        *out = dim_mul(r->dims, *out, dim_of(r->dims, t.sym[i]));
    return true;
}

static bool size(Reader *r, Dim *out)
{
    Dim one;
    *out = DIM_ZERO;
    int64_t sign = accept(r, '-') ? -1 : 1;
    for (;;) {
        if (!term(r, sign, &one))
            return false;
        *out = dim_add(r->dims, *out, one);
        if (accept(r, '+'))
            sign = 1;
        else if (accept(r, '-'))
            sign = -1;
        else
            return true;
    }
}

static bool type(Reader *r, Type *t)
{
    static const char *const dtype[] = {"real", "int", "bool"};
    uint32_t dt;
    *t = (Type){0};
    if (!one_of(r, dtype, 3, &dt))
        return false;
    t->dt = (DType)dt;
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

/* ---- values ---- */

static bool value(Reader *r, RecId *out)
{
    uint32_t n;
    if (!expect(r, '%') || !number(r, MAXNUMBER, &n))
        return false;
    *out = n < r->id.n ? r->id.p[n] : REC_NONE;
    return *out != REC_NONE || fail(r, str_fmt(r->a, "%%%u is not defined before", n).p);
}

static bool define(Reader *r, uint32_t n, RecId v)
{
    while (r->id.n <= n)
        vec_push(r->a, &r->id, REC_NONE);
    if (r->id.p[n] != REC_NONE)
        return fail(r, str_fmt(r->a, "%%%u is defined twice", n).p);
    r->id.p[n] = v;
    return true;
}

/* `[0,_,2]`, as many as `rank`; none at all for rank 0. */
static bool axes(Reader *r, uint8_t *axis, uint32_t rank)
{
    for (uint32_t i = 0; i < rank; i++) {
        uint32_t n = 0;
        if (!expect(r, i ? ',' : '['))
            return false;
        blanks(r);
        if (peek(r) == '_')
            r->s++;
        else if (!number(r, MAXIT - 1, &n))
            return false;
        axis[i] = (uint8_t)n;
    }
    return !rank || expect(r, ']');
}

typedef VEC(RecUse) Uses;

/* `(%1[0], %2)`; `;` ends the states of a recurrence. */
static bool operands(Reader *r, RecOp *op)
{
    Uses uses = {0};
    bool split = false;
    if (!expect(r, '('))
        return false;
    while (!accept(r, ')')) {
        RecUse u = {0};
        if (op->kind == REC_RECUR && !split && accept(r, ';')) {
            op->nstate = uses.n;
            split = true;
        } else if (uses.n && !expect(r, ','))
            return false;
        if (!value(r, &u.v) || (rec_has_space(op->kind) && !axes(r, u.axis, rec_type(r->p, u.v)->rank)))
            return false;
        vec_push(r->a, &uses, u);
    }
    if (op->kind == REC_RECUR && !split)
        op->nstate = uses.n;
    if (op->kind == REC_RECUR)
        op->nseq = uses.n - op->nstate;
    op->use = uses.p;
    op->nuse = uses.n;
    return true;
}

/* ---- ops ---- */

/* `over (T, 4*H | D)`; the bar stands behind the result's axes, of which there are `rank`. */
static bool space(Reader *r, RecOp *op, uint32_t rank)
{
    if (!expect_word(r, "over") || !expect(r, '('))
        return false;
    bool bar = false;
    while (!accept(r, ')')) {
        if (op->nit == rank && !bar && accept(r, '|'))
            bar = true;
        else if (op->nit && !expect(r, ','))
            return false;
        if (op->nit == MAXIT)
            return fail(r, "too many iteration axes");
        if (!size(r, &op->space[op->nit++]))
            return false;
    }
    return rank == MAXIT || (op->nit >= rank && (bar || op->nit == rank)) ||
           fail(r, "`|` does not stand behind the axes of the result");
}

/* Of ops whose iteration axes are those of the result. */
static bool own_space(RecOp *op)
{
    op->nit = op->type.rank;
    memcpy(op->space, op->type.dim, sizeof op->type.dim);
    return true;
}

static bool kind(Reader *r, RecOp *op)
{
    Str w = word(r);
    for (uint32_t k = 0; k < REC_KIND_COUNT; k++)
        if (k != REC_MAP && str_is(w, rec_kind_text[k])) {
            op->kind = (RecKind)k;
            return true;
        }
    op->kind = REC_MAP;
    return fun_find(w, &op->fun) || fail(r, str_fmt(r->a, "`%.*s` is no operation", STRF(w)).p);
}

static bool constant(Reader *r, double *out)
{
    char s[48];
    uint32_t n = 0;
    for (blanks(r); peek(r) != '\n' && peek(r) != ' ' && n + 1 < sizeof s; r->s++)
        s[n++] = *r->s;
    s[n] = 0;
    char *rest;
    *out = strtod(s, &rest);
    return (n && !*rest) || fail(r, "expected a number");
}

static bool index_count(Reader *r, RecOp *op)
{
    if (op->nuse < 1 || op->nuse > MAXRANK + 1)
        return fail(r, "the number of operands is wrong");
    op->nindex = (uint8_t)(op->nuse - 1);
    return true;
}

static bool along(Reader *r, RecOp *op, bool with_lo)
{
    uint32_t axis;
    if (!expect_word(r, "along") || !number(r, MAXRANK - 1, &axis))
        return false;
    op->along = (uint8_t)axis;
    return !with_lo || (expect_word(r, "from") && size(r, &op->lo));
}

static bool recur_head(Reader *r, RecOp *op)
{
    if (!operands(r, op) || !expect_word(r, "over") || !size(r, &op->length))
        return false;
    op->reverse = accept_word(r, "reverse");
    return expect(r, '{');
}

static bool reduction(Reader *r, RecOp *op)
{
    uint32_t red;
    if (!one_of(r, rec_reduce_text, RED_COUNT, &red))
        return false;
    op->red = (RecReduce)red;
    return operands(r, op) && space(r, op, op->type.rank);
}

/* What follows the op's name. */
static bool rest(Reader *r, RecOp *op)
{
    switch (op->kind) {
    case REC_ARG:
    case REC_GIVEN: return number(r, MAXNUMBER, &op->arg);
    case REC_CONST: return constant(r, &op->number);
    case REC_DIM: return size(r, &op->dim);
    case REC_IOTA: return true;
    case REC_RANDOM: return number(r, UINT32_MAX, &op->stream);
    case REC_MAP: return own_space(op) && operands(r, op);
    case REC_REDUCE: return reduction(r, op);
    case REC_CONTRACT: return operands(r, op) && space(r, op, op->type.rank);
    case REC_GATHER: return own_space(op) && operands(r, op) && index_count(r, op);
    case REC_SCATTER:
        return operands(r, op) && index_count(r, op) && expect_word(r, "into") &&
               axes(r, op->out_axis, op->type.rank) && space(r, op, MAXIT);
    case REC_SLICE:
    case REC_PAD: return operands(r, op) && along(r, op, true);
    case REC_CONCAT: return operands(r, op) && along(r, op, false);
    case REC_RESHAPE: return operands(r, op);
    case REC_RECUR: return recur_head(r, op);
    case REC_PROJ: return operands(r, op) && number(r, MAXNUMBER, &op->index);
    case REC_REGARG: return number(r, MAXNUMBER, &op->index);
    case REC_KIND_COUNT: break;
    }
    return fail(r, "no such operation");
}

/* ---- regions ---- */

static bool region(Reader *r, RecRegion home);

/* Up to the closing brace. */
static bool yields(Reader *r, RecOp *op)
{
    RecRegionInfo *info = &r->p->region.p[op->region];
    bool split = false;
    while (blanks(r), peek(r) != '\n') {
        RecId v;
        if (!split && accept(r, ';'))
            split = info->result.n == op->nstate || fail(r, "`;` does not stand behind the states");
        else if (info->result.n && !expect(r, ','))
            return false;
        if (r->error->n || !value(r, &v))
            return false;
        vec_push(r->a, &info->result, v);
    }
    if (info->result.n < op->nstate)
        return fail(r, "a state has no new value");
    op->nout = info->result.n - op->nstate;
    return (split || !op->nout || fail(r, "expected `;` behind the states")) && end_line(r) &&
           (next_line(r), expect(r, '}')) && end_line(r);
}

static bool recur_body(Reader *r, RecId v)
{
    RecRegion inner = r->p->region.n;
    vec_push(r->a, &r->p->region, (RecRegionInfo){.owner = v});
    rec_op(r->p, v)->region = inner;
    if (++r->depth > MAXDEPTH)
        return fail(r, "recurrences are nested too deeply");
    if (!region(r, inner))
        return false;
    r->depth--;
    return (expect_word(r, "yield") || fail(r, "expected `yield`")) && yields(r, rec_op(r->p, v));
}

/* Lists of the program that know about the op. */
static bool enter(Reader *r, RecId v, uint32_t n, RecRegion home)
{
    const RecOp *op = rec_op(r->p, v);
    if (op->kind == REC_ARG && op->arg < r->p->arg.n)
        r->p->arg.p[op->arg].value = v;
    if (op->kind == REC_REGARG) {
        if (home < REC_NFN || op->index != r->p->region.p[home].arg.n)
            return fail(r, "the region's arguments are not numbered in order");
        vec_push(r->a, &r->p->region.p[home].arg, v);
    }
    vec_push(r->a, &r->p->region.p[home].op, v);
    return define(r, n, v);
}

static bool op_line(Reader *r, RecRegion home)
{
    RecOp op = {.home = home};
    uint32_t n;
    if (!expect(r, '%') || !number(r, MAXNUMBER, &n) || (accept(r, ':') && !type(r, &op.type)) || !expect(r, '=') ||
        !kind(r, &op) || !rest(r, &op) || (accept(r, '#') && !name(r, &op.name)))
        return false;
    vec_push(r->a, &r->p->op, op);
    RecId v = r->p->op.n - 1;
    return enter(r, v, n, home) && end_line(r) && (op.kind != REC_RECUR || recur_body(r, v));
}

/* Op lines up to something else. */
static bool region(Reader *r, RecRegion home)
{
    while (next_line(r) && peek(r) == '%')
        if (!op_line(r, home))
            return false;
    return !r->error->n;
}

static bool function(Reader *r, RecFn fn)
{
    if (r->p->region.p[fn].op.n)
        return fail(r, "the function is there twice");
    return expect(r, '{') && end_line(r) && region(r, (RecRegion)fn) && expect(r, '}') && end_line(r);
}

/* ---- what stands around ---- */

static bool dim_line(Reader *r)
{
    Str w = word(r);
    DimSym sym;
    uint32_t k;
    if (!w.n || dim_find_sym(r->dims, w, &sym))
        return fail(r, "expected the name of a new dimension");
    if (!one_of(r, rec_dim_kind_text, REC_NDIMKIND, &k))
        return false;
    dim_sym_new(r->dims, w, (DimKind)k);
    return end_line(r);
}

static bool symbol(Reader *r, DimSym *out)
{
    Str w = word(r);
    return dim_find_sym(r->dims, w, out) || fail(r, str_fmt(r->a, "`%.*s` is no dimension", STRF(w)).p);
}

static bool time_line(Reader *r)
{
    r->p->has_time = true;
    return symbol(r, &r->p->time) && end_line(r);
}

static bool open_line(Reader *r)
{
    do {
        DimSym s;
        if (!symbol(r, &s))
            return false;
        vec_push(r->a, &r->p->open, s);
    } while (accept(r, ','));
    return end_line(r);
}

static bool derived_line(Reader *r)
{
    struct RecDerivedDim d = {0};
    if (!symbol(r, &d.sym) || !expect(r, '=') || !size(r, &d.num) || !expect(r, '/') || !size(r, &d.den))
        return false;
    vec_push(r->a, &r->p->derived, d);
    return end_line(r);
}

static bool of(Reader *r, uint32_t *out)
{
    return !accept_word(r, "of") || number(r, UINT32_MAX, out);
}

static bool arg_line(Reader *r)
{
    RecArg a = {.value = REC_NONE};
    uint32_t i, role;
    if (!number(r, MAXNUMBER, &i) || !name(r, &a.name) || !expect(r, ':') || !type(r, &a.type) ||
        !one_of(r, rec_role_text, REC_NROLE, &role) || !of(r, &a.of))
        return false;
    if (i != r->p->arg.n)
        return fail(r, "arguments are not numbered in order");
    a.role = (RecRole)role;
    a.optional = accept_word(r, "optional");
    a.frozen = accept_word(r, "frozen");
    a.batched = accept_word(r, "batched");
    if (!opt_text(r, "doc", &a.doc))
        return false;
    vec_push(r->a, &r->p->arg, a);
    return end_line(r);
}

static bool out_line(Reader *r)
{
    RecOut o = {0};
    uint32_t role;
    if (!name(r, &o.name) || !expect(r, ':') || !type(r, &o.type) ||
        !one_of(r, rec_out_role_text, REC_NOUTROLE, &role) || !of(r, &o.of))
        return false;
    o.role = (RecOutRole)role;
    o.batched = accept_word(r, "batched");
    o.streams = accept_word(r, "streams");
    if (!opt_text(r, "why", &o.why_not) || !expect(r, '=') || !value(r, &o.value))
        return false;
    vec_push(r->a, &r->p->out, o);
    return end_line(r);
}

static bool statement(Reader *r)
{
    static const char *const word_of[] = {"time", "open", "derived", "arg", "out"};
    static bool (*const line_of[])(Reader *) = {time_line, open_line, derived_line, arg_line, out_line};
    for (uint32_t i = 0; i < sizeof word_of / sizeof *word_of; i++)
        if (accept_word(r, word_of[i]))
            return line_of[i](r);
    for (uint32_t fn = 0; fn < REC_NFN; fn++)
        if (accept_word(r, rec_fn_text[fn]))
            return function(r, (RecFn)fn);
    return fail(r, "expected `dim`, `time`, `open`, `derived`, `arg`, `out` or a function");
}

/* `rec NAME`, then the dimensions, in which the program's own symbols are found. */
static bool head(Reader *r)
{
    Str program, doc = {0};
    if (!next_line(r) || !expect_word(r, "rec"))
        return fail(r, "expected `rec`");
    if (!name(r, &program))
        return false;
    bool is_model = accept_word(r, "model"), batched = accept_word(r, "batched");
    if (!opt_text(r, "doc", &doc) || !end_line(r))
        return false;
    while (next_line(r) && accept_word(r, "dim"))
        if (!dim_line(r))
            return false;
    r->p = rec_prog_new(r->a, r->dims, program);
    r->p->is_model = is_model;
    r->p->batched = batched;
    r->p->doc = doc;
    return true;
}

RecProg *rec_read(Arena *a, Str text, Str *error)
{
    Reader r = {.a = a, .dims = dim_tab_new(a), .s = text.p, .end = text.p + text.n, .line = 1, .error = error};
    *error = (Str){0};
    if (!head(&r))
        return NULL;
    while (next_line(&r))
        if (!statement(&r))
            return NULL;
    return r.p;
}
