/* PTX without a GPU: the kernels are made for this machine instead, by the same code but for where a thread's iterations and
 * parameters come from, and run one thread after the other. What comes out is what rec's evaluator says of the program as it
 * was before any pass. A thread runs to its end, or to a barrier, before the next begins, so a kernel whose threads would need
 * each other's values on the way gives something else. tests/unit/test_blocks.c looks at every access of the plan. */
#include <jansson.h>

#include "tests/unit/gpu.h"

static bool run_function(Machine *m, const RecProg *p, RecEval *e, RecFn fn)
{
    Str error = {0};
    bool fine = rec_eval_run(e, fn, &error);
    m->trouble = 0;
    launch_all(m, &m->plan->fn[fn]);
    cr_assert_eq(m->trouble == 0, fine, "%s: an index out of range: %.*s", m->what, STRF(error));
    if (fine)
        compare(m, p, e, fn);
    return fine;
}

static void run_case(const RecProg *p, const NvPlan *plan, LLVMOrcLLJITRef jit, bool f64, const Case *c, const char *what)
{
    const KernProg *k = plan->k;
    Arena *a = arena_new();
    Machine m = {.a = a, .k = k, .plan = plan, .jit = jit, .c = c, .what = what, .f64 = f64};
    m.size = NEWN(a, int64_t, dim_nsyms(k->dims));
    m.buf = NEWN(a, void *, k->buf.n);
    m.given = NEWN(a, bool, k->arg.n);
    m.doubles = NEWN(a, RecArray, k->arg.n);
    int64_t *size = NEWN(a, int64_t, dim_nsyms(p->dims));
    for (DimSym s = 0; s < dim_nsyms(p->dims); s++)
        size[s] = open_size(p->dims, s, c);
    fill_sizes(k, c, m.size);
    make_buffers(&m);
    RecEval *e = rec_eval_new(a, p, size, m.doubles, c->seed);
    if (run_function(&m, p, e, REC_FORWARD) && c->keep)
        run_function(&m, p, e, REC_BACKWARD);
    rec_eval_free(e);
    arena_free(a);
}

/* ---- one program ---- */

/* empty: the name of a size that is 0, or 0 */
static void check_empty(Source s, char empty)
{
    static const int64_t T[] = {0, 1, 2, 7, 19}, B[] = {1, 3, 0};
    Arena *a = arena_new();
    if (!cpu_level_here(CPU_AVX2))
        cr_skip("this machine has no fused multiply-add");
    const char *what = str_fmt(a, "%s, form %d:%u", s.entry, (int)s.form.kind, s.form.size).p;
    const RecProg *p = plain(a, &s);
    NvPlan *plan = nv_plan(a, lowered(a, &s), &(NvOptions){.arch = STR("sm_90")});
    for (int fn = 0; fn < REC_NFN; fn++)
        cr_assert_eq(plan->fn[fn].refused.n, 0, "%s: %.*s", what, STRF(plan->fn[fn].refused));
    for (int f64 = 0; f64 < 2; f64++) {
        LLVMOrcLLJITRef jit = jit_of_plan(plan, f64);
        for (uint32_t i = 0; i < 5 * 3 * 4; i++)
            run_case(p, plan, jit, f64, &(Case){T[i % 5], B[i / 5 % 3], i / 15 & 1, i / 30 & 1, i, empty}, what);
        LLVMOrcDisposeLLJIT(jit);
    }
    arena_free(a);
}

static void check(Source s)
{
    check_empty(s, 0);
}

static void check_forms(Source s)
{
    check(s);
    for (uint32_t n = 1; n <= 16; n = 3 * n + 1) {
        s.form = (RecForm){.kind = REC_FORM_SCAN, .size = n};
        check(s);
    }
}

