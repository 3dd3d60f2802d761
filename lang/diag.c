#include "lang/diag.h"

#include <stdlib.h>

typedef struct DiagRow {
    const char *code, *message, *help;
} DiagRow;

static const DiagRow diag_row[] = {
#define DIAG(NAME, CODE, MESSAGE, HELP) {CODE, MESSAGE, HELP},
#include "lang/diag.def"
#undef DIAG
};

/* More errors than anyone reads are counted, not kept; a repeated one is looked for among the latest only. */
enum { MAX_KEPT = 1000, LOOK_BACK = 64 };

/* A line longer than this is shown in part. */
enum { SHOWN_WIDTH = 160 };

Diags *diags_new(Arena *a, const Sources *sources)
{
    Diags *ds = NEW(a, Diags);
    ds->arena = a;
    ds->sources = sources;
    return ds;
}

const char *diag_code_text(DiagCode c)
{
    return diag_row[c].code;
}

const char *diag_code_help(DiagCode c)
{
    return diag_row[c].help;
}

static Str format(Arena *a, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return (Str){p, (uint32_t)n};
}

static bool same_span(Span a, Span b)
{
    return a.file == b.file && a.begin == b.begin && a.end == b.end;
}

static Diag *find_same(const Diags *ds, const Diag *d)
{
    for (uint32_t i = ds->list.n, seen = 0; i > 0 && seen < LOOK_BACK; i--, seen++) {
        Diag *old = &ds->list.p[i - 1];
        if (old->code == d->code && same_span(old->at, d->at) && str_eq(old->message, d->message))
            return old;
    }
    return NULL;
}

Diag *diag(Diags *ds, DiagCode code, Span at, ...)
{
    Diag d = {.code = code, .severity = SEV_ERROR, .at = at};
    va_list ap;
    va_start(ap, at);
    d.message = format(ds->arena, diag_row[code].message, ap);
    va_end(ap);
    ds->nreported++;
    Diag *same = find_same(ds, &d);
    if (same)
        return same;
    ds->nerrors++;
    if (ds->list.n == MAX_KEPT)
        return NEW(ds->arena, Diag);
    vec_push(ds->arena, &ds->list, d);
    return &ds->list.p[ds->list.n - 1];
}

Diag *diag_also(Diag *d, Span also, Str note)
{
    d->also = also;
    d->also_note = note;
    return d;
}

Diag *diag_help(Diag *d, Str help)
{
    d->help = help;
    return d;
}

/* ---- in the order of the text ---- */

