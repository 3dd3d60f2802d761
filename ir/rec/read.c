/* Reads what print.c writes. Only the form is checked here (words, references to what exists, counts that the form
 * itself needs); whether the program keeps the rules of rec is for rec_verify to say. Ops get new ids, in order.
 *
 * A line is a statement. Blanks separate words; a line that starts with `#` is a comment. Functions of the reader
 * return false once something is wrong, with the message kept from the first time. */
#include "ir/rec/text.h"

enum { MAXDEPTH = 64, MAXNUMBER = 1 << 22 };

typedef struct Reader {
    TextIn *in;
    RecProg *p;
    uint32_t depth;
    VEC(RecId) id; /* by number in the text */
} Reader;

/* ---- lines ---- */

static bool opt_text(Reader *r, const char *key, Str *out)
{
    return !in_accept_word(r->in, key) || in_quoted(r->in, out);
}

static bool end_line(Reader *r)
{
    in_blanks(r->in);
    if (r->in->s == r->in->end)
        return true;
    if (*r->in->s != '\n')
        return in_fail(r->in, "expected the end of the line");
    r->in->s++;
    r->in->line++;
    return true;
}

/* Goes to the next line with something on it; false at the end of the text. */
static bool next_line(Reader *r)
{
    for (in_blanks(r->in); r->in->s < r->in->end; in_blanks(r->in)) {
        if (*r->in->s == '#')
            while (r->in->s < r->in->end && *r->in->s != '\n')
                r->in->s++;
        else if (*r->in->s != '\n')
            return true;
        if (r->in->s < r->in->end)
            r->in->s++;
        r->in->line++;
    }
    return false;
}

/* ---- values ---- */

static bool value(Reader *r, RecId *out)
{
    uint32_t n;
    if (!in_expect(r->in, '%') || !in_number(r->in, MAXNUMBER, &n))
        return false;
    *out = n < r->id.n ? r->id.p[n] : REC_NONE;
    return *out != REC_NONE || in_fail(r->in, "%%%u is not defined before", n);
}

static bool define(Reader *r, uint32_t n, RecId v)
{
    while (r->id.n <= n)
        vec_push(r->in->a, &r->id, REC_NONE);
    if (r->id.p[n] != REC_NONE)
        return in_fail(r->in, "%%%u is defined twice", n);
    r->id.p[n] = v;
    return true;
}

/* `[0,_,2]`, as many as `rank`; none at all for rank 0. */
static bool axes(Reader *r, uint8_t *axis, uint32_t rank)
{
    for (uint32_t i = 0; i < rank; i++) {
        uint32_t n = 0;
        if (!in_expect(r->in, i ? ',' : '['))
            return false;
        in_blanks(r->in);
        if (in_peek(r->in) == '_')
            r->in->s++;
        else if (!in_number(r->in, MAXIT - 1, &n))
            return false;
        axis[i] = (uint8_t)n;
    }
    return !rank || in_expect(r->in, ']');
}

typedef VEC(RecUse) Uses;

