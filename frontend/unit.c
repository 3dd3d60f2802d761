/* Files with their imports, and the way from an entry to its program. */
#include "frontend/elab_internal.h"
#include "frontend/parse.h"

#include <errno.h>
#include <stdlib.h>

struct Unit {
    Arena *arena;
    Sources *sources;
    Diags *diags;
    VEC(UnitFile) file;
    uint32_t prelude;
    VEC(Str) disk; /* paths read from disk */
    EntryForm *form; /* by entry, as the file's schedules say */
    VEC(Str) lost;   /* names of what could not be read; a prefix, such as `l.` or nothing, where only that is known */
};

enum { MAX_FILES = 256, MAX_BYTES = 16 * 1024 * 1024 };

static bool read_all(Arena *a, FILE *f, Str *out)
{
    Text t = {.arena = a};
    char buf[65536];
    size_t n;
    while ((n = fread(buf, 1, sizeof buf, f)) > 0 && t.n <= MAX_BYTES)
        text_put(&t, buf, n);
    *out = text_str(&t);
    return !ferror(f) && t.n <= MAX_BYTES;
}

static bool read_file(Arena *a, Str path, Str *out)
{
    if (str_is(path, "-"))
        return read_all(a, stdin, out);
    FILE *f = fopen(str_c(a, path), "rb");
    if (!f)
        return false;
    bool ok = read_all(a, f, out);
    int why = errno;
    fclose(f);
    errno = why;
    return ok;
}

static const EmbeddedFile *embedded(Str path)
{
    for (uint32_t i = 0; i < embedded_stdlib_count; i++)
        if (str_is(path, embedded_stdlib[i].path))
            return &embedded_stdlib[i];
    return NULL;
}

static Str beside(Arena *a, Str file, Str path)
{
    uint32_t n = file.n;
    while (n && file.p[n - 1] != '/')
        n--;
    if (path.n && path.p[0] == '/')
        return path;
    return str_fmt(a, "%.*s%.*s", (int)n, file.p, STRF(path));
}

static bool loaded(const Unit *u, Str path, uint32_t *file)
{
    for (*file = 0; *file < u->file.n; ++*file)
        if (str_eq(u->file.p[*file].path, path))
            return true;
    return false;
}

static void load_imports(Unit *u, uint32_t file);

static uint32_t add_source(Unit *u, Str path, Str shown, Str text)
{
    const Ast *ast = parse_file(u->arena, u->sources, source_add(u->sources, shown, text), u->diags);
    uint32_t file = u->file.n;
    vec_push(u->arena, &u->file, (UnitFile){.ast = ast, .path = path});
    for (uint32_t i = 0; i < ast->nlost; i++)
        vec_push(u->arena, &u->lost, ast->lost[i].text);
    load_imports(u, file);
    return file;
}

static uint32_t add_embedded(Unit *u, const EmbeddedFile *f)
{
    Str path = str_fmt(u->arena, "<stdlib>/%s", f->path);
    uint32_t file;
    return loaded(u, path, &file) ? file : add_source(u, path, path, str_of(f->text));
}

static void missing_import(Unit *u, const Import *im)
{
    Str as = im->as.text;
    diag(u->diags, E_IMPORT, im->at,
         str_c(u->arena, str_fmt(u->arena, "cannot import \"%.*s\": it is neither beside this file nor in the standard library", STRF(im->path))));
    vec_push(u->arena, &u->lost, as.n ? str_fmt(u->arena, "%.*s.", STRF(as)) : as);
}

/* False when it is not found. */
static bool load_import(Unit *u, const Import *im, Str from, uint32_t *file)
{
    Str text, path = beside(u->arena, from, im->path);
    bool library = from.n && from.p[0] == '<';
    const EmbeddedFile *f = embedded(im->path);
    if (loaded(u, path, file))
        return true;
    if (u->file.n < MAX_FILES && !library && read_file(u->arena, path, &text)) {
        vec_push(u->arena, &u->disk, path);
        *file = add_source(u, path, path, text);
        return true;
    }
    if (f)
        *file = add_embedded(u, f);
    else
        missing_import(u, im);
    return f != NULL;
}

