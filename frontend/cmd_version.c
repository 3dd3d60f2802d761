#include "frontend/driver.h"

int cmd_version(Driver *d)
{
    (void)d;
    printf("rnnc %s\n", RNNC_VERSION);
    return EXIT_FINE;
}

/* The GPU that --target=cuda would run on. */
static void put_gpu_here(Arena *a)
{
    Str why;
    NvDevice *gpu = nv_device_open(a, &why);
    if (gpu)
        printf("cuda on this machine: %.*s, %.*s\n", STRF(nv_device_name(gpu)), STRF(nv_device_arch(gpu)));
    else
        printf("cuda not on this machine: %.*s\n", STRF(why));
    if (gpu)
        nv_device_close(gpu);
}

int cmd_targets(Driver *d)
{
    for (CpuLevel l = 0; l < CPU_NLEVEL; l++) {
        const CpuLevelInfo *info = cpu_level_info(l);
        printf("cpu  %-9s %s, %u-byte vectors%s\n", info->text, info->cpu, info->vector_bytes,
               cpu_level_here(l) ? "" : " (not on this machine)");
    }
    for (uint32_t i = 0; nv_arch(i); i++)
        printf("ptx  %-9s kernels for NVIDIA GPUs %s\n", nv_arch(i), nv_is_alone(str_of(nv_arch(i))) ? "of this architecture, and no later one" : "from this architecture on");
    for (uint32_t i = 0; nv_arch(i); i++)
        printf("cuda %-9s the same, and C that launches them; run, test and bench launch them too\n", nv_arch(i));
    put_gpu_here(d->arena);
    return EXIT_FINE;
}
