/* Forms by name, as people write them: `chunk:64` on the command line and in files, `chunk(64)` in a schedule. */
#include "ir/rec/rec.h"

static const RecFormName form_name[] = {
    {"sequential", {.kind = REC_FORM_SEQUENTIAL, .size = 0}, false},
    {"chunk", {.kind = REC_FORM_CHUNK, .size = 0}, true},
    {"scan", {.kind = REC_FORM_SCAN, .size = 16}, true},
    {"newton", {.kind = REC_FORM_NEWTON, .size = 64}, true},
    {"convolution", {.kind = REC_FORM_CONVOLUTION, .size = 64}, true},
    {"cascade", {.kind = REC_FORM_CASCADE, .size = 0}, false},
    {"wavefront", {.kind = REC_FORM_WAVEFRONT, .size = 0}, false},
    {"block", {.kind = REC_FORM_BLOCK, .size = 8}, true},
};
enum { NFORM = sizeof form_name / sizeof *form_name };

const RecFormName *rec_form_name(uint32_t i)
{
    return i < NFORM ? &form_name[i] : NULL;
}

const RecFormName *rec_form_find(Str name)
{
    for (uint32_t i = 0; i < NFORM; i++)
        if (str_is(name, form_name[i].text))
            return &form_name[i];
    return NULL;
}

uint32_t rec_form_size(Str digits)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9' || n > REC_FORM_MAXSIZE)
            return 0;
        n = n * 10 + (uint32_t)(digits.p[i] - '0');
    }
    return n <= REC_FORM_MAXSIZE ? n : 0;
}

bool rec_form_read(Str text, RecForm *out)
{
    const char *colon = memchr(text.p, ':', text.n);
    uint32_t n = colon ? (uint32_t)(colon - text.p) : text.n;
    const RecFormName *f = rec_form_find((Str){text.p, n});
    if (!f)
        return false;
    *out = f->form;
    if (colon)
        out->size = f->sized ? rec_form_size((Str){colon + 1, text.n - n - 1}) : 0;
    return colon ? out->size > 0 : !f->sized || out->size > 0;
}

bool rec_form_steps(RecForm form)
{
    switch (form.kind) {
    case REC_FORM_SEQUENTIAL:
    case REC_FORM_CASCADE:
    case REC_FORM_WAVEFRONT:
    case REC_FORM_AUTO: return true;
    default: return false;
    }
}

Str rec_form_str(Arena *a, RecForm form)
{
    for (uint32_t i = 0; i < NFORM; i++)
        if (form_name[i].form.kind == form.kind)
            return form_name[i].sized ? str_fmt(a, "%s:%u", form_name[i].text, form.size) : str_of(form_name[i].text);
    ice("rec_form_str: form %d has no name", (int)form.kind);
}

/* What one row allows: `sequential`; `chunk:N`; `scan`, `scan:N`. */
static void put_row(Text *out, const RecFormName *f, const char *size, bool last)
{
    const char *by = out->n ? ", " : "";
    if (!f->sized || f->form.size) {
        text_add(out, "%s%s", last && !f->sized ? " or " : by, f->text);
        by = ", ";
    }
    if (f->sized)
        text_add(out, "%s%s%s", last ? " or " : by, f->text, size);
}

Str rec_form_list(Arena *a, const char *size)
{
    Text out = {.arena = a};
    for (uint32_t i = 0; i < NFORM; i++)
        put_row(&out, &form_name[i], size, i + 1 == NFORM);
    return text_str(&out);
}