static int three_way(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

/* By place; those at one place stay in the order of their reports, which is that of their addresses. */
static int by_place(const void *pa, const void *pb)
{
    const Diag *a = *(const Diag *const *)pa, *b = *(const Diag *const *)pb;
    int c = three_way(a->at.file, b->at.file);
    c = c ? c : three_way(a->at.begin, b->at.begin);
    return c ? c : (a > b) - (a < b);
}

static const Diag **sorted(const Diags *ds)
{
    const Diag **order = NEWN(ds->arena, const Diag *, ds->list.n);
    for (uint32_t i = 0; i < ds->list.n; i++)
        order[i] = &ds->list.p[i];
    if (ds->list.n)
        qsort(order, ds->list.n, sizeof *order, by_place);
    return order;
}

static Str help_of(const Diag *d)
{
    return d->help.n ? d->help : str_of(diag_code_help(d->code));
}

/* ---- as text ---- */

typedef struct Style {
    const char *error, *warning, *note, *bold, *mark, *end;
} Style;

static const Style plain_style = {"", "", "", "", "", ""};
static const Style color_style = {"\033[1;31m", "\033[1;35m", "\033[1;36m", "\033[1m", "\033[1;32m", "\033[0m"};

static bool continues_code_point(char c)
{
    return ((unsigned char)c & 0xC0u) == 0x80u;
}

/* One byte of a source line; what could move the cursor becomes `?`, and a tab one blank, so that columns stay columns.
 */
static void put_line_byte(FILE *out, char c)
{
    unsigned char u = (unsigned char)c;
    fputc(u == '\t' ? ' ' : u < 0x20 || u == 0x7F ? '?' : u, out);
}

/* The columns of a line that are shown, from 1: all of a short line, else those around the place. */
typedef struct Window {
    uint32_t from, to;
} Window;

static Window window_around(uint32_t col)
{
    uint32_t from = col > SHOWN_WIDTH * 3 / 4 ? col - SHOWN_WIDTH / 2 : 1;
    return (Window){from, from + SHOWN_WIDTH};
}

static void print_line(FILE *out, LineCol at, Window w)
{
    uint32_t col = 0;
    fprintf(out, "%5u | %s", at.line, w.from > 1 ? "..." : "");
    for (uint32_t i = 0; i < at.text.n && !(i + 1 == at.text.n && at.text.p[i] == '\r'); i++) {
        col += !continues_code_point(at.text.p[i]);
        if (col >= w.to) {
            fputs("...", out);
            break;
        }
        if (col >= w.from)
            put_line_byte(out, at.text.p[i]);
    }
    fputc('\n', out);
}

/* Code points of [begin, end), at least 1, and no more than stand on the line. */
static uint32_t span_width(const Diags *ds, Span at)
{
    Str text = ds->sources->file.p[at.file].text;
    uint32_t width = 0;
    for (uint32_t i = at.begin; i < at.end && i < text.n && text.p[i] != '\n'; i++)
        width += !continues_code_point(text.p[i]);
    return width ? width : 1;
}

static void print_mark(FILE *out, const Diags *ds, Span at, LineCol place, Window w, const Style *st)
{
    uint32_t width = span_width(ds, at), skip = place.col - w.from + (w.from > 1 ? 3 : 0);
    if (place.col + width > w.to)
        width = w.to - place.col;
    fprintf(out, "      | %*s%s^", (int)skip, "", st->mark);
    for (uint32_t i = 1; i < width; i++)
        fputc('~', out);
    fprintf(out, "%s\n", st->end);
}

static void print_excerpt(FILE *out, const Diags *ds, Span at, const Style *st)
{
    LineCol place = source_place(ds->sources, at);
    Window w = window_around(place.col);
    print_line(out, place, w);
    print_mark(out, ds, at, place, w, st);
}

/* `file:line:col: error: message [E0103]`, then the line. A place in no file prints the message alone. */
static void print_one(FILE *out, const Diags *ds, Span at, const char *kind, const char *color, Str message,
                      const char *code, const Style *st)
{
    if (at.file) {
        LineCol place = source_place(ds->sources, at);
        fprintf(out, "%s%.*s:%u:%u: ", st->bold, STRF(ds->sources->file.p[at.file].path), place.line, place.col);
        fputs(st->end, out);
    }
    fprintf(out, "%s%s: %s%s%.*s%s", color, kind, st->end, st->bold, STRF(message), st->end);
    if (code)
        fprintf(out, " [%s]", code);
    fputc('\n', out);
    if (at.file && ds->sources->file.p[at.file].text.n)
        print_excerpt(out, ds, at, st);
}

static void print_text(FILE *out, const Diags *ds, const Diag *d, const Style *st)
{
    bool error = d->severity == SEV_ERROR;
    Str help = help_of(d);
    print_one(out, ds, d->at, error ? "error" : "warning", error ? st->error : st->warning, d->message,
              diag_code_text(d->code), st);
    if (d->also.file)
        print_one(out, ds, d->also, "note", st->note, d->also_note, NULL, st);
    if (help.n)
        fprintf(out, "      = %shelp%s: %.*s\n", st->note, st->end, STRF(help));
}

void diags_print_text(const Diags *ds, FILE *out, bool color)
{
    const Diag **order = sorted(ds);
    for (uint32_t i = 0; i < ds->list.n; i++)
        print_text(out, ds, order[i], color ? &color_style : &plain_style);
    if (ds->nerrors > MAX_KEPT)
        fprintf(out, "and %u more errors\n", ds->nerrors - MAX_KEPT);
}

/* ---- as JSON ---- */

/* Bytes of the well-formed code point at p, or 0. Surrogates and over-long forms are let through: paths may have them.
 */
static uint32_t code_point_bytes(const char *p, uint32_t left)
{
    unsigned char c = (unsigned char)p[0];
    uint32_t n = c < 0x80 ? 1 : c >= 0xF0 && c < 0xF5 ? 4 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xC2 && c < 0xE0 ? 2 : 0;
    if (n > left)
        return 0;
    for (uint32_t i = 1; i < n; i++)
        if (!continues_code_point(p[i]))
            return 0;
    return n;
}

static void json_string(FILE *out, Str s)
{
    fputc('"', out);
    for (uint32_t i = 0; i < s.n;) {
        uint32_t n = code_point_bytes(s.p + i, s.n - i);
        unsigned char c = (unsigned char)s.p[i];
        if (n == 0)
            fputs("\\ufffd", out);
        else if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7F)
            fprintf(out, "\\u%04x", (unsigned)c);
        else
            fwrite(s.p + i, 1, n, out);
        i += n ? n : 1;
    }
    fputc('"', out);
}

