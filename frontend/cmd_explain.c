/* explain: how each cell and model is run, read off the programs that build would make. */
#include "backends/backend.h"
#include "frontend/explain.h"
#include "frontend/run_frame.h"
#include "ir/rec/operator.h"

typedef struct Explain {
    Driver *d;
    const RecProg *rec;
    const KernProg *kern;
    bool said; /* something stands under the current heading */
} Explain;

static void heading(Explain *x, const char *text)
{
    printf("  %-11s", text);
    x->said = false;
}

static void item(Explain *x, Str text)
{
    printf(x->said ? "\n  %-11s%.*s" : "%s%.*s", "", STRF(text));
    x->said = true;
}

static void end(Explain *x)
{
    printf("%s\n", x->said ? "" : "none");
}

static Str shape(Explain *x, const Type *type, bool batched)
{
    Text out = {.arena = x->d->arena};
    Dim dim;
    text_add(&out, "%s", dtype_name(type->dt));
    for (uint32_t i = 0; frame_axis(x->rec, type, batched, i, &dim); i++)
        text_add(&out, "%s%.*s", i ? ", " : "[", STRF(dim_str(x->d->arena, x->rec->dims, dim)));
    text_add(&out, "%s", type->rank + (uint32_t)batched ? "]" : "");
    return text_str(&out);
}

static void arguments(Explain *x, const char *text, RecRole role)
{
    heading(x, text);
    for (uint32_t i = 0; i < x->rec->arg.n; i++) {
        const RecArg *a = &x->rec->arg.p[i];
        if (a->role == role)
            item(x, str_fmt(x->d->arena, "%.*s: %.*s%s", STRF(a->name), STRF(shape(x, &a->type, a->batched)),
                            a->frozen && role == ROLE_PARAM ? ", frozen" : ""));
    }
    end(x);
}

static void outputs(Explain *x)
{
    heading(x, "outputs");
    for (uint32_t i = 0; i < x->rec->out.n; i++) {
        const RecOut *o = &x->rec->out.p[i];
        if (o->role == OUT_VALUE || o->role == OUT_FINAL)
            item(x, str_fmt(x->d->arena, "%.*s: %.*s%s", STRF(o->name), STRF(shape(x, &o->type, o->batched)),
                            o->role == OUT_FINAL ? ", after the last step" : ""));
    }
    end(x);
}

static void streaming(Explain *x)
{
    Str why;
    heading(x, "streaming");
    if (iface_streams(x->kern, &why))
        item(x, STR("step and chunk carry the states on"));
    for (uint32_t i = 0; i < x->kern->out.n; i++) {
        const RecOut *o = &x->kern->out.p[i];
        if (o->role == OUT_VALUE && !o->streams && o->why_not.n)
            item(x, str_fmt(x->d->arena, "none for `%.*s`: %.*s", STRF(o->name), STRF(o->why_not)));
    }
    if (!x->said)
        item(x, str_fmt(x->d->arena, "none: %.*s", STRF(why)));
    end(x);
}

/* ---- products, and where they stand ---- */

/* Its name, its place in the source, and what it costs: multiplications and additions. */
static Str product(Explain *x, RecId v)
{
    const RecOp *op = rec_op(x->rec, v);
    DimTab *t = x->rec->dims;
    Dim work = DIM_ONE;
    for (uint8_t i = 0; i < op->nit; i++)
        work = dim_mul(t, work, op->space[i]);
    Text out = {.arena = x->d->arena};
    if (op->at.file)
        text_add(&out, "%.*s: ", STRF(driver_line(x->d, x->rec, op->at)));
    text_add(&out, "%.*s product, %.*s multiplications", STRF(type_str(x->d->arena, t, &op->type)),
             STRF(dim_str(x->d->arena, t, work)));
    return text_str(&out);
}

/* Products directly in a region, before (or behind) position `split` of its list. */
static void products(Explain *x, RecRegion r, uint32_t from, uint32_t to, const char *where)
{
    for (uint32_t i = from; i < to; i++) {
        RecId v = x->rec->region.p[r].op.p[i];
        if (rec_op(x->rec, v)->kind == REC_CONTRACT)
            item(x, str_fmt(x->d->arena, "%s, %.*s", where, STRF(product(x, v))));
    }
}

