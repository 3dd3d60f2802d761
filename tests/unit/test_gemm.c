/* The generated matrix products, at every level that this machine runs: right in every form, for sizes around every
 * tile's edge; one row of a large product has the bits of that row alone; nothing outside the arrays is touched. */
#include "tests/unit/jit.h"

#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Which strides are 1: the others come at run time. Letters: what of A, B, C runs fastest. */
typedef enum Layout { MK_NK, MK_NK_T, MK_KN, KM_KN, KM_NK_T, KM_NK, MK_ANY, TURNED, TURNED_T, NLAYOUT } Layout;
static const char *const layout_name[NLAYOUT] = {"mk_nk", "mk_nk_t", "mk_kn", "km_kn", "km_nk_t", "km_nk", "any", "turned", "turned_t"};
static const struct {
    bool a_row, a_col, b_row, b_col, c_row, c_col;
} unit[NLAYOUT] = {{0, 1, 1, 0, 0, 1}, {0, 1, 1, 0, 1, 0}, {0, 1, 0, 1, 0, 1}, {1, 0, 0, 1, 0, 1},
                   {1, 0, 1, 0, 1, 0}, {1, 0, 1, 0, 0, 1}, {0, 0, 0, 0, 0, 0},
                   {0, 1, 1, 0, 0, 1}, {0, 1, 1, 0, 1, 0}};

typedef struct Sizes {
    int64_t m, n, k, a_row, a_col, b_row, b_col, c_row, c_col;
} Sizes;
typedef void Kernel(const Sizes *s, const void *a, const void *b, void *c);

static void kernel_name(char *out, size_t n, Layout y, CpuLevel level, bool f64, bool add)
{
    snprintf(out, n, "gemm_%s_%s_%d_%d", layout_name[y], cpu_level_info(level)->text, f64, add);
}

static void packed_name(char *out, size_t n, CpuLevel level, bool f64, bool add)
{
    snprintf(out, n, "packed_%s_%d_%d", cpu_level_info(level)->text, f64, add);
}

static void add_kernel(CpuGen g, Layout y, bool add, const char *name)
{
    LLVMTypeRef ptr = gen_ptr(&g), i64 = gen_int1(&g, 64);
    LLVMTypeRef type =
        LLVMFunctionType(LLVMVoidTypeInContext(g.context), (LLVMTypeRef[]){ptr, ptr, ptr, ptr}, 4, false);
    LLVMValueRef fn = LLVMAddFunction(g.module, name, type), size[9];
    cpu_set_target(g.context, fn, g.level);
    LLVMPositionBuilderAtEnd(g.b, LLVMAppendBasicBlockInContext(g.context, fn, "entry"));
    for (int i = 0; i < 9; i++)
        size[i] = gen_load(&g, i64, gen_at(&g, i64, LLVMGetParam(fn, 0), gen_i64(&g, i)), 8);
    LLVMValueRef one = gen_i64(&g, 1);
    GemmArg arg = {.m = size[0],
                   .n = size[1],
                   .k = size[2],
                   .a = LLVMGetParam(fn, 1),
                   .b = LLVMGetParam(fn, 2),
                   .c = LLVMGetParam(fn, 3),
                   .a_row = unit[y].a_row ? one : size[3],
                   .a_col = unit[y].a_col ? one : size[4],
                   .b_row = unit[y].b_row ? one : size[5],
                   .b_col = unit[y].b_col ? one : size[6],
                   .c_row = unit[y].c_row ? one : size[7],
                   .c_col = unit[y].c_col ? one : size[8]};
    if (y == TURNED || y == TURNED_T) {
        LLVMValueRef adds = LLVMConstInt(gen_int1(&g, 1), add, false);
        LLVMValueRef param[GEMM_NPARAM] = {arg.m,     arg.n,     arg.k, arg.a,     arg.a_row, arg.a_col, arg.b,
                                           arg.b_row, arg.b_col, arg.c, arg.c_row, arg.c_col, adds};
        LLVMBuildCall2(g.b, cpu_gemm_type(&g), cpu_gemm_function(&g, GEMM_TURNED), param, GEMM_NPARAM, "");
    } else {
        cpu_gemm(&g, &arg, add);
    }
    LLVMBuildRetVoid(g.b);
}