/* `(%1[0], %2)`; `;` ends the states of a recurrence. */
static bool operands(Reader *r, RecOp *op)
{
    Uses uses = {0};
    bool split = false;
    if (!in_expect(r->in, '('))
        return false;
    while (!in_accept(r->in, ')')) {
        RecUse u = {0};
        if (op->kind == REC_RECUR && !split && in_accept(r->in, ';')) {
            op->nstate = uses.n;
            split = true;
        } else if (uses.n && !in_expect(r->in, ','))
            return false;
        if (!value(r, &u.v) || (rec_has_space(op->kind) && !axes(r, u.axis, rec_type(r->p, u.v)->rank)))
            return false;
        vec_push(r->in->a, &uses, u);
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
    if (!in_expect_word(r->in, "over") || !in_expect(r->in, '('))
        return false;
    bool bar = false;
    while (!in_accept(r->in, ')')) {
        if (op->nit == rank && !bar && in_accept(r->in, '|'))
            bar = true;
        else if (op->nit && !in_expect(r->in, ','))
            return false;
        if (op->nit == MAXIT)
            return in_fail(r->in, "too many iteration axes");
        if (!in_size(r->in, &op->space[op->nit++]))
            return false;
    }
    return rank == MAXIT || (op->nit >= rank && (bar || op->nit == rank)) ||
           in_fail(r->in, "`|` does not stand behind the axes of the result");
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
    Str w = in_word(r->in);
    for (uint32_t k = 0; k < REC_KIND_COUNT; k++)
        if (k != REC_MAP && str_is(w, rec_kind_text[k])) {
            op->kind = (RecKind)k;
            return true;
        }
    op->kind = REC_MAP;
    return fun_find(w, &op->fun) || in_fail(r->in, "`%.*s` is no operation", STRF(w));
}

static bool index_count(Reader *r, RecOp *op)
{
    if (op->nuse < 1 || op->nuse > MAXRANK + 1)
        return in_fail(r->in, "the number of operands is wrong");
    op->nindex = (uint8_t)(op->nuse - 1);
    return true;
}

static bool along(Reader *r, RecOp *op, bool with_lo)
{
    uint32_t axis;
    if (!in_expect_word(r->in, "along") || !in_number(r->in, MAXRANK - 1, &axis))
        return false;
    op->along = (uint8_t)axis;
    return !with_lo || (in_expect_word(r->in, "from") && in_size(r->in, &op->lo));
}

/* `R, S) from (-1, 0) (0, -1)` behind the first bracket. */
static bool grid(Reader *r, RecOp *op)
{
    RecGrid *g = NEW(r->in->a, RecGrid);
    do {
        if (g->naxes == REC_MAXAXES)
            return in_fail(r->in, "a grid has at most %d axes", REC_MAXAXES);
        if (!in_size(r->in, &g->extent[g->naxes++]))
            return false;
    } while (in_accept(r->in, ','));
    if (!in_expect(r->in, ')') || !in_expect_word(r->in, "from"))
        return false;
    g->by = NEWN(r->in->a, RecOffset, op->nstate + 1);
    for (uint32_t k = 0; k < op->nstate; k++) {
        for (uint32_t i = 0; i < g->naxes; i++) {
            double by;
            if (!in_expect(r->in, i ? ',' : '(') || !in_real(r->in, &by))
                return false;
            if (!(by >= -1024 && by <= 1024) || by != (int16_t)by)
                return in_fail(r->in, "an offset is a whole number from -1024 to 1024");
            g->by[k].by[i] = (int16_t)by;
        }
        if (!in_expect(r->in, ')'))
            return false;
    }
    op->grid = g;
    op->length = g->extent[0];
    return in_expect(r->in, '{');
}

static bool recur_head(Reader *r, RecOp *op)
{
    if (!operands(r, op) || !in_expect_word(r->in, "over"))
        return false;
    if (in_accept(r->in, '('))
        return grid(r, op);
    if (!in_size(r->in, &op->length))
        return false;
    op->reverse = in_accept_word(r->in, "reverse");
    op->chunk = in_accept_word(r->in, "chunk");
    op->until = in_accept_word(r->in, "until");
    op->is_operator = in_accept_word(r->in, "operator");
    if (in_accept_word(r->in, "pieces") && !in_number(r->in, REC_FORM_MAXSIZE, &op->pieces))
        return false;
    return in_expect(r->in, '{');
}

static bool reduction(Reader *r, RecOp *op)
{
    uint32_t red;
    if (!in_one_of(r->in, rec_reduce_text, RED_COUNT, &red))
        return false;
    op->red = (RecReduce)red;
    return operands(r, op) && space(r, op, op->type.rank);
}

/* What follows the op's name. */
static bool rest(Reader *r, RecOp *op)
{
    switch (op->kind) {
    case REC_ARG:
    case REC_GIVEN: return in_number(r->in, MAXNUMBER, &op->arg);
    case REC_CONST: return in_real(r->in, &op->number);
    case REC_DIM: return in_size(r->in, &op->dim);
    case REC_IOTA: return true;
    case REC_RANDOM: return in_number(r->in, UINT32_MAX, &op->stream);
    case REC_MAP: return own_space(op) && operands(r, op);
    case REC_REDUCE: return reduction(r, op);
    case REC_CONTRACT: return operands(r, op) && space(r, op, op->type.rank);
    case REC_GATHER: return own_space(op) && operands(r, op) && index_count(r, op);
    case REC_SCATTER:
        return operands(r, op) && index_count(r, op) && in_expect_word(r->in, "into") &&
               axes(r, op->out_axis, op->type.rank) && space(r, op, MAXIT);
    case REC_SLICE:
    case REC_PAD: return operands(r, op) && along(r, op, true);
    case REC_CONCAT: return operands(r, op) && along(r, op, false);
    case REC_RESHAPE: return operands(r, op);
    case REC_RECUR: return recur_head(r, op);
    case REC_PROJ: return operands(r, op) && in_number(r->in, MAXNUMBER, &op->index);
    case REC_HISTORY:
    case REC_REGARG: return in_number(r->in, MAXNUMBER, &op->index);
    case REC_KIND_COUNT: break;
    }
    return in_fail(r->in, "no such operation");
}

/* ---- regions ---- */

static bool region(Reader *r, RecRegion home);

/* Up to the closing brace. */
static bool yields(Reader *r, RecOp *op)
{
    RecRegionInfo *info = &r->p->region.p[op->region];
    bool split = false;
    while (in_blanks(r->in), in_peek(r->in) != '\n') {
        RecId v;
        if (!split && in_accept(r->in, ';'))
            split = info->result.n == op->nstate || in_fail(r->in, "`;` does not stand behind the states");
        else if (info->result.n && !in_expect(r->in, ','))
            return false;
        if (r->in->error->n || !value(r, &v))
            return false;
        vec_push(r->in->a, &info->result, v);
    }
    if (info->result.n < op->nstate)
        return in_fail(r->in, "a state has no new value");
    op->nout = info->result.n - op->nstate;
    return (split || !op->nout || in_fail(r->in, "expected `;` behind the states")) && end_line(r) &&
           (next_line(r), in_expect(r->in, '}')) && end_line(r);
}

static bool recur_body(Reader *r, RecId v)
{
    RecRegion inner = r->p->region.n;
    vec_push(r->in->a, &r->p->region, (RecRegionInfo){.owner = v});
    rec_op(r->p, v)->region = inner;
    if (++r->depth > MAXDEPTH)
        return in_fail(r->in, "recurrences are nested too deeply");
    if (!region(r, inner))
        return false;
    r->depth--;
    return (in_expect_word(r->in, "yield") || in_fail(r->in, "expected `yield`")) && yields(r, rec_op(r->p, v));
}

/* Lists of the program that know about the op. */
static bool enter(Reader *r, RecId v, uint32_t n, RecRegion home)
{
    const RecOp *op = rec_op(r->p, v);
    if (op->kind == REC_ARG && op->arg < r->p->arg.n)
        r->p->arg.p[op->arg].value = v;
    if (op->kind == REC_REGARG) {
        if (home < REC_NFN || op->index != r->p->region.p[home].arg.n)
            return in_fail(r->in, "the region's arguments are not numbered in order");
        vec_push(r->in->a, &r->p->region.p[home].arg, v);
    }
    vec_push(r->in->a, &r->p->region.p[home].op, v);
    return define(r, n, v);
}

static bool op_line(Reader *r, RecRegion home)
{
    RecOp op = {.home = home};
    uint32_t n;
    if (!in_expect(r->in, '%') || !in_number(r->in, MAXNUMBER, &n) ||
        (in_accept(r->in, ':') && !in_type(r->in, &op.type)) || !in_expect(r->in, '=') || !kind(r, &op) ||
        !rest(r, &op) || (in_accept(r->in, '#') && !in_name(r->in, &op.name)))
        return false;
    vec_push(r->in->a, &r->p->op, op);
    RecId v = r->p->op.n - 1;
    return enter(r, v, n, home) && end_line(r) && (op.kind != REC_RECUR || recur_body(r, v));
}

/* Op lines up to something else. */
static bool region(Reader *r, RecRegion home)
{
    while (next_line(r) && in_peek(r->in) == '%')
        if (!op_line(r, home))
            return false;
    return !r->in->error->n;
}

static bool function(Reader *r, RecFn fn)
{
    if (r->p->region.p[fn].op.n)
        return in_fail(r->in, "the function is there twice");
    return in_expect(r->in, '{') && end_line(r) && region(r, (RecRegion)fn) && in_expect(r->in, '}') && end_line(r);
}

/* ---- what stands around ---- */

static bool time_line(Reader *r)
{
    r->p->has_time = true;
    return in_dim(r->in, &r->p->time) && end_line(r);
}

static bool open_line(Reader *r)
{
    do {
        DimSym s;
        if (!in_dim(r->in, &s))
            return false;
        vec_push(r->in->a, &r->p->open, s);
    } while (in_accept(r->in, ','));
    return end_line(r);
}

bool rec_read_derived(TextIn *in, struct RecDerivedDim *d)
{
    bool ok = in_dim(in, &d->sym) && in_expect(in, '=') && in_size(in, &d->num) && in_expect(in, '/') &&
              in_size(in, &d->den);
    d->floor = ok && in_accept_word(in, "floor");
    return ok;
}

static bool derived_line(Reader *r)
{
    struct RecDerivedDim d = {0};
    if (!rec_read_derived(r->in, &d))
        return false;
    vec_push(r->in->a, &r->p->derived, d);
    return end_line(r);
}

static bool need_line(Reader *r)
{
    struct RecNeed n = {0};
    if (!in_size(r->in, &n.dim))
        return false;
    vec_push(r->in->a, &r->p->need, n);
    return end_line(r);
}

static bool of(Reader *r, uint32_t *out)
{
    return !in_accept_word(r->in, "of") || in_number(r->in, UINT32_MAX, out);
}

void rec_read_arg_marks(TextIn *in, RecArg *a)
{
    a->optional = in_accept_word(in, "optional");
    a->frozen = in_accept_word(in, "frozen");
    a->batched = in_accept_word(in, "batched");
}

static bool arg_line(Reader *r)
{
    RecArg a = {.value = REC_NONE};
    uint32_t i, role;
    if (!in_number(r->in, MAXNUMBER, &i) || !in_name(r->in, &a.name) || !in_expect(r->in, ':') ||
        !in_type(r->in, &a.type) || !in_one_of(r->in, rec_role_text, REC_NROLE, &role) || !of(r, &a.of))
        return false;
    if (i != r->p->arg.n)
        return in_fail(r->in, "arguments are not numbered in order");
    a.role = (RecRole)role;
    rec_read_arg_marks(r->in, &a);
    if (!opt_text(r, "doc", &a.doc))
        return false;
    vec_push(r->in->a, &r->p->arg, a);
    return end_line(r);
}

void rec_read_out_marks(TextIn *in, RecOut *o)
{
    o->batched = in_accept_word(in, "batched");
    o->streams = in_accept_word(in, "streams");
}

static bool out_line(Reader *r)
{
    RecOut o = {0};
    uint32_t role;
    if (!in_name(r->in, &o.name) || !in_expect(r->in, ':') || !in_type(r->in, &o.type) ||
        !in_one_of(r->in, rec_out_role_text, REC_NOUTROLE, &role) || !of(r, &o.of))
        return false;
    o.role = (RecOutRole)role;
    rec_read_out_marks(r->in, &o);
    if (!opt_text(r, "doc", &o.doc) || !opt_text(r, "why", &o.why_not) || !in_expect(r->in, '=') || !value(r, &o.value))
        return false;
    vec_push(r->in->a, &r->p->out, o);
    return end_line(r);
}

static bool statement(Reader *r)
{
    static const char *const word_of[] = {"time", "open", "derived", "need", "arg", "out"};
    static bool (*const line_of[])(Reader *) = {time_line, open_line, derived_line, need_line, arg_line, out_line};
    for (uint32_t i = 0; i < sizeof word_of / sizeof *word_of; i++)
        if (in_accept_word(r->in, word_of[i]))
            return line_of[i](r);
    for (uint32_t fn = 0; fn < REC_NFN; fn++)
        if (in_accept_word(r->in, rec_fn_text[fn]))
            return function(r, (RecFn)fn);
    return in_fail(r->in, "expected `dim`, `time`, `open`, `derived`, `need`, `arg`, `out` or a function");
}

/* `rec NAME`, then the dimensions, in which the program's own symbols are found. */
static bool head(Reader *r)
{
    Str program, doc = {0};
    if (!next_line(r) || !in_expect_word(r->in, "rec"))
        return in_fail(r->in, "expected `rec`");
    if (!in_name(r->in, &program))
        return false;
    bool is_model = in_accept_word(r->in, "model"), batched = in_accept_word(r->in, "batched");
    if (!opt_text(r, "doc", &doc) || !end_line(r))
        return false;
    DimSym s;
    while (next_line(r) && in_accept_word(r->in, "dim"))
        if (!in_new_dim(r->in, &s) || !end_line(r))
            return false;
    r->p = rec_prog_new(r->in->a, r->in->dims, program);
    r->p->is_model = is_model;
    r->p->batched = batched;
    r->p->doc = doc;
    return true;
}

RecProg *rec_read(Arena *a, Str text, Str *error)
{
    TextIn in = in_new(a, text, true, error);
    Reader r = {.in = &in};
    if (!head(&r))
        return NULL;
    while (next_line(&r))
        if (!statement(&r))
            return NULL;
    return r.p;
}
