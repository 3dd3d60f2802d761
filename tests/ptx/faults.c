/* The interpreter of the tests' driver by itself: what it must refuse, faults that it must tell, and instructions at
 * their edges, by NVIDIA's description of PTX. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interpret.h"

static uint64_t memory[64];
static int failures;

static int may_touch(uint64_t at, size_t n)
{
    uint64_t first = (uint64_t)(uintptr_t)memory;
    return at >= first && at + n <= first + sizeof memory;
}

/* A kernel k(p0, p1) of these instructions. */
static struct kernels *read_body(const char *body)
{
    static char text[8192];
    snprintf(text, sizeof text,
             ".version 7.0\n.extern .shared .align 8 .b8 partial_results[];\n.visible .entry k(\n\t.param .u64 "
             "k_param_0,\n\t.param .u64 k_param_1\n)\n{\n"
             "\t.reg .pred \t%%p<9>;\n\t.reg .b16 \t%%rs<9>;\n\t.reg .b32 \t%%r<9>;\n\t.reg .b64 \t%%rd<9>;\n\t.reg "
             ".f32 \t%%f<9>;\n\t.reg .f64 \t%%fd<9>;\n"
             "\tld.param.u64 \t%%rd1, [k_param_0];\n\tld.param.u64 \t%%rd2, [k_param_1];\n%s\tret;\n}\n",
             body);
    return kernels_read(text);
}

static int run(const char *body, unsigned threads, int backwards)
{
    uint64_t first = (uint64_t)(uintptr_t)memory, second = 7;
    void *params[] = {&first, &second};
    struct grid g = {2, threads, 64, params, 100000, backwards, may_touch, 1, 0, 0};
    struct kernels *k = read_body(body);
    int result = k ? kernel_run(kernels_find(k, "k"), &g) : -1;
    if (k)
        kernels_free(k);
    return result;
}

static void expect(const char *what, int found, int wanted)
{
    printf("%s: %s: %d\n", found == wanted ? "pass" : "FAIL", what, found);
    failures += found != wanted;
}

/* `body` leaves a value in %rd3. */
static void gives(const char *body, uint64_t wanted)
{
    char all[2048];
    snprintf(all, sizeof all, "%s\tst.global.u64 \t[%%rd1], %%rd3;\n", body);
    memory[0] = ~wanted;
    int result = run(all, 1, 0);
    int fine = result == 0 && memory[0] == wanted;
    printf("%s: %.*s gives %llx\n", fine ? "pass" : "FAIL", (int)strcspn(body + 1, ";"), body + 1,
           (unsigned long long)memory[0]);
    failures += !fine;
}

static void edges(void)
{
    gives("\tdiv.s64 \t%rd3, -9, 2;\n", (uint64_t)-4);
    gives("\trem.s64 \t%rd3, -9, 2;\n", (uint64_t)-1);
    gives("\tdiv.u64 \t%rd3, -9, 2;\n", ((uint64_t)-9) / 2);
    gives("\tmul.wide.s32 \t%rd3, -3, 5;\n", (uint64_t)-15);
    gives("\tmul.wide.u32 \t%rd3, 4294967295, 2;\n", 8589934590u);
    gives("\tmul.hi.u64 \t%rd3, -1, -1;\n", (uint64_t)-2);
    gives("\tmul.hi.s64 \t%rd3, -1, -1;\n", 0);
    gives("\tshl.b64 \t%rd3, 1, 64;\n", 0);
    gives("\tshr.u64 \t%rd3, -1, 63;\n", 1);
    gives("\tshr.s64 \t%rd3, -8, 70;\n", (uint64_t)-1);
    gives("\tshr.s32 \t%r1, -8, 1;\n\tcvt.s64.s32 \t%rd3, %r1;\n", (uint64_t)-4);
    gives("\tbfe.u64 \t%rd3, 4660, 4, 8;\n", 0x23);
    gives("\tbfe.s64 \t%rd3, 4660, 4, 6;\n", (uint64_t)-0x1d);
    gives("\tbfe.s64 \t%rd3, 4660, 4, 7;\n", 0x23);
    gives("\tbfe.s64 \t%rd3, 2, 1, 1;\n", (uint64_t)-1);
    gives("\tbfe.s64 \t%rd3, -4660, 60, 200;\n", (uint64_t)-1);
    gives("\tbfe.u64 \t%rd3, -4660, 60, 200;\n", 15);
    gives("\tbfe.u64 \t%rd3, -1, 0, 64;\n", (uint64_t)-1);
    gives("\tbfe.s64 \t%rd3, -1, 3, 0;\n", 0);
    gives("\tmov.u32 \t%r1, 240;\n\tbfe.s32 \t%r2, %r1, 4, 4;\n\tcvt.s64.s32 \t%rd3, %r2;\n", (uint64_t)-1);
    gives("\tmov.u32 \t%r1, 240;\n\tbfe.u32 \t%r2, %r1, 4, 4;\n\tcvt.s64.s32 \t%rd3, %r2;\n", 15);
    gives("\tadd.cc.s64 \t%rd4, -1, 1;\n\taddc.s64 \t%rd3, 5, 6;\n", 12);
    gives("\tadd.cc.s64 \t%rd4, -2, 1;\n\taddc.s64 \t%rd3, 5, 6;\n", 11);
    gives("\tmov.u16 \t%rs1, -1;\n\tcvt.u64.u16 \t%rd3, %rs1;\n", 65535);
    gives("\tsetp.lt.s32 \t%p1, -1, 1;\n\tselp.b64 \t%rd3, 3, 4, %p1;\n", 3);
    gives("\tsetp.lt.u32 \t%p1, -1, 1;\n\tselp.b64 \t%rd3, 3, 4, %p1;\n", 4);
    gives("\tmov.u64 \t%rd3, 5;\n\tsetp.eq.s64 \t%p1, 1, 1;\n\t@!%p1 mov.u64 \t%rd3, 6;\n", 5);
}

