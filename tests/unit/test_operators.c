/* States that associative operators update: which are found, and that a scan runs them in pieces. */
#define _POSIX_C_SOURCE 200809L

#include "tests/unit/forms.h"

#include "ir/rec/operator.h"
#include "ir/rec/structure.h"

#include <stdio.h>
#include <stdlib.h>

#define DECLARED "associative fn joined(a: real, b: real) = (a + b) / (1 + a * b)\n"
#define PAIR                                                                                                                       \
    "associative fn merge(m: real, s: real, m2: real, s2: real) -> p, q {\n let p = max(m, m2)\n"                                  \
    " let q = s * exp(m - p) + s2 * exp(m2 - p)\n}\n"

/* The program of the only entry of a text, before calls of operators are scanned. */
static RecProg *program(Arena *a, const char *text, const char *stop)
{
    char path[] = "/tmp/rnnc_operators_XXXXXX";
    int file = mkstemp(path);
    Sources *sources = sources_new(a);
    Diags *diags = diags_new(a, sources);
    FILE *out = fdopen(file, "w");
    cr_assert(out && fputs(text, out) >= 0 && fclose(out) == 0);
    Unit *u = unit_load(a, sources, diags, str_copy(a, str_of(path)));
    remove(path);
    RecProg *p = u && !diags->nerrors ? elab_entry(a, u, 0, NULL, 0, diags) : NULL;
    cr_assert(p && !diags->nerrors, "%s", text);
    Compile c = {.arena = a, .emit = EMIT_REC, .rec = p, .stop_after = str_of(stop)};
    p->form = (RecForm){.kind = REC_FORM_SCAN, .size = 3};
    compile(&c);
    return c.rec;
}

/* How many stages of the recurrences are updated by an operator. */
static uint32_t found(const char *text)
{
    Arena *a = arena_new();
    RecProg *p = program(a, text, "rec.batch");
    uint32_t n = 0, ops = p->region.p[REC_FORWARD].op.n;
    for (uint32_t i = 0; i < ops; i++) {
        RecId v = p->region.p[REC_FORWARD].op.p[i];
        if (rec_op(p, v)->kind != REC_RECUR)
            continue;
        Structure s = structure_of(p, a, v);
        for (uint32_t k = 0; k < s.stages.n; k++)
            n += s.stage[k].class == STAGE_OPERATOR;
    }
    arena_free(a);
    return n;
}

#define CELL(BODY) "cell c[H] over t (x: real[H], f: real[H], g: bool) -> h {\n state h: real[H]\n" BODY "}\n"

Test(operators, an_update_is_found)
{
    cr_expect_eq(found(DECLARED CELL(" h = joined(h[t-1], x)\n")), 1);
    cr_expect_eq(found(DECLARED CELL(" h = joined(h[t-1], 0.5)\n")), 1);
    cr_expect_eq(found(DECLARED CELL(" let y = joined(h[t-1], tanh(x * f))\n h = y\n")), 1);
    cr_expect_eq(found(DECLARED CELL(" h = joined(h[t+1], x)\n")), 1);
    cr_expect_eq(found(DECLARED CELL(" h = where(g, 1, joined(h[t-1], x))\n")), 1);
    cr_expect_eq(found(DECLARED CELL(" state k: real[H]\n k = joined(k[t-1], h)\n h = joined(h[t-1], x)\n")), 2);
    cr_expect_eq(found(PAIR CELL(" state s: real[H]\n let a, b = merge(h[t-1], s[t-1], x, 1)\n h = a\n s = b\n")), 1);
}

Test(operators, what_is_no_update_is_not)
{
    cr_expect_eq(found("fn joined(a: real, b: real) = (a + b) / (1 + a * b)\n" CELL(" h = joined(h[t-1], x)\n")), 0, "not declared");
    cr_expect_eq(found(DECLARED CELL(" h = joined(x, h[t-1])\n")), 0, "on the right");
    cr_expect_eq(found(DECLARED CELL(" h = 0.5 * joined(h[t-1], x)\n")), 0, "something is made of it");
    cr_expect_eq(found(DECLARED CELL(" h = joined(0.5 * h[t-1], x)\n")), 0, "of something made of the state");
    cr_expect_eq(found(DECLARED CELL(" h = joined(h[t-1], x * h[t-1])\n")), 0, "the right side reads the state");
    cr_expect_eq(found(DECLARED CELL(" h = joined(joined(h[t-1], x), f)\n")), 0, "two calls");
    cr_expect_eq(found(DECLARED CELL(" h = where(x > f, joined(h[t-1], x), h[t-1])\n")), 0, "a condition for each element");
    cr_expect_eq(found(DECLARED CELL(" h[i] = joined(h[t-1][i], x[i])\n")), 0, "element by element");
    cr_expect_eq(found(DECLARED CELL(" h = joined(h[t-2], x)\n")), 0, "two steps back");
    cr_expect_eq(found(PAIR CELL(" state s: real[H]\n let a, b = merge(h[t-1], s[t-1], x, s[t-1])\n h = a\n s = b\n")), 0, "right");
    cr_expect_eq(found(PAIR CELL(" state s: real[H]\n let a, b = merge(s[t-1], h[t-1], x, 1)\n h = a\n s = b\n")), 0, "crossed");
    cr_expect_eq(found(PAIR CELL(" state s: real[H]\n let a, b = merge(h[t-1], h[t-1], x, 1)\n h = a\n s = b * s[t-1]\n")), 0, "twice");
}

