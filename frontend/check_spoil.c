/* Garbage where nothing is read: behind the lengths of a cell's sequences, and in a model behind `length = n` of its
 * scans, in those inputs that go nowhere but into scans of that length. */
#include "frontend/check.h"

#include <math.h>

#define NO_ARG UINT32_MAX

/* ---- models ---- */

/* The input whose value the places of a sequence are compared with, `place < n`. */
static uint32_t compared_with(const RecProg *p, RecId v)
{
    const RecOp *op = rec_op(p, v);
    if (op->kind != REC_MAP || op->fun != FUN_LT || rec_op(p, op->use[0].v)->kind != REC_IOTA)
        return NO_ARG;
    const RecOp *n = rec_op(p, op->use[1].v);
    return n->kind == REC_ARG && n->type.rank == 0 && p->arg.p[n->arg].role == ROLE_INPUT ? n->arg : NO_ARG;
}

static bool is_choice(const RecProg *p, RecId v, RecId by)
{
    const RecOp *op = rec_op(p, v);
    return op->kind == REC_MAP && op->fun == FUN_WHERE && op->use[0].v == by;
}

static bool is_zero(const RecProg *p, RecId v)
{
    const RecOp *op = rec_op(p, v);
    while (op->kind == REC_MAP && op->fun == FUN_ID)
        op = rec_op(p, op->use[0].v);
    return op->kind == REC_CONST && op->number == 0;
}

/* A state is carried on as it was, maybe behind a cut: where(cut, start, where(active, new, old)). */
static bool is_carried(const RecProg *p, RecId v, RecId active)
{
    const RecOp *op = rec_op(p, v);
    while (!is_choice(p, v, active) && op->kind == REC_MAP && op->fun == FUN_WHERE) {
        v = op->use[2].v;
        op = rec_op(p, v);
    }
    return is_choice(p, v, active);
}

/* That is what a length does to a step, whoever wrote it. */
static bool is_length(const RecProg *p, RecId scan, RecId active)
{
    const RecOp *recur = rec_op(p, scan);
    const RecRegionInfo *step = &p->region.p[recur->region];
    for (uint32_t i = 0; i < recur->nstate + recur->nout; i++) {
        RecId now = step->result.p[i];
        bool ok = i < recur->nstate ? is_carried(p, now, active)
                                    : is_choice(p, now, active) && is_zero(p, rec_op(p, now)->use[2].v);
        if (!ok && rec_is_of_forward(p, scan, i))
            return false;
    }
    return true;
}

/* An int may choose a row of a table, where it is not the step's results that must not see it. */
static bool is_guarded(const RecProg *p, RecId element, RecId active)
{
    for (RecId w = 0; w < p->op.n && rec_type(p, element)->dt != DT_REAL; w++)
        for (uint32_t i = 0; i < rec_op(p, w)->nuse; i++)
            if (rec_op(p, w)->use[i].v == element && !is_choice(p, w, active))
                return false;
    return true;
}

/* The length up to which this use reads its operand; NO_ARG: all of it. */
static uint32_t length_of_use(const RecProg *p, RecId w, uint32_t use)
{
    const RecOp *op = rec_op(p, w);
    if (op->kind != REC_RECUR || op->grid || use < op->nstate)
        return NO_ARG;
    const RecRegionInfo *step = &p->region.p[op->region];
    for (uint32_t i = op->nstate; i < op->nuse; i++) {
        uint32_t n = compared_with(p, op->use[i].v);
        if (n != NO_ARG && is_length(p, w, step->arg.p[i]) && is_guarded(p, step->arg.p[use], step->arg.p[i]))
            return n;
    }
    return NO_ARG;
}

static bool is_output(const RecProg *p, RecId v)
{
    for (uint32_t i = 0; i < p->out.n; i++)
        if (p->out.p[i].value == v)
            return true;
    return false;
}

static uint32_t length_of_input(const RecProg *p, RecId v)
{
    uint32_t length = NO_ARG;
    for (RecId w = 0; w < p->op.n; w++)
        for (uint32_t i = 0; i < rec_op(p, w)->nuse; i++) {
            if (rec_op(p, w)->use[i].v != v || rec_inside(p, w, REC_BACKWARD))
                continue;
            uint32_t n = length_of_use(p, w, i);
            if (n == NO_ARG || (length != NO_ARG && n != length))
                return NO_ARG;
            length = n;
        }
    return is_output(p, v) ? NO_ARG : length;
}

/* ---- both ---- */

/* The argument with the lengths up to which this one is read; NO_ARG: all of it is. */
static uint32_t read_up_to(const RecProg *p, uint32_t arg)
{
    const RecArg *x = &p->arg.p[arg];
    uint8_t axes = type_places(p->dims, &x->type);
    if (!x->batched || axes == 0)
        return NO_ARG;
    if (!p->is_model)
        return rec_arg_of_role(p, ROLE_LENGTH);
    return x->role == ROLE_INPUT && axes == 1 ? length_of_input(p, x->value) : NO_ARG;
}

bool can_spoil(const RecProg *p)
{
    for (uint32_t i = 0; i < p->arg.n; i++)
        if (read_up_to(p, i) != NO_ARG)
            return true;
    return false;
}

static double garbage(DType dt)
{
    return dt == DT_REAL ? (double)NAN : dt == DT_INT ? 1 << 29 : 1;
}

static void spoil(Frame *f, uint32_t arg, uint32_t length)
{
    const RecArg *x = &f->prog->arg.p[arg];
    Places at = frame_places(f, &x->type);
    int64_t B = f->dim[f->prog->batch], n = frame_count(f, &x->type, true), rest = n ? n / (at.all * B) : 0;
    if (f->prog->is_model) { /* a length is of one axis, whichever it is of the model's */
        at.of_cell = 1;
        at.axis[0] = 0;
    }
    for (int64_t k = 0; k < n; k++)
        if (places_beyond(&at, k / rest / B, f->in[length] + k / rest % B * at.of_cell))
            f->in[arg][k] = garbage(x->type.dt);
}

void spoil_beyond(Frame *f)
{
    for (uint32_t i = 0; i < f->prog->arg.n; i++) {
        uint32_t length = f->in[i] ? read_up_to(f->prog, i) : NO_ARG;
        if (length != NO_ARG)
            spoil(f, i, length);
    }
}