Test(ptx, diagonal) { check_forms((Source){.path = "tests/ptx/diagonal.rnn", .entry = "diagonal"}); }
Test(ptx, mingru) { check_forms((Source){.path = "stdlib/mingru.rnn", .entry = "mingru"}); }
Test(ptx, gates) { check_forms((Source){.path = "tests/ptx/gates.rnn", .entry = "gates"}); }
Test(ptx, functions) { check((Source){.path = "tests/ptx/functions.rnn", .entry = "functions"}); }
Test(ptx, rwkv4) { check_forms((Source){.path = "stdlib/rwkv4.rnn", .entry = "rwkv4"}); }
Test(ptx, several_cells) { check_forms((Source){.path = "stdlib/fsmn.rnn", .entry = "fsmn3"}); }
Test(ptx, running_max) { check_forms((Source){.path = "tests/cells/semiring_running_max.rnn", .entry = "running_max"}); }
Test(ptx, lstm) { check((Source){.path = "stdlib/lstm.rnn", .entry = "lstm"}); }
Test(ptx, gru) { check((Source){.path = "stdlib/gru.rnn", .entry = "gru"}); }
Test(ptx, embedding) { check((Source){.path = "stdlib/embedding.rnn", .entry = "embedding"}); }
Test(ptx, sums_over_threads) { check((Source){.path = "stdlib/rwkv7.rnn", .entry = "rwkv7"}); }
Test(ptx, two_stages) { check((Source){.path = "stdlib/mamba2.rnn", .entry = "mamba2"}); }
Test(ptx, viterbi) { check((Source){.path = "stdlib/hmm.rnn", .entry = "viterbi"}); }
Test(ptx, neighbours) { check((Source){.path = "tests/ptx/together.rnn", .entry = "neighbours"}); }
Test(ptx, flipped) { check((Source){.path = "tests/ptx/together.rnn", .entry = "flipped"}); }
Test(ptx, everyone) { check((Source){.path = "tests/ptx/together.rnn", .entry = "everyone"}); }
Test(ptx, chosen) { check((Source){.path = "tests/ptx/together.rnn", .entry = "chosen"}); }

/* There is no element 0 to read instead. */
Test(ptx, index_into_nothing)
{
    check_empty((Source){.path = "tests/ptx/together.rnn", .entry = "chosen"}, 'N');
    check_empty((Source){.path = "stdlib/embedding.rnn", .entry = "embedding"}, 'V');
}

Test(ptx, no_state) { check((Source){.path = "tests/data/prelude.rnn", .entry = "pointwise"}); }

/* ---- nests over time whose threads meet in memory, and some like them whose threads do not ---- */

typedef struct Nest {
    const char *body;
    bool apart;
} Nest;


static const Nest nests[] = {
    {"vector %1 < H { %2 : real = load b1[0, %1 by 1] store b1[0, %1 by 1] = %2 }", true},
    {"vector %1 < H { %2 : real = load b1[H, %0 by H, %1 by 1] store b1[2*H, %0 by H, %1 by 1] = %2 }", true},
    {"parallel %3 < B { vector %1 < H { %2 : real = load b1[0, %0 by B*H, %3 by H, %1 by 1] store b1[B*H, %0 by B*H, %3 by H, %1 by 1] = %2 } }", true},
    {"vector %1 < H { %2 : real = load b1[0, %1 by 2] store b1[2*H, %0 by 2*H, %1 by 2] = %2 }", true},
    {"vector %1 < H { %2 : real = load b1[0, %1 by 1] store b2[0, %0 by 1, %1 by 1] = %2 }", false},
    {"vector %1 < H { %2 : real = load b0[1, %0 by 1] store b1[0, %1 by 1] = %2 }", true},
    {"vector %1 < H { %2 : real = load b1[1, %1 by 1] store b1[0, %1 by 1] = %2 }", false},
    {"vector %1 < H { %2 : real = load b1[0, %0 by 1, %1 by 1] store b1[0, %1 by 1] = %2 }", false},
    {"vector %1 < H { %2 : real = load b1[0] store b1[0, %1 by 1] = %2 }", false},
    {"vector %1 < H { %2 : real = load b1[0, %1 by 2] store b1[0, %1 by 1] = %2 }", false},
    {"%2 : real = load b1[0] vector %1 < H { store b1[0, %1 by 1] = %2 }", false},
    {"parallel %3 < B { vector %1 < H { %2 : real = load b1[0, %0 by H, %3 by H, %1 by 1] store b1[H, %0 by H, %3 by H, %1 by 1] = %2 } }", false},
    {"parallel %3 < B { vector %1 < H { %2 : real = load b1[0, %3 by 1, %1 by B] store b1[0, %3 by H, %1 by 1] = %2 } }", false},
    {"parallel %3 < B { vector %1 < H { %2 : real = load b1[0, %3 by 1, %1 by 1] store b1[0, %3 by 1, %1 by 1] = %2 } }", false},
    {"parallel %3 < B { vector %1 < H { %2 : real = load b0[0, %1 by 1] store b1[0, %1 by 1] = %2 } }", false},
    {"vector %1 < H { %2 : real = load b1[0, %1 by keep] store b1[0, %1 by keep] = %2 }", false},
    {"vector %1 < H { %2 : real = load b0[0, %1 by 1] store b1[0, %1 by 1] = %2 } "
     "vector %3 < H { %4 : real = load b1[0, %3 by 1] store b2[0, %3 by 1] = %4 }", true},
    {"vector %1 < H { %2 : real = load b0[0, %1 by 1] store b1[0, %1 by 1] = %2 } "
     "vector %3 < H { %4 : real = load b1[1, %3 by 1] store b2[0, %3 by 1] = %4 }", false},
    {"vector %1 < H { %2 : real = load b0[0, %1 by 1] store b1[0, %1 by 1] = %2 } "
     "vector %3 < B { %4 : real = load b0[0, %3 by 1] store b2[0, %3 by 1] = %4 }", false},
    {"vector %1 < H { %2 : real = load b0[0, %1 by 1] store b1[0, %1 by 1] = %2 } "
     "parallel %3 < H { vector %5 < B { %4 : real = load b0[0, %3 by 1] store b2[0, %3 by B, %5 by 1] = %4 } }", false},
    {"parallel %3 < H { vector %5 < B { %4 : real = load b0[0, %3 by 1] store b2[0, %3 by B, %5 by 1] = %4 } } "
     "vector %1 < H { %2 : real = load b0[0, %1 by 1] store b1[0, %1 by 1] = %2 }", false},
    {"serial %6 < B { vector %1 < H { %2 : real = load b1[0, %6 by H, %1 by 1] store b1[0, %6 by H, %1 by 1] = %2 } }", true},
    {"parallel %3 < B { serial %6 < H { %2 : real = load b1[0, %3 by H, %6 by 1] store b1[0, %3 by H, %6 by 1] = %2 } }", false},
    {"serial %6 < B { %2 : real = load b1[0, %6 by 1] store b2[0, %6 by 1] = %2 }", false},
    {"serial %6 < B { %2 : real = load b1[0, %6 by 1] }", false},
    {"parallel %3 < B { copy b1[0, %3 by H] = b0[0, %3 by H] count H }", true},
    {"parallel %3 < B { copy b1[0, %3 by H] = b0[0, %3 by H] count B }", false},
};

