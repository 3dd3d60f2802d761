/* A stage that runs step by step inside a chunk: a recurrence over the places of the chunk, with the stage's states. */
#include "ir/rec/chunk.h"
#include "ir/rec/operator.h"

typedef struct Inner {
    Chunk *c;
    RecId recur;
    RecBuild b;
    RecId *to; /* by old op */
} Inner;

static RecId inner_value(void *cx, RecId old);

static RecId inner_call(Inner *in, const RecOp *proj)
{
    const RecProg *p = &in->c->w->old;
    RecId call = proj->use[0].v, *result = NEWN(p->arena, RecId, rec_op(p, call)->nstate);
    RecId *arg = operator_arguments(&in->b, p, call, inner_value, in);
    operator_copy(&in->b, p, call, arg, inner_value, in, result);
    return result[proj->index];
}

static RecId inner_value(void *cx, RecId old)
{
    Inner *in = cx;
    const RecProg *p = &in->c->w->old;
    if (in->to[old] != REC_NONE)
        return in->to[old];
    if (!rec_inside(p, old, rec_op(p, in->c->recur)->region))
        return in->c->w->to[old];
    Lifted x = in->c->lift.made[old];
    if (x.v != REC_NONE)
        return in->to[old] = x.placed ? rec_recur_add_seq(in->c->w->p, in->recur, x.v) : x.v;
    RecOp op = *rec_op(p, old);
    if (op.kind == REC_PROJ && rec_op(p, op.use[0].v)->is_operator)
        return in->to[old] = inner_call(in, &op);
    if (op.kind == REC_RECUR || op.kind == REC_PROJ || op.kind == REC_REGARG)
        ice("rec.chunk: op %u does not go into a chunk", old);
    in->to[old] = pass_copy(&in->b, op, inner_value, in);
    in->b.at = op.at;
    return in->to[old];
}

void chunk_sequence(Chunk *c, uint32_t stage)
{
    RecProg *p = c->w->p;
    const Stages *s = &c->structure->stages;
    const RecOp *old = rec_op(&c->w->old, c->recur);
    const RecRegionInfo *body = &c->w->old.region.p[old->region];
    uint32_t n = 0, *state = NEWN(p->arena, uint32_t, s->nstate + 1);
    RecId *init = NEWN(p->arena, RecId, s->nstate + 1), *result = NEWN(p->arena, RecId, s->nstate + 1);
    for (uint32_t i = 0; i < s->nstate; i++)
        if (s->of[i] == stage) {
            init[n] = c->entering[i];
            state[n++] = i;
        }
    Inner in = {.c = c, .to = pass_ids(p->arena, c->w->old.op.n)};
    RecRegion step;
    in.recur = rec_recur_open(c->b, init, n, NULL, 0, c->size, old->reverse, &step);
    in.b = (RecBuild){p, step, c->b->at, {0}};
    for (uint32_t k = 0; k < n; k++)
        in.to[body->arg.p[state[k]]] = p->region.p[step].arg.p[k];
    for (uint32_t k = 0; k < n; k++)
        result[k] = inner_value(&in, body->result.p[state[k]]);
    rec_recur_close(p, in.recur, result, n);
    for (uint32_t k = 0; k < n; k++) {
        RecId carried = body->arg.p[state[k]], next = body->result.p[state[k]];
        c->leaving[state[k]] = rec_proj(c->b, in.recur, k);
        c->lift.made[carried] = (Lifted){rec_recur_export(p, in.recur, in.to[carried]), true};
        if (s->reads[stage][next] && c->lift.made[next].v == REC_NONE)
            c->lift.made[next] = (Lifted){rec_recur_export(p, in.recur, result[k]), true};
    }
}
