/* --trace: what the Newton form did, as JSON or, in a file that ends with .svg, as a picture: a row for each sequence, a cell for
 * each window, darker the more iterations it took; red where the sequence was given up. */
#include "frontend/run_trace.h"
#include "backends/backend.h"

static const Report *find(const Frame *f, Str name)
{
    for (uint32_t i = 0; i < f->report.n; i++)
        if (str_eq(f->report.p[i].name, name))
            return &f->report.p[i];
    return NULL;
}

/* The reports of recurrence number `i`, from 1; false when there is none. */
static bool solve_of(const Frame *f, uint32_t i, Solve *s)
{
    const char *tail = i > 1 ? str_c(f->arena, str_fmt(f->arena, "_%u", i)) : "";
    s->status = find(f, str_fmt(f->arena, "newton_status%s", tail));
    s->iterations = find(f, str_fmt(f->arena, "newton_iterations%s", tail));
    s->residual = find(f, str_fmt(f->arena, "newton_residual%s", tail));
    s->error = find(f, str_fmt(f->arena, "newton_error%s", tail));
    s->clamps = find(f, str_fmt(f->arena, "newton_clamps%s", tail));
    s->contraction = find(f, str_fmt(f->arena, "newton_contraction%s", tail));
    s->sequences = s->status ? s->status->n : 0;
    s->windows = s->sequences ? s->iterations->n / s->sequences : 0;
    return s->status != NULL;
}

/* ---- JSON ---- */

static void put_numbers(Text *t, const char *name, const double *x, int64_t n)
{
    text_add(t, "\"%s\": [", name);
    for (int64_t i = 0; i < n; i++)
        if (x[i] - x[i] == 0)
            text_add(t, "%s%.6g", i ? ", " : "", x[i]);
        else
            text_add(t, "%snull", i ? ", " : "");
    text_add(t, "]");
}

static void put_if(Text *t, const char *name, const Solve *s, const Report *r, int64_t sequence)
{
    if (!r)
        return;
    text_add(t, ", ");
    put_numbers(t, name, r->value + sequence * s->windows, s->windows);
}

static void put_solve(Text *t, const Solve *s)
{
    static const char *const word[] = {"converged", "finished sequentially", "not converged"};
    text_add(t, "{\"windows\": %lld, \"sequences\": [", (long long)s->windows);
    for (int64_t b = 0; b < s->sequences; b++) {
        text_add(t, "%s\n    {\"status\": \"%s\", ", b ? "," : "", word[(int)s->status->value[b]]);
        put_numbers(t, "iterations", s->iterations->value + b * s->windows, s->windows);
        text_add(t, ", ");
        put_numbers(t, "residual", s->residual->value + b * s->windows, s->windows);
        text_add(t, ", ");
        put_numbers(t, "error", s->error->value + b * s->windows, s->windows);
        put_if(t, "clamps", s, s->clamps, b);
        put_if(t, "contraction", s, s->contraction, b);
        text_add(t, "}");
    }
    text_add(t, "]}");
}

static void put_json(Text *t, const Frame *f)
{
    Solve s;
    text_add(t, "{");
    json_put_field(t, "entry", f->prog->name, ", ");
    text_add(t, "\"recurrences\": [");
    for (uint32_t i = 1; solve_of(f, i, &s); i++) {
        text_add(t, "%s\n  ", i > 1 ? "," : "");
        put_solve(t, &s);
    }
    text_add(t, "]}\n");
}

/* ---- a picture ---- */

enum { CELL = 12, LEFT = 8, TOP = 24, GAP = 16 };

static void put_row(Text *t, const Solve *s, int64_t b, int64_t y)
{
    for (int64_t w = 0; w < s->windows; w++) {
        double rounds = s->iterations->value[b * s->windows + w], off = s->error->value[b * s->windows + w];
        int light = rounds < 16 ? 100 - (int)(rounds * 5) : 20;
        text_add(t, "<rect x=\"%lld\" y=\"%lld\" width=\"%d\" height=\"%d\" fill=\"hsl(%d,%d%%,%d%%)\"><title>sequence %lld, window %lld: %g iterations, error %.2g</title></rect>\n",
                 (long long)(LEFT + w * CELL), (long long)y, CELL - 1, CELL - 1, s->status->value[b] != 0 ? 0 : 210,
                 s->status->value[b] != 0 ? 80 : 60, light, (long long)b, (long long)w, rounds, off);
    }
}

static void put_svg(Text *t, const Frame *f)
{
    Solve s;
    int64_t width = 0, height = TOP;
    for (uint32_t i = 1; solve_of(f, i, &s); i++) {
        width = s.windows > width ? s.windows : width;
        height += s.sequences * CELL + GAP;
    }
    text_add(t, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%lld\" height=\"%lld\" font-family=\"sans-serif\" font-size=\"12\">\n",
             (long long)(2 * LEFT + (width > 40 ? width : 40) * CELL), (long long)height);
    text_add(t, "<text x=\"%d\" y=\"15\">%.*s: iterations by window (darker: more; red: run again step by step)</text>\n", LEFT, STRF(f->prog->name));
    int64_t y = TOP;
    for (uint32_t i = 1; solve_of(f, i, &s); i++, y += GAP)
        for (int64_t b = 0; b < s.sequences; b++, y += CELL)
            put_row(t, &s, b, y);
    text_add(t, "</svg>\n");
}

bool trace_write(const Frame *f, Str path, Str *error)
{
    Text t = {.arena = f->arena};
    bool picture = path.n > 4 && str_is((Str){path.p + path.n - 4, 4}, ".svg");
    if (f->offset)
        return *error = STR("--trace is of a batch that is not packed"), false;
    if (f->report.n == 0)
        return *error = STR("--trace is for the form newton: nothing here was solved by it"), false;
    (picture ? put_svg : put_json)(&t, f);
    Str out = text_str(&t);
    return file_write(f->arena, path, out.p, out.n, error);
}