static KernProg *program_of(Arena *a, const char *forward)
{
    Str error = {0};
    Str text = str_fmt(a,
                       "kern \"n\"\ndim B batch\ndim keep keep\ndim T time\ndim H size\ndim part.1 part\nopen T\nopen B\nopen H\n"
                       "arg \"x\" real[T, H] input of 0 batched\narg \"h0\" real[H] start of 1 optional batched\n"
                       "buf b0 arg 0 real B*T*H used 1 \"x\"\nbuf b1 work real 9*B*T*H used 1 \"w\"\n"
                       "buf b2 work real 9*B*T*H used 1 \"v\"\nbuf b3 arg 1 real B*H used 1 \"h0\"\n"
                       "buf b4 work real 9*B*T*H used 1 \"u\"\nbuf b5 work real 9*B*T*H used 1 \"t\"\nforward {\n  %s\n}\n", forward);
    KernProg *k = kern_read(a, text, &error);
    cr_assert(k, "%.*s\n%s", STRF(error), text.p);
    return k;
}

/* What becomes of a forward function: a `t` for each kernel of threads, an `l` where those look back, a `b` for each of blocks that is cut,
 * a `1` for one block that does it all. */
static Str kernels_of(Arena *a, const char *forward)
{
    NvPlan *plan = nv_plan(a, program_of(a, forward), &(NvOptions){.arch = STR("sm_80")});
    const NvFn *fn = &plan->fn[REC_FORWARD];
    Text t = {.arena = a};
    if (fn->refused.n)
        return fn->refused;
    for (uint32_t i = 0; i < fn->kernel.n; i++)
        if (!fn->kernel.p[i].instead)
            text_add(&t, "%c", fn->kernel.p[i].node.p[0]->kind == NV_LOOK ? 'l' : !fn->kernel.p[i].blocks ? 't' : fn->kernel.p[i].cut.n == 0 ? '1' : 'b');
    return text_str(&t);
}

static void check_kernels(const char *forward, const char *want)
{
    Arena *a = arena_new();
    Str got = kernels_of(a, forward);
    cr_assert(str_is(got, want), "%s\nbecomes `%.*s`, not `%s`", forward, STRF(got), want);
    arena_free(a);
}

static void add_nodes(Text *to, const NvNodes *nodes)
{
    for (uint32_t i = 0; i < nodes->n; i++) {
        const NvNode *n = nodes->p[i];
        if (n->kind == NV_BARRIER)
            text_add(to, "|");
        else if (n->kind == NV_SHARE || n->kind == NV_ONE)
            text_add(to, n->kind == NV_ONE ? "1" : "s");
        if (n->kind != NV_STEPS)
            continue;
        text_add(to, "{");
        add_nodes(to, &n->body);
        text_add(to, "}");
    }
}

