/* rec as text, one op a line. The form is described in rec.md; read.c reads it back. Also prints programs that the
 * verifier refuses, as far as they can be followed. */
#include "ir/rec/text.h"

const char *const rec_kind_text[REC_KIND_COUNT] = {
#define OP(ENUM, TEXT, CLASS) [REC_##ENUM] = TEXT,
#include "ir/rec/rec_ops.def"
#undef OP
};
const char *const rec_reduce_text[RED_COUNT] = {"sum", "prod", "max", "min"};
const char *const rec_role_text[REC_NROLE] = {"param", "plan", "input", "start", "lengths", "resets", "cotangent", "guess", "seed"};
const char *const rec_out_role_text[REC_NOUTROLE] = {"value", "final", "grad", "grad_param", "param", "report"};
const char *const rec_fn_text[REC_NFN] = {"forward", "backward", "init"};

bool rec_has_space(RecKind kind)
{
    return kind == REC_MAP || kind == REC_REDUCE || kind == REC_CONTRACT || kind == REC_GATHER || kind == REC_SCATTER;
}

/* ---- numbers ---- */

typedef struct Numbering {
    const RecProg *p;
    uint32_t *number;
    bool *seen; /* regions: a broken program may nest them in a circle */
    uint32_t next;
} Numbering;

static void number_region(Numbering *n, RecRegion r)
{
    if (r >= n->p->region.n || n->seen[r])
        return;
    n->seen[r] = true;
    for (uint32_t i = 0; i < n->p->region.p[r].op.n; i++) {
        RecId v = n->p->region.p[r].op.p[i];
        if (v >= n->p->op.n || n->number[v] != REC_NONE)
            continue;
        n->number[v] = n->next++;
        if (n->p->op.p[v].kind == REC_RECUR)
            number_region(n, n->p->op.p[v].region);
    }
}

const uint32_t *rec_numbers(Arena *a, const RecProg *p)
{
    Numbering n = {p, NEWN(a, uint32_t, p->op.n), NEWN(a, bool, p->region.n), 0};
    for (uint32_t i = 0; i < p->op.n; i++)
        n.number[i] = REC_NONE;
    for (RecRegion r = 0; r < REC_NFN && r < p->region.n; r++)
        number_region(&n, r);
    return n.number;
}

/* ---- one op ---- */

static void value(Text *out, const RecProg *p, const uint32_t *number, RecId v)
{
    if (v < p->op.n && number[v] != REC_NONE)
        text_add(out, "%%%u", number[v]);
    else
        text_add(out, "%%?%u", v);
}

/* `[0,_,2]`: axes below `from` follow no iteration axis. */
static void axes(Text *out, const uint8_t *axis, uint32_t from, uint32_t rank)
{
    for (uint32_t i = 0; i < rank && i < MAXRANK; i++) {
        text_add(out, i ? "," : "[");
        if (i < from)
            text_add(out, "_");
        else
            text_add(out, "%u", axis[i]);
    }
    text_add(out, rank ? "]" : "");
}

static void operands(Text *out, const RecProg *p, const uint32_t *number, const RecOp *op)
{
    text_add(out, "(");
    for (uint32_t i = 0; i < op->nuse; i++) {
        bool first_seq = op->kind == REC_RECUR && i == op->nstate;
        text_add(out, first_seq ? "; " : i ? ", " : "");
        value(out, p, number, op->use[i].v);
        if (rec_has_space(op->kind) && op->use[i].v < p->op.n)
            axes(out, op->use[i].axis, op->kind == REC_GATHER && i == 0 ? op->nindex : 0,
                 rec_type(p, op->use[i].v)->rank);
    }
    text_add(out, ")");
}

/* ` over (T, 4*H | D)`: the iteration axes, those behind the bar reduced. */
static void space(Text *out, const RecProg *p, const RecOp *op, uint32_t rank)
{
    text_add(out, " over (");
    for (uint32_t i = 0; i < op->nit && i < MAXIT; i++) {
        text_add(out, i == rank ? (i ? " | " : "| ") : i ? ", " : "");
        dim_print(out, p->dims, op->space[i]);
    }
    text_add(out, ")");
}