/* 7FC00000 is no number, 80000000 is -0, 7F800000 is infinite. */
static void real_edges(void)
{
    gives("\tmin.f32 \t%f1, 0f7FC00000, 0f3F800000;\n\tmov.b32 \t%r1, %f1;\n\tcvt.u64.u32 \t%rd3, %r1;\n", 0x3f800000);
    gives("\tmin.f32 \t%f1, 0f00000000, 0f80000000;\n\tmov.b32 \t%r1, %f1;\n\tcvt.u64.u32 \t%rd3, %r1;\n", 0x80000000);
    gives("\tmax.f32 \t%f1, 0f80000000, 0f00000000;\n\tmov.b32 \t%r1, %f1;\n\tcvt.u64.u32 \t%rd3, %r1;\n", 0);
    gives("\tcvt.rzi.s32.f32 \t%r1, 0f7F800000;\n\tcvt.s64.s32 \t%rd3, %r1;\n", 0x7fffffff);
    gives("\tcvt.rzi.s32.f32 \t%r1, 0fC0200000;\n\tcvt.s64.s32 \t%rd3, %r1;\n", (uint64_t)-2);
    gives("\tcvt.rmi.f64.f64 \t%fd1, 0dC004000000000000;\n\tmov.b64 \t%rd3, %fd1;\n", 0xc008000000000000u);
    gives("\tcvt.rzi.u32.f32 \t%r1, 0fC0200000;\n\tcvt.u64.u32 \t%rd3, %r1;\n", 0);
    gives("\tsetp.lt.f32 \t%p1, 0f7FC00000, 0f3F800000;\n\tselp.b64 \t%rd3, 3, 4, %p1;\n", 4);
    gives("\tsetp.ltu.f32 \t%p1, 0f7FC00000, 0f3F800000;\n\tselp.b64 \t%rd3, 3, 4, %p1;\n", 3);
    gives("\tsetp.ne.f32 \t%p1, 0f7FC00000, 0f7FC00000;\n\tselp.b64 \t%rd3, 3, 4, %p1;\n", 4);
    gives("\tsetp.neu.f32 \t%p1, 0f7FC00000, 0f7FC00000;\n\tselp.b64 \t%rd3, 3, 4, %p1;\n", 3);
    gives("\tfma.rn.f64 \t%fd1, 0d3FF0000000000001, 0d3FF0000000000001, 0dBFF0000000000002;\n\tmov.b64 \t%rd3, %fd1;\n",
          0x3970000000000000u);
    gives("\tcvt.rn.f32.f64 \t%f1, 0d3FF0000010000001;\n\tmov.b32 \t%r1, %f1;\n\tcvt.u64.u32 \t%rd3, %r1;\n",
          0x3f800001);
}

#define MEETS(BARRIER)                                                                                                 \
    "\tmov.u32 \t%r1, %tid.x;\n\tshl.b32 \t%r2, %r1, 3;\n\tcvt.u64.u32 \t%rd3, %r2;\n\tmov.u64 \t%rd4, "               \
    "partial_results;\n"                                                                                               \
    "\tadd.s64 \t%rd5, %rd4, %rd3;\n\tst.shared.u64 \t[%rd5], %rd3;\n" BARRIER                                         \
    "\tsub.s64 \t%rd6, 24, %rd3;\n\tadd.s64 \t%rd6, %rd6, %rd4;\n\tld.shared.u64 \t%rd7, [%rd6];\n"                    \
    "\tadd.s64 \t%rd8, %rd1, %rd3;\n\tst.global.u64 \t[%rd8], %rd7;\n"