/* Of the only kernel: a `|` for each barrier, an `s` for loops that are shared out, a `1` for what one thread does, braces around loops of all. */
static void check_barriers(const char *forward, const char *want)
{
    Arena *a = arena_new();
    NvPlan *plan = nv_plan(a, program_of(a, forward), &(NvOptions){.arch = STR("sm_80")});
    const NvFn *fn = &plan->fn[REC_FORWARD];
    Text got = {.arena = a};
    cr_assert(!fn->refused.n && fn->kernel.n == 1, "%s", forward);
    add_nodes(&got, &fn->kernel.p[0].node);
    cr_assert(str_is(text_str(&got), want), "%s\nbecomes `%s`, not `%s`", forward, got.p, want);
    arena_free(a);
}

/* A row of b1, from b0; what mixes elements of one: threads have others than in a row; all B rows; what changes a row. */
#define ROW(VAR, TO) "vector %" VAR " < H { %1" VAR " : real = load b0[0, %" VAR " by 1] store b1[" TO ", %" VAR " by 1] = %1" VAR " } "
#define MIXED(VAR, FROM) "parallel %" VAR " < H { serial %2" VAR " < H { %1" VAR " : real = load b1[" FROM ", %2" VAR " by 1] store b2[0, %" VAR " by H, %2" VAR " by 1] = %1" VAR " } } "
#define ROWS(VAR) "parallel %" VAR " < B { vector %1" VAR " < H { %2" VAR " : real = load b0[0, %1" VAR " by 1] store b1[0, %" VAR " by H, %1" VAR " by 1] = %2" VAR " } } "
#define NEGATED(VAR, AT) "vector %" VAR " < H { %1" VAR " : real = load b1[" AT ", %" VAR " by 1] %2" VAR " : real = neg(%1" VAR ") store b1[" AT ", %" VAR " by 1] = %2" VAR " } "
#define STEPS_OF(BODY) "serial %0 < T { " BODY " }"

Test(ptx, barriers)
{
    check_barriers(STEPS_OF(ROW("1", "0") MIXED("2", "0")), "{|s|s}");
}

/* Each round has a barrier, so that only the last one is behind all of them, unless the loop is left early. */
Test(ptx, barriers_behind_the_last_round)
{
#define ROUNDS(HOW, FROM, LEAVE, READ) STEPS_OF("serial %5 < 3" HOW " { " MIXED("2", FROM ", %5 by H") ROW("1", "H, %5 by H") LEAVE "} " MIXED("3", READ))
    check_barriers(ROUNDS("", "0", "", "2*H"), "{{|ss}s}");
    check_barriers(ROUNDS("", "0", "", "3*H"), "{{|ss}|s}");
    check_barriers(ROUNDS(" reverse", "2*H", "", "2*H"), "{{|ss}s}");
    check_barriers(ROUNDS(" reverse", "2*H", "", "H"), "{{|ss}|s}");
    check_barriers(ROUNDS("", "0", "%6 : bool = given 0 leave %6 ", "2*H"), "{{|ss}|s}");
}

/* Of all rows a loop begins with one, whose elements have the numbers of its own iterations if it is the first. */
Test(ptx, barriers_in_front_of_the_first_round)
{
    check_barriers(STEPS_OF(ROWS("7") "serial %5 < B { " NEGATED("1", "0, %5 by H") MIXED("2", "0, %5 by H") "}"), "{|s{s|s}}");
    check_barriers(STEPS_OF(ROWS("7") "serial %5 < B reverse { " NEGATED("1", "0, %5 by H") MIXED("2", "0, %5 by H") "}"), "{|s|{s|s}}");
    check_barriers(STEPS_OF(ROWS("7") "serial %5 < B { " NEGATED("1", "0, %5 by H") "}" MIXED("2", "0")), "{|s|s|s}");
}