static void load_imports(Unit *u, uint32_t file)
{
    const Ast *ast = u->file.p[file].ast;
    for (uint32_t i = 0; i < ast->nimport; i++) {
        UnitImport it = {.as = ast->import[i].as.text};
        if (load_import(u, &ast->import[i], u->file.p[file].path, &it.file))
            vec_push(u->arena, &u->file.p[file].import, it);
    }
}

static void check_names(Unit *u, const Ast *ast)
{
    VEC(Ident) seen = {0};
    for (uint32_t k = 0; k < ast->ncell + ast->nmodel + ast->nfn; k++) {
        Ident name = k < ast->ncell ? ast->cell[k]->name
                     : k < ast->ncell + ast->nmodel ? ast->model[k - ast->ncell]->name
                                                    : ast->fn[k - ast->ncell - ast->nmodel]->name;
        for (uint32_t i = 0; i < seen.n; i++)
            if (str_eq(seen.p[i].text, name.text)) {
                diag_also(diag(u->diags, E_DUPLICATE, name.at, str_c(u->arena, name.text)), seen.p[i].at, STR("first defined here"));
                break;
            }
        vec_push(u->arena, &seen, name);
    }
}

Unit *unit_load(Arena *a, Sources *sources, Diags *diags, Str path)
{
    Str text;
    Unit *u = NEW(a, Unit);
    *u = (Unit){.arena = a, .sources = sources, .diags = diags};
    errno = 0;
    if (!read_file(a, path, &text)) {
        uint32_t file = source_add(sources, path, STR(""));
        diag(diags, E_READ, (Span){file, 0, 0},
             str_c(a, str_fmt(a, "cannot read this file: %s", errno ? strerror(errno) : "it is larger than 16 MB")));
        return NULL;
    }
    if (!str_is(path, "-"))
        vec_push(a, &u->disk, path);
    add_source(u, path, str_is(path, "-") ? STR("<stdin>") : path, text);
    u->prelude = add_embedded(u, embedded(STR("prelude.rnn")));
    for (uint32_t i = 0; i < u->file.n; i++)
        check_names(u, u->file.p[i].ast);
    elab_operators(a, u, diags);
    u->form = unit_schedules(a, u, diags);
    return u;
}

const Ast *unit_ast(const Unit *u)
{
    return u->file.p[0].ast;
}

uint32_t unit_files(const Unit *u, const Str **path)
{
    *path = u->disk.p;
    return u->disk.n;
}

uint32_t unit_entries(const Unit *u)
{
    return unit_ast(u)->ncell + unit_ast(u)->nmodel;
}

const Cell *unit_entry_cell(const Unit *u, uint32_t i)
{
    return i < unit_ast(u)->ncell ? unit_ast(u)->cell[i] : NULL;
}

const Model *unit_entry_model(const Unit *u, uint32_t i)
{
    const Ast *ast = unit_ast(u);
    return i >= ast->ncell && i < ast->ncell + ast->nmodel ? ast->model[i - ast->ncell] : NULL;
}

Str unit_entry_name(const Unit *u, uint32_t i)
{
    const Cell *cell = unit_entry_cell(u, i);
    return cell ? cell->name.text : unit_entry_model(u, i)->name.text;
}

bool unit_entry_is_model(const Unit *u, uint32_t i)
{
    return !unit_entry_cell(u, i);
}

bool unit_find_entry(const Unit *u, Str name, uint32_t *i)
{
    for (*i = 0; *i < unit_entries(u); ++*i)
        if (str_eq(unit_entry_name(u, *i), name))
            return true;
    return false;
}

Str unit_path(const Unit *u)
{
    return u->file.p[0].path;
}

EntryForm unit_form(const Unit *u, uint32_t entry)
{
    return u->form[entry];
}