static void along(Text *out, const RecProg *p, const RecOp *op, bool with_lo)
{
    text_add(out, " along %u", op->along);
    if (!with_lo)
        return;
    text_add(out, " from ");
    dim_print(out, p->dims, op->lo);
}

/* `(R, S) from (-1, 0) (0, -1)`: the extents, and for each state where it is read. */
static void grid(Text *out, const RecProg *p, const RecOp *op)
{
    for (uint32_t i = 0; i < op->grid->naxes; i++) {
        text_add(out, i ? ", " : "(");
        dim_print(out, p->dims, op->grid->extent[i]);
    }
    text_add(out, ") from");
    for (uint32_t k = 0; k < op->nstate; k++) {
        for (uint32_t i = 0; i < op->grid->naxes; i++)
            text_add(out, "%s%d", i ? ", " : " (", op->grid->by[k].by[i]);
        text_add(out, ")");
    }
}

static void recur(Text *out, const RecProg *p, const RecOp *op)
{
    text_add(out, " over ");
    if (op->grid) {
        grid(out, p, op);
        return;
    }
    dim_print(out, p->dims, op->length);
    text_add(out, "%s%s%s%s", op->reverse ? " reverse" : "", op->chunk ? " chunk" : "", op->until ? " until" : "", op->is_operator ? " operator" : "");
    if (op->pieces)
        text_add(out, " pieces %u", op->pieces);
}

void rec_print_op(Text *out, const RecProg *p, const uint32_t *number, RecId v)
{
    const RecOp *op = rec_op(p, v);
    value(out, p, number, v);
    if ((uint32_t)op->kind >= REC_KIND_COUNT || op->type.rank > MAXRANK ||
        (op->kind == REC_MAP && (uint32_t)op->fun >= FUN_COUNT)) {
        text_add(out, " = ?");
        return;
    }
    if (op->kind != REC_RECUR) {
        text_add(out, " : ");
        out_type(out, p->dims, &op->type);
    }
    text_add(out, " = %s", op->kind == REC_MAP ? fun_info(op->fun)->text : rec_kind_text[op->kind]);
    if (op->kind == REC_REDUCE)
        text_add(out, " %s", op->red < RED_COUNT ? rec_reduce_text[op->red] : "?");
    if (op->nuse || op->kind == REC_RECUR || op->kind == REC_CONCAT)
        operands(out, p, number, op);
    switch (op->kind) {
    case REC_ARG:
    case REC_GIVEN: text_add(out, " %u", op->arg); break;
    case REC_CONST: text_add(out, " "), out_real(out, op->number); break;
    case REC_DIM: text_add(out, " "), dim_print(out, p->dims, op->dim); break;
    case REC_RANDOM: text_add(out, " %u", op->stream); break;
    case REC_REDUCE:
    case REC_CONTRACT: space(out, p, op, op->type.rank); break;
    case REC_SCATTER:
        text_add(out, " into ");
        axes(out, op->out_axis, op->nindex, op->type.rank);
        space(out, p, op, MAXIT);
        break;
    case REC_SLICE:
    case REC_PAD: along(out, p, op, true); break;
    case REC_CONCAT: along(out, p, op, false); break;
    case REC_RECUR: recur(out, p, op); break;
    case REC_PROJ:
    case REC_HISTORY:
    case REC_REGARG: text_add(out, " %u", op->index); break;
    case REC_MAP:
    case REC_GATHER:
    case REC_IOTA:
    case REC_RESHAPE:
    case REC_KIND_COUNT: break;
    }
}

/* ---- regions ---- */

typedef struct Printer {
    Text *out;
    const RecProg *p;
    const uint32_t *number;
    bool *open; /* regions that are being printed */
} Printer;

static void region(Printer *w, RecRegion r, int depth);

