/* Products of rounded factors, and of reals in panels: kernels are made of one product each, and their PTX is run, warp by warp, in either order of sums. An
 * element is a sum of K exact products, made by K additions in single precision, so it is off by K + 1 roundings of the sum of
 * the products' magnitudes at most, whatever the order. (A GPU may round its additions otherwise; here they are those of float.) */
#include <criterion/criterion.h>
#include <math.h>

#include "backends/nvptx/nvptx.h"
#include "tests/ptx/interpret.h"

enum { A, B, C, NBUF };

/* How a product stands in memory. */
typedef struct Form {
    FactorType factor; /* FACTOR_REAL: in panels */
    Narrow narrow; /* of both factors, which are the caller's then, or of B alone */
    bool wide_a;
    const char *arch;
    bool steps; /* one product after the other, by one block: each warp makes tiles by itself */
    const char *m, *n, *k; /* sizes that are numbers; NULL: M, N, K */
    bool a_turned, b_turned, c_turned, add; /* turned: columns are dense */
} Form;

typedef struct Product {
    Arena *a;
    Form form;
    KernProg *k;
    NvPlan *plan;
    const char *ptx;
    bool blocks; /* of NV_PANEL_THREADS */
    struct kernels *kernels;
    int64_t P, M, N, K; /* P products, one behind the other */
    int64_t T, piece;   /* of steps: how many; rows of a block */
    float *value[NBUF];
    uint16_t *bits[NBUF]; /* of narrow ones; else NULL */
} Product;

/* ---- the program ---- */

static const char *view(Arena *a, const char *rows, const char *cols, bool turned)
{
    return str_fmt(a, "rows %s cols %s", turned ? "1" : cols, turned ? rows : "1").p;
}

static const char *buffer(Arena *a, int number, bool caller, const char *size)
{
    return str_fmt(a, "buf b%d %s real %s used 1 \"\"\n", number, !caller ? "work" : number == A ? "arg 0" : "arg 1", size).p;
}

static KernProg *program_of(Arena *a, const Form *f)
{
    Str error = {0};
    Text t = {.arena = a};
    text_add(&t, "kern \"p\"%s%s\ndim Z batch\ndim keep keep\ndim P size\ndim M size\ndim N size\ndim K size\n", f->narrow ? " narrow " : "", narrow_text(f->narrow));
    text_add(&t, "open P\nopen M\nopen N\nopen K\narg \"a\" real[P, M, K] param of 0\narg \"b\" real[P, K, N] param of 1\n");
    text_add(&t, "%s%s%s", buffer(a, A, f->narrow && !f->wide_a, "P*M*K"), buffer(a, B, f->narrow, "P*K*N"), buffer(a, C, false, "P*M*N"));
    text_add(&t, "forward {\n  %s %%0 < P {\n    gemm m %s n %s k %s b2[0, %%0 by M*N] %s %s b0[0, %%0 by M*K] %s @ b1[0, %%0 by K*N] %s%s%s\n%s  }\n}\n",
             f->steps ? "serial" : "parallel", f->m ? f->m : "M", f->n ? f->n : "N", f->k ? f->k : "K", view(a, "M", "N", f->c_turned), f->add ? "+=" : "=", view(a, "M", "K", f->a_turned), view(a, "K", "N", f->b_turned), f->factor ? " factors " : "",
             f->factor ? factor_text(f->factor) : "", f->steps ? "    copy b0[0] = b2[0] count keep\n" : "");
    KernProg *k = kern_read(a, text_str(&t), &error);
    cr_assert(k, "%.*s\n%.*s", STRF(error), STRF(text_str(&t)));
    return k;
}

static bool has_tiles(const NvNode *steps)
{
    for (uint32_t i = 0; i < steps->body.n; i++)
        if (steps->body.p[i]->kind == NV_TILES)
            return true;
    return false;
}

static Product product_new(Arena *a, const Form *f)
{
    Product p = {.a = a, .form = *f, .k = program_of(a, f)};
    NvOptions o = {.arch = str_of(f->arch)};
    p.plan = nv_plan(a, p.k, &o);
    const NvFn *fn = &p.plan->fn[REC_FORWARD];
    cr_assert_eq(fn->refused.n, 0, "%.*s", STRF(fn->refused));
    cr_assert(fn->kernel.n == 1 && fn->kernel.p[0].node.n == 1);
    const NvNode *node = fn->kernel.p[0].node.p[0];
    p.blocks = node->kind == NV_PANELS;
    cr_assert(f->steps ? has_tiles(node) : node->kind == (str_is(o.arch, "sm_75") && f->factor ? NV_TILES : NV_PANELS));
    p.ptx = str_c(a, nv_ptx(p.plan, &o));
    bool groups = p.blocks && str_is(o.arch, "sm_90a") && (f->factor == FACTOR_BF16 || f->factor == FACTOR_F16);
    cr_assert(!f->factor || strstr(p.ptx, groups ? "wgmma.mma_async.sync.aligned.m64n64k16" : "mma.sync.aligned.m16n8"));
    cr_assert(!p.blocks || strstr(p.ptx, ".reqntid 256, 1, 1"));
    p.kernels = kernels_read(p.ptx);
    cr_assert(p.kernels);
    return p;
}