/* ---- its files ---- */

uint32_t unit_nfiles(const Unit *u)
{
    return u->file.n;
}

const UnitFile *unit_file(const Unit *u, uint32_t i)
{
    return &u->file.p[i];
}

uint32_t unit_file_of(const Unit *u, Span at)
{
    uint32_t i = 0;
    while (u->file.p[i].ast->file != at.file)
        i++;
    return i;
}

uint32_t unit_prelude(const Unit *u)
{
    return u->prelude;
}

Arena *unit_arena(const Unit *u)
{
    return u->arena;
}

static Str behind_dot(Str name)
{
    const char *dot = memchr(name.p, '.', name.n);
    return dot ? (Str){dot + 1, name.n - (uint32_t)(dot + 1 - name.p)} : name;
}

bool unit_lost(const Unit *u, Str name)
{
    for (uint32_t i = 0; i < u->lost.n; i++) {
        Str lost = u->lost.p[i];
        bool prefix = !lost.n || lost.p[lost.n - 1] == '.';
        if (str_eq(behind_dot(name), lost) || (prefix && name.n >= lost.n && memcmp(name.p, lost.p, lost.n) == 0))
            return true;
    }
    return false;
}

/* ---- an entry's program ---- */

/* A dot is `_` in C. */
static bool same_in_c(Str x, Str y)
{
    bool same = x.n == y.n;
    for (uint32_t i = 0; same && i < x.n; i++)
        same = (x.p[i] == '.' ? '_' : x.p[i]) == (y.p[i] == '.' ? '_' : y.p[i]);
    return same;
}

/* Start values `z0.re` and `z_re0` differ, but both are carried as `z_re`. */
static bool same_carry(Elab *e, const RecArg *x, const RecArg *y)
{
    const RecArg *pair[2] = {x, y};
    Str name[2];
    for (int i = 0; i < 2; i++) {
        Str s = pair[i]->name;
        uint32_t mark = s.n - 1;
        while (pair[i]->role == ROLE_START && mark > 0 && s.p[mark] != '0')
            mark--;
        name[i] = str_fmt(e->arena, "%.*s%.*s", (int)mark, s.p, (int)(s.n - mark - 1), s.p + mark + 1);
    }
    return x->role == ROLE_START && y->role == ROLE_START && same_in_c(name[0], name[1]);
}

/* Two arrays of the interface with one name: `h0` as an input beside a state `h`. */
static void check_clashes(Elab *e)
{
    RecProg *p = e->prog;
    uint32_t n = p->arg.n + p->out.n;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < i; k++) {
            bool ai = i < p->arg.n, ak = k < p->arg.n;
            if ((!ai && p->out.p[i - p->arg.n].role == OUT_PARAM) || (!ak && p->out.p[k - p->arg.n].role == OUT_PARAM))
                continue;
            Str x = ai ? p->arg.p[i].name : p->out.p[i - p->arg.n].name, y = ak ? p->arg.p[k].name : p->out.p[k - p->arg.n].name;
            Span xs = ai ? p->arg.p[i].at : p->out.p[i - p->arg.n].at, ys = ak ? p->arg.p[k].at : p->out.p[k - p->arg.n].at;
            if (same_in_c(x, y) || (ai && ak && same_carry(e, &p->arg.p[i], &p->arg.p[k])))
                diag_also(diag(e->diags, E_NAME_CLASH, xs, str_c(e->arena, str_fmt(e->arena, "two arrays of the interface would be called `%.*s`", STRF(x)))),
                          ys, STR("the other one"));
        }
}

/* Why an array cannot be called this: another one of the interface is, whatever else the entry has; NULL if none is. */
static const char *taken(const Elab *e, Str name)
{
    bool newton = name.n >= 7 && same_in_c((Str){name.p, 7}, STR("newton_"));
    if (str_is(name, "offsets") && rec_prog_packs(e->prog))
        return "the array that says where the sequences of a packed batch begin is called `offsets`";
    return newton ? "names that begin with `newton_` are those of what Newton's form is told and tells" : NULL;
}