/* Two iterations with different numbers touch different elements, in whichever of their loops they differ. */
Test(ptx, barriers_between_other_iterations)
{
#define EACH_ROW(VAR, FROM, TO) "parallel %" VAR " < B { serial %1" VAR " < H { %2" VAR " : real = load " FROM " store " TO "[0, %" VAR " by H, %1" VAR " by 1] = %2" VAR " } } "
#define OF_ROWS(FROM) STEPS_OF(EACH_ROW("7", "b2[0, %7 by H, %17 by 1]", "b1") EACH_ROW("8", FROM, "b4") MIXED("3", "0"))
    check_barriers(OF_ROWS("b1[0, %8 by H, %18 by 1]"), "{|ss|s}");
    check_barriers(OF_ROWS("b1[H, %8 by H, %18 by 1]"), "{|s|ss}");
    check_barriers(OF_ROWS("b1[0, %8 by 1, %18 by B]"), "{|s|ss}");
#define LEVELS(VAR, N, M, AT, VALUE) "parallel %" VAR " < " N " { vector %1" VAR " < " M " { %2" VAR " : real = load " VALUE " store b1[" AT "] = %2" VAR " } } "
    check_barriers(STEPS_OF(LEVELS("7", "3", "H", "0, %7 by H, %17 by 1", "b0[0, %17 by 1]") LEVELS("8", "2", "H", "0, %8 by H, %18 by 1", "b1[0, %8 by H, %18 by 1]") MIXED("3", "H")), "{|ss|s}");
    check_barriers(STEPS_OF(LEVELS("7", "3", "H", "0, %17 by 3, %7 by 1", "b0[0, %17 by 1]") LEVELS("8", "2", "H", "0, %18 by 3, %8 by 1", "b1[0, %18 by 3, %8 by 1]") MIXED("3", "H")), "{|ss|s}");
    check_barriers(STEPS_OF(LEVELS("7", "H", "3", "0, %7 by 3, %17 by 1", "b0[0, %7 by 1]") LEVELS("8", "H", "2", "0, %8 by 3, %18 by 1", "b1[0, %8 by 3, %18 by 1]") MIXED("3", "H")), "{|s|s|s}");
}

/* A loop has no barrier where it has no round: that is where one of those before and behind it does nothing either, or not. */
Test(ptx, barriers_of_loops_without_rounds)
{
#define BETWEEN(N, COUNT) STEPS_OF(ROW("1", "0") "serial %5 < " N " { " MIXED("2", "9*H") ROW("3", "9*H") "} parallel %4 < " COUNT " { serial %6 < H { %7 : real = load b1[0, %6 by 1] store b4[0, %4 by H, %6 by 1] = %7 } }")
#define SUMMED(N) STEPS_OF(ROW("1", "0") "serial %5 < B { " MIXED("2", "9*H") ROW("3", "9*H") "} serial %4 < " N " { parallel %6 < 3 { vector %7 < H { %8 : real = load b1[0, %7 by 1] store b4[0, %6 by H, %7 by 1] += %8 } } }")
    check_barriers(BETWEEN("B", "B*H"), "{|s{|s|s}s}");
    check_barriers(SUMMED("B"), "{|s{|s|s}s}");
    check_barriers(SUMMED("T"), "{|s{|s|s}|s}");
    check_barriers(BETWEEN("B", "T"), "{|s{|s|s}|s}");
    check_barriers(BETWEEN("H", "T"), "{|s{|s|s}s}");
}

Test(ptx, threads_keep_apart)
{
    for (size_t i = 0; i < sizeof nests / sizeof *nests; i++) {
        Arena *a = arena_new();
        Str got = kernels_of(a, str_fmt(a, "serial %%0 < T {\n    %s\n  }", nests[i].body).p);
        cr_assert_eq(str_is(got, "t"), nests[i].apart, "%s\nbecomes `%.*s`", nests[i].body, STRF(got));
        arena_free(a);
    }
}

/* ---- states in registers ---- */

static uint32_t carries_of(const char *loop)
{
    Arena *a = arena_new();
    NvPlan *plan = nv_plan(a, program_of(a, loop), &(NvOptions){.arch = STR("sm_80")});
    const NvFn *fn = &plan->fn[REC_FORWARD];
    cr_assert(!fn->refused.n && fn->kernel.n == 1 && fn->kernel.p[0].node.n == 1, "%s", loop);
    uint32_t n = fn->kernel.p[0].node.p[0]->carry.n;
    arena_free(a);
    return n;
}

static void check_carries(const char *loop, uint32_t want)
{
    cr_expect_eq(carries_of(loop), want, "%s\ncarries %u, not %u", loop, carries_of(loop), want);
}

#define EACH(LOOP, BODY) "serial %0 < T" LOOP " { vector %1 < H { " BODY " } }"

