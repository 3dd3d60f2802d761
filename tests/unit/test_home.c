/* kern.home: which slots live in the caller's array for the final state; and that going on from a carry, whose array is then copied onto
 * itself, gives what one call does, with cuts at the first place, sequences that have ended, and outputs that are left out. */
#include "ir/kern/text.h"
#include "tests/unit/forms.h"

#define HEAD                                                                                                           \
    "kern \"t\"\ndim B batch\ndim keep keep\ndim T time\ndim H size\nopen T\nopen B\nopen H\n"                                     \
    "arg \"x\" real[T, H] input of 0 batched\narg \"h0\" real[H] start of 1 optional batched\narg \"i\" int[T] input of 0 batched\n" \
    "out \"y\" real[T, H] value of 0 batched\nout \"hT\" real[H] final of 1 batched\n"                                             \
    "buf b0 arg 0 real B*T*H used 1 \"x\"\nbuf b1 arg 1 real B*H used 1 \"h0\"\nbuf b2 out 0 real B*T*H used 1 \"y\"\n"            \
    "buf b3 out 1 real B*H used 1 \"hT\"\nbuf b4 work real B*keep*T*H + B*H used 1 \"\"\nbuf b5 work real B*H used 1 \"\"\n"       \
    "buf b6 arg 2 int B*T used 1 \"i\"\nforward {\n"
#define COPY(n, to, from) "  vector %" n " < B*H {\n    %" n "0 : real = load " from "\n    store " to " = %" n "0\n  }\n"
#define BEGIN COPY("1", "b4[0, %1 by 1]", "b1[0, %1 by 1]")
#define STEPS                                                                                                          \
    "  serial %3 < T {\n    vector %4 < B*H {\n      %5 : real = load b4[0, %3 by B*keep*H, %4 by 1]\n      %6 : real = load b0[0, %3 by B*H, %4 by 1]\n" \
    "      %7 : real = add(%5, %6)\n      store b4[B*keep*H, %3 by B*keep*H, %4 by 1] = %7\n    }\n  }\n"
#define END COPY("2", "b3[0, %2 by 1]", "b4[B*keep*T*H, %2 by 1]")

static const struct At {
    const char *what, *text;
    bool home, next; /* of b4, of b5 */
} at[] = {
    {"a slot that is copied in and out", BEGIN STEPS END, true, false},
    {"a slot that is handed on", BEGIN STEPS COPY("8", "b5[0, %8 by 1]", "b4[B*keep*T*H, %8 by 1]") COPY("2", "b3[0, %2 by 1]", "b5[0, %2 by 1]"), true, true},
    {"zeros instead of a start", "  fill b4[0] count B*H = 0\n" STEPS END, true, false},
    {"a start under a condition", "  %11 : bool = given 1\n  %12 : real = const 0\n  vector %1 < B*H {\n    %13 : real = load b1[0, %1 by 1]\n"
                                  "    %14 : real = where(%11, %13, %12)\n    store b4[0, %1 by 1] = %14\n  }\n" STEPS END, true, false},
    {"a start that is read before", COPY("8", "b2[0, %8 by 1]", "b1[0, %8 by 1]") BEGIN STEPS END, true, false},
    {"a start that is read later", BEGIN STEPS COPY("8", "b2[0, %8 by 1]", "b1[0, %8 by 1]") END, false, false},
    {"a start that is read elsewhere", "  parallel %1 < B {\n    vector %9 < H {\n      %10 : real = load b1[0, %9 by B, %1 by 1]\n      store b4[0, %1 by H, %9 by 1] = %10\n    }\n  }\n" STEPS END, false, false},
    {"a start that is computed with", "  vector %1 < B*H {\n    %10 : real = load b1[0, %1 by 1]\n    %11 : real = neg(%10)\n    store b4[0, %1 by 1] = %11\n  }\n" STEPS END, false, false},
    {"a slot that is read behind", BEGIN STEPS END COPY("8", "b2[0, %8 by 1]", "b4[0, %8 by 1]"), false, false},
    {"a final state that is computed", BEGIN STEPS "  vector %2 < B*H {\n    %20 : real = load b4[B*keep*T*H, %2 by 1]\n    %21 : real = neg(%20)\n    store b3[0, %2 by 1] = %21\n  }\n", false, false},
    {"a final state that is written twice", BEGIN STEPS END "  fill b3[0] count H = 0\n", false, false},
    {"an index that is checked", BEGIN "  serial %30 < T {\n    %31 : int = load b6[0, %30 by B]\n    %32 : int = check %31 < H\n    %33 : real = const 1\n    store b5[0, %32 by 1] = %33\n  }\n" STEPS END, false, false},
};

static KernProg *program(Arena *a, const char *body)
{
    Str error, text = str_fmt(a, "%s%s}\n", HEAD, body);
    KernProg *k = kern_read(a, text, &error);
    cr_assert(k, "%.*s\n%s", STRF(error), text.p);
    return k;
}

Test(home, a_slot_lives_where_its_final_value_goes)
{
    Arena *a = arena_new();
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        KernProg *k = program(a, at[i].text);
        Text why = {.arena = a};
        kern_home(k);
        cr_assert(kern_verify(k, &why), "%s: %s", at[i].what, text_str(&why).p);
        cr_expect_eq(k->buf.p[4].home, at[i].home ? 3 : K_NONE, "%s", at[i].what);
        cr_expect_eq(k->buf.p[5].home, at[i].next ? 3 : K_NONE, "%s", at[i].what);
    }
    arena_free(a);
}

/* ---- carries ---- */

/* Frames run their steps with a carry of their own: the start goes in, the final state comes out. */
static void goes_on(const char *file, const char *entry, RecForm form)
{
    static const int64_t size[] = {1, 4, 11};
    Forms t;
    Str why = STR("");
    forms_open(&t, file, entry);
    Code code = forms_compile(&t, form, PREC_F64);
    Frame *f = forms_fill(&t, forms_frame(&t, t.d.arena, 23, 3), 0.5, 0.5);
    int64_t n;
    double *resets = forms_argument(f, rec_arg_named(f->prog, "resets"), &n);
    for (int64_t i = 0; i < n; i++)
        resets[i] = i % 7 == 0;
    cr_assert(frame_reference(f, false, &why), "%s: %s", entry, str_c(t.d.arena, why));
    for (uint32_t i = 0; i < 3; i++) {
        Frame *g = frame_copy(f);
        bool ok = frame_chunks(g, &code, size[i], size[i] == 1, &why) && results_agree(f, g, (Tolerance){1e-12, 1e-12, 0, 0}, &why);
        cr_expect(ok, "%s by %lld: %s", entry, (long long)size[i], str_c(t.d.arena, why));
    }
    uint32_t homes = 0;
    for (KBufId b = 0; b < code.kern->buf.n; b++)
        homes += code.kern->buf.p[b].home != K_NONE;
    cr_expect_gt(homes, 0, "%s", entry);
    code_free(&code);
    forms_close(&t);
}

Test(home, steps_and_chunks_go_on_from_a_carry)
{
    static const RecForm sequential = {.kind = REC_FORM_SEQUENTIAL}, chunk = {.kind = REC_FORM_CHUNK, .size = 5};
    goes_on("stdlib/lstm.rnn", "lstm", sequential);
    goes_on("stdlib/mlstm.rnn", "mlstm", chunk);
    goes_on("stdlib/gla.rnn", "gla", sequential);
    goes_on("stdlib/gla.rnn", "gla", chunk);
    goes_on("stdlib/mamba.rnn", "mamba", sequential);
}