static void yields(Printer *w, const RecOp *op, int depth)
{
    text_add(w->out, "%*syield", depth * 2, "");
    for (uint32_t i = 0; i < w->p->region.p[op->region].result.n; i++) {
        text_add(w->out, i == op->nstate ? "; " : i ? ", " : " ");
        value(w->out, w->p, w->number, w->p->region.p[op->region].result.p[i]);
    }
    text_add(w->out, "\n");
}

static void line(Printer *w, RecId v, int depth)
{
    const RecOp *op = rec_op(w->p, v);
    text_add(w->out, "%*s", depth * 2, "");
    rec_print_op(w->out, w->p, w->number, v);
    text_add(w->out, op->kind == REC_RECUR ? " {" : "");
    if (op->name.n) {
        text_add(w->out, "  # ");
        out_name(w->out, op->name);
    }
    text_add(w->out, "\n");
    if (op->kind != REC_RECUR)
        return;
    if (op->region < w->p->region.n && !w->open[op->region]) {
        region(w, op->region, depth + 1);
        yields(w, op, depth + 1);
    }
    text_add(w->out, "%*s}\n", depth * 2, "");
}

static void region(Printer *w, RecRegion r, int depth)
{
    w->open[r] = true;
    for (uint32_t i = 0; i < w->p->region.p[r].op.n; i++)
        if (w->p->region.p[r].op.p[i] < w->p->op.n)
            line(w, w->p->region.p[r].op.p[i], depth);
    w->open[r] = false;
}

/* ---- what stands around ---- */

static void mark(const RecProg *p, bool *used, Dim d)
{
    for (uint32_t i = 0; i < dim_nterms(p->dims, d); i++)
        for (uint32_t k = 0; k < dim_term(p->dims, d, i)->nsym; k++)
            used[dim_term(p->dims, d, i)->sym[k]] = true;
}

static void mark_type(const RecProg *p, bool *used, const Type *t)
{
    for (uint32_t i = 0; i < t->rank && i < MAXRANK; i++)
        mark(p, used, t->dim[i]);
}

static void mark_op(const RecProg *p, bool *used, const RecOp *op)
{
    mark_type(p, used, &op->type);
    for (uint32_t i = 0; i < op->nit && i < MAXIT; i++)
        mark(p, used, op->space[i]);
    if (op->kind == REC_DIM)
        mark(p, used, op->dim);
    if (op->kind == REC_SLICE || op->kind == REC_PAD)
        mark(p, used, op->lo);
    if (op->kind == REC_RECUR)
        mark(p, used, op->length);
    for (uint32_t i = 0; op->kind == REC_RECUR && op->grid && i < op->grid->naxes; i++)
        mark(p, used, op->grid->extent[i]);
}

const bool *rec_dims_used(Arena *a, const RecProg *p)
{
    bool *used = NEWN(a, bool, dim_nsyms(p->dims));
    used[p->batch] = used[p->keep] = true;
    if (p->has_time)
        used[p->time] = true;
    for (uint32_t i = 0; i < p->open.n; i++)
        used[p->open.p[i]] = true;
    for (uint32_t i = 0; i < p->derived.n; i++) {
        used[p->derived.p[i].sym] = true;
        mark(p, used, p->derived.p[i].num);
        mark(p, used, p->derived.p[i].den);
    }
    for (uint32_t i = 0; i < p->need.n; i++)
        mark(p, used, p->need.p[i].dim);
    for (uint32_t i = 0; i < p->arg.n; i++)
        mark_type(p, used, &p->arg.p[i].type);
    for (uint32_t i = 0; i < p->out.n; i++)
        mark_type(p, used, &p->out.p[i].type);
    for (uint32_t r = 0; r < p->region.n; r++)
        for (uint32_t i = 0; i < p->region.p[r].op.n; i++)
            if (p->region.p[r].op.p[i] < p->op.n)
                mark_op(p, used, rec_op(p, p->region.p[r].op.p[i]));
    return used;
}

static Str sym_name(const RecProg *p, DimSym s)
{
    return dim_sym_info(p->dims, s)->name;
}