/* ---- numbers ---- */

/* Of several sizes, and a part of them ties, between two numbers of the shorter type. */
static float number(uint64_t i, FactorType f)
{
    double u = 2 * rec_random_value(1, 2, i) - 1, v = ldexp(u, (int)(i % 7) - 3);
    float x = (float)factor_round(f, v);
    return (float)(i % 3 ? v : (double)x * (1 + factor_unit(f) * (i % 2 ? 1 : -1) / 2));
}

static int64_t count_of(const Product *p, int buf)
{
    return p->P * (buf == A ? p->M * p->K : buf == B ? p->K * p->N : p->M * p->N);
}

/* As a device's memory is. */
static void *aligned(Arena *a, int64_t bytes)
{
    char *at = NEWN(a, char, bytes + 64);
    return at + (64 - (uintptr_t)at % 64);
}

static void fill(Product *p, int buf)
{
    bool narrow = p->form.narrow && buf != C && !(buf == A && p->form.wide_a);
    int64_t n = count_of(p, buf);
    p->value[buf] = aligned(p->a, n * 4);
    p->bits[buf] = narrow ? aligned(p->a, n * 2) : NULL;
    for (int64_t i = 0; i < n; i++) {
        float x = number((uint64_t)(3 * i + buf), p->form.factor);
        if (narrow)
            p->bits[buf][i] = narrow_of(p->form.narrow, x);
        p->value[buf][i] = narrow ? narrow_value(p->form.narrow, p->bits[buf][i]) : x;
    }
}

/* ---- running it ---- */

static const Product *running;

static int may_touch(uint64_t at, size_t n)
{
    for (int b = 0; b < NBUF; b++) {
        uint64_t first = (uint64_t)(uintptr_t)(running->bits[b] ? (const void *)running->bits[b] : running->value[b]);
        uint64_t bytes = (uint64_t)count_of(running, b) * (running->bits[b] ? 2 : 4);
        if (at >= first && at - first + n <= bytes)
            return 1;
    }
    return 0;
}

static int64_t size_of(const Product *p, char name)
{
    switch (name) {
    case 'P': return p->P;
    case 'M': return p->M;
    case 'N': return p->N;
    case 'K': return p->K;
    case 'k': return 0; /* keep: in steps nothing is copied, but a plan does not know */
    default: cr_assert_eq(name, 'T'); return p->T;
    }
}

/* Of rows a block has so many; of all other axes, all. */
static uint64_t piece_of(const Product *p, Dim axis)
{
    enum { ALL = 1 << 20 };
    bool rows = false;
    for (DimSym s = 0; s < dim_nsyms(p->k->dims); s++)
        rows = rows || (dim_of(p->k->dims, s) == axis && dim_sym_info(p->k->dims, s)->name.p[0] == 'M');
    return rows ? (uint64_t)p->piece : ALL;
}

static uint64_t param_of(const Product *p, const NvKernel *kernel, const NvParam *x)
{
    if (x->kind == NV_BUFFER)
        return (uint64_t)(uintptr_t)(p->bits[x->index] ? (void *)p->bits[x->index] : p->value[x->index]);
    if (x->kind == NV_PIECE)
        return piece_of(p, kernel->cut.p[x->index].axis);
    cr_assert_eq(x->kind, NV_SIZE);
    return (uint64_t)size_of(p, dim_sym_info(p->k->dims, x->index)->name.p[0]);
}

static int result_of(const Product *p, unsigned blocks, unsigned threads, bool backwards)
{
    const NvKernel *kernel = &p->plan->fn[REC_FORWARD].kernel.p[0];
    uint64_t *value = NEWN(p->a, uint64_t, kernel->param.n + 1);
    void **param = NEWN(p->a, void *, kernel->param.n + 1);
    for (uint32_t i = 0; i < kernel->param.n; i++) {
        value[i] = param_of(p, kernel, &kernel->param.p[i]);
        param[i] = &value[i];
    }
    struct grid g = {blocks, threads, 0, param, 1000000000, backwards, may_touch, 1, 0, 0};
    running = p;
    return kernel_run(kernels_find(p->kernels, str_c(p->a, kernel->name)), &g);
}