/* Copies B behind C's memory, then multiplies by the copy: (sizes, a, b, c, copy). */
static void add_packed(CpuGen g, bool add)
{
    LLVMTypeRef ptr = gen_ptr(&g), i64 = gen_int1(&g, 64), call_type = cpu_gemm_type(&g);
    LLVMTypeRef type =
        LLVMFunctionType(LLVMVoidTypeInContext(g.context), (LLVMTypeRef[]){ptr, ptr, ptr, ptr, ptr}, 5, false);
    char name[64];
    packed_name(name, sizeof name, g.level, g.f64, add);
    LLVMValueRef fn = LLVMAddFunction(g.module, name, type), size[9];
    cpu_set_target(g.context, fn, g.level);
    LLVMPositionBuilderAtEnd(g.b, LLVMAppendBasicBlockInContext(g.context, fn, "entry"));
    for (int i = 0; i < 9; i++)
        size[i] = gen_load(&g, i64, gen_at(&g, i64, LLVMGetParam(fn, 0), gen_i64(&g, i)), 8);
    LLVMValueRef a = LLVMGetParam(fn, 1), b = LLVMGetParam(fn, 2), c = LLVMGetParam(fn, 3), copy = LLVMGetParam(fn, 4),
                 adds = LLVMConstInt(gen_int1(&g, 1), add, false);
    LLVMValueRef make[GEMM_NPARAM] = {size[0], size[1], size[2], a,       size[3], size[4], b,
                                      size[5], size[6], copy,    size[7], size[8], adds};
    LLVMValueRef use[GEMM_NPARAM] = {size[0], size[1], size[2], a,       size[3], size[4], copy,
                                     size[5], size[6], c,       size[7], size[8], adds};
    LLVMBuildCall2(g.b, call_type, cpu_gemm_function(&g, GEMM_COPY), make, GEMM_NPARAM, "");
    LLVMBuildCall2(g.b, call_type, cpu_gemm_function(&g, GEMM_PACKED), use, GEMM_NPARAM, "");
    LLVMBuildRetVoid(g.b);
}

static void add_all(LLVMContextRef context, LLVMModuleRef module, LLVMBuilderRef b)
{
    char name[64];
    for (int level = 0; level < CPU_NLEVEL; level++)
        for (int y = 0; y < NLAYOUT; y++)
            for (int v = 0; v < 4; v++) {
                kernel_name(name, sizeof name, (Layout)y, (CpuLevel)level, v & 1, v >> 1);
                add_kernel(cpu_gen(context, module, b, (CpuLevel)level, v & 1), (Layout)y, v >> 1, name);
            }
    for (int level = 0; level < CPU_NLEVEL; level++)
        for (int v = 0; v < 4; v++)
            add_packed(cpu_gen(context, module, b, (CpuLevel)level, v & 1), v >> 1);
}

static Kernel *kernel(LLVMOrcLLJITRef j, Layout y, CpuLevel level, bool f64, bool add)
{
    char name[64];
    kernel_name(name, sizeof name, y, level, f64, add);
    return (Kernel *)jit_find(j, name);
}

/* ---- arrays between guard pages ---- */