/* The recurrences of the forward function that have one step for each place. */
static uint32_t over_all_places(const RecProg *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->region.p[REC_FORWARD].op.n; i++) {
        const RecOp *op = rec_op(p, p->region.p[REC_FORWARD].op.p[i]);
        n += op->kind == REC_RECUR && op->length == dim_of(p->dims, p->time);
    }
    return n;
}

Test(operators, scans_leave_no_step_for_each_place)
{
    Arena *a = arena_new();
    RecProg *p = program(a, DECLARED CELL(" h = joined(h[t-1], x)\n"), "rec.chunk");
    cr_expect_eq(over_all_places(p), 0);
    cr_expect_eq(p->form_missing, WHY_NONE);
    cr_expect_not(operator_any(p), "a call is left");
    p = program(a, DECLARED CELL(" h = joined(x, h[t-1])\n"), "rec.chunk");
    cr_expect_eq(over_all_places(p), 1);
    cr_expect_eq(p->form_missing, WHY_NOT_AFFINE);
    cr_expect_not(operator_any(p), "a call is left");
    arena_free(a);
}

/* Calls as text, and back. */
Test(operators, calls_are_printed_and_read)
{
    Arena *a = arena_new();
    Str error = STR("");
    RecProg *p = program(a, PAIR CELL(" state s: real[H]\n let a, b = merge(h[t-1], s[t-1], x, 1)\n h = a\n s = b\n"), "rec.batch");
    Str text = rec_text(a, p);
    RecProg *q = rec_read(a, text, &error);
    cr_assert(q, "%s", str_c(a, error));
    cr_expect(operator_any(q) && str_eq(text, rec_text(a, q)));
    arena_free(a);
}

/* Whether a call that was changed by hand is refused. */
static bool is_refused(const char *from, const char *to)
{
    Arena *a = arena_new();
    Str error = STR("");
    Text why = {.arena = a};
    RecProg *p = program(a, DECLARED CELL(" h = joined(h[t-1], x)\n"), "rec.batch");
    const char *text = str_c(a, rec_text(a, p)), *at = strstr(text, from);
    cr_assert(at, "%s", text);
    Str changed = str_fmt(a, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    RecProg *q = rec_read(a, changed, &error);
    cr_assert(q, "%s", str_c(a, error));
    bool fine = rec_verify(q, &why);
    arena_free(a);
    return !fine;
}

Test(operators, the_verifier_knows_what_a_call_is)
{
    cr_expect_not(is_refused("over 1 operator", "over 1 operator"));
    cr_expect(is_refused("over 1 operator", "over 1 reverse operator"));
    cr_expect(is_refused("over T {", "over T operator {"));
}

/* A piece that ends, begins anew, or has no step: with lengths and cuts at every place in turn. */
Test(operators, cuts_and_ends_at_every_place, .timeout = 300)
{
    Forms t;
    forms_open(&t, "tests/cells/operators.rnn", "velocities");
    Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F64);
    Code scan = forms_compile(&t, (RecForm){.kind = REC_FORM_SCAN, .size = 3}, PREC_F64);
    enum { T = 11 };
    for (int64_t at = 0; at < T * (T + 1); at++) {
        Arena *a = arena_new();
        Frame *f = forms_fill(&t, forms_frame(&t, a, T, 1), 1, 1);
        int64_t n;
        Str why = STR("");
        forms_argument(f, rec_arg_named(f->prog, "resets"), &n)[at % T] = 1;
        forms_argument(f, rec_arg_named(f->prog, "lengths"), &n)[0] = (double)(at / T);
        Frame *g = frame_copy(f);
        bool ok = frame_compiled(f, &sequential, true, &why) && frame_compiled(g, &scan, true, &why) &&
                  results_agree(f, g, (Tolerance){1e-12, 1e-12, 0, 0}, &why);
        cr_expect(ok, "cut at %d, length %d: %s", (int)(at % T), (int)(at / T), str_c(a, why));
        arena_free(a);
    }
    code_free(&scan);
    code_free(&sequential);
    forms_close(&t);
}
