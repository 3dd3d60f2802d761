/* Gates of +-120 before their activation, decays of exactly 0 and 1, and minus infinity, in single precision and every
 * form: what is finite when computed exactly is finite, and within 1e-3 of the largest element; gradients too. */
#include "tests/unit/forms.h"

#include <math.h>

typedef struct Extreme {
    const char *file, *entry;
    bool chunk, scan;
    const char *name[3]; /* arguments that get extreme values */
    double value[6];     /* half the time; else ordinary ones */
    uint32_t nvalue;
    const char *positive[2]; /* ordinary, but positive: their product is divided by, and must not come near zero */
} Extreme;

#define GATE {-120, 120, -120, 120, -30, 15}, 6
/* With f = 15 and i = 120 twice, two maxima are nearer to each other than single precision tells apart, and the final maximum has
 * one of two derivatives. */
#define NO_TIES {-120, 120, -120, 120, -30, 3}, 6
#define DECAY {0, 1, 1, 0, 1, 0.5}, 6

static bool is_one_of(Str name, const char *const *list, uint32_t n)
{
    for (uint32_t i = 0; i < n && list[i]; i++)
        if (str_is(name, list[i]))
            return true;
    return false;
}

static bool is_extreme(const Extreme *e, Str name)
{
    return is_one_of(name, e->name, 3);
}

static uint32_t names(const Extreme *e)
{
    uint32_t n = 0;
    while (n < 3 && e->name[n])
        n++;
    return n;
}

static double value_of(Forms *t, const Extreme *e, Str name)
{
    double u = forms_uniform(t), which = forms_uniform(t);
    if (is_one_of(name, e->positive, 2))
        return fabs(u);
    if (!is_extreme(e, name) || which < 0)
        return u;
    return e->value[(uint32_t)(which * e->nvalue) % e->nvalue];
}

static Frame *drawn(Forms *t, Arena *a, const Extreme *e, bool starts)
{
    enum { T = 23, B = 3 };
    Frame *f = forms_frame(t, a, T, B);
    uint32_t seen = 0;
    for (uint32_t i = 0; i < f->prog->arg.n; i++) {
        const RecArg *x = &f->prog->arg.p[i];
        int64_t n;
        seen += is_extreme(e, x->name);
        if (x->role == ROLE_START && !starts)
            continue;
        double *p = forms_argument(f, i, &n);
        for (int64_t k = 0; k < n; k++)
            p[k] = x->role == ROLE_LENGTH ? (k == 0 ? T : k == 1 ? 0 : 17)
                   : x->role == ROLE_RESET ? forms_uniform(t) > 0.8
                   : x->type.dt != DT_REAL ? forms_value(t, x->type.dt)
                                           : value_of(t, e, x->name);
    }
    cr_assert_eq(seen, names(e), "%s: an argument of this name is missing", e->entry);
    return f;
}

static void compare(Forms *t, const Extreme *e, const Code *code, RecForm form, bool starts)
{
    Arena *a = arena_new();
    Frame *f = drawn(t, a, e, starts), *g = frame_copy(f);
    Str why = STR("");
    bool ok = frame_reference(f, true, &why) && frame_compiled(g, code, true, &why) &&
              results_agree(f, g, (Tolerance){1e-3, 1e-3, 0, 0}, &why);
    cr_expect(ok, "%s, %s, %s: %s", e->entry, form_name(t, form), starts ? "from given states" : "from the start", str_c(a, why));
    arena_free(a);
}

static void survives(const Extreme *e)
{
    static const RecForm forms[] = {{.kind = REC_FORM_SEQUENTIAL, .size = 0}, {.kind = REC_FORM_CHUNK, .size = 5}, {.kind = REC_FORM_CHUNK, .size = 16}, {.kind = REC_FORM_SCAN, .size = 3}};
    Forms t;
    forms_open(&t, e->file, e->entry);
    for (uint32_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if ((forms[i].kind == REC_FORM_CHUNK && !e->chunk) || (forms[i].kind == REC_FORM_SCAN && !e->scan))
            continue;
        Code code = forms_compile(&t, forms[i], PREC_F32);
        for (uint32_t k = 0; k < 6; k++)
            compare(&t, e, &code, forms[i], k % 2);
        code_free(&code);
    }
    forms_close(&t);
}

