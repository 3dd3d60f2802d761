/* The CPU levels: what they promise, and whether this machine keeps it. */
#include "backends/cpu/cpu.h"

static const CpuLevelInfo levels[CPU_NLEVEL] = {
#define LEVEL(ENUM, TEXT, CPU, FEATURES, BYTES, FMA) [CPU_##ENUM] = {TEXT, CPU, FEATURES, BYTES, FMA},
#include "backends/cpu/levels.def"
#undef LEVEL
};

const CpuLevelInfo *cpu_level_info(CpuLevel level)
{
    return &levels[level];
}

bool cpu_level_here(CpuLevel level)
{
    __builtin_cpu_init();
    switch (level) {
    case CPU_BASELINE: return true;
    case CPU_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    case CPU_AVX512:
        return cpu_level_here(CPU_AVX2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
    case CPU_NLEVEL: break;
    }
    ice("cpu: no level %d", (int)level);
}
