/* What a name means in a file: what the file itself defines, else what its imports bring, else the prelude's. An import brings
 * what its file defines and, if not that, what that file imports; under an alias the name is `alias.name`. Two imports that
 * bring different things of one name are no error until the name is used. */
#include "frontend/elab_internal.h"

typedef enum Kind { CELLS, FUNCTIONS, MODELS } Kind;

/* The first two things found, in the order of the imports. */
typedef struct Found {
    Kind kind;
    Definition first, second;
    bool *seen; /* by file */
} Found;

static bool is_none(Definition d)
{
    return !d.cell && !d.fn && !d.model;
}

static uint32_t count(const Ast *ast, Kind kind)
{
    return kind == CELLS ? ast->ncell : kind == MODELS ? ast->nmodel : ast->nfn;
}

static Definition definition(const Ast *ast, Kind kind, uint32_t i)
{
    if (kind == MODELS)
        return (Definition){.model = ast->model[i], .name = ast->model[i]->name};
    return kind == CELLS ? (Definition){.cell = ast->cell[i], .name = ast->cell[i]->name} : (Definition){.fn = ast->fn[i], .name = ast->fn[i]->name};
}

static Definition defined_in(const Unit *u, uint32_t file, Kind kind, Str name)
{
    const Ast *ast = unit_file(u, file)->ast;
    for (uint32_t i = 0; i < count(ast, kind); i++)
        if (str_eq(definition(ast, kind, i).name.text, name))
            return definition(ast, kind, i);
    return (Definition){0};
}

static void add(Found *f, Definition d)
{
    if (is_none(f->first))
        f->first = d;
    else if (is_none(f->second) && (d.cell != f->first.cell || d.fn != f->first.fn || d.model != f->first.model))
        f->second = d;
}

static void find_brought(const Unit *u, uint32_t file, Str name, Found *f)
{
    Definition own = defined_in(u, file, f->kind, name);
    if (f->seen[file])
        return;
    f->seen[file] = true;
    if (!is_none(own)) {
        add(f, own);
        return;
    }
    const UnitFile *uf = unit_file(u, file);
    for (uint32_t i = 0; i < uf->import.n; i++)
        if (!uf->import.p[i].as.n)
            find_brought(u, uf->import.p[i].file, name, f);
}

/* `l.lstm` is `lstm` of an import as `l`. */
static bool without_alias(Str name, Str alias, Str *rest)
{
    if (!alias.n) {
        *rest = name;
        return !memchr(name.p, '.', name.n);
    }
    if (name.n <= alias.n || name.p[alias.n] != '.' || memcmp(name.p, alias.p, alias.n) != 0)
        return false;
    *rest = (Str){name.p + alias.n + 1, name.n - alias.n - 1};
    return true;
}

static Found find(const Unit *u, uint32_t file, Kind kind, Str name)
{
    Str rest;
    Found f = {.kind = kind, .first = defined_in(u, file, kind, name)};
    if (!is_none(f.first))
        return f;
    f.seen = NEWN(unit_arena(u), bool, unit_nfiles(u));
    const UnitFile *uf = unit_file(u, file);
    for (uint32_t i = 0; i < uf->import.n; i++)
        if (without_alias(name, uf->import.p[i].as, &rest))
            find_brought(u, uf->import.p[i].file, rest, &f);
    if (is_none(f.first))
        f.first = defined_in(u, unit_prelude(u), kind, name);
    return f;
}

/* Names that may mean something in a file; whether they do, `find` knows. */
static void candidates(Elab *e, uint32_t file, Kind kind, Names *to)
{
    const Unit *u = e->unit;
    const UnitFile *uf = unit_file(u, file);
    for (uint32_t k = 0; k <= uf->import.n; k++) {
        Str alias = k < uf->import.n ? uf->import.p[k].as : STR("");
        if (k < uf->import.n && !alias.n)
            continue;
        for (uint32_t i = 0; i < unit_nfiles(u); i++)
            for (uint32_t n = 0; n < count(unit_file(u, i)->ast, kind); n++) {
                Str name = definition(unit_file(u, i)->ast, kind, n).name.text;
                vec_push(e->arena, to, alias.n ? str_fmt(e->arena, "%.*s.%.*s", STRF(alias), STRF(name)) : name);
            }
    }
}

Definition unit_find_model(const Unit *u, Ident name, Definition *second)
{
    Found f = find(u, unit_file_of(u, name.at), MODELS, name.text);
    *second = f.second;
    return f.first;
}

Definition unit_find_cell(const Unit *u, Ident name, Definition *second)
{
    Found f = find(u, unit_file_of(u, name.at), CELLS, name.text);
    *second = f.second;
    return f.first;
}

void unit_cell_names(Elab *e, uint32_t file, Names *to)
{
    Names all = {0};
    candidates(e, file, CELLS, &all);
    for (uint32_t i = 0; i < all.n; i++)
        if (!is_none(find(e->unit, file, CELLS, all.p[i]).first))
            vec_push(e->arena, to, all.p[i]);
}

static void add_functions(Elab *e, Scope *s, uint32_t file)
{
    Names all = {0};
    candidates(e, file, FUNCTIONS, &all);
    for (uint32_t i = 0; i < all.n; i++) {
        Found f = find(e->unit, file, FUNCTIONS, all.p[i]);
        if (is_none(f.first) || scope_find(s, all.p[i]))
            continue;
        Sym *sym = scope_add(e, s, (Ident){all.p[i], f.first.name.at}, SYM_FN);
        sym->fn = f.first.fn;
        sym->other_fn = f.second.fn;
    }
}

Scope *file_scope(Elab *e, Span at)
{
    uint32_t file = unit_file_of(e->unit, at);
    if (!e->file_scope)
        e->file_scope = NEWN(e->arena, Scope *, unit_nfiles(e->unit));
    if (!e->file_scope[file]) {
        e->file_scope[file] = scope_new(e, NULL);
        e->file_scope[file]->region = REC_FORWARD;
        add_functions(e, e->file_scope[file], file);
    }
    return e->file_scope[file];
}

static Str place(Elab *e, Span at)
{
    const Sources *all = e->diags->sources;
    return str_fmt(e->arena, "%.*s:%u", STRF(all->file.p[at.file].path), source_place(all, at).line);
}

void report_ambiguous(Elab *e, Ident name, Span first, Span second)
{
    diag_also(diag(e->diags, E_AMBIGUOUS, name.at, str_c(e->arena, name.text), place(e, first).p, place(e, second).p), first, STR("the first one"));
}