static void run(const Product *p, unsigned blocks, unsigned threads, bool backwards)
{
    cr_assert_eq(result_of(p, blocks, threads, backwards), RUN_FINE, "M %d N %d K %d", (int)p->M, (int)p->N, (int)p->K);
}

static double factor_at(const Product *p, int buf, int64_t which, int64_t row, int64_t col)
{
    int64_t rows = buf == A ? p->M : p->K, cols = buf == A ? p->K : p->N;
    bool turned = buf == A ? p->form.a_turned : p->form.b_turned;
    return factor_round(p->form.factor, (double)p->value[buf][which * rows * cols + (turned ? col * rows + row : row * cols + col)]);
}

/* A sum of reals has one order, and each step of it is rounded once. */
static bool is_exact(const Product *p, const float *before, int64_t which, int64_t i, int64_t j)
{
    int64_t at = which * p->M * p->N + (p->form.c_turned ? j * p->M + i : i * p->N + j);
    float sum = 0;
    for (int64_t k = 0; k < p->K; k++)
        sum = fmaf((float)factor_at(p, A, which, i, k), (float)factor_at(p, B, which, k, j), sum);
    sum = p->form.add ? before[at] + sum : sum;
    return memcmp(&sum, &p->value[C][at], sizeof sum) == 0;
}

static void check_element(const Product *p, const float *before, int64_t which, int64_t i, int64_t j)
{
    int64_t at = which * p->M * p->N + (p->form.c_turned ? j * p->M + i : i * p->N + j);
    double want = p->form.add ? (double)before[at] : 0, size = fabs(want), got = (double)p->value[C][at];
    for (int64_t k = 0; k < p->K; k++) {
        double term = factor_at(p, A, which, i, k) * factor_at(p, B, which, k, j);
        want += term;
        size += fabs(term);
    }
    cr_assert(p->form.factor || is_exact(p, before, which, i, j), "M %d N %d K %d: [%d][%d][%d] is %.9g, about %.9g", (int)p->M, (int)p->N, (int)p->K, (int)which,
              (int)i, (int)j, got, want);
    cr_assert(fabs(got - want) <= (double)(p->K + 1) * 0x1p-24 * size, "%s, %s, M %d N %d K %d: [%d][%d][%d] is %.9g, not %.9g", factor_text(p->form.factor),
              p->form.arch, (int)p->M, (int)p->N, (int)p->K, (int)which, (int)i, (int)j, got, want);
}

static void check_sizes(Product *p, int64_t M, int64_t N, int64_t K, unsigned turn)
{
    p->P = 1 + turn % 3, p->M = M, p->N = N, p->K = K;
    for (int b = 0; b < NBUF; b++)
        fill(p, b);
    float *before = NEWN(p->a, float, count_of(p, C) + 1);
    memcpy(before, p->value[C], (size_t)count_of(p, C) * sizeof *before);
    run(p, p->form.steps ? 1 : 1 + turn % 2, p->blocks ? NV_PANEL_THREADS : 32u << turn % 3, turn / 2 % 2);
    for (int64_t at = 0; at < count_of(p, C); at++)
        check_element(p, before, at / (M * N), at / N % M, at % N);
}

static void check_form(const Form *f, unsigned turn)
{
    static const int64_t size[][3] = {{16, 8, 16}, {17, 9, 17}, {1, 1, 1}, {0, 5, 3}, {5, 0, 3}, {5, 3, 0}, {7, 37, 31}, {33, 2, 5}, {35, 33, 8}, {2, 41, 19}, {9, 10, 44}};
    Arena *a = arena_new();
    Product p = product_new(a, f);
    for (size_t i = 0; i < sizeof size / sizeof *size; i++)
        check_sizes(&p, size[i][0], size[i][1], size[i][2], turn + (unsigned)i);
    kernels_free(p.kernels);
    arena_free(a);
}

/* All ways to stand in memory. */
static void check_views(Form f)
{
    for (unsigned i = 0; i < 16; i += 3) {
        f.a_turned = i & 1, f.b_turned = i & 2, f.c_turned = i & 4, f.add = i & 8;
        check_form(&f, i);
    }
}

