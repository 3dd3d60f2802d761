/* Schedules: `schedule gla { forward chunk(64) }` gives an entry of its file a form. What is not supported yet is refused. */
#include "frontend/elab_internal.h"

typedef struct Reader {
    Arena *arena;
    const Unit *unit;
    Diags *diags;
} Reader;

static Diag *report(const Reader *r, DiagCode code, Span at, Str message)
{
    return diag(r->diags, code, at, str_c(r->arena, message));
}

static Str form_name(const Expr *x)
{
    return x->kind == EX_CALL ? x->call.callee.text : x->kind == EX_NAME ? x->name : STR("");
}

/* A size that a form may have, or 0. */
static uint32_t size_of(const Expr *n)
{
    bool fits = n->kind == EX_NUMBER && n->is_int && n->number >= 1 && n->number <= (double)REC_FORM_MAXSIZE;
    return fits ? (uint32_t)n->number : 0;
}

/* The size of `chunk(64)`; 0 when it is no number, or not one alone. */
static uint32_t said_size(const Expr *x)
{
    return x->call.narg == 1 && !x->call.arg[0].name.text.n ? size_of(x->call.arg[0].value) : 0;
}

static bool take_derivative(const Expr *x, RecForm *out)
{
    Str name = x->kind == EX_NAME ? x->name : STR("");
    out->derivative = str_is(name, "exact")      ? REC_DERIVATIVE_EXACT
                      : str_is(name, "block")    ? REC_DERIVATIVE_BLOCK
                      : str_is(name, "diagonal") ? REC_DERIVATIVE_DIAGONAL
                                                 : REC_DERIVATIVE_AUTO;
    return out->derivative != REC_DERIVATIVE_AUTO;
}

/* `max_iterations = 8`, `pieces = 16`, `tolerance = 1e-6`, `fallback = false`, `clamp = false`, `derivative = diagonal`, `damping = 0.5` */
static bool take_limit(const Arg *x, RecForm *out)
{
    const Expr *n = x->value;
    if (str_is(x->name.text, "derivative"))
        return take_derivative(n, out);
    if (str_is(x->name.text, "damping") && n->kind == EX_NUMBER && n->number >= 0 && n->number < 1)
        return out->damping = n->number, true;
    if (str_is(x->name.text, "pieces"))
        return (out->pieces = size_of(n)) > 0;
    if (str_is(x->name.text, "max_iterations"))
        return (out->rounds = size_of(n)) > 0;
    if (str_is(x->name.text, "tolerance") && n->kind == EX_NUMBER && n->number > 0 && n->number < 1)
        return out->tolerance = n->number, true;
    if (n->kind != EX_BOOL)
        return false;
    if (str_is(x->name.text, "fallback"))
        return out->no_fallback = n->number == 0, true;
    if (str_is(x->name.text, "clamp"))
        return out->no_clamp = n->number == 0, true;
    return false;
}

/* `newton(64, tolerance = 1e-6)`: the size first, if it is said, then limits by name. */
static bool take_limits(const Expr *x, RecForm *out)
{
    uint32_t from = x->call.narg && !x->call.arg[0].name.text.n;
    if (from && !(out->size = size_of(x->call.arg[0].value)))
        return false;
    for (uint32_t i = from; i < x->call.narg; i++)
        if (!take_limit(&x->call.arg[i], out))
            return false;
    return !out->pieces || out->size % out->pieces == 0;
}

static bool take_size(const Expr *x, const RecFormName *f, RecForm *out)
{
    *out = f->form;
    if (x->kind == EX_NAME)
        return !f->sized || out->size > 0;
    if (out->kind == REC_FORM_NEWTON)
        return take_limits(x, out);
    out->size = f->sized ? said_size(x) : 0;
    return out->size > 0;
}

static const char *newton_limits(const Expr *x)
{
    bool newton = str_is(form_name(x), "newton");
    return newton ? "; behind it max_iterations = 1 to 4096, pieces = a divisor of N, tolerance and damping = a number below 1, fallback and clamp = true or false, derivative = exact, block or diagonal" : "";
}

static void no_such_form(const Reader *r, const Expr *x)
{
    VEC(Str) all = {0};
    for (uint32_t i = 0; rec_form_name(i); i++)
        vec_push(r->arena, &all, str_of(rec_form_name(i)->text));
    Str near = nearest(form_name(x), all.p, all.n);
    Diag *d = report(r, E_SCHEDULE, x->at,
                     str_fmt(r->arena, "a form is %.*s, with N from 1 to %d%s", STRF(rec_form_list(r->arena, "(N)")),
                             (int)REC_FORM_MAXSIZE, newton_limits(x)));
    if (near.n && !rec_form_find(form_name(x)))
        diag_help(d, str_fmt(r->arena, "did you mean `%.*s`?", STRF(near)));
}