/* Four threads swap words: right in both orders only with a barrier. */
static int swaps(const char *body)
{
    int backwards, i, right = 1;
    for (backwards = 0; backwards < 2; backwards++) {
        if (run(body, 4, backwards) != 0)
            return -1;
        for (i = 0; i < 4; i++)
            right &= memory[i] == (uint64_t)(24 - 8 * i);
    }
    return right;
}

/* Thread 1 of either block waits for a flag of thread 0, and hands on what that has written before. */
#define TELLS(RELEASE, ACQUIRE)                                                                                        \
    "\tmov.u32 \t%r1, %tid.x;\n\tsetp.eq.s32 \t%p1, %r1, 0;\n\t@%p1 bra \t$L__BB0_2;\n"                                  \
    "$L__BB0_1:\n\tld." ACQUIRE ".gpu.global.u32 %r2, [%rd1+8];\n\tsetp.ne.s32 \t%p2, %r2, 1;\n\t@%p2 bra \t$L__BB0_1;\n" \
    "\tld.global.u64 \t%rd3, [%rd1];\n\tst.global.u64 \t[%rd1+16], %rd3;\n\tbra.uni \t$L__BB0_3;\n"                     \
    "$L__BB0_2:\n\tst.global.u64 \t[%rd1], 77;\n\tst." RELEASE ".gpu.global.u32 [%rd1+8], 1;\n$L__BB0_3:\n"

static uint64_t told(const char *body)
{
    memory[0] = 5, memory[1] = memory[2] = 0;
    return run(body, 2, 0) == 0 ? memory[2] : 1000;
}

/* Each of two blocks writes a word, and hands on what the other one has written. */
#define CLUSTERED(ARRIVE, WAIT)                                                                                        \
    "\tmov.u32 \t%r1, %ctaid.x;\n\tcvt.u64.u32 \t%rd3, %r1;\n\tshl.b64 \t%rd4, %rd3, 3;\n\tadd.s64 \t%rd5, %rd1, %rd4;\n"        \
    "\tadd.s64 \t%rd6, %rd3, 70;\n\tst.global.u64 \t[%rd5], %rd6;\n" ARRIVE WAIT                                         \
    "\tsub.s64 \t%rd7, 8, %rd4;\n\tadd.s64 \t%rd7, %rd7, %rd1;\n\tld.global.u64 \t%rd8, [%rd7];\n\tst.global.u64 \t[%rd5+16], %rd8;\n"
#define ARRIVE "\tbarrier.cluster.arrive.aligned;\n"
#define WAIT "\tbarrier.cluster.wait.aligned;\n"

/* The same through a counter in memory: thread 2 of either block writes, thread 0 counts and waits, thread 1 hands on. */
#define COUNTED(FIRST, RELEASE, ACQUIRE, SECOND)                                                                        \
    "\tmov.u32 \t%r1, %ctaid.x;\n\tcvt.u64.u32 \t%rd3, %r1;\n\tshl.b64 \t%rd4, %rd3, 3;\n\tadd.s64 \t%rd5, %rd1, %rd4;\n"        \
    "\tadd.s64 \t%rd6, %rd3, 70;\n\tmov.u32 \t%r2, %tid.x;\n\tsetp.ne.s32 \t%p1, %r2, 2;\n\t@%p1 bra \t$L__BB0_1;\n"               \
    "\tst.global.u64 \t[%rd5], %rd6;\n$L__BB0_1:\n" FIRST "\tsetp.ne.s32 \t%p2, %r2, 0;\n\t@%p2 bra \t$L__BB0_3;\n"            \
    "\tred." RELEASE ".gpu.global.add.u32 [%rd1+40], 1;\n$L__BB0_2:\n\tld." ACQUIRE ".gpu.global.u32 %r3, [%rd1+40];\n"         \
    "\tsetp.lt.s32 \t%p3, %r3, 2;\n\t@%p3 bra \t$L__BB0_2;\n$L__BB0_3:\n" SECOND "\tsetp.ne.s32 \t%p1, %r2, 1;\n"               \
    "\t@%p1 bra \t$L__BB0_4;\n\tsub.s64 \t%rd7, 8, %rd4;\n\tadd.s64 \t%rd7, %rd7, %rd1;\n\tld.global.u64 \t%rd8, [%rd7];\n"      \
    "\tst.global.u64 \t[%rd5+16], %rd8;\n$L__BB0_4:\n"
