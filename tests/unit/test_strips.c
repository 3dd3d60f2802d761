/* kern.strips: which products join a loop over places, and that several strips compute what the evaluator does: values, gradients,
 * ragged and packed batches, grids. (`unit.test_kern` runs all of the library in strips of one to three places.) */
#include "ir/kern/text.h"
#include "tests/unit/forms.h"

/* ---- which statements are taken together ---- */

#define HEAD                                                                                                           \
    "kern \"t\"\ndim B batch\ndim keep keep\ndim T time\ndim H size\nopen T\nopen B\nopen H\n"                                     \
    "arg \"x\" real[T, H] input of 0 batched\narg \"w\" real[H, H] param of 0\nout \"y\" real[T, H] value of 0 batched\n"          \
    "out \"d\" real[H, H] grad_param of 0\n"                                                                           \
    "buf b0 arg 0 real B*T*H used 1 \"x\"\nbuf b1 arg 1 real H*H used 1 \"w\"\nbuf b2 out 0 real B*T*H used 1 \"y\"\n"             \
    "buf b3 out 1 real H*H used 1 \"d\"\nbuf b4 work real B*T*H used 1 \"\"\nbuf b5 work real B*H used 1 \"\"\n"                   \
    "buf b6 work real B*T*H used 1 \"\"\nforward {\n"
#define FRONT "  gemm m B*T n H k H b4[0] rows H cols 1 = b0[0] rows H cols 1 @ b1[0] rows 1 cols H\n"
#define STEPS(how, read)                                                                                               \
    "  serial %0 < T" how " {\n    vector %1 < B*H {\n      %2 : real = load b5[0, %1 by 1]\n      %3 : real = load " read "\n"    \
    "      %4 : real = add(%2, %3)\n      store b5[0, %1 by 1] = %4\n      store b6[0, %0 by B*H, %1 by 1] = %4\n    }\n  }\n"
#define OWN "b4[0, %0 by B*H, %1 by 1]"
#define ROWS "  gemm m B*T n H k H b2[0] rows H cols 1 = b6[0] rows H cols 1 @ b1[0] rows H cols 1\n"
#define SUM "  gemm m H n H k B*T b3[0] rows H cols 1 += b6[0] rows 1 cols H @ b0[0] rows H cols 1\n"
#define BIAS "  serial %10 < B*T {\n    vector %11 < H {\n      %12 : real = load b6[0, %10 by H, %11 by 1]\n      store b3[0, %11 by 1] += %12\n    }\n  }\n"

static const struct Taken {
    const char *what, *text;
    uint32_t strips, inside; /* how many, and statements in the first of them */
    const char *work;        /* a buffer that there must be */
} taken[] = {
    {"a product in front", FRONT STEPS("", OWN), 1, 2, "buf b4 work real B*H*strip "},
    {"read where another place has it", FRONT STEPS("", "b4[B*H, %0 by B*H, %1 by 1]"), 0, 0, "buf b4 work real B*T*H "},
    {"read from the end", FRONT STEPS("", "b4[B*T*H - B*H, %0 by -1*B*H, %1 by 1]"), 0, 0, "buf b4 work real B*T*H "},
    {"a product that nobody reads there", FRONT STEPS("", "b0[0, %0 by B*H, %1 by 1]"), 0, 0, "buf b4 work real B*T*H "},
    {"rows behind", STEPS("", "b0[0, %0 by B*H, %1 by 1]") ROWS, 1, 2, "buf b6 work real B*H*strip "},
    {"a sum over all places", STEPS(" reverse", "b0[0, %0 by B*H, %1 by 1]") SUM, 1, 2, "buf b6 work real B*H*strip "},
    {"a sum without products", STEPS("", "b0[0, %0 by B*H, %1 by 1]") BIAS, 1, 2, "buf b6 work real B*H*strip "},
    {"all of them", FRONT STEPS("", OWN) ROWS SUM BIAS, 1, 5, "buf b6 work real B*H*strip "},
    {"a sum that does not add", STEPS("", "b0[0, %0 by B*H, %1 by 1]") "  gemm m H n H k B*T b3[0] rows H cols 1 = b6[0] rows 1 cols H @ b0[0] rows H cols 1\n", 0, 0, "b6 work real B*T*H "},
    {"something in between that is read", FRONT "  fill b5[0] count B*H = 0\n" STEPS("", OWN), 1, 2, "buf b4 work real B*H*strip "},
    {"something in between that writes", FRONT "  fill b4[0] count B*H = 0\n" STEPS("", OWN), 0, 0, "buf b4 work real B*T*H "},
    {"something behind that waits", FRONT STEPS("", OWN) "  fill b5[0] count H = 1\n" ROWS, 1, 3, "buf b6 work real B*H*strip "},
    {"all of it is read behind", FRONT STEPS("", OWN) "  copy b2[0] = b4[0] count B*T*H\n", 1, 2, "buf b4 work real B*T*H "},
    {"a number of places that is known", "  gemm m 9*B n H k H b4[0] rows H cols 1 = b0[0] rows H cols 1 @ b1[0] rows 1 cols H\n"
                                         "  serial %0 < 9 {\n    vector %1 < B*H {\n      %2 : real = load " OWN "\n      store b5[0, %1 by 1] = %2\n    }\n  }\n", 0, 0, "b4 work real B*T*H "},
};