static const Arg *argument_before(const Expr *x, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++)
        if (str_eq(x->call.arg[k].name.text, x->call.arg[i].name.text))
            return &x->call.arg[k];
    return NULL;
}

/* Reports a limit that is given two values. */
static bool says_twice(const Reader *r, const Expr *x)
{
    for (uint32_t i = 0; x->kind == EX_CALL && i < x->call.narg; i++) {
        Ident name = x->call.arg[i].name;
        const Arg *before = name.text.n ? argument_before(x, i) : NULL;
        if (before) {
            diag_also(report(r, E_SCHEDULE, name.at, str_fmt(r->arena, "`%.*s` is given twice", STRF(name.text))), before->name.at, STR("first here"));
            return true;
        }
    }
    return false;
}

static bool take_forward(const Reader *r, const ScheduleItem *it, RecForm *out)
{
    const Expr *x = it->form;
    const RecFormName *f = rec_form_find(form_name(x));
    if (it->stage.text.n)
        report(r, E_UNSUPPORTED, it->stage.at, STR("a form for one state alone is not supported yet"));
    else if (f && says_twice(r, x))
        return false;
    else if (f && take_size(x, f, out))
        return true;
    else
        no_such_form(r, x);
    return false;
}

/* `store(every = 64)` */
static uint32_t said_store(const ScheduleItem *it)
{
    const Expr *x = it->form;
    bool store = x->kind == EX_CALL && str_is(x->call.callee.text, "store") && x->call.narg == 1 && !it->stage.text.n;
    return store && str_is(x->call.arg[0].name.text, "every") ? size_of(x->call.arg[0].value) : 0;
}

/* Whether nothing was said at `first`. */
static bool is_first(const Reader *r, const ScheduleItem *it, Span first)
{
    if (first.file)
        diag_also(report(r, E_SCHEDULE, it->form->at, STR("a second form")), first, STR("the first one"));
    return !first.file;
}

static void take_backward(const Reader *r, const ScheduleItem *it, EntryForm *out)
{
    uint32_t store = said_store(it);
    if (!store)
        report(r, E_SCHEDULE, it->form->at,
               str_fmt(r->arena, "the form of `backward` is store(every = N), with N from 1 to %d",
                       (int)REC_FORM_MAXSIZE));
    else if (is_first(r, it, out->store_at)) {
        out->form.store = store;
        out->store_at = it->form->at;
    }
}

static void take_item(const Reader *r, const ScheduleItem *it, EntryForm *out)
{
    RecForm form;
    if (str_is(it->key.text, "backward"))
        take_backward(r, it, out);
    else if (!str_is(it->key.text, "forward"))
        report(r, E_SCHEDULE, it->key.at,
               str_fmt(r->arena, "a schedule has `forward` and `backward`, not `%.*s`", STRF(it->key.text)));
    else if (take_forward(r, it, &form) && is_first(r, it, out->at)) {
        form.store = out->form.store;
        out->form = form;
        out->at = it->form->at;
    }
}

/* `tagger.fwd` is an instance in a model. */
static void no_such_entry(const Reader *r, const Schedule *s)
{
    Str name = s->name.text;
    uint32_t entry;
    const char *dot = memchr(name.p, '.', name.n);
    if (dot && unit_find_entry(r->unit, (Str){name.p, (uint32_t)(dot - name.p)}, &entry))
        report(r, E_UNSUPPORTED, s->name.at, STR("a form for one instance of a cell is not supported yet"));
    else
        report(r, E_SCHEDULE, s->name.at, str_fmt(r->arena, "this file has no cell or model `%.*s`", STRF(name)));
}

EntryForm *unit_schedules(Arena *a, const Unit *u, Diags *diags)
{
    const Ast *ast = unit_ast(u);
    Reader r = {a, u, diags};
    EntryForm *form = NEWN(a, EntryForm, unit_entries(u) + 1);
    for (uint32_t i = 0; i < ast->nschedule; i++) {
        const Schedule *s = ast->schedule[i];
        EntryForm ignored = {0};
        uint32_t entry;
        bool known = unit_find_entry(u, s->name.text, &entry);
        if (!known && !unit_lost(u, s->name.text))
            no_such_entry(&r, s);
        for (uint32_t k = 0; k < s->n; k++)
            take_item(&r, &s->item[k], known ? &form[entry] : &ignored);
    }
    return form;
}