Test(ptx, states_in_registers)
{
    check_carries(EACH("", "%2 : real = load b1[0, %1 by 1] store b1[0, %1 by 1] = %2"), 1);
    check_carries(EACH("", "%2 : real = load b1[0, %0 by H, %1 by 1] store b1[H, %0 by H, %1 by 1] = %2"), 1);
    check_carries(EACH(" reverse", "%2 : real = load b1[H, %0 by H, %1 by 1] store b1[0, %0 by H, %1 by 1] = %2"), 1);
    check_carries(EACH("", "%2 : real = load b1[0, %0 by H*keep, %1 by 1] store b1[H*keep, %0 by H*keep, %1 by 1] = %2"), 1);
    check_carries(EACH("", "%2 : real = load b1[0, %1 by 1] %3 : real = load b4[0, %1 by 1] store b1[0, %1 by 1] = %3 store b4[0, %1 by 1] = %2"), 2);
    check_carries(EACH(" reverse", "%2 : real = load b1[0, %0 by H, %1 by 1] store b1[H, %0 by H, %1 by 1] = %2"), 0); /* what comes later */
    check_carries(EACH("", "%2 : real = load b1[0, %0 by H, %1 by 1] store b1[2*H, %0 by H, %1 by 1] = %2"), 0);       /* two steps back */
    check_carries(EACH("", "%2 : real = load b0[0, %1 by 1] store b1[0, %1 by 1] = %2 %3 : real = load b1[0, %1 by 1] store b4[0, %1 by 1] = %3"), 0);
    check_carries(EACH("", "%2 : real = load b1[0, %1 by 1] store b1[0, %1 by 1] += %2"), 0);
    check_carries(EACH("", "%2 : real = load b1[0, %1 by 1] store b1[0, %1 by 1] = %2 store b1[H, %1 by 1] = %2"), 0); /* two stores */
    check_carries(EACH("", "%2 : real = load b1[0, %1 by 1] serial %3 < B { store b1[0, %1 by 1] = %2 }"), 0);
    check_carries("serial %0 < T { serial %3 < B { vector %1 < H { %2 : real = load b1[0, %0 by H, %1 by 1] store b1[H, %0 by H, %1 by 1] = %2 } } }", 0);
    check_carries("serial %0 < T { serial %3 < B { vector %1 < H { %2 : real = load b1[0, %1 by 1] store b1[0, %1 by 1] = %2 } } }", 0);
}

/* ---- three loops that can be one kernel, and some like them that cannot ---- */

/* Sums of four pieces in b1, the state in b2, what it is in front of each piece in b4. */
#define SUMS "parallel %10 < 4 { vector %11 < H { %12 : real = load b0[0, %10 by H, %11 by 1] store b1[0, %10 by H, %11 by 1] = %12 } } "
#define SUM_STEP(SUM, STATE, SAVED) "serial %20 < 4 { vector %21 < H { %22 : real = load b1[" SUM "] %23 : real = load b2[" STATE "] " \
                                    "%24 : real = add(%22, %23) store b2[" STATE "] = %24 store b4[" SAVED "] = %23 } } "
#define PIECE "0, %20 by H, %21 by 1"
#define STEPS SUM_STEP(PIECE, "0, %21 by 1", PIECE)
#define REST(SAVED, TO) "parallel %30 < 4 { vector %31 < H { %32 : real = load b4[" SAVED "] store " TO "[0, %30 by H, %31 by 1] = %32 } } "
#define PLACES REST("0, %30 by H, %31 by 1", "b5")

