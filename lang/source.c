#include "lang/source.h"

Sources *sources_new(Arena *a)
{
    Sources *s = NEW(a, Sources);
    s->arena = a;
    vec_push(a, &s->file, (SourceFile){.path = STR("<none>"), .text = STR("")});
    return s;
}

uint32_t source_add(Sources *s, Str path, Str text)
{
    vec_push(s->arena, &s->file, (SourceFile){.path = str_copy(s->arena, path), .text = str_copy(s->arena, text)});
    return s->file.n - 1;
}

static bool starts_code_point(char c)
{
    return ((unsigned char)c & 0xC0u) != 0x80u;
}

LineCol source_place(const Sources *s, Span at)
{
    Str t = s->file.p[at.file].text;
    uint32_t pos = at.begin < t.n ? at.begin : t.n, line = 1, start = 0, end, col = 1;
    for (uint32_t i = 0; i < pos; i++)
        if (t.p[i] == '\n') {
            line++;
            start = i + 1;
        }
    for (uint32_t i = start; i < pos; i++)
        col += starts_code_point(t.p[i]);
    for (end = start; end < t.n && t.p[end] != '\n'; end++)
        continue;
    return (LineCol){line, col, {t.p + start, end - start}};
}

Span span_join(Span a, Span b)
{
    if (!a.file || a.file != b.file)
        return a.file ? a : b;
    return (Span){a.file, a.begin < b.begin ? a.begin : b.begin, a.end > b.end ? a.end : b.end};
}