enum { PAGE = 4096, ARENA = 1 << 21 };
static unsigned char *guarded(void)
{
    unsigned char *p = mmap(NULL, ARENA + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(p != MAP_FAILED);
    mprotect(p, PAGE, PROT_NONE);
    mprotect(p + PAGE + ARENA, PAGE, PROT_NONE);
    return p + PAGE;
}

/* n elements that end at the guard page behind, or begin at the one in front */
static void *placed(unsigned char *arena, int64_t n, size_t bytes, bool at_end)
{
    cr_assert((size_t)n * bytes <= ARENA);
    return at_end ? arena + ARENA - (size_t)n * bytes : arena;
}

/* ---- one product ---- */

static Sizes dense(Layout y, int64_t m, int64_t n, int64_t k)
{
    Sizes s = {m, n, k, 0, 0, 0, 0, 0, 0};
    bool a_t = unit[y].a_row, b_t = unit[y].b_row, c_t = unit[y].c_row;
    s.a_row = a_t ? 1 : k, s.a_col = a_t ? m : 1;
    s.b_row = b_t ? 1 : n, s.b_col = b_t ? k : 1;
    s.c_row = c_t ? 1 : n, s.c_col = c_t ? m : 1;
    return s;
}

static double get(const void *p, int64_t i, bool f64)
{
    return f64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}

static void put(void *p, int64_t i, bool f64, double v)
{
    if (f64)
        ((double *)p)[i] = v;
    else
        ((float *)p)[i] = (float)v;
}

/* Deterministic, in (-1, 1), and exact in a float. */
static double value(int64_t i)
{
    return (double)((i * 7919 + 13) % 4093 - 2046) / 2048;
}

typedef struct Product {
    Sizes s;
    bool f64, add;
    void *a, *b, *c;
} Product;

static void check_values(const Product *p, const char *what)
{
    const Sizes *s = &p->s;
    for (int64_t i = 0; i < s->m; i++)
        for (int64_t j = 0; j < s->n; j++) {
            int64_t at = i * s->c_row + j * s->c_col;
            double sum = p->add ? value(at + 5) : 0, size = 1;
            for (int64_t l = 0; l < s->k; l++) {
                double t =
                    get(p->a, i * s->a_row + l * s->a_col, p->f64) * get(p->b, l * s->b_row + j * s->b_col, p->f64);
                sum += t, size += fabs(t);
            }
            double got = get(p->c, at, p->f64), most = size * (p->f64 ? 1e-14 : 4e-6);
            if (!(fabs(got - sum) <= most)) {
                cr_expect_fail("%s m=%d n=%d k=%d: C[%d,%d] is %g, not %g", what, (int)s->m, (int)s->n, (int)s->k,
                               (int)i, (int)j, got, sum);
                return;
            }
        }
}

/* Each row alone must give the bits that it got in the whole. */
static void check_rows(const Product *p, Kernel *k, unsigned char *arena, const char *what)
{
    Sizes one = p->s;
    size_t bytes = p->f64 ? 8 : 4;
    int64_t span = (one.n - 1) * one.c_col + 1;
    if (one.m == 0 || one.n == 0)
        return;
    one.m = 1;
    for (int64_t i = 0; i<p->s.m; i += p->s.m> 8 ? 5 : 1) {
        unsigned char *c = placed(arena, span, bytes, true);
        for (int64_t j = 0; j < one.n; j++)
            put(c, j * one.c_col, p->f64, value(i * one.c_row + j * one.c_col + 5));
        k(&one, (unsigned char *)p->a + (size_t)(i * one.a_row) * bytes, p->b, c);
        for (int64_t j = 0; j < one.n; j++)
            if (get(c, j * one.c_col, p->f64) != get(p->c, i * one.c_row + j * one.c_col, p->f64)) {
                cr_expect_fail("%s m=%d n=%d k=%d: row %d alone differs", what, (int)p->s.m, (int)one.n, (int)one.k,
                               (int)i);
                return;
            }
    }
}

static void check(LLVMOrcLLJITRef j, Layout y, CpuLevel level, bool f64, bool add, bool at_end, int64_t m, int64_t n,
                  int64_t k, unsigned char *const arena[4])
{
    size_t bytes = f64 ? 8 : 4;
    char what[64];
    kernel_name(what, sizeof what, y, level, f64, add);
    Product p = {dense(y, m, n, k),
                 f64,
                 add,
                 placed(arena[0], m * k, bytes, at_end),
                 placed(arena[1], k * n, bytes, at_end),
                 placed(arena[2], m * n, bytes, at_end)};
    for (int64_t i = 0; i < m * k; i++)
        put(p.a, i, f64, value(i));
    for (int64_t i = 0; i < k * n; i++)
        put(p.b, i, f64, value(i + 1000));
    for (int64_t i = 0; i < m * n; i++)
        put(p.c, i, f64, add ? value(i + 5) : NAN);
    Kernel *kern = kernel(j, y, level, f64, add);
    kern(&p.s, p.a, p.b, p.c);
    check_values(&p, what);
    check_rows(&p, kern, arena[3], what);
}

static void all_forms(bool at_end, const int64_t (*size)[3], int nsize)
{
    LLVMOrcLLJITRef j = jit_new(add_all);
    unsigned char *arena[4] = {guarded(), guarded(), guarded(), guarded()};
    for (int level = 0; level < CPU_NLEVEL; level++)
        for (int y = 0; y < NLAYOUT && cpu_level_here((CpuLevel)level); y++)
            for (int v = 0; v < 4; v++)
                for (int i = 0; i < nsize; i++)
                    check(j, (Layout)y, (CpuLevel)level, v & 1, v >> 1, at_end, size[i][0], size[i][1], size[i][2],
                          arena);
}

/* Around the edges of lanes, tiles, panels and blocks. */
static const int64_t sizes[][3] = {
    {1, 1, 1},    {1, 1, 0},     {2, 3, 0},     {0, 3, 4},      {3, 0, 4},    {1, 5, 7},    {1, 64, 16},
    {1, 17, 33},  {1, 130, 40},  {1, 300, 3},   {5, 1, 70},     {40, 1, 9},   {2, 6, 16},   {4, 6, 31},
    {5, 7, 15},   {3, 16, 17},   {7, 65, 18},   {8, 64, 64},    {9, 63, 5},   {16, 48, 32}, {13, 100, 129},
    {70, 67, 20}, {100, 9, 130}, {6, 33, 1030}, {65, 130, 140}, {1, 70, 1025}, {16, 16, 16}, {9, 8, 5},
    {17, 4, 70},  {55, 15, 33},  {48, 64, 64}, {47, 128, 9},   {32, 16, 300}};

Test(gemm, arrays_end_at_a_guard, .timeout = 300)
{
    all_forms(true, sizes, sizeof sizes / sizeof *sizes);
}

Test(gemm, arrays_begin_at_a_guard, .timeout = 300)
{
    all_forms(false, sizes, sizeof sizes / sizeof *sizes);
}

/* ---- which form ---- */

/* Of a product with `m` rows and `n` columns, both operands along k; 0: a size of the call. C runs along n, or along m. */
static const char *form_of(const CpuGen *g, LLVMValueRef fn, int64_t m, int64_t n, bool along_m, bool copied)
{
    LLVMValueRef size = LLVMGetParam(fn, 0), p = LLVMGetParam(fn, 1), one = gen_i64(g, 1);
    GemmArg arg = {.m = m ? gen_i64(g, m) : size, .n = n ? gen_i64(g, n) : size, .k = size, .a = p, .b = p, .c = p, .copied = copied};
    arg.a_col = arg.b_row = one;
    arg.a_row = arg.b_col = size;
    arg.c_row = along_m ? one : size;
    arg.c_col = along_m ? size : one;
    return LLVMGetValueName(cpu_gemm_call(g, &arg, false).fn);
}

Test(gemm, few_rows_are_turned_where_all_sizes_have_so_few)
{
    LLVMContextRef context = LLVMContextCreate();
    LLVMModuleRef module = LLVMModuleCreateWithNameInContext("t", context);
    LLVMBuilderRef b = LLVMCreateBuilderInContext(context);
    CpuGen g = cpu_gen(context, module, b, CPU_AVX2, false);
    LLVMTypeRef param[] = {gen_int1(&g, 64), gen_ptr(&g)};
    LLVMValueRef fn = LLVMAddFunction(module, "f", LLVMFunctionType(LLVMVoidTypeInContext(context), param, 2, false));
    LLVMPositionBuilderAtEnd(b, LLVMAppendBasicBlockInContext(context, fn, "entry"));
    static const char turned[] = "gemm.turned.f32.avx2", dot[] = "gemm.dot.f32.avx2";
    cr_expect_str_eq(form_of(&g, fn, 16, 0, false, false), turned);
    cr_expect_str_eq(form_of(&g, fn, 0, 16, true, false), turned);
    cr_expect_str_eq(form_of(&g, fn, 15, 0, false, false), dot); /* less than two vectors */
    cr_expect_str_eq(form_of(&g, fn, 65, 0, false, false), dot);
    cr_expect_str_eq(form_of(&g, fn, 0, 0, false, false), dot);
    cr_expect_str_eq(form_of(&g, fn, 16, 0, false, true), dot); /* a copy sums in its order */
    LLVMDisposeBuilder(b);
    LLVMDisposeModule(module);
    LLVMContextDispose(context);
}

/* ---- products by a copy ---- */

typedef void PackedKernel(const Sizes *s, const void *a, const void *b, void *c, void *copy);

/* Every third number is tiny: products of them are zeros with a sign. */
static double value_or_tiny(int64_t i)
{
    return i % 3 ? value(i) : i % 2 ? -1e-30 : 1e-30;
}

static void check_packed(LLVMOrcLLJITRef j, CpuLevel level, bool f64, bool add, const int64_t size[3],
                         unsigned char *const arena[4])
{
    char name[64];
    packed_name(name, sizeof name, level, f64, add);
    PackedKernel *packed = (PackedKernel *)jit_find(j, name);
    Kernel *dot = kernel(j, MK_NK, level, f64, add);
    int64_t m = size[0], n = size[1], k = size[2];
    size_t bytes = f64 ? 8 : 4;
    Sizes s = dense(MK_NK, m, n, k);
    void *a = placed(arena[0], m * k, bytes, true), *b = placed(arena[1], k * n, bytes, true),
         *copy = placed(arena[3], (n + 63) * k, bytes, true);
    unsigned char *c = placed(arena[2], 2 * m * n, bytes, true), *expected = c, *got = c + (size_t)(m * n) * bytes;
    for (int64_t i = 0; i < m * k; i++)
        put(a, i, f64, value_or_tiny(i));
    for (int64_t i = 0; i < k * n; i++)
        put(b, i, f64, value_or_tiny(i + 1000));
    for (int64_t i = 0; i < 2 * m * n; i++)
        put(c, i, f64, add ? value(i % (m * n) + 5) : NAN);
    dot(&s, a, b, expected);
    packed(&s, a, b, got, copy);
    cr_expect(memcmp(expected, got, (size_t)(m * n) * bytes) == 0, "%s m=%d n=%d k=%d: not the bits of dot", name,
              (int)m, (int)n, (int)k);
}

Test(gemm, a_copy_gives_the_same_bits, .timeout = 300)
{
    LLVMOrcLLJITRef j = jit_new(add_all);
    unsigned char *arena[4] = {guarded(), guarded(), guarded(), guarded()};
    for (int level = 0; level < CPU_NLEVEL; level++)
        for (int v = 0; v < 4 && cpu_level_here((CpuLevel)level); v++)
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
                check_packed(j, (CpuLevel)level, v & 1, v >> 1, sizes[i], arena);
}
