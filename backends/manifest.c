/* The generated manifest: the header's facts as JSON, for build systems and other languages. */
#include "backends/backend.h"

void json_put_string(Text *t, Str s)
{
    text_add(t, "\"");
    for (uint32_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            text_add(t, "\\%c", c);
        else if (c < 32)
            text_add(t, "\\u%04x", c);
        else
            text_add(t, "%c", c);
    }
    text_add(t, "\"");
}

void json_put_field(Text *t, const char *name, Str value, const char *end)
{
    text_add(t, "\"%s\": ", name);
    json_put_string(t, value);
    text_add(t, "%s", end);
}

Str json_file_name(Str path)
{
    for (uint32_t i = path.n; i > 0; i--)
        if (path.p[i - 1] == '/')
            return (Str){path.p + i, path.n - i};
    return path;
}

/* The name in files, with its dots. */
static Str text_name(const KernProg *k, const IfaceMember *m)
{
    return m->arg != K_NONE   ? k->arg.p[m->arg].name
           : m->out != K_NONE ? k->out.p[m->out].name
           : m->offsets       ? m->name
                              : dim_sym_info(k->dims, m->sym)->name;
}

static void put_shape(Text *t, Arena *a, const KernProg *k, const IfaceMember *m)
{
    Dim dim[MAXRANK + 1];
    if (m->offsets) {
        text_add(t, "\"shape\": [\"B + 1\"], ");
        return;
    }
    const Type *type = m->arg != K_NONE ? &k->arg.p[m->arg].type : &k->out.p[m->out].type;
    uint32_t n = iface_array_dims(k, type, m->arg != K_NONE ? k->arg.p[m->arg].batched : k->out.p[m->out].batched, dim);
    text_add(t, "\"shape\": [");
    for (uint32_t i = 0; i < n; i++) {
        text_add(t, i ? ", " : "");
        json_put_string(t, dim_str(a, k->dims, dim[i]));
    }
    text_add(t, "], ");
}

static void put_member(Text *t, Arena *a, const KernProg *k, const HeaderOptions *o, IfaceStruct s,
                       const IfaceMember *m)
{
    text_add(t, "      {");
    json_put_field(t, "name", m->name, ", ");
    json_put_field(t, "array", text_name(k, m), ", ");
    json_put_field(t, "type", str_of(s == IF_SIZES ? "int64_t" : iface_member_type(k, m, o->f64)), ", ");
    if (s != IF_SIZES)
        put_shape(t, a, k, m);
    if (m->arg != K_NONE && k->arg.p[m->arg].doc.n)
        json_put_field(t, "doc", k->arg.p[m->arg].doc, ", ");
    text_add(t, "\"optional\": %s}", m->optional ? "true" : "false");
}

static void put_structs(Text *t, Arena *a, const KernProg *k, const HeaderOptions *o, Str prefix)
{
    Iface *f = iface_of(a, k);
    text_add(t, "  \"structs\": [\n");
    for (int s = 0; s < IF_NSTRUCT; s++) {
        text_add(t, "    {");
        json_put_field(t, "name", str_fmt(a, "%.*s_%s", STRF(prefix), iface_struct_name((IfaceStruct)s)),
                  ", \"members\": [");
        for (uint32_t i = 0; i < f->member[s].n; i++) {
            text_add(t, i ? ",\n" : "\n");
            put_member(t, a, k, o, (IfaceStruct)s, &f->member[s].p[i]);
        }
        text_add(t, "]}%s\n", s + 1 < IF_NSTRUCT ? "," : "");
    }
    text_add(t, "  ],\n");
}

static void put_functions(Text *t, Arena *a, const KernProg *k, Str prefix)
{
    Str why;
    bool streams = iface_streams(k, &why), first = true;
    text_add(t, "  \"functions\": [");
    for (int f = 0; f < IFN_COUNT; f++) {
        if (!iface_has_fn(k, (IfaceFn)f))
            continue;
        text_add(t, first ? "" : ", ");
        json_put_string(t, iface_public(a, prefix, (IfaceFn)f));
        first = false;
    }
    text_add(t, "],\n  \"streams\": %s\n", streams ? "true" : "false");
}

Str manifest_text(Arena *a, const KernProg *k, const HeaderOptions *o)
{
    Text t = {.arena = a};
    Str prefix = iface_prefix(k, o->prefix);
    text_add(&t, "{\n  \"schema\": 1,\n  \"abi\": %d,\n  ", RNN_ABI_NUMBER);
    json_put_field(&t, "rnnc", o->version, ",\n  ");
    json_put_field(&t, "source", json_file_name(o->source_file), ",\n  ");
    json_put_field(&t, "name", k->name, ",\n  ");
    json_put_field(&t, "prefix", prefix, ",\n  ");
    json_put_field(&t, "precision", iface_precision(k, o->f64), ",\n");
    put_structs(&t, a, k, o, prefix);
    put_functions(&t, a, k, prefix);
    text_add(&t, "}\n");
    return text_str(&t);
}
