/* rec.chunk: recurrences with matrix stages (matrix.h) run chunk by chunk: a recurrence over chunks of places, whose step
 * computes all places of its chunk. Stages follow each other inside the chunk: a matrix stage in matrix products, any
 * other one step by step, in a recurrence of its own over the chunk's places. What is behind the last whole chunk runs
 * step by step as before. Elementwise work, conditions, lengths and cuts are those of the step, lifted to all places.
 *
 * Where nobody says how to run, chunks are taken from the sizes on from which they were measured to be faster (tests/bench/linear),
 * decided when it runs: where they are not, the number of chunks is 0. Training takes them sooner (the dimension `keep`): step by
 * step it would have to keep the states of all places. */
#include "ir/rec/chunk.h"

/* ---- one chunk ---- */

Chunk chunk_begin(Rewrite *w, RecBuild *b, const Structure *s, Dim size, RecId *entering, const RecId *known)
{
    Chunk c = {.w = w, .b = b, .recur = s->recur, .structure = s, .size = size, .entering = entering, .dt = DT_REAL};
    c.leaving = NEWN(w->p->arena, RecId, s->stages.nstate + 1);
    c.lift = (Lift){.w = w, .b = b, .recur = s->recur, .length = size, .made = NEWN(w->p->arena, Lifted, w->old.op.n + 1)};
    for (uint32_t i = 0; i < w->old.op.n; i++)
        c.lift.made[i] = (Lifted){known[i], known[i] != REC_NONE};
    return c;
}

/* The values of one chunk: leaving states, and results for all its places. */
static void one_chunk(const Cut *k, RecBuild *b, RecId *entering, const RecId *seq, RecId *result)
{
    Rewrite *w = k->w;
    const Structure *s = k->cx;
    const RecOp *old = rec_op(&w->old, k->recur);
    const RecRegionInfo *body = &w->old.region.p[old->region];
    RecId *known = pass_ids(w->p->arena, w->old.op.n);
    for (uint32_t i = 0; i < old->nseq; i++)
        known[body->arg.p[old->nstate + i]] = seq[i];
    Chunk c = chunk_begin(w, b, s, k->size, entering, known);
    for (uint32_t i = 0; i < s->stages.n; i++)
        if (s->stage[i].matrix)
            chunk_matrix(&c, s->stage[i].matrix);
        else
            chunk_sequence(&c, i);
    c.lift.b = b;
    for (uint32_t i = 0; i < old->nstate; i++)
        result[i] = c.leaving[i];
    for (uint32_t i = old->nstate; i < body->result.n; i++)
        result[i] = lift_placed(&c.lift, body->result.p[i]);
}

/* ---- the pass ---- */

enum { AUTO_SIZE = 16 }; /* measured: tests/bench/linear */

/* From how many elements of the state on a chunk pays; 0: never. Measured likewise. */
typedef struct Pays {
    int64_t training, inference;
} Pays;

/* Step by step, a state whose axis k is the last one adds up along its rows, which takes longer. */
static Pays pays_from(const Matrix *m, bool rounds)
{
    static const Pays never = {0, 0};
    static const Pays one_decay[] = {{24 * 24, 80 * 80}, {24 * 24, 24 * 24}}, many_decays[] = {{48 * 48, 80 * 80}, {48 * 48, 48 * 48}},
                      corrected[] = {{52 * 52, 80 * 80}, {52 * 52, 40 * 40}}, many_corrected[] = {{48 * 48, 112 * 112}, {48 * 48, 48 * 48}};
    bool rows = m->k + 1 == m->type.rank;
    if (m->low.n > 1 || (m->low.n && rounds))
        return never;
    if (m->low.n)
        return (m->diagonal ? many_corrected : corrected)[rows];
    return (m->diagonal ? many_decays : one_decay)[rows];
}

