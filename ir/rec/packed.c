/* Packed batches: the sequences of a batch lie end to end in arrays whose leading axis is the time. Nothing of a program
 * knows of them: whoever calls it runs it once for each sequence, so no state, no read of an earlier place and no product of
 * places ever meets two of them, in whatever form. What that needs is said here: each sequence's part of an array must be in
 * one piece. */
#include "ir/rec/rec.h"

/* A number that passes make, of chunks, is no part of what the caller says of an array. */
bool rec_mentions_time(const RecFace *f, Dim d)
{
    bool found = dim_mentions(f->dims, d, f->time);
    for (uint32_t i = 0; i < f->nderived && !found; i++)
        found = dim_mentions(f->dims, d, f->derived[i].sym) &&
                (rec_mentions_time(f, f->derived[i].num) || rec_mentions_time(f, f->derived[i].den));
    return found;
}

bool rec_over_time(const RecFace *f, const Type *type)
{
    bool found = false;
    for (uint8_t i = 0; i < type->rank; i++)
        found |= rec_mentions_time(f, type->dim[i]);
    return found;
}

/* [T, ...], or without T. */
static bool is_in_one_piece(const RecFace *f, Type type, bool batched)
{
    if (batched && type.rank && type.dim[0] == dim_of(f->dims, f->time))
        type.dim[0] = DIM_ONE;
    return !rec_over_time(f, &type);
}

bool rec_packs(const RecFace *f)
{
    bool ok = f->ntime == 1;
    for (uint32_t i = 0; i < f->narg && ok; i++)
        ok = is_in_one_piece(f, f->arg[i].type, f->arg[i].batched);
    for (uint32_t i = 0; i < f->nout && ok; i++)
        ok = f->out[i].role == OUT_REPORT || is_in_one_piece(f, f->out[i].type, f->out[i].batched);
    return ok;
}

RecFace rec_face(DimTab *dims, const DimSym *open, uint32_t nopen)
{
    RecFace f = {.dims = dims};
    for (uint32_t i = nopen; i-- > 0;)
        if (dim_sym_info(dims, open[i])->kind == DIM_TIME) {
            f.time = open[i];
            f.ntime++;
        }
    return f;
}

RecFace rec_prog_face(const RecProg *p)
{
    RecFace f = rec_face(p->dims, p->open.p, p->open.n);
    f.derived = p->derived.p, f.nderived = p->derived.n;
    f.arg = p->arg.p, f.narg = p->arg.n;
    f.out = p->out.p, f.nout = p->out.n;
    return f;
}

bool rec_prog_packs(const RecProg *p)
{
    RecFace f = rec_prog_face(p);
    return rec_packs(&f);
}