static uint32_t count_maps(const Explain *x, RecRegion r)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->rec->region.p[r].op.n; i++)
        n += rec_op(x->rec, x->rec->region.p[r].op.p[i])->kind == REC_MAP;
    return n;
}

/* Recurrences in the step of another one: loops of the text. */
static void inner_loops(Explain *x, RecRegion step)
{
    for (uint32_t i = 0; i < x->rec->region.p[step].op.n; i++) {
        const RecOp *op = rec_op(x->rec, x->rec->region.p[step].op.p[i]);
        if (op->kind != REC_RECUR)
            continue;
        item(x, str_fmt(x->d->arena, "in each step, a loop of %.*s rounds, %u carried values, %u elementwise functions in each",
                        STRF(dim_str(x->d->arena, x->rec->dims, op->length)), op->nstate, count_maps(x, op->region)));
        products(x, op->region, 0, x->rec->region.p[op->region].op.n, "in each round");
        inner_loops(x, op->region);
    }
}

static void recurrence(Explain *x, RecId v)
{
    const RecOp *op = rec_op(x->rec, v);
    const char *way = op->reverse ? "from the last place to the first" : "from the first place to the last";
    item(x, str_fmt(x->d->arena, "sequential form, %.*s steps, %s, %u carried values", STRF(dim_str(x->d->arena, x->rec->dims, op->length)),
                    way, op->nstate));
    products(x, op->region, 0, x->rec->region.p[op->region].op.n, "in each step");
    inner_loops(x, op->region);
    item(x, str_fmt(x->d->arena, "in each step, %u elementwise functions", count_maps(x, op->region)));
}

/* A function in its own order: what was moved out of a recurrence stands in front of it or behind it. */
static void function(Explain *x, const char *text, RecRegion r)
{
    const RecRegionInfo *body = &x->rec->region.p[r];
    uint32_t from = 0, seen = 0, nrecur = 0;
    heading(x, text);
    for (uint32_t i = 0; i < body->op.n; i++)
        nrecur += rec_op(x->rec, body->op.p[i])->kind == REC_RECUR;
    for (uint32_t i = 0; i < body->op.n; i++) {
        if (rec_op(x->rec, body->op.p[i])->kind != REC_RECUR)
            continue;
        products(x, r, from, i, seen++ ? "in between, for all steps at once" : "in front, for all steps at once");
        recurrence(x, body->op.p[i]);
        from = i + 1;
    }
    products(x, r, from, body->op.n, nrecur ? "behind, for all steps at once" : "once");
    if (!nrecur)
        item(x, str_fmt(x->d->arena, "no recurrence; %u elementwise functions for all places at once", count_maps(x, r)));
    end(x);
}

/* Loops over elements in the kernels of a function: what was fused runs in one. */
static uint32_t count_loops(const KBlock *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        const KBlock *body = kern_body(b->p[i]);
        uint32_t inner = body ? count_loops(body) : 0;
        n += inner + (b->p[i]->kind == K_LOOP && !inner);
    }
    return n;
}

static void loops(Explain *x)
{
    heading(x, "loops");
    item(x, str_fmt(x->d->arena, "forward %u, backward %u innermost loops over elements", count_loops(&x->kern->fn[REC_FORWARD]),
                    count_loops(&x->kern->fn[REC_BACKWARD])));
    end(x);
}

/* ---- memory, in single precision ---- */

static Str in_bytes(Explain *x, Dim d)
{
    return dim_str(x->d->arena, x->kern->dims, d);
}

/* What forward keeps for backward. */
static Str kept(Explain *x)
{
    DimTab *t = x->kern->dims;
    Dim sum = DIM_ZERO;
    for (uint32_t i = 0; i < x->kern->buf.n; i++) {
        const KBuf *b = &x->kern->buf.p[i];
        if (b->kind != K_WORK || b->shares != K_NONE || !b->kept)
            continue;
        Dim bytes = dim_mul(t, b->size, dim_const(t, cpu_element_bytes(PREC_F32, b->dt)));
        sum = dim_add(t, sum, dim_subst(t, bytes, x->kern->keep, DIM_ONE));
    }
    return in_bytes(x, sum);
}