/* The end is the first column behind the span. */
static void json_place(FILE *out, const Diags *ds, Span at)
{
    LineCol from = source_place(ds->sources, at), to = source_place(ds->sources, (Span){at.file, at.end, at.end});
    fputs("\"file\": ", out);
    json_string(out, ds->sources->file.p[at.file].path);
    fprintf(out, ", \"line\": %u, \"column\": %u, \"end_line\": %u, \"end_column\": %u", from.line, from.col, to.line,
            to.col);
}

static void json_field(FILE *out, const char *name, Str value)
{
    fprintf(out, ", \"%s\": ", name);
    json_string(out, value);
}

static void print_json(FILE *out, const Diags *ds, const Diag *d)
{
    fputs("  {", out);
    json_place(out, ds, d->at);
    json_field(out, "code", str_of(diag_code_text(d->code)));
    json_field(out, "severity", d->severity == SEV_ERROR ? STR("error") : STR("warning"));
    json_field(out, "message", d->message);
    json_field(out, "help", help_of(d));
    fputs(", \"related\": [", out);
    if (d->also.file) {
        fputs("{", out);
        json_place(out, ds, d->also);
        json_field(out, "message", d->also_note);
        fputs("}", out);
    }
    fputs("]}", out);
}

void diags_print_json(const Diags *ds, FILE *out)
{
    const Diag **order = sorted(ds);
    fputs("[\n", out);
    for (uint32_t i = 0; i < ds->list.n; i++) {
        print_json(out, ds, order[i]);
        fputs(i + 1 < ds->list.n ? ",\n" : "\n", out);
    }
    fputs("]\n", out);
}

/* ---- did you mean ---- */

enum { NEAREST_MAXLEN = 64 };

static uint32_t min3(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Insertions, deletions, replacements and swaps of neighbours that lead from a to b; both are at most NEAREST_MAXLEN.
 */
static uint32_t edit_distance(Str a, Str b)
{
    uint32_t row[3][NEAREST_MAXLEN + 1], *before = row[0], *above = row[1], *now = row[2];
    for (uint32_t j = 0; j <= b.n; j++)
        above[j] = j;
    for (uint32_t i = 1; i <= a.n; i++) {
        now[0] = i;
        for (uint32_t j = 1; j <= b.n; j++) {
            bool same = a.p[i - 1] == b.p[j - 1];
            now[j] = min3(above[j] + 1, now[j - 1] + 1, above[j - 1] + !same);
            bool swapped = i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1];
            if (swapped && before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
        uint32_t *spare = before;
        before = above;
        above = now;
        now = spare;
    }
    return above[b.n];
}

/* A third of the letters may be wrong, so a name of one or two letters is never guessed. */
Str nearest(Str name, const Str *candidate, uint32_t n)
{
    Str best = {0};
    uint32_t limit = name.n / 3 + 1;
    if (name.n > NEAREST_MAXLEN || name.n < 2)
        return best;
    for (uint32_t i = 0; i < n; i++) {
        if (candidate[i].n > NEAREST_MAXLEN)
            continue;
        uint32_t d = edit_distance(name, candidate[i]);
        uint32_t longer = name.n > candidate[i].n ? name.n : candidate[i].n;
        if (d > 0 && d < limit && 3 * d <= longer + 1) {
            best = candidate[i];
            limit = d;
        }
    }
    return best;
}