#define BAR "\tbar.sync \t0;\n"

static int handed_on(const char *body, unsigned cluster, int cooperative)
{
    uint64_t first = (uint64_t)(uintptr_t)memory, second = 7;
    void *params[] = {&first, &second};
    int seed, right = 1;
    for (seed = 0; seed < 8; seed++) {
        struct grid g = {2, 3, 64, params, 100000, seed & 1, may_touch, (uint64_t)seed, cluster, cooperative};
        struct kernels *k = read_body(body);
        memset(memory, 0, sizeof memory);
        int result = k ? kernel_run(kernels_find(k, "k"), &g) : -1;
        if (k)
            kernels_free(k);
        if (result != 0)
            return result;
        right &= memory[2] == 71 && memory[3] == 70;
    }
    return right;
}

/* Eight threads draw numbers: each gets one of its own. */
static int tickets(void)
{
    unsigned i, drawn = 0;
    memset(memory, 0, sizeof memory);
    if (run("\tatom.global.add.u32 \t%r1, [%rd1], 1;\n\tshl.b32 \t%r2, %r1, 3;\n\tcvt.u64.u32 \t%rd3, %r2;\n"
            "\tadd.s64 \t%rd4, %rd1, %rd3;\n\tst.global.u64 \t[%rd4+8], 1;\n", 4, 0) != 0)
        return -1;
    for (i = 1; i <= 8; i++)
        drawn += memory[i] == 1;
    return memory[0] == 8 ? (int)drawn : -1;
}

/* What a thread finds in shared memory of the word that it has copied there: 77 if the copy is waited for, in either order; else at least once
 * it is not there. */
#define COPIES(BETWEEN)                                                                                                \
    "\tmov.u64 \t%rd4, partial_results;\n\tcp.async.ca.shared.global [%rd4+8], [%rd1+8], 8;\n" BETWEEN                  \
    "\tld.shared.u64 \t%rd3, [%rd4+8];\n\tst.global.u64 \t[%rd1], %rd3;\n"

static int copied(const char *body)
{
    int backwards, there = 0;
    for (backwards = 0; backwards < 2; backwards++) {
        memory[0] = 5, memory[1] = 77;
        if (run(body, 1, backwards) != 0)
            return -1;
        there += memory[0] == 77;
    }
    return there;
}

static void copy_edges(void)
{
    expect("a copy that is waited for", copied(COPIES("\tcp.async.commit_group;\n\tcp.async.wait_group \t0;\n")), 2);
    expect("one that is not", copied(COPIES("\tcp.async.commit_group;\n")), 1);
    expect("one that is in no group", copied(COPIES("\tcp.async.wait_group \t0;\n")), 1);
    expect("one of the last group", copied(COPIES("\tcp.async.commit_group;\n\tcp.async.wait_group \t1;\n")), 1);
    expect("one of the group before", copied(COPIES("\tcp.async.commit_group;\n\tcp.async.commit_group;\n\tcp.async.wait_group \t1;\n")), 2);
    expect("a copy from between two words", run("\tmov.u64 \t%rd4, partial_results;\n\tcp.async.ca.shared.global [%rd4], [%rd1+4], 8;\n", 1, 0), RUN_MISALIGNED);
    expect("to between two words", run("\tmov.u64 \t%rd4, partial_results;\n\tcp.async.cg.shared.global [%rd4+8], [%rd1], 16;\n", 1, 0), RUN_MISALIGNED);
    expect("from nowhere", run("\tmov.u64 \t%rd4, partial_results;\n\tcp.async.ca.shared.global [%rd4], [%rd1+512], 4;\n", 1, 1), RUN_ILLEGAL_ADDRESS);
    expect("to nowhere", run("\tmov.u64 \t%rd4, partial_results;\n\tcp.async.ca.shared.global [%rd4+64], [%rd1], 4;\n", 1, 1), RUN_FAILED);
    expect("of three bytes", run("\tmov.u64 \t%rd4, partial_results;\n\tcp.async.ca.shared.global [%rd4], [%rd1], 3;\n", 1, 1), -1);
}