static Str workspace(Explain *x, bool train)
{
    CpuWorkspace w = cpu_workspace(x->d->arena, x->kern, false, train);
    Text out = {.arena = x->d->arena};
    text_add(&out, "%.*s", STRF(in_bytes(x, w.sum)));
    for (uint32_t i = 0; i < w.most.n; i++)
        text_add(&out, "%s%.*s%s", i ? ", " : " + max(", STRF(in_bytes(x, w.most.p[i])), i + 1 == w.most.n ? ")" : "");
    text_add(&out, " bytes (f32), and up to 63 for each of %u arrays", w.narrays);
    return text_str(&out);
}

/* "K*V >= 576": what the flag s says. */
static Str condition(Arena *a, const KernProg *k, DimSym s)
{
    DimTab *t = k->dims;
    for (uint32_t i = 0; i < k->derived.n; i++) {
        Dim half, twice = dim_mul(t, dim_const(t, 2), k->derived.p[i].den), least;
        if (k->derived.p[i].sym == s && dim_div(t, k->derived.p[i].num, dim_const(t, 2), &half) &&
            dim_div(t, dim_sub(t, twice, k->derived.p[i].num), dim_const(t, 2), &least))
            return str_fmt(a, "%.*s >= %.*s", STRF(dim_str(a, t, half)), STRF(dim_str(a, t, least)));
    }
    return STR("");
}

/* In brackets when it has several terms. */
static Str side(Explain *x, Dim d)
{
    return str_fmt(x->d->arena, dim_nterms(x->kern->dims, d) > 1 ? "(%.*s)" : "%.*s", STRF(in_bytes(x, d)));
}

static void rounded(Explain *x, const struct RecDerivedDim *n, Dim num, const char *when)
{
    item(x, str_fmt(x->d->arena, "%.*s: %.*s / %.*s, rounded down%s", STRF(dim_sym_info(x->kern->dims, n->sym)->name), STRF(side(x, num)),
                    STRF(side(x, n->den)), when));
}

/* Numbers of whole chunks, of strips and of their places, and whether something pays, which the formulas name. */
static void derived_sizes(Explain *x)
{
    const KernProg *k = x->kern;
    for (uint32_t i = 0; i < k->derived.n; i++) {
        const struct RecDerivedDim *n = &k->derived.p[i];
        Dim training = dim_subst(k->dims, n->num, k->keep, DIM_ONE), alone = dim_subst(k->dims, n->num, k->keep, DIM_ZERO);
        if (!n->floor)
            continue;
        if (dim_sym_info(k->dims, n->sym)->kind == DIM_FLAG)
            item(x, str_fmt(x->d->arena, "%.*s: 1 where %.*s, else 0", STRF(dim_sym_info(k->dims, n->sym)->name),
                            STRF(condition(x->d->arena, k, n->sym))));
        else if (training == alone || alone == DIM_ZERO)
            rounded(x, n, training, "");
        else
            rounded(x, n, alone, ", forward alone"), rounded(x, n, training, ", training");
    }
}

static void memories(Explain *x)
{
    if (x->kern->has_fn[REC_BACKWARD]) {
        heading(x, "kept");
        item(x, str_fmt(x->d->arena, "%.*s bytes (f32), from forward for backward", STRF(kept(x))));
        end(x);
    }
    heading(x, "workspace");
    item(x, str_fmt(x->d->arena, "%.*s, forward alone", STRF(workspace(x, false))));
    if (x->kern->has_fn[REC_BACKWARD])
        item(x, str_fmt(x->d->arena, "%.*s, training", STRF(workspace(x, true))));
    derived_sizes(x);
    end(x);
}

static void list(Explain *x, const char *text, const ExplainList *lines)
{
    heading(x, text);
    for (uint32_t i = 0; i < lines->n; i++)
        item(x, lines->p[i]);
    end(x);
}