Test(products, reals) { check_views((Form){.factor = FACTOR_REAL, .arch = "sm_80"}); }
Test(products, reals_of_the_oldest) { check_form(&(Form){.factor = FACTOR_REAL, .arch = "sm_75", .b_turned = true}, 1); }
Test(products, reals_from_16_bits)
{
    check_form(&(Form){.factor = FACTOR_REAL, .narrow = NARROW_BF16, .arch = "sm_75"}, 0);
    check_form(&(Form){.factor = FACTOR_REAL, .narrow = NARROW_F16, .arch = "sm_80", .wide_a = true, .b_turned = true}, 1);
}

/* Several tiles in both directions, several panels; lines that begin at multiples of 16 bytes, and others. */
static void check_large(const Form *f)
{
    Arena *a = arena_new();
    Product p = product_new(a, f);
    check_sizes(&p, 131, 65, 50, 0);
    check_sizes(&p, 64, 129, 16, 1);
    check_sizes(&p, 30, 129, 72, 2);
    check_sizes(&p, 200, 2, 160, 3);
    cr_assert_eq(result_of(&p, 1, 128, false), RUN_FAILED);
    kernels_free(p.kernels);
    arena_free(a);
}

Test(products, large)
{
    check_large(&(Form){.factor = FACTOR_REAL, .arch = "sm_80"});
    check_large(&(Form){.factor = FACTOR_BF16, .arch = "sm_80", .b_turned = true});
    check_large(&(Form){.factor = FACTOR_F16, .arch = "sm_89", .narrow = NARROW_F16, .b_turned = true});
    check_large(&(Form){.factor = FACTOR_BF16, .arch = "sm_90", .narrow = NARROW_BF16, .wide_a = true, .b_turned = true});
    check_large(&(Form){.factor = FACTOR_TF32, .arch = "sm_80", .a_turned = true, .c_turned = true});
    check_large(&(Form){.factor = FACTOR_BF16, .arch = "sm_90a", .narrow = NARROW_BF16, .b_turned = true});
    check_large(&(Form){.factor = FACTOR_F16, .arch = "sm_90a", .narrow = NARROW_F16, .wide_a = true, .b_turned = true});
}

/* Tiles are no larger than a product whose sizes are numbers; a few rows are left to threads alone, and few pieces to warps. */
static NvKind kind_of(const Form *f, int64_t M, int64_t N, uint32_t rows, uint32_t cols)
{
    Arena *a = arena_new();
    Product p = {.a = a, .form = *f, .k = program_of(a, f)};
    NvOptions o = {.arch = str_of(f->arch)};
    p.plan = nv_plan(a, p.k, &o);
    const NvNode *node = p.plan->fn[REC_FORWARD].kernel.p[0].node.p[0];
    NvKind kind = node->kind;
    p.blocks = kind == NV_PANELS;
    p.kernels = kernels_read(str_c(a, nv_ptx(p.plan, &o)));
    cr_assert(p.kernels && (kind != NV_PANELS || (node->rows == rows && node->cols == cols)));
    if (f->k)
        check_sizes(&p, M, N, atoi(f->k), 1);
    kernels_free(p.kernels);
    arena_free(a);
    return kind;
}

Test(products, sizes_that_are_numbers)
{
    cr_assert_eq(kind_of(&(Form){.arch = "sm_80", .m = "10", .n = "30", .k = "20"}, 10, 30, 1, 2), NV_PANELS);
    cr_assert_eq(kind_of(&(Form){.arch = "sm_75", .m = "33", .n = "16", .k = "8", .b_turned = true}, 33, 16, 4, 1), NV_PANELS);
    cr_assert_eq(kind_of(&(Form){.arch = "sm_80", .m = "32", .k = "9"}, 32, 70, 2, 4), NV_PANELS);
    cr_assert_eq(kind_of(&(Form){.arch = "sm_80", .m = "7", .k = "9"}, 7, 12, 0, 0), NV_SHARE);
    cr_assert_eq(kind_of(&(Form){.arch = "sm_80", .k = "7"}, 12, 12, 0, 0), NV_SHARE);
    cr_assert_eq(kind_of(&(Form){.factor = FACTOR_BF16, .arch = "sm_80", .m = "64", .k = "20"}, 64, 9, 0, 0), NV_TILES);
    cr_assert_eq(kind_of(&(Form){.factor = FACTOR_BF16, .arch = "sm_90a", .n = "32", .k = "20"}, 9, 32, 0, 0), NV_TILES);
    cr_assert_eq(kind_of(&(Form){.factor = FACTOR_F16, .arch = "sm_90a", .m = "65", .n = "33", .k = "16"}, 65, 33, 8, 4), NV_PANELS);
    cr_assert_eq(kind_of(&(Form){.factor = FACTOR_F16, .arch = "sm_75", .m = "65", .n = "33", .k = "16"}, 65, 33, 0, 0), NV_TILES);
}