static void check_taken(Elab *e)
{
    const RecProg *p = e->prog;
    for (uint32_t i = 0; i < p->arg.n + p->out.n; i++) {
        bool arg = i < p->arg.n;
        const char *why = taken(e, arg ? p->arg.p[i].name : p->out.p[i - p->arg.n].name);
        if (why && (arg || p->out.p[i - p->arg.n].role != OUT_PARAM))
            diag_help(diag(e->diags, E_NAME_CLASH, arg ? p->arg.p[i].at : p->out.p[i - p->arg.n].at, why), STR("call this one something else"));
    }
}

static void check_no_output(Elab *e, Span at)
{
    for (uint32_t i = 0; i < e->prog->out.n; i++)
        if (e->prog->out.p[i].role == OUT_VALUE)
            return;
    diag(e->diags, E_ARGUMENTS, at, "this entry has no output: name some after `->`");
}

static uint32_t recurrences_around(const RecProg *p, const RecOp *op)
{
    uint32_t n = 0;
    for (RecId owner = p->region.p[op->home].owner; owner != REC_NONE; owner = p->region.p[rec_op(p, owner)->home].owner)
        n++;
    return n;
}

/* Any value may get an axis for the sequences, and one for each recurrence around it when all places are kept. */
static void check_values(Elab *e)
{
    for (RecId v = 0; v < e->prog->op.n; v++) {
        const RecOp *op = rec_op(e->prog, v);
        if (!type_fits(e, &op->type, op->at))
            return;
        uint32_t n = recurrences_around(e->prog, op);
        if (op->type.rank + n + 1 <= MAXRANK)
            continue;
        diag(e->diags, E_NOT_A_SIZE, op->at,
             str_c(e->arena, str_fmt(e->arena, "%u axes are too many: inside of %u recurrences a value has at most %d", op->type.rank, n,
                                     MAXRANK - 1 - (int)n)));
        return;
    }
}

RecProg *elab_entry(Arena *a, const Unit *u, uint32_t entry, const Binding *bind, uint32_t nbind, Diags *diags)
{
    const Cell *cell = unit_entry_cell(u, entry);
    const Model *model = unit_entry_model(u, entry);
    DimTab *dims = dim_tab_new(a);
    Elab e = {.arena = a, .unit = u, .diags = diags, .dims = dims, .bind = bind, .nbind = nbind};
    uint32_t before = diags->nreported;
    if (cell ? cell->broken : model->broken)
        return NULL;
    e.prog = rec_prog_new(a, dims, unit_entry_name(u, entry));
    e.prog->is_model = model != NULL;
    e.prog->file = unit_ast(u)->file;
    e.prog->doc = cell ? cell->doc : model->doc;
    e.b = (RecBuild){.prog = e.prog, .region = REC_FORWARD};
    if (cell && cell->domain == DOMAIN_LINE) {
        e.prog->time = dim_sym_new(dims, STR("T"), DIM_TIME);
        e.prog->has_time = true;
        vec_push(a, &e.prog->open, e.prog->time);
    }
    vec_push(a, &e.prog->open, e.prog->batch);
    vec_push(a, &e.inside, cell ? (const void *)cell : model);
    if (cell && cell->domain == DOMAIN_GRID)
        elab_grid_entry(&e, cell);
    else if (cell && cell->domain == DOMAIN_GRAPH)
        elab_graph_entry(&e, cell);
    else if (cell)
        elab_cell_entry(&e, cell);
    else
        elab_model_entry(&e, model);
    check_clashes(&e);
    check_taken(&e);
    if (diags->nreported == before)
        check_no_output(&e, cell ? cell->name.at : model->name.at);
    if (diags->nreported == before)
        check_values(&e);
    if (diags->nreported != before)
        return NULL;
    elab_streams(&e);
    return e.prog;
}
