/* test: the free tests on every cell and model of the files, and the files' own tests. */
#include "frontend/check.h"

static void free_tests(Checker *c)
{
    check_compiled(c);
    check_gradients(c);
    check_streaming(c);
    check_beyond(c);
    check_alone(c);
    check_packed(c);
}

static bool names(const Driver *d, Str entry)
{
    return !d->opt->given[OPT_ENTRY] || str_eq(d->opt->value[OPT_ENTRY], entry);
}

/* What -D says, and what the first test of the entry that binds sizes says. */
static BindList sizes_of_tests(Checker *c)
{
    const Ast *ast = unit_ast(c->unit);
    BindList bind = {0};
    for (uint32_t i = 0; i < ast->ntest && bind.n <= c->d->opt->bind.n; i++)
        if (str_eq(ast->test[i]->name.text, c->name))
            check_bindings(c, ast->test[i], &bind);
    for (uint32_t i = bind.n; i < c->d->opt->bind.n; i++)
        vec_push(c->arena, &bind, c->d->opt->bind.p[i]);
    return bind;
}

static bool is_bound(const BindList *bind, Str name)
{
    for (uint32_t i = 0; i < bind->n; i++)
        if (str_eq(bind->p[i].name, name))
            return true;
    return false;
}

/* Whether the entry is refused for a size that is not known when compiling. */
static bool wants_size(Checker *c, uint32_t entry, const BindList *bind)
{
    Diags *trial = diags_new(c->arena, c->d->sources);
    elab_entry(c->arena, c->unit, entry, bind->p, bind->n, trial);
    for (uint32_t i = 0; i < trial->list.n; i++)
        if (trial->list.p[i].code == E_NOT_A_SIZE)
            return true;
    return false;
}

static void dims_of(const Ast *ast, Str entry, const DimDecl **dim, uint32_t *n)
{
    for (uint32_t i = 0; i < ast->ncell; i++)
        if (str_eq(ast->cell[i]->name.text, entry)) {
            *dim = ast->cell[i]->dim;
            *n = ast->cell[i]->ndim;
        }
    for (uint32_t i = 0; i < ast->nmodel; i++)
        if (str_eq(ast->model[i]->name.text, entry)) {
            *dim = ast->model[i]->dim;
            *n = ast->model[i]->ndim;
        }
}

/* The open dimensions without which the entry cannot be compiled, "N, M"; empty when there are none. */
static Str missing_sizes(Checker *c, uint32_t entry, const BindList *bind)
{
    const DimDecl *dim = NULL;
    uint32_t ndim = 0;
    Text out = {.arena = c->arena};
    if (!wants_size(c, entry, bind))
        return STR("");
    dims_of(unit_ast(c->unit), c->name, &dim, &ndim);
    for (uint32_t i = 0; i < ndim; i++) {
        BindList others = {0};
        for (uint32_t k = 0; k < bind->n; k++)
            vec_push(c->arena, &others, bind->p[k]);
        for (uint32_t k = 0; k < ndim; k++)
            if (k != i && !is_bound(bind, dim[k].name.text))
                vec_push(c->arena, &others, ((Binding){dim[k].name.text, 2}));
        BindList all = others;
        if (is_bound(bind, dim[i].name.text) || !wants_size(c, entry, &others))
            continue;
        vec_push(c->arena, &all, ((Binding){dim[i].name.text, 2}));
        if (!wants_size(c, entry, &all))
            text_add(&out, "%s%.*s", out.n ? ", " : "", STRF(dim[i].name.text));
    }
    return text_str(&out);
}

/* --store is of all entries, and those to which it does nothing are left out. */
static bool has_store(Checker *c, const RecProg *p)
{
    bool has = !c->d->opt->given[OPT_STORE] || c->form.store < 2 || p->store_missing == WHY_NONE;
    if (!has)
        check_skip(c, "--store has nothing to do: %.*s", STRF(driver_store_missing(c->d, p)));
    return has;
}