static uint32_t count_strips(const KernProg *k, uint32_t *inside)
{
    const KBlock *b = &k->fn[REC_FORWARD];
    uint32_t n = 0;
    *inside = 0;
    for (uint32_t i = b->n; i-- > 0;)
        if (b->p[i]->kind == K_STRIPS)
            n++, *inside = b->p[i]->strips.body.n;
    return n;
}

static KernProg *program(Arena *a, const char *body)
{
    Str error, text = str_fmt(a, "%s%s}\n", HEAD, body);
    Text why = {.arena = a};
    KernProg *k = kern_read(a, text, &error);
    cr_assert(k, "%.*s\n%s", STRF(error), text.p);
    cr_assert(kern_verify(k, &why), "%s\n%s", text_str(&why).p, text.p);
    return k;
}

Test(strips, what_is_handed_on_place_by_place_is_taken_together)
{
    Arena *a = arena_new();
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        KernProg *k = program(a, taken[i].text);
        Text out = {.arena = a}, why = {.arena = a};
        uint32_t inside;
        kern_strips(k);
        kern_print(&out, k);
        cr_assert(kern_verify(k, &why), "%s\n%s", text_str(&why).p, text_str(&out).p);
        cr_expect_eq(count_strips(k, &inside), taken[i].strips, "%s\n%s", taken[i].what, text_str(&out).p);
        cr_expect_eq(inside, taken[i].inside, "%s: %u\n%s", taken[i].what, inside, text_str(&out).p);
        cr_expect(strstr(text_str(&out).p, taken[i].work), "%s: %s\n%s", taken[i].what, taken[i].work, text_str(&out).p);
    }
    arena_free(a);
}

/* ---- several strips ---- */

typedef struct Call {
    int64_t T, B;
    const int32_t *offset; /* of a packed batch, or NULL */
} Call;

/* The least number of strips in any group of the program, at the sizes of a call. */
static int64_t strips_in(const Frame *f, const KernProg *k)
{
    const int64_t *dim = frame_dims(f, k->dims, k->derived.p, k->derived.n);
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < k->derived.n; i++) {
        const DimSymInfo *s = dim_sym_info(k->dims, k->derived.p[i].sym);
        if (s->kind == DIM_STRIP && strstr(s->name.p, "strips") == s->name.p && dim[k->derived.p[i].sym] < least)
            least = dim[k->derived.p[i].sym];
    }
    return least;
}

/* Lines are ragged; a length of a grid has several numbers, and stays as it is. */
static bool is_left(const RecArg *x, const Call *how)
{
    return x->role == ROLE_LENGTH && (how->offset || x->type.rank);
}

static double value(Forms *t, RecRole role, const Call *how, int64_t i)
{
    if (role == ROLE_LENGTH)
        return (double)(i % 3 == 1 ? how->T / 3 : how->T);
    return role == ROLE_RESET ? forms_uniform(t) > 0.9 : 0.3 * forms_uniform(t);
}

static void draw(Forms *t, const Frame *f, const Call *how)
{
    for (uint32_t i = 0; i < f->prog->arg.n; i++) {
        int64_t n;
        if (is_left(&f->prog->arg.p[i], how))
            continue;
        double *x = forms_argument(f, i, &n);
        for (int64_t k = 0; k < n; k++)
            x[k] = value(t, f->prog->arg.p[i].role, how, k);
    }
}

static void agrees(const char *file, const char *entry, Call how)
{
    Forms t;
    Str why = STR("");
    forms_open(&t, file, entry);
    Code code = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL, .size = 0}, PREC_F64);
    Frame *f = forms_frame(&t, t.d.arena, how.T, how.B);
    f->offset = how.offset;
    draw(&t, f, &how);
    int64_t strips = strips_in(f, code.kern);
    cr_assert(strips > 1 && strips < 1000, "%s: %lld strips", entry, (long long)strips);
    Frame *g = frame_copy(f);
    bool ok = frame_reference(f, true, &why) && frame_compiled(g, &code, true, &why) && results_agree(f, g, (Tolerance){1e-11, 1e-11, 0, 0}, &why);
    cr_expect(ok, "%s: %s", entry, str_c(t.d.arena, why));
    code_free(&code);
    forms_close(&t);
}

static const int32_t packed[] = {0, 0, 1, 9001, 9001, 20011};

Test(strips, an_lstm_is_the_same_in_several, .timeout = 120) { agrees("stdlib/lstm.rnn", "lstm", (Call){4001, 5, NULL}); }
Test(strips, so_is_a_grid, .timeout = 120) { agrees("stdlib/mdlstm.rnn", "mdlstm_plain", (Call){2003, 2, NULL}); }
Test(strips, so_is_a_packed_batch, .timeout = 120) { agrees("stdlib/gru.rnn", "gru", (Call){20011, 5, packed}); }
