/* Matrix products: C[m,n] (+)= sum over k of A[m,k] * B[k,n], sizes at run time.
 *
 * There are these forms, each one internal function of the module for each level, shared by all products that have that
 * form. Which one a product uses is known from its strides when it is compiled; whether a copy pays may depend on m:
 *
 *   dot        A and B run along k: a vector accumulates products of W consecutive k, its lanes are added at the end.
 *   broadcast  C runs along n: a vector holds W consecutive n, and goes through k one by one. So should B, else it is
 *              packed first.
 *   turned     A and B run along k, and the rows of A, or the columns of B, are as few for all sizes: a vector holds W of them, and
 *              goes through k one by one.
 *   plain      anything else, element by element.
 *   packed     dot, with the same bits, when B was copied before into an order that suits many products (`copy`).
 *
 * One output is summed in one order, set by k, the form and W: k in blocks of a fixed length, each summed from zero (in
 * `dot` lane by lane, then by halving), blocks added to C one after another. How outputs are grouped into tiles, packed
 * or left where they are has no influence on it, so a product of one row gives the same bits as that row of a larger
 * one.
 *
 * Blocking follows Goto and van de Geijn, Anatomy of high-performance matrix multiplication (2008), with weights left
 * where they are when they are read along k. Tiles at the edge compute with the last row and column repeated, and store
 * what is there; nothing outside the arrays is read.
 *
 * Nothing here depends on the model, so the functions are compiled when rnnc is built (gemm_code/generate.c), and a
 * module takes their machine code. */
#include "backends/cpu/gemm_parts.h"

/* ---- the plain form ---- */

static void make_plain(Gemm *x)
{
    GenLoop i = each(x, num(x, 0), x->m, 1), j = each(x, num(x, 0), x->n, 1);
    V start = LLVMConstNull(x->one);
    GenLoop k = gen_loop(&x->s, num(x, 0), x->k, num(x, 1), &start, 1);
    V a = element(x, x->a, plus(x, times(x, i.i, x->a_row), times(x, k.i, x->a_col)));
    V b = element(x, x->b, plus(x, times(x, k.i, x->b_row), times(x, j.i, x->b_col)));
    V next = gen_fma(&x->s, gen_load(&x->s, x->one, a, x->bytes), gen_load(&x->s, x->one, b, x->bytes), k.carried[0]);
    gen_loop_end(&x->s, &k, &next);
    V at = element(x, x->c, plus(x, times(x, i.i, x->c_row), times(x, j.i, x->c_col)));
    gen_store(&x->s, with_old(&x->s, x->add, gen_load(&x->s, x->one, at, x->bytes), k.result[0]), at, x->bytes);
    end(x, &j);
    end(x, &i);
}

/* ---- functions ---- */

V gemm_new_function(const Gemm *x, const char *name, LLVMTypeRef type)
{
    V fn = LLVMAddFunction(x->s.module, name, type);
    unsigned noinline = LLVMGetEnumAttributeKindForName("noinline", 8),
             noalias = LLVMGetEnumAttributeKindForName("noalias", 7);
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    cpu_set_target(x->s.context, fn, x->s.level);
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(x->s.context, noinline, 0));
    for (unsigned i = 0; i < LLVMCountParams(fn); i++)
        if (LLVMGetTypeKind(LLVMTypeOf(LLVMGetParam(fn, i))) == LLVMPointerTypeKind)
            LLVMAddAttributeAtIndex(fn, i + 1, LLVMCreateEnumAttribute(x->s.context, noalias, 0));
    return fn;
}

Gemm gemm_inside(const Gemm *x, V fn)
{
    Gemm in = *x;
    in.fn = fn;
    in.s.b = in.g.b = LLVMCreateBuilderInContext(x->s.context);
    LLVMPositionBuilderAtEnd(in.s.b, LLVMAppendBasicBlockInContext(x->s.context, fn, "entry"));
    return in;
}

void gemm_finish(Gemm *x)
{
    LLVMBuildRetVoid(x->s.b);
    LLVMDisposeBuilder(x->s.b);
}

/* Parameters stand in the order of Gemm's members. */
LLVMTypeRef cpu_gemm_type(const CpuGen *g)
{
    LLVMTypeRef param[GEMM_NPARAM];
    for (int i = 0; i < GEMM_NPARAM; i++)
        param[i] = i == 3 || i == 6 || i == 9 ? gen_ptr(g) : gen_int1(g, i == 12 ? 1 : 64);
    return LLVMFunctionType(LLVMVoidTypeInContext(g->context), param, GEMM_NPARAM, false);
}

static V declare_form(const Gemm *x, const char *name)
{
    return gemm_new_function(x, name, cpu_gemm_type(&x->s));
}