#define EXTREME(NAME, ...)                                                                                             \
    Test(extremes, NAME, .timeout = 300)                                                                               \
    {                                                                                                                  \
        static const Extreme e = {__VA_ARGS__};                                                                        \
        survives(&e);                                                                                                  \
    }

EXTREME(gla, "stdlib/gla.rnn", "gla", true, true, {"g"}, GATE, {NULL})
EXTREME(hgrn2, "stdlib/hgrn2.rnn", "hgrn2", true, true, {"f"}, GATE, {NULL})
EXTREME(rwkv6, "stdlib/rwkv6.rnn", "rwkv6", true, true, {"w"}, GATE, {NULL})
EXTREME(rwkv7, "stdlib/rwkv7.rnn", "rwkv7", true, true, {"w", "a"}, GATE, {NULL})
EXTREME(kda, "stdlib/kda.rnn", "kda", true, true, {"g", "b"}, GATE, {NULL})
EXTREME(gated_deltanet, "stdlib/gated_deltanet.rnn", "gated_deltanet", true, true, {"a", "b"}, GATE, {NULL})
EXTREME(mamba2, "stdlib/mamba2.rnn", "mamba2", true, true, {"dt"}, GATE, {NULL})
EXTREME(mlstm, "stdlib/mlstm.rnn", "mlstm", true, true, {"i", "f"}, NO_TIES, {"q", "k"})
EXTREME(mamba, "stdlib/mamba.rnn", "mamba", false, true, {"dt", "z"}, GATE, {NULL})
EXTREME(rwkv4, "stdlib/rwkv4.rnn", "rwkv4", false, true, {"k", "r"}, GATE, {NULL})
EXTREME(aaren, "stdlib/aaren.rnn", "aaren", false, true, {"k"}, GATE, {NULL})
EXTREME(mingru, "stdlib/mingru.rnn", "mingru", false, true, {"z", "c"}, GATE, {NULL})
EXTREME(rglru, "stdlib/rglru.rnn", "rglru", false, true, {"b"}, GATE, {NULL})
EXTREME(running_max, "tests/cells/semiring_running_max.rnn", "running_max", false, true, {"fall"}, GATE, {NULL})

EXTREME(hmm_forward, "stdlib/hmm.rnn", "hmm_forward", false, true, {"A", "E"}, {-INFINITY, 0, -120, 120, -1, -INFINITY}, 6, {NULL})
EXTREME(log_chain, "tests/cells/semiring_log_matrix.rnn", "log_chain", false, true, {"seen"}, {-INFINITY, 0, -120, 120, -1, -INFINITY}, 6, {NULL})
EXTREME(running_log_sum, "tests/cells/running_log_sum.rnn", "running_log_sum", false, true, {"x"}, {-INFINITY, 0, -120, 120, -1, -INFINITY}, 6, {NULL})
EXTREME(log_pair, "tests/cells/semiring_log_matrix.rnn", "log_pair", false, true, {"A", "C"}, {-INFINITY, 0, -120, 120, -1, -INFINITY}, 6, {NULL})
EXTREME(shortest_path, "tests/cells/semiring_shortest_path.rnn", "shortest_path", false, true, {"W"}, {INFINITY, 0, 120, 1, INFINITY, 2}, 6, {NULL})

EXTREME(each_row, "tests/forms/extremes.rnn", "each_row", true, true, {"d"}, DECAY)
EXTREME(one_for_all, "tests/forms/extremes.rnn", "one_for_all", true, true, {"d"}, DECAY)
EXTREME(corrected, "tests/forms/extremes.rnn", "corrected", true, true, {"d"}, DECAY)
EXTREME(vector, "tests/forms/extremes.rnn", "vector", false, true, {"d"}, DECAY)
EXTREME(by_logarithm, "tests/forms/extremes.rnn", "by_logarithm", true, true, {"d"}, {-INFINITY, 0, -120, -1, -INFINITY, 0}, 6)
EXTREME(largest, "tests/forms/extremes.rnn", "largest", false, true, {"d"}, {-INFINITY, 0, -120, -1, 0, 0}, 6)
