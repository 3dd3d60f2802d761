/* --target: what it goes with, and the GPU that code runs on. */
#include "frontend/driver.h"

bool driver_is_gpu(const Options *o)
{
    return option_is(o, OPT_TARGET, "ptx") || option_is(o, OPT_TARGET, "cuda");
}

StrList driver_archs(const Driver *d)
{
    StrList all = {0};
    Str item;
    for (uint32_t n = 0; nv_arch(n); n++)
        for (uint32_t i = 0; d->opt->given[OPT_ARCH] && (item = option_item(d->opt, OPT_ARCH, i)).n; i++)
            if (str_is(item, nv_arch(n)) && !(all.n && str_eq(all.p[all.n - 1], item)))
                vec_push(d->arena, &all, str_of(nv_arch(n)));
    if (!all.n)
        vec_push(d->arena, &all, STR("sm_80"));
    return all;
}

bool driver_is_assembled(const Options *o)
{
    return option_is(o, OPT_EMIT, "cubin") || option_is(o, OPT_EMIT, "fatbin");
}

FactorType driver_products(const Options *o)
{
    return o->given[OPT_PRODUCTS] ? factor_of_text(o->value[OPT_PRODUCTS]) : FACTOR_REAL;
}

/* A CPU's products would not gain by it: they are of single precision, and rounding in front of them is work. */
static void check_products(Driver *d, Str target)
{
    FactorType f = driver_products(d->opt);
    if (f != FACTOR_REAL && !driver_is_gpu(d->opt))
        driver_fail(d, "--products=%s means nothing with --target=%.*s, whose factors are never rounded", factor_text(f), STRF(target));
    else if (f != FACTOR_REAL && driver_precision(d->opt) == PREC_F64)
        driver_fail(d, "--products=%s means nothing with --precision=f64", factor_text(f));
}

static void check_arch(Driver *d, Str target)
{
    if (driver_archs(d).n > 1 && !option_is(d->opt, OPT_EMIT, "fatbin"))
        driver_fail(d, "several --arch are of --emit=fatbin; kernels for the oldest of them run on all");
    else
        check_products(d, target);
}

/* What only one target has is not left aside for the other one. */
bool driver_is_for_other_target(Driver *d)
{
    bool gpu = driver_is_gpu(d->opt);
    Str target = d->opt->given[OPT_TARGET] ? d->opt->value[OPT_TARGET] : STR("cpu");
    if (!gpu && d->opt->given[OPT_LINES])
        driver_fail(d, "-g means nothing with --target=%.*s", STRF(target));
    else if (!gpu && driver_is_assembled(d->opt))
        driver_fail(d, "--emit=%.*s is of --target=ptx and cuda", STRF(d->opt->value[OPT_EMIT]));
    else if (d->opt->given[gpu ? OPT_CPU : OPT_ARCH])
        driver_fail(d, "--%s means nothing with --target=%.*s", gpu ? "cpu" : "arch", STRF(target));
    else if (gpu && (option_is(d->opt, OPT_EMIT, "ll") || option_is(d->opt, OPT_EMIT, "s") || option_is(d->opt, OPT_EMIT, "obj")))
        driver_fail(d, "--emit=%.*s is of --target=cpu; without it, --target=%.*s writes PTX", STRF(d->opt->value[OPT_EMIT]), STRF(target));
    else if (d->opt->verb != VERB_BUILD && option_is(d->opt, OPT_TARGET, "ptx"))
        driver_fail(d, "--target=ptx is of build; kernels run with --target=cuda");
    else if (gpu && option_is(d->opt, OPT_ON, "reference"))
        driver_fail(d, "the reference evaluator does not run on a GPU: --on=reference means nothing with --target=cuda");
    else
        check_arch(d, target);
    return d->failed;
}

static int no_gpu(Driver *d, Str why)
{
    driver_fail(d, "there is no GPU to run on: %.*s", STRF(why));
    return EXIT_NO_GPU;
}

int driver_gpu_open(Driver *d)
{
    Gpu *gpu = NEW(d->arena, Gpu);
    Str why;
    if (driver_is_for_other_target(d))
        return EXIT_USAGE;
    if (!driver_is_gpu(d->opt))
        return EXIT_FINE;
    gpu->device = nv_device_open(d->arena, &why);
    if (!gpu->device)
        return no_gpu(d, why);
    d->gpu = gpu;
    gpu->products = driver_products(d->opt);
    gpu->arch = d->opt->given[OPT_ARCH] ? d->opt->value[OPT_ARCH] : nv_device_arch(gpu->device);
    return gpu->arch.n ? EXIT_FINE : no_gpu(d, str_fmt(d->arena, "%.*s is older than %s", STRF(nv_device_name(gpu->device)), nv_arch(0)));
}

void driver_gpu_close(Driver *d)
{
    if (d->gpu)
        nv_device_close(d->gpu->device);
    d->gpu = NULL;
}

bool driver_code(const Driver *d, Arena *a, RecProg *raw, const CpuOptions *cpu, Code *out, Str *error)
{
    return d->gpu ? code_make_gpu(a, raw, cpu, d->gpu, out, error) : code_make(a, raw, cpu, out, error);
}
