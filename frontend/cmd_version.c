#include "frontend/driver.h"

int cmd_version(Driver *d)
{
    (void)d;
    printf("rnnc %s\n", RNNC_VERSION);
    return EXIT_FINE;
}

int cmd_targets(Driver *d)
{
    (void)d;
    for (CpuLevel l = 0; l < CPU_NLEVEL; l++) {
        const CpuLevelInfo *info = cpu_level_info(l);
        printf("cpu  %-9s %s, %u-byte vectors%s\n", info->text, info->cpu, info->vector_bytes,
               cpu_level_here(l) ? "" : " (not on this machine)");
    }
    for (uint32_t i = 0; nv_arch(i); i++)
        printf("ptx  %-9s forward functions of elementwise and serial loops\n", nv_arch(i));
    return EXIT_FINE;
}
