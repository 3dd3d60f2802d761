/* Older measurements: what `bench --json` printed, and the ratios to them. */
#include "frontend/bench.h"

static bool is_number(const json_t *pass)
{
    return json_is_null(pass) || json_is_number(json_object_get(pass, "median"));
}

static bool is_form(const json_t *form)
{
    return json_is_string(json_object_get(form, "form")) &&
           (json_is_string(json_object_get(form, "lacks")) ||
            (is_number(json_object_get(form, "forward")) && is_number(json_object_get(form, "training"))));
}

static bool is_entry(const json_t *entry)
{
    const json_t *forms = json_object_get(entry, "forms");
    bool ok = json_is_string(json_object_get(entry, "entry")) && json_is_string(json_object_get(entry, "sizes")) &&
              json_is_string(json_object_get(entry, "with")) && json_is_array(forms);
    for (size_t i = 0; ok && i < json_array_size(forms); i++)
        ok = is_form(json_array_get(forms, i));
    return ok;
}

static bool is_document(const json_t *all)
{
    const json_t *entries = json_object_get(all, "entries");
    bool ok = json_integer_value(json_object_get(all, "rnnc_bench")) == 1 && json_is_array(entries);
    for (size_t i = 0; ok && i < json_array_size(entries); i++)
        ok = is_entry(json_array_get(entries, i));
    return ok;
}

bool bench_read(Arena *a, Str path, json_t **out, Str *error)
{
    Bytes in;
    json_error_t why;
    if (!file_read(a, path, &in, error))
        return false;
    *out = json_loadb((const char *)in.p, in.n, JSON_REJECT_DUPLICATES, &why);
    if (!*out)
        *error = str_fmt(a, "%.*s:%d:%d: %s", STRF(path), why.line, why.column, why.text);
    else if (!is_document(*out))
        *error = str_fmt(a, "%.*s is not what `rnnc bench --json` prints", STRF(path));
    else
        return true;
    return false;
}

static bool says(const json_t *object, const char *name, Str text)
{
    const json_t *s = json_object_get(object, name);
    return json_string_length(s) == text.n && memcmp(json_string_value(s), text.p, text.n) == 0;
}

static const json_t *find_entry(const Bench *b)
{
    const json_t *all = json_object_get(b->old, "entries");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *e = json_array_get(all, i);
        if (says(e, "entry", b->t.name) && says(e, "sizes", trial_sizes_text(&b->t)) &&
            says(e, "with", trial_target(&b->t)))
            return e;
    }
    return NULL;
}

double bench_against(const Bench *b, uint32_t form, bool training)
{
    const json_t *all = b->old ? json_object_get(find_entry(b), "forms") : NULL;
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *f = json_array_get(all, i), *pass = json_object_get(f, training ? "training" : "forward");
        double then = json_number_value(json_object_get(pass, "median"));
        if (says(f, "form", str_of(b->t.candidate[form].text)) && then > 0)
            return b->form[form].median[training] / then;
    }
    return 0;
}