Test(ptx, three_loops_look_back)
{
    check_kernels(SUMS STEPS PLACES, "tlt"); /* flags, and the state behind */
    check_kernels("fill b2[0] count H = 0 " SUMS STEPS PLACES, "ttlt");
    check_kernels(SUMS "fill b2[0] count H = 0 " STEPS PLACES, "ttlt");
    check_kernels(SUMS STEPS "copy b5[9*H] = b2[0] count H " PLACES, "tttt"); /* it must be behind one, and in front of the other */
    check_kernels(SUMS STEPS "fill b5[9*H] count H = 0 " PLACES, "ttlt");
    check_kernels(SUMS "copy b2[0] = b1[0] count H " STEPS PLACES, "tttt"); /* it must come between */
    check_kernels(SUMS STEPS "fill b4[H] count H = 0 " PLACES, "tttt");
    check_kernels(SUMS SUM_STEP("H, %20 by H, %21 by 1", "0, %21 by 1", PIECE) PLACES, "ttt"); /* the next piece's sum */
    check_kernels(SUMS SUM_STEP("0, %21 by 1", "0, %21 by 1", PIECE) PLACES, "ttt");           /* always the first one's */
    check_kernels(SUMS SUM_STEP(PIECE, "0, %21 by 1", "0, %21 by 1") PLACES, "ttt");
    check_kernels(SUMS SUM_STEP(PIECE, PIECE, PIECE) PLACES, "ttt"); /* nothing is carried on */
    check_kernels(SUMS STEPS REST("H, %30 by H, %31 by 1", "b5"), "ttt"); /* another piece's state */
    check_kernels(SUMS STEPS REST("0, %31 by 1", "b5"), "ttt");
    check_kernels(SUMS STEPS REST("0, %30 by H, %31 by 1", "b2"), "ttt"); /* writes over the state */
    check_kernels(SUMS STEPS REST("0, %30 by H, %31 by 1", "b1"), "tlt"); /* over its own sum */
    check_kernels("parallel %10 < T { vector %11 < H { %12 : real = load b0[0, %10 by H, %11 by 1] store b1[0, %10 by H, %11 by 1] = %12 } } "
                  STEPS PLACES, "ttt"); /* other pieces */
    check_kernels(SUMS "serial %20 < 4 { vector %21 < H { %23 : real = load b2[0, %21 by 1] serial %25 < T { %22 : real = load b1[0, %20 by H, %21 by 1] "
                       "store b4[0, %20 by H, %21 by 1] = %22 } store b2[0, %21 by 1] = %23 } } " PLACES, "tlt");
    check_kernels(SUMS "serial %20 < 4 { vector %21 < H { %23 : real = load b2[0, %21 by 1] %26 : real = start sum serial %25 < T { %22 : real = load b1[0, %20 by H, %21 by 1] "
                       "update %26 sum %22 } store b4[0, %20 by H, %21 by 1] = %26 store b2[0, %21 by 1] = %23 } } " PLACES, "ttt");
}

/* A thread makes all that an iteration adds up, where there is one for each place in time; where elements of two iterations are the same it does not. */
Test(ptx, sums_of_places)
{
#define ADDS(CHAIN, ADDRESS) CHAIN " serial %4 < H { %2 : real = load b0[0, %4 by 1] store b1[" ADDRESS ", %4 by 1] += %2 } } "
    check_kernels(ADDS("parallel %0 < T { parallel %3 < B {", "0, %0 by B*H, %3 by H") "}", "t");
    check_kernels(ADDS("parallel %0 < T { parallel %3 < B {", "0, %3 by H") "}", "1");
    check_kernels(ADDS("parallel %0 < T { parallel %3 < B {", "0, %0 by H, %3 by H") "}", "1");
    check_kernels(ADDS("parallel %3 < B {", "0, %3 by H"), "b");
}

/* Outside of all loops. A scalar that a kernel may change, and what is found from it, stays in one kernel. */
Test(ptx, top_of_a_function)
{
    check_kernels("%1 : real = load b0[0] vector %0 < H { store b1[0, %0 by 1] = %1 }", "t");
    check_kernels("%1 : real = load b1[0] vector %0 < H { store b2[0, %0 by 1] = %1 }", "1");
    check_kernels("%1 : real = load b3[0] vector %0 < H { store b2[0, %0 by 1] = %1 }", "1");
    check_kernels("%1 : real = load b1[0] %2 : real = const 1 vector %0 < H { store b2[0, %0 by 1] = %2 }", "1t");
    check_kernels("%1 : real = load b1[0] %3 : real = neg(%1) fill b2[0] count H = 0 vector %0 < H { store b2[0, %0 by 1] = %3 } "
                  "fill b1[0] count H = 0", "1t");
    check_kernels("%1 : real = const 2 store b1[0] = %1", "1");
    check_kernels("fill b1[0] count H = 0 copy b2[0] = b1[0] count H", "tt");
    check_kernels("%1 : real = start sum vector %0 < H { %2 : real = load b0[0, %0 by 1] update %1 sum %2 } store b1[0] = %1", "1");
    check_kernels("gemm m B n H k H b1[0] rows H cols 1 = b0[0] rows H cols 1 @ b2[0] rows 1 cols H", "t");
    check_kernels("vector %0 < H { %1 : int = check %0 < H %2 : real = load b0[0, %1 by 1] store b1[0, %0 by 1] = %2 }", "t");
    check_kernels("%0 : int = const 3 %1 : int = check %0 < H %2 : real = load b0[0, %1 by 1] store b1[0] = %2", "1");
    check_kernels("serial %0 < T { gemm m B n H k H b1[0] rows H cols 1 = b2[0] rows H cols 1 @ b0[0] rows 1 cols H "
                  "copy b2[0] = b1[0] count B*H }", "b");
    check_kernels("serial %0 < T { gemm m H n H k H b1[0] rows H cols 1 = b2[0] rows H cols 1 @ b1[H*H] rows 1 cols H "
                  "copy b1[H*H] = b2[0] count H*H }", "1");
}