/* What one state of the stage has, without its batch axes. */
static Dim elements(DimTab *t, const Matrix *m)
{
    Dim n = DIM_ONE;
    for (uint8_t k = 0; k < m->type.rank; k++)
        if (!(m->batch >> k & 1))
            n = dim_mul(t, n, m->type.dim[k]);
    return n;
}

/* Where nobody says: 1 where chunks pay at these sizes, for all matrix stages, else 0. Places that were rounds of a loop are no
 * places of time: most of them are not read out. */
static Dim where_it_pays(RecProg *p, const Structure *s, Dim length)
{
    DimTab *t = p->dims;
    bool rounds = !dim_is_time(t, length);
    Dim all = DIM_ONE, keep = dim_of(t, p->keep);
    bool any = false;
    for (uint32_t k = 0; k < s->stages.n; k++) {
        const Matrix *m = s->stage[k].matrix;
        Pays from = m ? pays_from(m, rounds) : (Pays){0, 0};
        if (m && !from.training)
            return DIM_ZERO;
        if (!m)
            continue;
        Dim size = elements(t, m), inference = rec_at_least(p, size, from.inference),
            more = dim_sub(t, rec_at_least(p, size, from.training), inference);
        Dim pays = dim_add(t, inference, dim_mul(t, keep, more));
        all = all == pays ? all : dim_mul(t, all, pays);
        any = true;
    }
    return any ? all : DIM_ZERO;
}

static void chunk_recur(Rewrite *w, RecBuild *b, RecId old)
{
    uint32_t size = *(const uint32_t *)w->cx;
    const RecOp *op = rec_op(&w->old, old);
    Structure s = structure_of(&w->old, w->p->arena, old);
    RecId at;
    RecForm form = {.kind = REC_FORM_CHUNK, .size = size};
    bool exists = structure_lacks(&w->old, &s, &form, &at) == WHY_NONE;
    Dim pays = w->old.form.kind == REC_FORM_CHUNK ? DIM_ONE : exists ? where_it_pays(w->p, &s, op->length) : DIM_ZERO;
    if (!exists || pays == DIM_ZERO) {
        rw_recur(w, b, old);
        return;
    }
    cut_recur(w, b, old, dim_mul(w->p->dims, op->length, pays), size, one_chunk, &s);
}

/* Whether any recurrence of the forward function has the form that is asked for. */
static void check_form(RecProg *p)
{
    p->form_missing = p->pieced.n ? WHY_NONE : WHY_NO_RECURRENCE; /* a scan over an operator is made already */
    for (RecId v = 0; v < p->op.n && p->form_missing != WHY_NONE; v++) {
        bool inner = p->form.kind == REC_FORM_NEWTON && rec_op(p, v)->home != REC_FORWARD; /* that has no windows */
        if (rec_op(p, v)->kind != REC_RECUR || inner)
            continue;
        Structure s = structure_of(p, p->arena, v);
        RecId at = REC_NONE;
        p->form_missing = rec_has_role(p, ROLE_PLAN) ? WHY_GRAPH : structure_lacks(p, &s, &p->form, &at);
        p->form_missing_at = rec_op(p, at == REC_NONE ? v : at)->at;
    }
}

void rec_chunk(RecProg *p)
{
    bool steps = p->form.kind == REC_FORM_SEQUENTIAL || (p->form.kind == REC_FORM_AUTO && p->form.store > 1);
    if (steps || p->form.kind == REC_FORM_WAVEFRONT || p->form.kind == REC_FORM_CASCADE || p->form.kind == REC_FORM_BLOCK)
        return;
    if (p->form.kind != REC_FORM_AUTO)
        check_form(p);
    if (p->form.kind == REC_FORM_SCAN || p->form.kind == REC_FORM_NEWTON || p->form.kind == REC_FORM_CONVOLUTION ||
        p->form_missing != WHY_NONE)
        return;
    uint32_t size = p->form.kind == REC_FORM_AUTO ? (uint32_t)AUTO_SIZE : p->form.size;
    Rewrite w = {.cx = &size, .recur = chunk_recur};
    rw_run(&w, p);
}
