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
    return EXIT_FINE;
}
