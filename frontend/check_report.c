#include "frontend/check.h"

static void line(Checker *c, const char *outcome, const char *fmt, va_list ap)
{
    progress_end(c->d->progress);
    printf("%s  %.*s: ", outcome, STRF(c->name));
    vprintf(fmt, ap);
    if (c->rejected)
        printf(" (%u draws rejected)", c->rejected);
    printf("\n");
    fflush(stdout);
}

void check_pass(Checker *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    line(c, "pass", fmt, ap);
    va_end(ap);
    c->tally->passed++;
}

void check_fail(Checker *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    line(c, "FAIL", fmt, ap);
    va_end(ap);
    c->tally->failed++;
}

void check_skip(Checker *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    line(c, "skip", fmt, ap);
    va_end(ap);
    c->tally->skipped++;
}

Str code_name(Arena *a, const Code *code)
{
    Text out = {.arena = a};
    text_add(&out, "%s", precision_text(code->cpu.precision));
    if (code->arch.n)
        text_add(&out, " %.*s", STRF(code->arch));
    for (CpuLevel l = 0; l < CPU_NLEVEL && !code->arch.n; l++)
        if (code->cpu.level[l])
            text_add(&out, " %s", cpu_level_info(l)->text);
    if (code->products)
        text_add(&out, " products %s", factor_text(code->products));
    return text_str(&out);
}
