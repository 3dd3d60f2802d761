/* Names: scopes, symbols, and what a value looks like to a person. */
#include "frontend/elab_internal.h"

Scope *scope_new(Elab *e, Scope *up)
{
    Scope *s = NEW(e->arena, Scope);
    s->up = up;
    s->inst = up ? up->inst : NULL;
    s->loop = up ? up->loop : NULL;
    s->region = e->b.region;
    return s;
}

Sym *scope_find(Scope *s, Str name)
{
    for (; s; s = s->up)
        for (uint32_t i = 0; i < s->sym.n; i++)
            if (str_eq(s->sym.p[i].name.text, name))
                return &s->sym.p[i];
    return NULL;
}

Sym *scope_add(Elab *e, Scope *s, Ident name, SymKind kind)
{
    for (uint32_t i = 0; i < s->sym.n; i++)
        if (str_eq(s->sym.p[i].name.text, name.text)) {
            Span first = s->sym.p[i].name.at;
            diag_also(diag(e->diags, E_DUPLICATE, name.at, str_c(e->arena, name.text)), first, STR("first defined here"));
            break;
        }
    vec_push(e->arena, &s->sym, (Sym){.name = name, .kind = kind});
    return &s->sym.p[s->sym.n - 1];
}

void scope_add_failed(Elab *e, Scope *s, Ident name)
{
    Sym *sym = scope_add(e, s, name, SYM_VALUE);
    sym->val = poison;
    sym->failed = true;
}

void report_unknown_among(Elab *e, Ident name, const Str *known, uint32_t n)
{
    Diag *d = diag(e->diags, E_UNKNOWN_NAME, name.at, str_c(e->arena, name.text));
    Str near = nearest(name.text, known, n);
    if (near.n)
        diag_help(d, str_fmt(e->arena, "did you mean `%.*s`?", STRF(near)));
}

void add_names(Elab *e, const Scope *s, Names *to)
{
    for (; s; s = s->up)
        for (uint32_t i = 0; i < s->sym.n; i++)
            vec_push(e->arena, to, s->sym.p[i].name.text);
}

void report_unknown(Elab *e, Scope *s, Ident name)
{
    Names names = {0};
    add_names(e, s, &names);
    report_unknown_among(e, name, names.p, names.n);
}

Val val_of(RecId v)
{
    return (Val){.v = v};
}

bool is_poison(Val v)
{
    return v.v == REC_NONE;
}

DType val_dtype(const Elab *e, Val v)
{
    return v.is_complex ? DT_COMPLEX : rec_type(e->prog, v.v)->dt;
}

Type val_type(const Elab *e, Val v)
{
    const Type *full = rec_type(e->prog, v.v);
    Type t = {.dt = val_dtype(e, v), .rank = (uint8_t)(full->rank - v.nfree)};
    memcpy(t.dim, full->dim + v.nfree, t.rank * sizeof(Dim));
    return t;
}

Str val_str(Elab *e, Val v)
{
    if (is_poison(v))
        return STR("an erroneous value");
    Type t = val_type(e, v);
    return type_str(e->arena, e->dims, &t);
}

IndexVar *index_new(Elab *e, Ident name, Dim size)
{
    IndexVar *iv = NEW(e->arena, IndexVar);
    *iv = (IndexVar){.name = name, .size = size, .id = e->next_index++};
    return iv;
}