void rec_print_derived(Text *out, const DimTab *t, const struct RecDerivedDim *d)
{
    text_add(out, "derived %.*s = ", STRF(dim_sym_info(t, d->sym)->name));
    dim_print(out, t, d->num);
    text_add(out, " / ");
    dim_print(out, t, d->den);
    text_add(out, d->floor ? " floor\n" : "\n");
}

void rec_print_need(Text *out, const DimTab *t, Dim d)
{
    text_add(out, "need ");
    dim_print(out, t, d);
    text_add(out, "\n");
}

static void dims(Text *out, const RecProg *p)
{
    const bool *used = rec_dims_used(out->arena, p);
    for (DimSym s = 0; s < dim_nsyms(p->dims); s++)
        if (used[s])
            out_new_dim(out, p->dims, s);
    if (p->has_time)
        text_add(out, "time %.*s\n", STRF(sym_name(p, p->time)));
    for (uint32_t i = 0; i < p->open.n; i++)
        text_add(out, "%s%.*s%s", i ? ", " : "open ", STRF(sym_name(p, p->open.p[i])), i + 1 == p->open.n ? "\n" : "");
    for (uint32_t i = 0; i < p->derived.n; i++)
        rec_print_derived(out, p->dims, &p->derived.p[i]);
    for (uint32_t i = 0; i < p->need.n; i++)
        rec_print_need(out, p->dims, p->need.p[i].dim);
}

static void doc(Text *out, Str s, const char *before)
{
    if (!s.n)
        return;
    text_add(out, "%s", before);
    out_quoted(out, s);
}

void rec_print_arg_marks(Text *out, const RecArg *a)
{
    text_add(out, "%s%s%s", a->optional ? " optional" : "", a->frozen ? " frozen" : "", a->batched ? " batched" : "");
}

void rec_print_out_marks(Text *out, const RecOut *o)
{
    text_add(out, "%s%s", o->batched ? " batched" : "", o->streams ? " streams" : "");
}

static void arg(Text *out, const RecProg *p, uint32_t i)
{
    const RecArg *a = &p->arg.p[i];
    text_add(out, "arg %u ", i);
    out_name(out, a->name);
    text_add(out, " : ");
    out_type(out, p->dims, &a->type);
    text_add(out, " %s", rec_role_text[a->role]);
    if (a->role == ROLE_COTANGENT || a->role == ROLE_START)
        text_add(out, " of %u", a->of);
    rec_print_arg_marks(out, a);
    doc(out, a->doc, " doc ");
    text_add(out, "\n");
}

static void output(Printer *w, const RecOut *o)
{
    text_add(w->out, "out ");
    out_name(w->out, o->name);
    text_add(w->out, " : ");
    out_type(w->out, w->p->dims, &o->type);
    text_add(w->out, " %s", rec_out_role_text[o->role]);
    if (o->role != OUT_VALUE && o->role != OUT_REPORT)
        text_add(w->out, " of %u", o->of);
    rec_print_out_marks(w->out, o);
    doc(w->out, o->doc, " doc ");
    doc(w->out, o->why_not, " why ");
    text_add(w->out, " = ");
    value(w->out, w->p, w->number, o->value);
    text_add(w->out, "\n");
}

void rec_print(Text *out, const RecProg *p)
{
    Printer w = {out, p, rec_numbers(out->arena, p), NEWN(out->arena, bool, p->region.n)};
    text_add(out, "rec ");
    out_name(out, p->name);
    text_add(out, "%s%s", p->is_model ? " model" : "", p->batched ? " batched" : "");
    doc(out, p->doc, " doc ");
    text_add(out, "\n");
    dims(out, p);
    for (uint32_t i = 0; i < p->arg.n; i++)
        arg(out, p, i);
    for (RecRegion r = 0; r < REC_NFN; r++)
        if (p->region.p[r].op.n) {
            text_add(out, "%s {\n", rec_fn_text[r]);
            region(&w, r, 1);
            text_add(out, "}\n");
        }
    for (uint32_t i = 0; i < p->out.n; i++)
        output(&w, &p->out.p[i]);
}
