#include "lang/utf8.h"

static bool continues(const unsigned char *p, size_t left, size_t n)
{
    if (left < n)
        return false;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0u) != 0x80u)
            return false;
    return true;
}

uint32_t utf8_length(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        return continues(p, left, 2) ? 2 : 0;
    if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        bool ok = continues(p, left, 3) && !(p[0] == 0xE0 && p[1] < 0xA0) && !(p[0] == 0xED && p[1] >= 0xA0);
        return ok ? 3 : 0;
    }
    if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        bool ok = continues(p, left, 4) && !(p[0] == 0xF0 && p[1] < 0x90) && !(p[0] == 0xF4 && p[1] >= 0x90);
        return ok ? 4 : 0;
    }
    return 0;
}

/* Control characters of ASCII and of the block behind it, which terminals obey too. */
static bool is_control(const unsigned char *p, uint32_t n)
{
    return (n == 1 && (p[0] < 0x20 || p[0] == 0x7F)) || (n == 2 && p[0] == 0xC2 && p[1] < 0xA0);
}

static void put_escaped(Text *out, const unsigned char *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        text_add(out, "\\x%02x", p[i]);
}

Str str_printable(Arena *a, Str s)
{
    Text out = {.arena = a};
    const unsigned char *p = (const unsigned char *)s.p;
    for (uint32_t i = 0, n; i < s.n; i += n) {
        n = utf8_length(p + i, s.n - i);
        bool plain = n && !is_control(p + i, n);
        n += n == 0;
        if (plain)
            text_put(&out, s.p + i, n);
        else
            put_escaped(&out, p + i, n);
    }
    return text_str(&out);
}
