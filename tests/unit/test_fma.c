/* At levels with fma a product that one sum uses is rounded with it; one that more use is not, nor two in one sum, nor any at the baseline. */
#include "tests/unit/forms.h"

#include <math.h>

typedef struct Point {
    double a, b, c;
} Point;

static double draw(Forms *t, const Frame *f, const char *name)
{
    int64_t n;
    for (uint32_t i = 0; i < f->prog->arg.n; i++)
        if (str_eq(f->prog->arg.p[i].name, str_of(name)))
            return *forms_argument(f, i, &n) = forms_uniform(t) + 0x1p-30 * forms_uniform(t);
    cr_assert_fail("no argument %s", name);
    return 0;
}

static double output(const Frame *f, const char *name)
{
    for (uint32_t i = 0; i < f->prog->out.n; i++)
        if (str_eq(f->prog->out.p[i].name, str_of(name)))
            return f->out[i][0];
    cr_assert_fail("no output %s", name);
    return 0;
}

static void expect(const Frame *f, const char *name, double value)
{
    cr_expect(output(f, name) == value, "%s: %a, expected %a", name, output(f, name), value);
}

static void run(bool baseline, void (*check)(const Frame *f, Point p))
{
    Forms t;
    forms_open(&t, "tests/cells/rounded_once.rnn", "rounded_once");
    t.level = baseline ? CPU_BASELINE : t.level;
    Code code = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F64);
    for (int round = 0; round < 50; round++) {
        Arena *a = arena_new();
        Frame *f = forms_frame(&t, a, 1, 1);
        Point p = {.a = draw(&t, f, "a")};
        p.b = draw(&t, f, "b");
        p.c = draw(&t, f, "c");
        Str why = STR("");
        cr_assert(frame_compiled(f, &code, false, &why), "%s", str_c(a, why));
        check(f, p);
        arena_free(a);
    }
    code_free(&code);
    forms_close(&t);
}

static void together(const Frame *f, Point p)
{
    expect(f, "plus", fma(p.a, p.b, p.c));
    expect(f, "minus", fma(p.a, p.c, -p.b));
    expect(f, "from", fma(-p.b, p.c, p.a));
}

static void apart(const Frame *f, Point p)
{
    volatile double ab = p.a * p.b, ac = p.a * p.c, bc = p.b * p.c;
    expect(f, "plus", ab + p.c);
    expect(f, "minus", ac - p.b);
    expect(f, "from", p.a - bc);
}

/* The same at every level. */
static void shared(const Frame *f, Point p)
{
    volatile double square = p.a * p.a, bb = p.b * p.b, cc = p.c * p.c;
    expect(f, "square", square);
    expect(f, "shared", square + p.c);
    expect(f, "both", bb - cc);
}

Test(fma, rounded_once)
{
    if (!cpu_level_here(CPU_AVX2))
        cr_skip("this machine has no fma");
    run(false, together);
}

Test(fma, baseline_rounds_twice)
{
    run(true, apart);
}

Test(fma, others_are_rounded)
{
    run(false, shared);
    run(true, shared);
}