/* What is multiplied must stay until all of it has been. */
static bool is_tiled(const char *product)
{
    Arena *a = arena_new();
    Str error = {0};
    KernProg *k = kern_read(a, str_fmt(a, "kern \"p\"\ndim Z batch\ndim keep keep\ndim M size\nbuf b0 work real M*M used 1 \"\"\nbuf b1 work real M*M used 1 \"\"\n"
                                          "buf b2 work real M*M used 1 \"\"\nforward {\n  gemm m M n M k M %s\n}\n", product), &error);
    cr_assert(k, "%.*s", STRF(error));
    const NvFn *fn = &nv_plan(a, k, &(NvOptions){.arch = STR("sm_80")})->fn[REC_FORWARD];
    bool tiled = !fn->refused.n && fn->kernel.p[0].node.p[0]->kind == NV_PANELS;
    arena_free(a);
    return tiled;
}

Test(products, not_in_place)
{
    cr_assert(is_tiled("b2[0] rows M cols 1 = b0[0] rows M cols 1 @ b1[0] rows M cols 1"));
    cr_assert_not(is_tiled("b0[0] rows M cols 1 = b0[0] rows M cols 1 @ b1[0] rows M cols 1"));
    cr_assert_not(is_tiled("b1[0] rows M cols 1 = b0[0] rows M cols 1 @ b1[0] rows M cols 1"));
}

/* ---- what threads wait for ---- */

/* Takes the n-th of such instructions away; false: there are not as many. */
static bool take_away(char *ptx, unsigned n)
{
    static const char *const word[] = {"bar.sync", "cp.async.commit_group", "cp.async.wait_group", "fence.proxy.async", "wgmma.fence", "wgmma.commit_group", "wgmma.wait_group"};
    for (char *at = ptx; *at; at++)
        for (size_t w = 0; w < sizeof word / sizeof *word; w++)
            if (strncmp(at, word[w], strlen(word[w])) == 0 && n-- == 0) {
                memset(at, ' ', strcspn(at, ";") + 1);
                return true;
            }
    return false;
}

/* In one of the two orders. */
static bool is_missed(const Product *p)
{
    float *want = NEWN(p->a, float, count_of(p, C));
    run(p, 1, NV_PANEL_THREADS, false);
    memcpy(want, p->value[C], (size_t)count_of(p, C) * sizeof *want);
    for (unsigned n = 0, wrong = 0;; n++, wrong = 0) {
        Product other = *p;
        char *ptx = memcpy(NEWN(p->a, char, strlen(p->ptx) + 1), p->ptx, strlen(p->ptx) + 1);
        if (!take_away(ptx, n))
            return n > 0;
        other.kernels = kernels_read(ptx);
        for (unsigned backwards = 0; backwards < 2; backwards++)
            wrong += result_of(&other, 1, NV_PANEL_THREADS, backwards) != RUN_FINE || memcmp(want, p->value[C], (size_t)count_of(p, C) * sizeof *want) != 0;
        kernels_free(other.kernels);
        cr_assert(wrong, "without number %u results are the same", n);
    }
}

static void check_fences(const Form *f, int64_t K)
{
    Arena *a = arena_new();
    Product p = product_new(a, f);
    p.P = 1, p.M = 130, p.N = 9, p.K = K;
    for (int b = 0; b < NBUF; b++)
        fill(&p, b);
    cr_assert(is_missed(&p));
    kernels_free(p.kernels);
    arena_free(a);
}

Test(products, each_fence_is_needed)
{
    check_fences(&(Form){.factor = FACTOR_REAL, .arch = "sm_80"}, 40);
    check_fences(&(Form){.factor = FACTOR_REAL, .arch = "sm_75", .b_turned = true}, 40);
    check_fences(&(Form){.factor = FACTOR_TF32, .arch = "sm_80", .b_turned = true}, 40);
    check_fences(&(Form){.factor = FACTOR_BF16, .narrow = NARROW_BF16, .arch = "sm_80", .b_turned = true}, 80);
    check_fences(&(Form){.factor = FACTOR_BF16, .narrow = NARROW_F16, .arch = "sm_80"}, 50);
    check_fences(&(Form){.factor = FACTOR_BF16, .narrow = NARROW_BF16, .arch = "sm_90a", .b_turned = true}, 80);
    check_fences(&(Form){.factor = FACTOR_F16, .arch = "sm_90a"}, 50);
}