typedef struct Lists {
    ExplainList grids, stages, forms, costs;
} Lists;

static void explain_entry(Explain *x, const Lists *l)
{
    printf("%s %.*s\n", x->rec->is_model ? "model" : "cell", STRF(x->rec->name));
    arguments(x, "inputs", ROLE_INPUT);
    arguments(x, "parameters", ROLE_PARAM);
    if (l->grids.n)
        list(x, rec_has_role(x->rec, ROLE_PLAN) ? "graph" : "grid", &l->grids);
    else
        arguments(x, "states", ROLE_START);
    outputs(x);
    streaming(x);
    list(x, "stages", &l->stages);
    list(x, "forms", &l->forms);
    list(x, "cost", &l->costs);
    function(x, "forward", REC_FORWARD);
    if (x->kern->has_fn[REC_BACKWARD])
        function(x, "backward", REC_BACKWARD);
    loops(x);
    memories(x);
}

/* How a recurrence runs that is cut into `n` chunks, in training (keep 1) or inference. */
static Str chunks_when(Driver *d, const KernProg *k, const struct RecDerivedDim *n, int64_t keep)
{
    Dim cut = dim_subst(k->dims, n->num, k->keep, dim_const(k->dims, keep));
    Text out = {.arena = d->arena};
    if (cut == DIM_ZERO)
        return STR("sequential");
    text_add(&out, "chunk:%.*s", STRF(dim_str(d->arena, k->dims, n->den)));
    bool any = false;
    for (DimSym s = 0; s < dim_nsyms(k->dims); s++)
        if (dim_sym_info(k->dims, s)->kind == DIM_FLAG && dim_mentions(k->dims, cut, s)) {
            text_add(&out, "%s%.*s", any ? " and " : " where ", STRF(condition(d->arena, k, s)));
            any = true;
        }
    text_add(&out, any ? ", else sequential" : "");
    return text_str(&out);
}

/* What rec.chunk took where nobody says: read off the numbers of chunks. */
static Str own_choice(Driver *d, const KernProg *k)
{
    for (uint32_t i = 0; i < k->derived.n; i++) {
        if (!k->derived.p[i].floor || !iface_counts_chunks(k, k->derived.p[i].sym))
            continue;
        Str training = chunks_when(d, k, &k->derived.p[i], 1), inference = chunks_when(d, k, &k->derived.p[i], 0);
        if (str_eq(training, inference))
            return str_fmt(d->arena, "taken: %.*s", STRF(training));
        return str_fmt(d->arena, "taken: in training %.*s; in inference %.*s", STRF(training), STRF(inference));
    }
    return STR("taken: sequential");
}

static void put_store(Driver *d, const FormChoice *choice, ExplainList *forms)
{
    if (choice->form.store < 2)
        return;
    Str origin = choice->store_at.file ? str_fmt(d->arena, "the schedule in line %u", source_place(d->sources, choice->store_at).line)
                                       : STR("--store");
    vec_push(d->arena, forms, str_fmt(d->arena, "stored: in training, the states of every %u places; backward makes the steps between again; from %.*s",
                                      choice->form.store, STRF(origin)));
}

/* Which form is taken, and who says so if anybody does. A cascade was measured to take longer on one core, 1.1 to 5 times as
 * long as rows, whatever the sizes. */
static void put_choice(Driver *d, const KernProg *k, const FormChoice *choice, bool cascade, ExplainList *forms)
{
    if (choice->from == FORM_FROM_NOBODY && cascade)
        vec_push(d->arena, forms, STR("taken: sequential; the cascade takes longer on one core, as each stage hands on its states at all places"));
    else if (choice->from == FORM_FROM_NOBODY && forms->n)
        vec_push(d->arena, forms, choice->form.store > 1 ? STR("taken: sequential") : own_choice(d, k));
    if (choice->from != FORM_FROM_NOBODY)
        vec_push(d->arena, forms, str_fmt(d->arena, "taken: %.*s, from %.*s", STRF(rec_form_str(d->arena, choice->form)),
                                          STRF(driver_form_origin(d, choice))));
    put_store(d, choice, forms);
}

