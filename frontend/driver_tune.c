#define _POSIX_C_SOURCE 200809L
#include "frontend/driver_tune.h"

#include <sys/stat.h>

#include "frontend/files.h"
#include "frontend/options.h"

typedef struct Reader {
    Arena *arena;
    Diags *diags;
    const Unit *unit;
    Str text; /* of the line that is read */
    Span at;  /* of the rest of it */
} Reader;

static bool bad(const Reader *r, Span at, Str message)
{
    diag(r->diags, E_TUNE, at, str_c(r->arena, message));
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(Reader *r)
{
    uint32_t n = 0;
    while (n < r->text.n && is_blank(r->text.p[n]))
        n++;
    r->text = (Str){r->text.p + n, r->text.n - n};
    r->at.begin += n;
}

/* The next word of the line, empty at its end. */
static Str next_word(Reader *r, Span *at)
{
    Str word = {r->text.p, 0};
    while (word.n < r->text.n && !is_blank(r->text.p[word.n]))
        word.n++;
    *at = (Span){r->at.file, r->at.begin, r->at.begin + word.n};
    r->text = (Str){r->text.p + word.n, r->text.n - word.n};
    r->at.begin += word.n;
    skip_blanks(r);
    return word;
}

static bool is_size(Str s)
{
    const char *equals = memchr(s.p, '=', s.n);
    uint32_t from = equals ? (uint32_t)(equals - s.p) + 1 : s.n;
    if (from < 2 || from == s.n)
        return false;
    while (from < s.n && s.p[from] >= '0' && s.p[from] <= '9')
        from++;
    return from == s.n;
}

/* NAME=N,NAME=N */
static bool are_sizes(Str s)
{
    const char *comma = memchr(s.p, ',', s.n);
    uint32_t n = comma ? (uint32_t)(comma - s.p) : s.n;
    return is_size((Str){s.p, n}) && (!comma || are_sizes((Str){s.p + n + 1, s.n - n - 1}));
}

static bool read_entry(Reader *r, const TuneFile *f, TuneLine *line)
{
    uint32_t ignored;
    Span at;
    line->entry = next_word(r, &at);
    if (!unit_find_entry(r->unit, line->entry, &ignored))
        return bad(r, at, str_fmt(r->arena, "%.*s has no cell or model `%.*s`", STRF(unit_path(r->unit)), STRF(line->entry)));
    return !tune_find(f, line->entry) || bad(r, at, str_fmt(r->arena, "`%.*s` has a second line", STRF(line->entry)));
}

static bool read_form(Reader *r, TuneLine *line)
{
    Str form = next_word(r, &line->at);
    return rec_form_read(form, &line->form) ||
           bad(r, line->at, str_fmt(r->arena, "a form is %.*s, with N from 1 to %d", STRF(rec_form_list(r->arena, ":N")),
                                    (int)REC_FORM_MAXSIZE));
}

/* What it was measured with. */
static bool read_rest(Reader *r, TuneLine *line)
{
    Span at;
    line->rest = r->text;
    if (!are_sizes(next_word(r, &at)))
        return bad(r, at, STR("sizes are expected here, as T=4096,B=1"));
    Str precision = next_word(r, &at);
    bool known = false;
    for (uint32_t i = 0; option_choice(OPT_PRECISION, i).n; i++)
        known |= str_eq(precision, option_choice(OPT_PRECISION, i));
    if (!known)
        return bad(r, at, STR("f32, f64, bf16 or f16 is expected here"));
    return r->text.n || bad(r, r->at, STR("the machine is expected here"));
}

static void read_line(Reader *r, TuneFile *f)
{
    TuneLine line = {0};
    skip_blanks(r);
    if (!r->text.n || r->text.p[0] == '#')
        return;
    if (read_entry(r, f, &line) && read_form(r, &line) && read_rest(r, &line))
        vec_push(r->arena, &f->line, line);
    else
        f->broken = true;
}

static void read_lines(Reader *r, TuneFile *f, uint32_t file, Str text)
{
    for (uint32_t begin = 0, end; begin < text.n; begin = end + 1) {
        for (end = begin; end < text.n && text.p[end] != '\n'; end++)
            continue;
        r->text = (Str){text.p + begin, end - begin};
        r->at = (Span){file, begin, end};
        read_line(r, f);
    }
}

Str tune_path(Arena *a, const Unit *u)
{
    return str_fmt(a, "%.*s.tune", STRF(unit_path(u)));
}

/* A device in its place would be read without end. */
static bool read_text(Arena *a, Str path, const struct stat *st, Bytes *in, Str *error)
{
    if (S_ISREG(st->st_mode))
        return file_read(a, path, in, error);
    *error = str_fmt(a, "cannot read %.*s: it is no regular file", STRF(path));
    return false;
}

TuneFile tune_read(Arena *a, const Unit *u, Sources *sources, Diags *diags)
{
    TuneFile f = {.path = tune_path(a, u)};
    Reader r = {.arena = a, .diags = diags, .unit = u};
    struct stat st;
    Bytes in;
    Str error;
    f.exists = !str_is(unit_path(u), "-") && stat(str_c(a, f.path), &st) == 0;
    if (!f.exists)
        return f;
    if (!read_text(a, f.path, &st, &in, &error)) {
        diag(diags, E_READ, (Span){source_add(sources, f.path, STR("")), 0, 0}, str_c(a, error));
        f.broken = true;
        return f;
    }
    Str text = {(const char *)in.p, (uint32_t)in.n};
    read_lines(&r, &f, source_add(sources, f.path, text), text);
    return f;
}

const TuneLine *tune_find(const TuneFile *f, Str entry)
{
    for (uint32_t i = 0; i < f->line.n; i++)
        if (str_eq(f->line.p[i].entry, entry))
            return &f->line.p[i];
    return NULL;
}

void tune_set(Arena *a, TuneFile *f, TuneLine line)
{
    for (uint32_t i = 0; i < f->line.n; i++)
        if (str_eq(f->line.p[i].entry, line.entry)) {
            f->line.p[i] = line;
            return;
        }
    vec_push(a, &f->line, line);
}

bool tune_write(Arena *a, const TuneFile *f, Str *error)
{
    Text out = {.arena = a};
    text_add(&out, "# Written by `rnnc tune`: the form of each cell and model that was the fastest. It is taken where neither --form\n"
                   "# nor a schedule says one. The rest of a line is what it was measured with: sizes, precision, machine.\n");
    for (uint32_t i = 0; i < f->line.n; i++) {
        const TuneLine *line = &f->line.p[i];
        text_add(&out, "%.*s %.*s %.*s\n", STRF(line->entry), STRF(rec_form_str(a, line->form)), STRF(line->rest));
    }
    return file_write(a, f->path, out.p, out.n, error);
}
