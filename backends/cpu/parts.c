/* From a KernProg to an object file: each function of each level is a module of its own, in its own LLVM context, and so
 * are the public functions. The caller's thread makes them, the largest first; threads compile what is there, and then
 * the caller's does, too. What the parts are does not depend on how many threads there are, so neither do the bytes.
 *
 * The public functions check and call: they are translated without optimising, in a fraction of the time. */
#define _POSIX_C_SOURCE 200809L
#include "backends/cpu/cpu.h"

#include <llvm-c/TargetMachine.h>
#include <pthread.h>
#include <unistd.h>

enum { MAXPART = (int)REC_NFN * (int)CPU_NLEVEL + 1 };

typedef struct Part {
    CpuModule *m;
    bool plain; /* not to be optimised */
    LLVMMemoryBufferRef object;
} Part;

/* Parts 0..n-1 are there; those from `next` on are not taken yet. */
typedef struct Parts {
    pthread_mutex_t lock;
    pthread_cond_t more;
    Part part[MAXPART];
    uint32_t n, next;
    bool complete; /* no more will come */
} Parts;

/* ---- any thread ---- */

static Part *take(Parts *p)
{
    pthread_mutex_lock(&p->lock);
    while (p->next == p->n && !p->complete)
        pthread_cond_wait(&p->more, &p->lock);
    Part *part = p->next < p->n ? &p->part[p->next++] : NULL;
    pthread_mutex_unlock(&p->lock);
    return part;
}

static void compile_part(Part *p)
{
    cpu_module_close(p->m);
    if (!p->plain)
        cpu_optimize(p->m);
    p->object = cpu_emit(p->m, p->m->module, LLVMObjectFile);
    cpu_module_free(p->m);
}

static void *compile_parts(void *parts)
{
    Part *p;
    while ((p = take(parts)))
        compile_part(p);
    return NULL;
}

/* ---- the caller's thread ---- */

static void put(Parts *p, CpuModule *m, bool plain)
{
    pthread_mutex_lock(&p->lock);
    p->part[p->n++] = (Part){.m = m, .plain = plain};
    pthread_cond_signal(&p->more);
    pthread_mutex_unlock(&p->lock);
}

static void no_more(Parts *p)
{
    pthread_mutex_lock(&p->lock);
    p->complete = true;
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
}

static void make_kernel(Parts *p, Arena *a, const KernProg *kern, const CpuOptions *options, RecFn fn, CpuLevel level)
{
    CpuModule *m = cpu_module_part(a, kern, options, LLVMCodeGenLevelDefault);
    cpu_emit_kernel(m, fn, level);
    put(p, m, false);
}

static void make_public(Parts *p, Arena *a, const KernProg *kern, const CpuOptions *options)
{
    CpuModule *m = cpu_module_part(a, kern, options, LLVMCodeGenLevelNone);
    LLVMValueRef init = kern->has_fn[REC_INIT] ? cpu_declare_kernel(m, REC_INIT, CPU_BASELINE) : NULL;
    for (int l = 0; l < CPU_NLEVEL; l++)
        for (int fn = 0; fn < REC_NFN; fn++)
            if (options->level[l] && kern->has_fn[fn])
                m->kernel[l][fn] = fn == REC_INIT ? init : cpu_declare_kernel(m, (RecFn)fn, (CpuLevel)l);
    cpu_emit_abi(m);
    put(p, m, true);
}

/* init runs once, so there is one for all levels, which draws the same numbers everywhere. */
static void make_all(Parts *p, Arena *a, const KernProg *kern, const CpuOptions *options)
{
    static const RecFn order[] = {REC_BACKWARD, REC_FORWARD};
    for (uint32_t i = 0; i < sizeof order / sizeof *order; i++)
        for (int l = 0; l < CPU_NLEVEL; l++)
            if (options->level[l] && kern->has_fn[order[i]])
                make_kernel(p, a, kern, options, order[i], (CpuLevel)l);
    if (kern->has_fn[REC_INIT])
        make_kernel(p, a, kern, options, REC_INIT, CPU_BASELINE);
    make_public(p, a, kern, options);
    no_more(p);
}

/* Returns how many have started: one fewer than there are processors. */
static uint32_t start_threads(Parts *p, pthread_t thread[MAXPART])
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t n = 0;
    while (n < MAXPART && (long)n + 1 < processors && !pthread_create(&thread[n], NULL, compile_parts, p))
        n++;
    return n;
}

static Str joined(Parts *p, Arena *a)
{
    Str object[MAXPART];
    for (uint32_t i = 0; i < p->n; i++)
        object[i] = (Str){LLVMGetBufferStart(p->part[i].object), (uint32_t)LLVMGetBufferSize(p->part[i].object)};
    Str result = cpu_join(a, object, p->n);
    for (uint32_t i = 0; i < p->n; i++)
        LLVMDisposeMemoryBuffer(p->part[i].object);
    return result;
}

Str cpu_build(Arena *a, const KernProg *kern, const CpuOptions *options)
{
    Parts p = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};
    pthread_t thread[MAXPART];
    cpu_start_llvm();
    uint32_t n = start_threads(&p, thread);
    make_all(&p, a, kern, options);
    compile_parts(&p);
    for (uint32_t i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    pthread_mutex_destroy(&p.lock);
    pthread_cond_destroy(&p.more);
    return joined(&p, a);
}