#define STEP "gemm m B n H k H b1[0] rows H cols 1 = b1[B*H] rows H cols 1 @ b0[0] rows 1 cols H copy b1[B*H] = b1[0] count B*H "

/* What keeps a loop from being cut goes into a loop of its own, if nothing in the rest needs it, in this round or another. */
Test(ptx, split)
{
    check_kernels("serial %0 < T { " STEP "}", "b");
    check_kernels("serial %0 < T { " STEP "%9 : real = const 2 store b2[0, %0 by 1] = %9 }", "b1");
    check_kernels("serial %0 < T { %9 : real = const 2 %8 : real = neg(%9) store b2[0, %0 by 1] = %8 " STEP "store b2[T, %0 by 1] = %9 }", "1b1");
    check_kernels("serial %0 < T { %9 : real = load b0[0, %0 by 1] store b2[0, %0 by 1] = %9 " STEP "}", "1b");
    check_kernels("serial %0 < T { %9 : real = load b1[0] store b2[0, %0 by 1] = %9 " STEP "}", "1");
    check_kernels("serial %0 < T { " STEP "%9 : real = load b1[0] %8 : real = neg(%9) store b2[0, %0 by 1] = %8 }", "1");
    check_kernels("serial %0 < T { " STEP "%9 : real = load b1[0] store b2[0, %0 by 1] = %9 }", "1");
    check_kernels("serial %0 < T { gemm m B n H k H b1[0, %0 by B*H] rows H cols 1 = b0[0] rows H cols 1 @ b0[0] rows 1 cols H "
                  "%9 : real = load b1[0, %0 by B*H] store b2[0] += %9 }", "t1");
    check_kernels("serial %0 < T { gemm m B n H k H b1[0, %0 by B*H] rows H cols 1 = b0[0] rows H cols 1 @ b2[0] rows 1 cols H "
                  "%9 : real = load b1[0, %0 by B*H] store b2[0] += %9 }", "1");
}

Test(ptx, refused)
{
    check_kernels("pack b1[0] = k H n H b0[0] rows H cols 1 when 1", "a matrix copied for the products of a CPU (K_PACK)");
    check_kernels("tasks %0 part.1 < B grain 1 work B least 1 { fill b1[0, %0 by 1] count part.1 = 0 }", "tasks for the threads of a CPU (K_TASKS)");
}

/* ---- the manifest ---- */

/* A program that has nothing but the manifest finds every buffer and size that a kernel asks for. */
static void check_parameters(const json_t *root, const json_t *kernel)
{
    size_t i, n;
    json_t *param, *row;
    cr_assert(json_is_string(json_object_get(kernel, "kernel")) && json_is_string(json_object_get(kernel, "threads")));
    json_array_foreach(json_object_get(kernel, "parameters"), i, param) {
        bool buffer = json_object_get(param, "buffer");
        bool found = json_object_get(param, "given");
        json_array_foreach(json_object_get(root, buffer ? "buffers" : "sizes"), n, row)
            found |= json_equal(json_object_get(row, buffer ? "buffer" : "name"), json_object_get(param, buffer ? "buffer" : "size"));
        cr_assert(found);
    }
}

Test(ptx, manifest)
{
    Arena *a = arena_new();
    Source s = {.path = "stdlib/mingru.rnn", .entry = "mingru", .form = {.kind = REC_FORM_SCAN, .size = 4}};
    NvOptions o = {.arch = STR("sm_80"), .version = STR("0"), .source_file = STR("mingru.rnn")};
    NvPlan *plan = nv_plan(a, lowered(a, &s), &o);
    Str text = nv_manifest(plan, &o);
    json_error_t error;
    json_t *root = json_loadb(text.p, text.n, 0, &error), *kernel;
    size_t i;
    cr_assert(root, "%s\n%s", error.text, text.p);
    cr_assert_eq(json_array_size(json_object_get(root, "forward")), plan->fn[REC_FORWARD].kernel.n);
    cr_assert_eq(json_array_size(json_object_get(root, "backward")), plan->fn[REC_BACKWARD].kernel.n);
    json_array_foreach(json_object_get(root, "forward"), i, kernel)
        check_parameters(root, kernel);
    json_array_foreach(json_object_get(root, "backward"), i, kernel)
        check_parameters(root, kernel);
    json_decref(root);
    arena_free(a);
}
