/* `step` repeated, and `chunk` in any lengths, equal `forward`: to the last bit in the sequential form, where every sum has
 * one order; to rounding in the others, where the order depends on where a call begins. */
#include "backends/backend.h"
#include "frontend/check.h"

/* How often results were compared, and how often one was left out since rounding alone moves it as far. */
typedef struct Streamed {
    uint32_t run, unstable;
} Streamed;

static bool stream_once(Checker *c, const Draw *how, const Code *code, int64_t size, bool step, Streamed *n, Str *why)
{
    Arena *scratch = arena_new();
    Frame *exact = draw_call(c, scratch, how, why), *whole = exact ? frame_copy(exact) : NULL, *pieces = exact ? frame_copy(exact) : NULL;
    bool in_order = iface_in_order(code->kern);
    bool ran = exact && frame_compiled(whole, code, false, why) && frame_chunks(pieces, code, size, step, why);
    bool same = ran && (in_order ? results_same(whole, pieces, why) : results_agree(whole, pieces, tolerance_of_two(code), why));
    bool unstable = ran && !same && !in_order && is_unstable(c, exact, pieces, code);
    n->run++;
    n->unstable += unstable;
    *why = same || unstable ? (Str){0} : str_copy(c->arena, *why);
    arena_free(scratch);
    return same || unstable;
}

static bool stream_code(Checker *c, const Code *code)
{
    static const Draw draws[] = {{7, 3, false, false, true, false, NULL}, {13, 1, false, true, false, false, NULL}};
    static const int64_t size[] = {1, 2, 5, 6, 100};
    Streamed n = {0};
    Str why;
    for (uint32_t i = 0; i < sizeof draws / sizeof *draws; i++)
        for (uint32_t k = 0; k <= sizeof size / sizeof *size; k++) {
            bool step = k == sizeof size / sizeof *size;
            int64_t places = step ? 1 : size[k];
            if (stream_once(c, &draws[i], code, places, step, &n, &why))
                continue;
            if (step)
                check_fail(c, "%.*s: step differs from forward: %.*s", STRF(code_name(c->arena, code)), STRF(why));
            else
                check_fail(c, "%.*s: chunks of %lld differ from forward: %.*s", STRF(code_name(c->arena, code)),
                           (long long)places, STRF(why));
            return false;
        }
    if (n.unstable * 2 > n.run)
        check_fail(c, "%.*s: step and chunks: rounding alone moves most results", STRF(code_name(c->arena, code)));
    return n.unstable * 2 <= n.run;
}

void check_streaming(Checker *c)
{
    Str why;
    bool ok = true, any = false, in_order = true;
    c->rejected = 0;
    for (uint32_t i = 0; i < NPRECISION * CPU_NLEVEL && ok; i++) {
        const Code *code = &c->code[i / CPU_NLEVEL][i % CPU_NLEVEL];
        if (!code_is_there(code))
            continue;
        if (!iface_streams(code->kern, &why)) {
            check_skip(c, "step and chunk do not exist: %.*s", STRF(why));
            return;
        }
        any = true;
        in_order &= iface_in_order(code->kern);
        ok = stream_code(c, code);
    }
    if (ok && any)
        check_pass(c, "step and chunks equal forward%s", in_order ? " bit for bit" : "");
}
