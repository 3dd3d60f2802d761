/* What bench measured of an entry, as a table. */
#include "frontend/bench.h"

static void put_head(const Bench *b)
{
    printf("%.*s: %.*s, %.*s\n", STRF(b->t.name), STRF(trial_sizes_text(&b->t)), STRF(trial_machine(&b->t)));
    printf("  %s %.1f GFLOP/s and %.1f GB/s", b->t.d->gpu ? "by its clocks the GPU does" : "one core can do", b->peak.flops * 1e-9, b->peak.bandwidth * 1e-9);
    if (b->bytes[0] > 0)
        printf("; a call is %.4g MFLOP and %.4g MB forward", b->work[0] * 1e-6, b->bytes[0] * 1e-6);
    if (b->bytes[0] > 0 && b->trains)
        printf(", %.4g MFLOP and %.4g MB in training", b->work[1] * 1e-6, b->bytes[1] * 1e-6);
    printf("\n  %-16s", "form");
    for (int k = 0; k < 2; k++)
        printf(" %12s %7s %7s %7s %7s", k ? "training ms" : "forward ms", "spread", "times", "flops", "memory");
    printf("%s\n", b->old ? "  against the old: forward, training" : "");
}

static void put_part(double work, double seconds, double peak)
{
    if (work > 0 && seconds > 0 && peak > 0)
        printf(" %5.1f %%", 100 * work / seconds / peak);
    else
        printf(" %7s", "-");
}

static void put_pass(const Bench *b, const BenchForm *f, int k)
{
    double one = f->median[k];
    if (k && !b->trains) {
        printf(" %12s %7s %7s %7s %7s", "-", "-", "-", "-", "-");
        return;
    }
    printf(" %12.4f %5.1f %% %7.2f", one * 1e3, 100 * f->spread[k], one > 0 ? b->form[0].median[k] / one : 1);
    put_part(b->work[k], one, b->peak.flops);
    put_part(b->bytes[k], one, b->peak.bandwidth);
}

static void put_old(const Bench *b, uint32_t i)
{
    for (int k = 0; k < 1 + b->trains; k++) {
        double now = bench_against(b, i, k);
        if (now > 0)
            printf("  %.2f", now);
        else
            printf("  %s", "-");
    }
}

static void put_row(const Bench *b, uint32_t i)
{
    if (b->t.candidate[i].lacks.n) {
        trial_put_lacking(&b->t, i, 16);
        return;
    }
    printf("  %-16s", b->t.candidate[i].text);
    put_pass(b, &b->form[i], 0);
    put_pass(b, &b->form[i], 1);
    if (b->old)
        put_old(b, i);
    printf("\n");
}

static void put_crossover(const Bench *b, uint32_t i)
{
    const char *time = str_c(b->t.arena, dim_sym_info(b->t.frame->prog->dims, b->t.frame->prog->time)->name);
    printf("  %s against sequential:", b->t.candidate[i].text);
    for (int k = 0; k < 1 + b->trains; k++) {
        int64_t from = bench_faster_from(b, i, k);
        printf("%s %s ", k ? "," : "", k ? "training" : "forward");
        if (from < 0)
            printf("slower up to %s = %lld", time, (long long)b->places[b->npoint - 1]);
        else
            printf("faster from %s = %lld", time, (long long)from);
    }
    printf("\n");
}

void bench_table(const Bench *b)
{
    put_head(b);
    for (uint32_t i = 0; i < b->t.n; i++)
        put_row(b, i);
    for (uint32_t i = 1; i < b->t.n && b->npoint; i++)
        if (!b->t.candidate[i].lacks.n)
            put_crossover(b, i);
    fflush(stdout);
}