/* --form is of all entries, and those that do not have it are left out; what the file says of one entry must exist. */
static bool has_form(Checker *c, uint32_t entry, const BindList *bind, const FormChoice *choice)
{
    bool said = choice->from != FORM_FROM_NOBODY || choice->form.store > 1;
    const RecProg *p = said ? checker_try_form(c, entry, bind) : NULL;
    if (!p || !has_store(c, p))
        return !p;
    if (choice->from == FORM_FROM_OPTION && p->form_missing != WHY_NONE)
        check_skip(c, "the form %.*s does not exist: %.*s", STRF(c->d->opt->value[OPT_FORM]),
                   STRF(driver_form_missing(c->d, p)));
    else if (driver_has_form(c->d, p, choice))
        return true;
    else
        check_fail(c, "what %s says does not exist",
                   choice->from == FORM_FROM_NOBODY ? "the schedule"
                                                    : str_c(c->arena, driver_form_origin(c->d, choice)));
    return false;
}

/* The free tests of an entry, then its own. */
static void test_entry(Checker *c, uint32_t entry)
{
    const Ast *ast = unit_ast(c->unit);
    FormChoice choice;
    c->name = unit_entry_name(c->unit, entry);
    c->rejected = 0;
    BindList bind = sizes_of_tests(c);
    Str missing = missing_sizes(c, entry, &bind);
    if (!driver_form(c->d, c->unit, entry, &choice)) {
        check_fail(c, "the file has errors");
        return;
    }
    c->form = choice.form;
    if (!missing.n && !has_form(c, entry, &bind, &choice))
        return;
    if (missing.n)
        check_skip(c, "the size of %.*s must be known when compiling; say it with -D, or with bind in a test",
                   STRF(missing));
    else if (checker_compile(c, entry, &bind))
        free_tests(c);
    else
        check_fail(c, "the file has errors");
    for (uint32_t i = 0; i < ast->ntest && !c->d->diags->nerrors; i++)
        if (str_eq(ast->test[i]->name.text, unit_entry_name(c->unit, entry)))
            check_data(c, entry, ast->test[i]);
}

static void test_operators(Checker *c)
{
    const Ast *ast = unit_ast(c->unit);
    for (uint32_t i = 0; i < ast->nfn && !c->d->diags->nerrors; i++)
        if (ast->fn[i]->associative && names(c->d, ast->fn[i]->name.text))
            check_operator(c, ast->fn[i]);
}

/* A test of something that the file does not have. */
static void name_stray_tests(Checker *c)
{
    const Ast *ast = unit_ast(c->unit);
    uint32_t entry;
    for (uint32_t i = 0; i < ast->ntest; i++) {
        c->name = ast->test[i]->name.text;
        if (names(c->d, c->name) && !unit_find_entry(c->unit, c->name, &entry))
            check_fail(c, "the test is of no cell or model of its file");
    }
}

static int test_file(const Driver *all, Str path, uint64_t seed, Tally *tally)
{
    Driver d = driver_open(all);
    Unit *u = driver_load(&d, path);
    Checker c = {.d = &d, .arena = d.arena, .unit = u, .path = path, .random = seed, .tally = tally};
    printf("# %.*s\n", STRF(path));
    if (u)
        test_operators(&c);
    for (uint32_t i = 0; u && i < unit_entries(u) && !d.diags->nerrors; i++)
        if (names(&d, unit_entry_name(u, i)))
            test_entry(&c, i);
    if (u)
        name_stray_tests(&c);
    checker_free(&c);
    progress_end(d.progress);
    tally->failed += u == NULL;
    return driver_close(&d);
}

int cmd_test(Driver *d)
{
    Tally tally = {0};
    uint64_t seed = 1;
    int code = EXIT_FINE;
    if (d->opt->given[OPT_SEED] && !driver_number(d, OPT_SEED, &seed))
        return EXIT_USAGE;
    if ((code = driver_gpu_open(d)))
        return code;
    for (uint32_t i = 0; i < d->opt->file.n; i++) {
        int one = test_file(d, d->opt->file.p[i], seed, &tally);
        code = code ? code : one;
    }
    printf("%u passed, %u failed, %u skipped\n", tally.passed, tally.failed, tally.skipped);
    return tally.failed ? EXIT_INPUT : code;
}
