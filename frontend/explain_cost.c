/* explain: depth and work of each form that an entry has, counted in the program that build would make in that form. */
#include "frontend/explain.h"
#include "ir/rec/cost.h"

typedef struct SayCost {
    Driver *d;
    const RecProg *p; /* behind all passes of rec */
    RecForm form;
    bool grid;
    Dim iterations;
} SayCost;

static void put_function(const SayCost *x, Text *out, RecFn fn, const char *name)
{
    RecCost c = rec_cost(x->p, fn, x->iterations);
    text_add(out, "%s depth %.*s, work %.*s", name, STRF(rec_cost_str(x->d->arena, x->p, c.depth)),
             STRF(rec_cost_str(x->d->arena, x->p, c.work)));
}

static uint32_t log2_of(uint32_t n)
{
    uint32_t k = 0;
    while (1u << k < n)
        k++;
    return k;
}

/* Whether Newton's form has a bound of the error: one more recurrence in each window. */
static bool by_element(const RecProg *p)
{
    for (uint32_t i = 0; i < p->out.n; i++)
        if (p->out.p[i].role == OUT_REPORT && str_is(p->out.p[i].name, "newton_contraction"))
            return true;
    return false;
}

static bool has_product(const RecProg *p, RecRegion r)
{
    for (uint32_t i = 0; i < p->region.p[r].op.n; i++)
        if (rec_op(p, p->region.p[r].op.p[i])->kind == REC_CONTRACT)
            return true;
    return false;
}

/* Whether no affine recurrence in Newton's iterations has a product in its step. */
static bool solved_by_element(const RecProg *p)
{
    for (RecId v = 0; v < p->op.n; v++) {
        RecId owner = p->region.p[rec_op(p, v)->home].owner;
        bool iterated = owner != REC_NONE && rec_op(p, owner)->until && rec_op(p, owner)->length != DIM_ONE;
        if (rec_op(p, v)->kind == REC_RECUR && iterated && has_product(p, rec_op(p, v)->region))
            return false;
    }
    return true;
}

/* What a machine with a lane for each place could do: affine steps are composed two by two, up a tree and down again. */
static void put_tree(const SayCost *x, Text *out)
{
    Str time = x->p->has_time ? dim_sym_info(x->p->dims, x->p->time)->name : STR("");
    if (x->grid || x->p->is_model || !time.n)
        return;
    if (x->form.kind == REC_FORM_SCAN)
        text_add(out, "; a tree over all places: forward depth 2*log2(%.*s)", STRF(time));
    if (x->form.kind == REC_FORM_NEWTON && solved_by_element(x->p))
        text_add(out, "; a tree over each window: forward depth %.*s/%u * %u*%s", STRF(time), x->form.size, 2 * log2_of(x->form.size),
                 by_element(x->p) ? "(iterations + 1)" : "iterations");
}

static Str cost_text(const SayCost *x)
{
    Text out = {.arena = x->d->arena};
    text_add(&out, "%.*s: ", STRF(rec_form_str(x->d->arena, x->form)));
    put_function(x, &out, REC_FORWARD, "forward");
    if (x->p->region.p[REC_BACKWARD].op.n)
        put_function(x, &out, REC_BACKWARD, "; backward");
    put_tree(x, &out);
    return text_str(&out);
}

/* Nothing is said where the entry does not have the form. Programs of all forms at once would be large. */
static void cost_in(Driver *d, const Unit *u, uint32_t entry, RecForm form, bool grid, ExplainList *costs)
{
    Driver own = *d;
    own.arena = arena_new();
    Compile c = {.arena = own.arena, .emit = EMIT_REC, .rec = driver_elab(&own, u, entry)};
    c.rec->form = form;
    compile(&c);
    SayCost x = {&own, c.rec, form, grid, dim_of(c.rec->dims, dim_sym_new(c.rec->dims, STR("iterations"), DIM_USER))};
    if (c.rec->form_missing == WHY_NONE)
        vec_push(d->arena, costs, str_copy(d->arena, cost_text(&x)));
    arena_free(own.arena);
}

void explain_costs(Driver *d, const Unit *u, uint32_t entry, RecForm said, bool grid, ExplainList *costs)
{
    bool listed = said.kind == REC_FORM_AUTO;
    for (uint32_t i = 0; rec_form_name(i); i++) {
        RecForm form = rec_form_name(i)->form;
        form.size = form.size || !rec_form_name(i)->sized ? form.size : 16;
        bool same = form.kind == said.kind && form.size == said.size;
        listed = listed || same;
        cost_in(d, u, entry, same ? said : form, grid, costs);
    }
    if (!listed)
        cost_in(d, u, entry, said, grid, costs);
}
