/* What bench measured, as JSON: what `--compare` reads. Times are seconds, rates are parts of the peak. */
#include "frontend/bench.h"

static json_t *string(Str s)
{
    return json_stringn(s.p, s.n);
}

/* null where there is nothing to count. */
static json_t *rate(double work, double seconds, double peak)
{
    return work > 0 && seconds > 0 && peak > 0 ? json_real(work / seconds / peak) : json_null();
}

static json_t *points(const Bench *b, uint32_t i, int k)
{
    json_t *all = json_array();
    for (uint32_t n = 0; n < b->npoint; n++)
        json_array_append_new(all, json_pack("{sI sf}", "places", (json_int_t)b->places[n], "times", b->form[i].ahead[k][n]));
    return all;
}

static json_t *one_pass(const Bench *b, uint32_t i, int k)
{
    const BenchForm *f = &b->form[i];
    double one = f->median[k], against = bench_against(b, i, k);
    int64_t from = bench_faster_from(b, i, k);
    json_t *pass = json_pack("{sf sf sf so so so so}", "median", one, "spread", f->spread[k], "times", one > 0 ? b->form[0].median[k] / one : 1.0,
                             "flops", rate(b->work[k], one, b->peak.flops), "memory", rate(b->bytes[k], one, b->peak.bandwidth), "points",
                             points(b, i, k), "faster_from", i && from >= 0 ? json_integer(from) : json_null());
    if (b->old)
        json_object_set_new(pass, "against_old", against > 0 ? json_real(against) : json_null());
    return pass;
}

static json_t *one_form(const Bench *b, uint32_t i)
{
    const Candidate *c = &b->t.candidate[i];
    json_t *form = json_pack("{ss}", "form", c->text);
    if (c->lacks.n) {
        json_object_set_new(form, "lacks", string(c->lacks));
        return form;
    }
    json_object_set_new(form, "forward", one_pass(b, i, 0));
    json_object_set_new(form, "training", b->trains ? one_pass(b, i, 1) : json_null());
    return form;
}

json_t *bench_json(const Bench *b)
{
    json_t *all = json_array();
    for (uint32_t i = 0; i < b->t.n; i++)
        json_array_append_new(all, one_form(b, i));
    return json_pack("{so so so s[f,f] s[f,f] so}", "entry", string(b->t.name), "sizes", string(trial_sizes_text(&b->t)), "with",
                     string(trial_target(&b->t)), "work", b->work[0], b->work[1], "bytes", b->bytes[0], b->bytes[1],
                     "forms", all);
}

json_t *bench_document(const Bench *b, json_t *entries)
{
    return json_pack("{si so s{sf sf} so}", "rnnc_bench", 1, "machine", string(trial_machine(&b->t)), "peak", "flops", b->peak.flops,
                     "bandwidth", b->peak.bandwidth, "entries", entries);
}