Test(products, bf16_in_steps) { check_views((Form){.factor = FACTOR_BF16, .arch = "sm_80", .steps = true}); }
Test(products, f16_in_steps) { check_form(&(Form){.factor = FACTOR_F16, .arch = "sm_80", .b_turned = true, .steps = true}, 3); }
Test(products, tf32_in_steps) { check_form(&(Form){.factor = FACTOR_TF32, .arch = "sm_80", .b_turned = true, .steps = true}, 3); }
Test(products, bf16) { check_views((Form){.factor = FACTOR_BF16, .arch = "sm_80"}); }
Test(products, f16) { check_views((Form){.factor = FACTOR_F16, .arch = "sm_86"}); }
Test(products, f16_of_the_oldest) { check_views((Form){.factor = FACTOR_F16, .arch = "sm_75"}); }
Test(products, bf16_of_groups) { check_views((Form){.factor = FACTOR_BF16, .arch = "sm_90a"}); }
Test(products, f16_of_groups) { check_views((Form){.factor = FACTOR_F16, .arch = "sm_90a"}); }
Test(products, stored_for_groups)
{
    check_form(&(Form){.factor = FACTOR_BF16, .narrow = NARROW_BF16, .arch = "sm_90a", .b_turned = true}, 0);
    check_form(&(Form){.factor = FACTOR_F16, .narrow = NARROW_F16, .wide_a = true, .arch = "sm_90a"}, 1);
    check_form(&(Form){.factor = FACTOR_F16, .narrow = NARROW_BF16, .arch = "sm_90a", .a_turned = true}, 2);
}
Test(products, tf32_of_sm_90a) { check_form(&(Form){.factor = FACTOR_TF32, .arch = "sm_90a"}, 0); }
Test(products, tf32) { check_views((Form){.factor = FACTOR_TF32, .arch = "sm_90"}); }

/* A part of a warp cannot multiply. */
Test(products, whole_warps)
{
    Arena *a = arena_new();
    Product p = product_new(a, &(Form){.factor = FACTOR_BF16, .arch = "sm_80", .steps = true});
    p.P = 1, p.M = p.N = p.K = 40;
    for (int b = 0; b < NBUF; b++)
        fill(&p, b);
    cr_assert_eq(result_of(&p, 1, 40, false), RUN_FAILED);
    cr_assert_eq(result_of(&p, 1, 64, false), RUN_FINE);
    kernels_free(p.kernels);
    arena_free(a);
}

/* As they stand in the caller's arrays: no bits are changed. */
Test(products, stored)
{
    check_form(&(Form){.factor = FACTOR_BF16, .narrow = NARROW_BF16, .arch = "sm_80"}, 0);
    check_form(&(Form){.factor = FACTOR_F16, .narrow = NARROW_F16, .arch = "sm_80", .b_turned = true}, 1);
    check_form(&(Form){.factor = FACTOR_F16, .narrow = NARROW_F16, .arch = "sm_75", .b_turned = true}, 2);
}

/* One of the two is rounded; or both, to another type than they have. */
Test(products, stored_and_rounded)
{
    check_form(&(Form){.factor = FACTOR_BF16, .narrow = NARROW_BF16, .wide_a = true, .arch = "sm_80"}, 0);
    check_form(&(Form){.factor = FACTOR_TF32, .narrow = NARROW_BF16, .wide_a = true, .arch = "sm_80"}, 1);
    check_form(&(Form){.factor = FACTOR_F16, .narrow = NARROW_BF16, .arch = "sm_75"}, 2);
    check_form(&(Form){.factor = FACTOR_BF16, .narrow = NARROW_F16, .arch = "sm_80"}, 3);
}

/* ---- in steps ---- */

static const char steps[] = "kern \"p\"\ndim M batch\ndim keep keep\ndim T time\ndim N size\nopen T\nopen M\nopen N\narg \"x\" real[T, N] input of 0 batched\n"
                            "buf b0 work real M*N used 1 \"\"\nbuf b1 work real N*N used 1 \"\"\nbuf b2 work real M*N used 1 \"\"\nforward {\n  serial %0 < T {\n"
                            "    gemm m M n N k N b2[0] rows N cols 1 = b0[0] rows N cols 1 @ b1[0] rows N cols 1 factors bf16\n"
                            "    copy b0[0] = b2[0] count M*N\n  }\n}\n";

static float whole_number(const Product *p, int buf, int64_t at)
{
    return (float)(int64_t)(3 * rec_random_value(5, (uint32_t)buf, (uint64_t)(at + p->M))) - 1;
}

