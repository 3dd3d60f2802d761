/* Packed batches: sequences end to end, some of them empty. That the numbers are right is for the comparison with the
 * evaluator, which takes one sequence after another; here each has to be, bit for bit, what it is when it is called alone (as a GPU calls
 * them anyway). */
#include "frontend/check.h"

static const int32_t around[] = {0, 0, 5, 5, 5, 12, 13, 13}, all_empty[] = {0, 0, 0, 0}, one[] = {0, 6}, pair[] = {0, 1, 18};
static const Draw packed[] = {
    {13, 7, false, false, true, false, around}, {18, 2, false, true, false, false, pair}, {13, 7, true, true, true, false, around},
    {0, 3, false, false, true, false, all_empty}, {6, 1, false, false, true, false, one},
};

const Draw *packed_draws(uint32_t *n)
{
    *n = sizeof packed / sizeof *packed;
    return packed;
}

/* Gradients of parameters are sums over all sequences. */
static void leave_sums_out(Frame *f)
{
    for (uint32_t i = 0; i < f->prog->out.n; i++)
        if (!f->prog->out.p[i].batched)
            f->out[i] = NULL;
}

static bool sequence_agrees(const Frame *f, int64_t b, const Code *code, Str *why)
{
    Frame found = frame_sequence(f, b), alone = found;
    alone.out = NEWN(f->arena, double *, f->prog->out.n);
    leave_sums_out(&found);
    if (frame_compiled(&alone, code, true, why) && results_same(&alone, &found, why))
        return true;
    *why = str_fmt(f->arena, "sequence %lld: %.*s", (long long)b, STRF(*why));
    return false;
}

/* Where no draw gives finite results nothing is compared: `n` counts what was. */
static bool packed_once(Checker *c, const Draw *how, const Code *code, uint32_t *n, Str *why)
{
    Arena *scratch = arena_new();
    Frame *f = draw_call(c, scratch, how, why);
    bool ok = !f || frame_compiled(f, code, true, why);
    for (int64_t b = 0; f && ok && b < how->B; b++)
        ok = sequence_agrees(f, b, code, why);
    *n += f != NULL;
    if (!f)
        *why = str_copy(c->arena, *why);
    else
        *why = ok ? (Str){0} : str_fmt(c->arena, "%.*s, with %.*s", STRF(*why), STRF(draw_str(scratch, f)));
    arena_free(scratch);
    return ok;
}

void check_packed(Checker *c)
{
    uint32_t ndraw, n = 0;
    const Draw *draw = packed_draws(&ndraw);
    Str why = {0};
    c->rejected = 0;
    for (uint32_t k = 0; k < NPRECISION * CPU_NLEVEL && rec_prog_packs(c->reference); k++) {
        const Code *code = &c->code[k / CPU_NLEVEL][k % CPU_NLEVEL];
        for (uint32_t i = 0; i < ndraw && code->code; i++)
            if (!packed_once(c, &draw[i], code, &n, &why)) {
                check_fail(c, "packed sequences: %.*s: %.*s", STRF(code_name(c->arena, code)), STRF(why));
                return;
            }
    }
    if (n)
        check_pass(c, "a sequence of a packed batch is, bit for bit, the sequence alone");
    else if (why.n)
        check_skip(c, "packed sequences: %.*s", STRF(why));
}