/* The program as the passes that choose forms find it, in this form. */
static RecProg *behind_pass(Driver *d, const Unit *u, uint32_t entry, const char *pass, RecForm form)
{
    Compile c = {.arena = d->arena, .emit = EMIT_REC, .rec = driver_elab(d, u, entry), .stop_after = str_of(pass)};
    c.rec->form = form;
    compile(&c);
    rec_chosen(c.rec);
    return c.rec;
}

/* The program before calls of associative operators are scanned; NULL if there are none. */
static RecProg *with_calls(Driver *d, const Unit *u, uint32_t entry)
{
    RecProg *p = behind_pass(d, u, entry, "rec.batch", (RecForm){.kind = REC_FORM_SCAN, .size = 16});
    return operator_any(p) ? p : NULL;
}

/* A grid has no form before it is a recurrence over lines: each form is tried. True if it is a cascade. */
static bool grid_forms(Driver *d, const Unit *u, uint32_t entry, ExplainList *forms)
{
    bool cascade = false;
    for (uint32_t i = 0; rec_form_name(i); i++) {
        RecForm form = rec_form_name(i)->form;
        if (form.kind == REC_FORM_SEQUENTIAL)
            continue;
        form.size = form.size || !rec_form_name(i)->sized ? form.size : 16;
        RecProg *p = driver_elab(d, u, entry);
        driver_try_form(d, p, form);
        explain_grid_form(d, p, forms);
        cascade |= form.kind == REC_FORM_CASCADE && p->form_missing == WHY_NONE;
    }
    return cascade;
}

static void explain_file(Driver *d, const Unit *u)
{
    for (uint32_t i = 0; i < unit_entries(u); i++) {
        RecProg *raw = driver_wants(d, u, i) ? driver_elab(d, u, i) : NULL;
        Compile c = {.arena = d->arena, .emit = EMIT_KERN, .rec = raw, .dump = stderr};
        Lists l = {0};
        FormChoice choice;
        if (!raw || !driver_form(d, u, i, &choice))
            continue;
        progress_show(d->progress, "%.*s: compiling", STRF(raw->name));
        compile(&c);
        if (!driver_has_form(d, c.rec, &choice))
            continue;
        progress_show(d->progress, "%.*s: looking for its forms", STRF(c.rec->name));
        RecForm apart = {.kind = REC_FORM_CHUNK, .size = 16};
        explain_grids(d, behind_pass(d, u, i, "rec.cascade", apart), &l.grids);
        if (!rec_has_role(c.rec, ROLE_PLAN))
            explain_stages(d, behind_pass(d, u, i, l.grids.n ? "rec.cascade" : "rec.flatten", apart),
                           behind_pass(d, u, i, l.grids.n ? "rec.cascade" : "rec.flatten", (RecForm){.kind = REC_FORM_SCAN, .size = 16}), with_calls(d, u, i), choice.form, &l.stages, &l.forms);
        explain_rank_one(d, behind_pass(d, u, i, "rec.cascade", choice.form), &l.stages);
        bool cascade = l.grids.n && !rec_has_role(c.rec, ROLE_PLAN) && grid_forms(d, u, i, &l.forms);
        put_choice(d, c.kern, &choice, cascade, &l.forms);
        explain_costs(d, u, i, choice.form, l.grids.n > 0, &l.costs);
        progress_end(d->progress);
        Explain x = {.d = d, .rec = c.rec, .kern = c.kern};
        explain_entry(&x, &l);
    }
}

int cmd_explain(Driver *d)
{
    for (uint32_t i = 0; i < d->opt->file.n; i++) {
        Unit *u = driver_load(d, d->opt->file.p[i]);
        if (u && !driver_bindings(d, u))
            return EXIT_INPUT;
        if (u)
            explain_file(d, u);
    }
    int code = driver_report(d);
    return code ? code : d->failed ? EXIT_INPUT : EXIT_FINE;
}