/* Whole numbers so small that all of it is exact. */
static void expect(const Product *p, double *state)
{
    double *next = NEWN(p->a, double, p->M * p->N + 1);
    for (int64_t t = 0; t < p->T; t++) {
        for (int64_t at = 0; at < p->M * p->N; at++) {
            next[at] = 0;
            for (int64_t k = 0; k < p->N; k++)
                next[at] += state[at / p->N * p->N + k] * (double)p->value[B][k * p->N + at % p->N];
        }
        memcpy(state, next, (size_t)(p->M * p->N) * sizeof *state);
    }
}

static void check_steps(Product *p, int64_t M, int64_t N, int64_t T, int64_t piece)
{
    p->P = 1, p->M = M, p->N = p->K = N, p->T = T, p->piece = piece;
    double *state = NEWN(p->a, double, M * N + 1);
    for (int b = 0; b < NBUF; b++) {
        p->value[b] = NEWN(p->a, float, count_of(p, b) + 1);
        for (int64_t i = 0; i < count_of(p, b); i++)
            p->value[b][i] = whole_number(p, b, i);
    }
    for (int64_t i = 0; i < M * N; i++)
        state[i] = (double)p->value[A][i];
    expect(p, state);
    for (int backwards = 0; backwards < 2; backwards++) {
        Product one = *p;
        one.value[A] = NEWN(p->a, float, M * N + 1);
        memcpy(one.value[A], p->value[A], (size_t)(M * N) * sizeof(float));
        run(&one, (unsigned)((M + piece - 1) / piece), 64u << backwards, backwards);
        for (int64_t i = 0; i < M * N; i++)
            cr_assert((double)one.value[A][i] == state[i], "M %d N %d T %d piece %d: [%d] is %g, not %g", (int)M, (int)N, (int)T, (int)piece, (int)i,
                      (double)one.value[A][i], state[i]);
    }
}

/* A block has rows of its own, from some row on, and a tile may have fewer than it could. */
Test(products, blocks_of_rows)
{
    Arena *a = arena_new();
    Str error = {0};
    Product p = {.a = a, .k = kern_read(a, str_of(steps), &error)};
    cr_assert(p.k, "%.*s", STRF(error));
    NvOptions o = {.arch = STR("sm_80")};
    p.plan = nv_plan(a, p.k, &o);
    const NvKernel *kernel = &p.plan->fn[REC_FORWARD].kernel.p[0];
    cr_assert(kernel->blocks && kernel->cut.n == 1 && kernel->cut.p[0].piece == NV_TILE_ROWS && kernel->node.p[0]->body.p[1]->kind == NV_TILES);
    p.kernels = kernels_read(str_c(a, nv_ptx(p.plan, &o)));
    check_steps(&p, 19, 13, 2, 16);
    check_steps(&p, 35, 2, 3, 16);
    check_steps(&p, 7, 13, 2, 3);
    check_steps(&p, 5, 41, 1, 20);
    kernels_free(p.kernels);
    arena_free(a);
}

/* ---- how factors are rounded ---- */

static float of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Times 1: what the factor has become, in every bit. Floats of any size, ties and their neighbours, what is too large. */
static void check_rounding(FactorType f, const char *arch)
{
    enum { ROWS = 2048 };
    Arena *a = arena_new();
    Product p = product_new(a, &(Form){.factor = f, .arch = arch});
    p.P = 1, p.M = ROWS, p.N = 1, p.K = 1;
    for (int b = 0; b < NBUF; b++)
        fill(&p, b);
    p.value[B][0] = 1;
    for (uint32_t i = 0; i < ROWS; i++) {
        uint32_t bits = (uint32_t)ldexp(rec_random_value(3, 4, i), 32), keep = f == FACTOR_BF16 ? 16 : 13;
        uint32_t tie = ((bits >> keep << 1) | 1) << (keep - 1), near = (tie & 0x80ffffff) | 0x38000000;
        float x = of_bits(i % 4 == 0 ? bits : (i % 4 == 1 ? tie : near) + (i % 16 == 3) - (i % 16 == 7));
        p.value[A][i] = isnan(x) ? 1.5f : x;
    }
    run(&p, 1, p.blocks ? NV_PANEL_THREADS : 64, false);
    for (uint32_t i = 0; i < ROWS; i++) {
        double want = factor_round(f, (double)p.value[A][i]);
        cr_assert(want == (double)p.value[C][i], "%s: %.9g becomes %.9g, not %.9g", factor_text(f), (double)p.value[A][i], (double)p.value[C][i], want);
    }
    kernels_free(p.kernels);
    arena_free(a);
}

Test(products, rounding)
{
    check_rounding(FACTOR_BF16, "sm_80");
    check_rounding(FACTOR_F16, "sm_80");
    check_rounding(FACTOR_F16, "sm_75");
    check_rounding(FACTOR_TF32, "sm_80");
}