static void clusters(void)
{
    expect("blocks of a cluster behind a barrier", handed_on(CLUSTERED(ARRIVE, WAIT), 2, 0), 1);
    expect("without one", handed_on(CLUSTERED("", ""), 2, 0), 0);
    expect("a barrier that releases nothing", handed_on(CLUSTERED("\tbarrier.cluster.arrive.relaxed;\n", WAIT), 2, 0), 0);
    expect("one of the block only", handed_on(CLUSTERED(BAR, ""), 2, 0), 0);
    expect("who waits and has not arrived", handed_on(CLUSTERED("", WAIT), 2, 0), RUN_FAILED);
    expect("a barrier that one block leaves out",
           handed_on("\tmov.u32 \t%r1, %ctaid.x;\n\tsetp.eq.s32 \t%p1, %r1, 1;\n\t@%p1 bra \t$L__BB0_1;\n" ARRIVE WAIT "$L__BB0_1:\n", 2, 0), RUN_FAILED);
}

static void counters(void)
{
    expect("blocks that meet at a counter", handed_on(COUNTED(BAR, "release", "acquire", BAR), 0, 1), 1);
    expect("without the block's first barrier", handed_on(COUNTED("", "release", "acquire", BAR), 0, 1), 0);
    expect("without its second", handed_on(COUNTED(BAR, "release", "acquire", ""), 0, 1), 0);
    expect("that releases nothing", handed_on(COUNTED(BAR, "relaxed", "acquire", BAR), 0, 1), 0);
    expect("that acquires nothing", handed_on(COUNTED(BAR, "release", "relaxed", BAR), 0, 1), 0);
    expect("blocks that do not run at a time", handed_on(COUNTED(BAR, "release", "acquire", BAR), 0, 0), RUN_TIMEOUT);
}

int main(void)
{
    copy_edges();
    edges();
    real_edges();
    expect("an address that was not allocated", run("\tld.global.u64 \t%rd3, [%rd1+512];\n", 1, 0),
           RUN_ILLEGAL_ADDRESS);
    expect("a null pointer", run("\tst.global.u32 \t[0], %r1;\n", 1, 0), RUN_ILLEGAL_ADDRESS);
    expect("an address between two elements", run("\tld.global.f64 \t%fd1, [%rd1+4];\n", 1, 0), RUN_MISALIGNED);
    expect("beyond a block's memory",
           run("\tmov.u64 \t%rd3, partial_results;\n\tst.shared.f64 \t[%rd3+64], 0d0000000000000000;\n", 1, 0),
           RUN_FAILED);
    expect("no end", run("$L__BB0_1:\n\tbra.uni \t$L__BB0_1;\n", 1, 0), RUN_TIMEOUT);
    expect("a barrier that one thread does not come to",
           run("\tmov.u32 \t%r1, %tid.x;\n\tsetp.eq.s32 \t%p1, %r1, 1;\n\t@%p1 bra \t$L__BB0_1;\n\tbar.sync "
               "\t0;\n$L__BB0_1:\n",
               4, 0),
           RUN_FAILED);
    expect("a barrier that all come to", run("\tbar.sync \t0;\n", 4, 0), RUN_FINE);
    expect("threads that meet behind a barrier", swaps(MEETS("\tbar.sync \t0;\n")), 1);
    expect("threads that meet without one", swaps(MEETS("")), 0);
    expect("an unknown operation", run("\tex2.approx.f32 \t%f1, %f2;\n", 1, 0), -1);
    expect("an approximation", run("\tdiv.approx.f32 \t%f1, %f2, %f3;\n", 1, 0), -1);
    expect("a branch to nowhere", run("\tbra.uni \t$L__BB0_9;\n", 1, 0), -1);
    expect("an unknown register", run("\tmov.u64 \t%rq3, 1;\n", 1, 0), -1);
    expect("a flag behind what it tells of", (int)told(TELLS("release", "acquire")), 77);
    expect("a flag that tells nothing", (int)told(TELLS("relaxed", "acquire")), 5);
    expect("a flag that nothing is read by", (int)told(TELLS("release", "relaxed")), 5);
    clusters();
    counters();
    expect("tickets", tickets(), 8);
    expect("a flag that never comes", run("$L__BB0_1:\n\tld.acquire.gpu.global.u32 %r2, [%rd1+400];\n\tsetp.ne.s32 \t%p2, %r2, 1;\n\t@%p2 bra \t$L__BB0_1;\n", 2, 0), RUN_TIMEOUT);
    expect("a barrier that one thread leaves out, with flags",
           run("\tmov.u32 \t%r1, %tid.x;\n\tsetp.eq.s32 \t%p1, %r1, 1;\n\tst.release.gpu.global.u32 [%rd1], %r1;\n\t@%p1 bra \t$L__BB0_1;\n\tbar.sync "
               "\t0;\n$L__BB0_1:\n",
               4, 0),
           RUN_FAILED);
    return failures != 0;
}