static void define_form(const Gemm *x, V fn, void (*make)(Gemm *x))
{
    Gemm in = gemm_inside(x, fn);
    V *to[GEMM_NPARAM] = {&in.m,     &in.n,     &in.k, &in.a,     &in.a_row, &in.a_col, &in.b,
                          &in.b_row, &in.b_col, &in.c, &in.c_row, &in.c_col, &in.add};
    for (unsigned i = 0; i < GEMM_NPARAM; i++)
        *to[i] = LLVMGetParam(fn, i);
    make(&in);
    gemm_finish(&in);
}

LLVMValueRef cpu_gemm_function(const CpuGen *g, GemmForm form)
{
    static const struct {
        const char *name;
        void (*make)(Gemm *x);
    } forms[GEMM_NFORM] = {{"dot", gemm_make_dot},
                           {"broadcast", gemm_make_broadcast},
                           {"plain", make_plain},
                           {"turned", gemm_make_turned},
                           {"packed", gemm_make_packed},
                           {"copy", gemm_make_copy}};
    char name[64];
    snprintf(name, sizeof name, "gemm.%s.%s.%s", forms[form].name, g->f64 ? "f64" : "f32",
             cpu_level_info(g->level)->text);
    V fn = LLVMGetNamedFunction(g->module, name);
    if (fn)
        return fn;
    Gemm x = {.g = *g, .s = *g, .one = gen_real1(g), .bytes = g->f64 ? 8 : 4};
    x.g.lanes = cpu_width(g);
    x.s.lanes = 1;
    const ReadyCode *code = cpu_ready_code(name);
    fn = declare_form(&x, name);
    if (code)
        cpu_use_code(g, fn, code);
    else
        define_form(&x, fn, forms[form].make);
    return fn;
}

/* ---- choice ---- */

static bool is_one(V v)
{
    return LLVMIsAConstantInt(v) && LLVMConstIntGetSExtValue(v) == 1;
}

/* C transposed is B transposed times A transposed. */
static GemmArg transposed(const GemmArg *t)
{
    return (GemmArg){.m = t->n,
                     .n = t->m,
                     .k = t->k,
                     .a = t->b,
                     .a_row = t->b_col,
                     .a_col = t->b_row,
                     .b = t->a,
                     .b_row = t->a_col,
                     .b_col = t->a_row,
                     .c = t->c,
                     .c_row = t->c_col,
                     .c_col = t->c_row};
}

enum { MOST = 64 }; /* rows of `turned` */

/* Enough for tiles of two vectors, in which adding up is not what takes the time; 0 where it is not so for all sizes. */
static int64_t few(const CpuGen *g, V n)
{
    int64_t v = LLVMIsAConstantInt(n) ? LLVMConstIntGetSExtValue(n) : 0;
    return v >= 2 * cpu_width(g) && v <= MOST ? v : 0;
}

/* The side that is turned: -1 the columns, 1 the rows, 0 neither. */
static int turned_side(const CpuGen *g, const GemmArg *arg)
{
    int64_t m = few(g, arg->m), n = few(g, arg->n);
    if (arg->copied || (!is_one(arg->c_row) && !is_one(arg->c_col)))
        return 0;
    return m && (!n || m <= n) ? 1 : n ? -1 : 0;
}

GemmCall cpu_gemm_call(const CpuGen *g, const GemmArg *arg, bool add)
{
    bool along_n = is_one(arg->c_col), along_m = is_one(arg->c_row), turn = along_m && !along_n;
    GemmForm form = along_n || along_m ? GEMM_BROADCAST : GEMM_PLAIN;
    if (is_one(arg->a_col) && is_one(arg->b_row))
        form = turned_side(g, arg) ? GEMM_TURNED : GEMM_DOT, turn = form == GEMM_TURNED ? turned_side(g, arg) < 0 : turn;
    else if (along_n && along_m) /* of one row or column: as its operand runs */
        turn = !is_one(arg->b_col) && is_one(arg->a_row);
    GemmArg t = turn ? transposed(arg) : *arg;
    V adds = LLVMConstInt(gen_int1(g, 1), add, false);
    return (GemmCall){cpu_gemm_function(g, form),
                      {t.m, t.n, t.k, t.a, t.a_row, t.a_col, t.b, t.b_row, t.b_col, t.c, t.c_row, t.c_col, adds}};
}

void cpu_gemm(const CpuGen *g, const GemmArg *arg, bool add)
{
    GemmCall call = cpu_gemm_call(g, arg, add);
    LLVMBuildCall2(g->b, cpu_gemm_type(g), call.fn, call.param, GEMM_NPARAM, "");
}