/* ---- what it means ---- */

/* The interpreter's sum is in order, and in double precision. */
static void check_meaning(FactorType f)
{
    Arena *a = arena_new();
    Product p = {.a = a, .form = {.factor = f, .b_turned = true}, .P = 2, .M = 3, .N = 4, .K = 5};
    p.k = program_of(a, &p.form);
    int64_t *dim = NEWN(a, int64_t, dim_nsyms(p.k->dims) + p.k->arg.n);
    double *buf[NBUF];
    for (DimSym s = 0; s < dim_nsyms(p.k->dims); s++)
        dim[s] = strchr("PMNK", dim_sym_info(p.k->dims, s)->name.p[0]) ? size_of(&p, dim_sym_info(p.k->dims, s)->name.p[0]) : 1;
    for (int b = 0; b < NBUF; b++) {
        fill(&p, b);
        buf[b] = NEWN(a, double, count_of(&p, b));
        for (int64_t i = 0; i < count_of(&p, b); i++)
            buf[b][i] = (double)p.value[b][i];
    }
    cr_assert(kern_run(p.k, REC_FORWARD, dim, buf, 0));
    for (int64_t at = 0; at < count_of(&p, C); at++) {
        double want = 0;
        for (int64_t k = 0; k < p.K; k++)
            want += factor_at(&p, A, at / 12, at / 4 % 3, k) * factor_at(&p, B, at / 12, k, at % 4);
        cr_assert(buf[C][at] == want, "%s: [%d] is %.17g, not %.17g", factor_text(f), (int)at, buf[C][at], want);
    }
    arena_free(a);
}

Test(products, meaning)
{
    for (FactorType f = FACTOR_BF16; f < FACTOR_COUNT; f++)
        check_meaning(f);
}

/* ---- which products ---- */

static FactorType marked(const char *product, Narrow narrow, FactorType asked, bool tiles)
{
    Arena *a = arena_new();
    Str error = {0};
    KernProg *k = kern_read(a, str_fmt(a, "kern \"p\"\ndim Z batch\ndim keep keep\ndim M size\narg \"a\" real[M, M] param of 0\narg \"b\" real[M, M] param of 1\n"
                                          "buf b0 arg 0 real M*M used 1 \"\"\nbuf b1 arg 1 real M*M used 1 \"\"\nbuf b2 work real M*M used 1 \"\"\n"
                                          "buf b3 work real M*M used 1 \"\"\nforward {\n  gemm %s\n}\n", product), &error);
    cr_assert(k, "%.*s", STRF(error));
    k->narrow = narrow, k->products = asked, k->tiles = tiles;
    kern_mark_products(k);
    FactorType f = k->fn[REC_FORWARD].p[0]->gemm.factor;
    cr_assert_eq(k->rounds, f != FACTOR_REAL);
    arena_free(a);
    return f;
}

#define OF(OTHER) "m M n M k M b2[0] rows M cols 1 = b0[0] rows M cols 1 @ " OTHER "[0] rows M cols 1"

Test(products, which)
{
    cr_assert_eq(marked(OF("b1"), NARROW_NONE, FACTOR_REAL, true), FACTOR_REAL);
    cr_assert_eq(marked(OF("b1"), NARROW_BF16, FACTOR_REAL, true), FACTOR_BF16);
    cr_assert_eq(marked(OF("b1"), NARROW_F16, FACTOR_REAL, true), FACTOR_F16);
    cr_assert_eq(marked(OF("b1"), NARROW_BF16, FACTOR_REAL, false), FACTOR_REAL); /* a CPU's */
    cr_assert_eq(marked(OF("b3"), NARROW_BF16, FACTOR_REAL, true), FACTOR_REAL);  /* one factor is computed */
    cr_assert_eq(marked(OF("b3"), NARROW_BF16, FACTOR_TF32, true), FACTOR_TF32);
    cr_assert_eq(marked(OF("b1"), NARROW_BF16, FACTOR_TF32, true), FACTOR_BF16); /* exact: no more is asked for */
    cr_assert_eq(marked(OF("b1"), NARROW_NONE, FACTOR_F16, true), FACTOR_F16);
    cr_assert_eq(marked("m 1 n M k M b2[0] rows 0 cols 1 = b0[0] rows 0 cols 1 @ b1[0] rows M cols 1", NARROW_NONE, FACTOR_F16, true), FACTOR_REAL);
    cr_assert_eq(marked("m M n M k 1 b2[0] rows M cols 1 = b0[0] rows 1 cols 0 @ b1[0] rows 0 cols 1", NARROW_BF16, FACTOR_F16, true), FACTOR_REAL);
}
