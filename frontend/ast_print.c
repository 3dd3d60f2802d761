/* Every node is (what parts...): statements one a line, expressions in the line of their statement. */
#include "frontend/ast_print.h"

#include <stdlib.h>

const char *unary_text(UnaryOp op)
{
    return op == UN_NEG ? "-" : "not";
}

const char *binary_text(BinaryOp op)
{
    switch (op) {
    case BIN_ADD: return "+";
    case BIN_SUB: return "-";
    case BIN_MUL: return "*";
    case BIN_DIV: return "/";
    case BIN_POW: return "^";
    case BIN_MATMUL: return "@";
    case BIN_LT: return "<";
    case BIN_LE: return "<=";
    case BIN_GT: return ">";
    case BIN_GE: return ">=";
    case BIN_EQ: return "==";
    case BIN_NE: return "!=";
    case BIN_AND: return "and";
    case BIN_OR: return "or";
    }
    ice("binary operator %d", (int)op);
}

static void put(Text *out, Str s)
{
    text_put(out, s.p, s.n);
}

/* ---- expressions ---- */

static void expr(Text *out, const Expr *e)
{
    ast_print_expr(out, e);
}

/* " e", or nothing */
static void part(Text *out, const Expr *e)
{
    if (!e)
        return;
    text_put(out, " ", 1);
    expr(out, e);
}

/* One that may be missing, as in `lo:`. */
static void maybe(Text *out, const Expr *e)
{
    if (e)
        expr(out, e);
    else
        text_add(out, "_");
}

/* A real reads back as a real, and as the same one. */
static void number(Text *out, const Expr *e)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%.15g", e->number);
    if (strtod(digits, NULL) != e->number)
        snprintf(digits, sizeof digits, "%.17g", e->number);
    bool dotted = e->is_int || e->imaginary || strpbrk(digits, ".e");
    text_add(out, "%s%s%s", digits, dotted ? "" : ".0", e->imaginary ? "i" : "");
}

static void subscript(Text *out, const Subscript *s)
{
    if (!s->slice) {
        part(out, s->lo);
        return;
    }
    text_add(out, " (: ");
    maybe(out, s->lo);
    text_add(out, " ");
    maybe(out, s->hi);
    text_add(out, ")");
}

static void index_of(Text *out, const Expr *e)
{
    text_add(out, "(index");
    part(out, e->index.base);
    for (uint32_t i = 0; i < e->index.nsub; i++)
        subscript(out, &e->index.sub[i]);
    if (e->index.otherwise) {
        text_add(out, " (else");
        part(out, e->index.otherwise);
        text_add(out, ")");
    }
    text_add(out, ")");
}

static void args(Text *out, const Arg *arg, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        bool named = arg[i].name.text.n;
        text_add(out, named ? " (= %.*s" : "%.*s", STRF(arg[i].name.text));
        part(out, arg[i].value);
        text_add(out, named ? ")" : "");
    }
}

static void binders(Text *out, const Binder *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        text_add(out, b[i].range ? "%s(in %.*s" : "%s%.*s", i ? " " : "", STRF(b[i].name.text));
        part(out, b[i].range);
        text_add(out, b[i].range ? ")" : "");
    }
}

static void reduce(Text *out, const Expr *e)
{
    text_add(out, "(reduce %.*s (", STRF(e->reduce.callee.text));
    binders(out, e->reduce.bind, e->reduce.nbind);
    text_add(out, ")");
    part(out, e->reduce.body);
    text_add(out, ")");
}

static void list(Text *out, const Expr *e)
{
    text_add(out, "(list");
    for (uint32_t i = 0; i < e->list.n; i++)
        part(out, e->list.item[i]);
    text_add(out, ")");
}

/* (head a b) */
static void node(Text *out, const char *head, const Expr *a, const Expr *b)
{
    text_add(out, "(%s", head);
    part(out, a);
    part(out, b);
    text_add(out, ")");
}

void ast_print_expr(Text *out, const Expr *e)
{
    switch (e->kind) {
    case EX_NUMBER: number(out, e); break;
    case EX_NAME: put(out, e->name); break;
    case EX_TEXT: text_add(out, "\"%.*s\"", STRF(e->name)); break;
    case EX_BOOL: text_add(out, e->number != 0 ? "true" : "false"); break;
    case EX_UNARY: node(out, unary_text(e->un.op), e->un.a, NULL); break;
    case EX_BINARY: node(out, binary_text(e->bin.op), e->bin.a, e->bin.b); break;
    case EX_INDEX: index_of(out, e); break;
    case EX_FIELD:
        text_add(out, "(field");
        part(out, e->field.base);
        text_add(out, " %.*s)", STRF(e->field.name.text));
        break;
    case EX_CALL:
        text_add(out, "(call %.*s", STRF(e->call.callee.text));
        args(out, e->call.arg, e->call.narg);
        text_add(out, ")");
        break;
    case EX_REDUCE: reduce(out, e); break;
    case EX_LIST: list(out, e); break;
    case EX_GROUP:
        text_add(out, "(group");
        args(out, e->group.item, e->group.n);
        text_add(out, ")");
        break;
    case EX_ERROR: text_add(out, "(error)"); break;
    }
}

/* ---- lines ---- */

static void begin_line(Text *out, int depth)
{
    text_add(out, "\n%*s", 2 * depth, "");
}

static void exprs(Text *out, Expr *const *e, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        text_add(out, i ? ", " : "");
        expr(out, e[i]);
    }
}

/* [e, e], or nothing */
static void dims(Text *out, Expr *const *e, uint32_t n)
{
    if (!n)
        return;
    text_add(out, "[");
    exprs(out, e, n);
    text_add(out, "]");
}

static void names(Text *out, const Ident *name, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        text_add(out, "%s%.*s", i ? " " : "", STRF(name[i].text));
}

/* (head e), or nothing */
static void option(Text *out, const char *head, const Expr *e)
{
    if (!e)
        return;
    text_add(out, " ");
    node(out, head, e, NULL);
}

/* (doc "line" "line"), with the text as it stands */
static void doc(Text *out, Str s, int depth)
{
    if (!s.n)
        return;
    begin_line(out, depth);
    text_add(out, "(doc \"");
    put(out, s);
    text_add(out, "\")");
}

static void decl(Text *out, const Decl *d, const char *what, int depth)
{
    begin_line(out, depth);
    text_add(out, "(%s %s%s%.*s", what, d->is_const ? "const " : "", d->is_noise ? "noise " : "", STRF(d->name.text));
    if (d->nplace) {
        text_add(out, " (place ");
        names(out, d->place, d->nplace);
        text_add(out, ")");
    }
    text_add(out, " %.*s", STRF(d->type.name.text));
    dims(out, d->type.dim, d->type.ndim);
    option(out, "=", d->init);
    option(out, "~", d->distribution);
    text_add(out, d->frozen ? " frozen" : "");
    doc(out, d->doc, depth + 1);
    text_add(out, ")");
}

static void decls(Text *out, const Decl *d, uint32_t n, const char *what, int depth)
{
    for (uint32_t i = 0; i < n; i++)
        decl(out, &d[i], what, depth);
}

static void dim_decls(Text *out, const DimDecl *d, uint32_t n)
{
    if (!n)
        return;
    text_add(out, " (dims");
    for (uint32_t i = 0; i < n; i++) {
        text_add(out, d[i].value ? " (= %.*s" : " %.*s", STRF(d[i].name.text));
        part(out, d[i].value);
        text_add(out, d[i].value ? ")" : "");
    }
    text_add(out, ")");
}

static void stmts(Text *out, Stmt *const *s, uint32_t n, int depth);

static void fn(Text *out, const Fn *f, int depth)
{
    begin_line(out, depth);
    text_add(out, "(%sfn %.*s", f->associative ? "associative " : "", STRF(f->name.text));
    dim_decls(out, f->dim, f->ndim);
    doc(out, f->doc, depth + 1);
    decls(out, f->arg, f->narg, "arg", depth + 1);
    option(out, "=", f->value);
    if (f->nresult) {
        begin_line(out, depth + 1);
        text_add(out, "(results ");
        names(out, f->result, f->nresult);
        text_add(out, ")");
    }
    stmts(out, f->body, f->nbody, depth + 1);
    for (uint32_t i = 0; i < f->nderivative; i++) {
        begin_line(out, depth + 1);
        text_add(out, "(derivative %.*s", STRF(f->derivative[i].name.text));
        part(out, f->derivative[i].value);
        text_add(out, ")");
    }
    text_add(out, ")");
}

static void let(Text *out, const Stmt *s, const char *what, int depth)
{
    begin_line(out, depth);
    text_add(out, "(%s (", what);
    for (uint32_t i = 0; i < s->let.n; i++) {
        const Target *t = &s->let.target[i];
        text_add(out, "%s%.*s", i ? " " : "", STRF(t->name.text));
        text_add(out, t->nindex ? "[" : "");
        binders(out, t->index, t->nindex);
        text_add(out, t->nindex ? "]" : "");
    }
    text_add(out, ")");
    part(out, s->let.value);
    text_add(out, ")");
}

static void use(Text *out, const Use *u, int depth)
{
    begin_line(out, depth);
    text_add(out, "(use %.*s", STRF(u->name.text));
    option(out, "count", u->count);
    text_add(out, " %.*s", STRF(u->cell.text));
    dims(out, u->dim, u->ndim);
    text_add(out, ")");
}

static void loop(Text *out, const Stmt *s, int depth)
{
    begin_line(out, depth);
    text_add(out, "(for %.*s", STRF(s->loop.var.text));
    part(out, s->loop.count);
    option(out, "until", s->loop.until);
    stmts(out, s->loop.body, s->loop.n, depth + 1);
    text_add(out, ")");
}

static void stmt(Text *out, const Stmt *s, int depth)
{
    switch (s->kind) {
    case ST_PARAM: decls(out, s->decls.decl, s->decls.n, "param", depth); break;
    case ST_STATE: decls(out, s->decls.decl, s->decls.n, "state", depth); break;
    case ST_LET: let(out, s, "let", depth); break;
    case ST_EQUATION: let(out, s, "equation", depth); break;
    case ST_USE:
        for (uint32_t i = 0; i < s->uses.n; i++)
            use(out, &s->uses.use[i], depth);
        break;
    case ST_FOR: loop(out, s, depth); break;
    case ST_FN: fn(out, s->fn, depth); break;
    }
}

static void stmts(Text *out, Stmt *const *s, uint32_t n, int depth)
{
    for (uint32_t i = 0; i < n; i++)
        stmt(out, s[i], depth);
}

/* ---- declarations ---- */

static void domain(Text *out, const Cell *c)
{
    static const char *const kind[] = {[DOMAIN_LINE] = "line", [DOMAIN_GRID] = "grid", [DOMAIN_GRAPH] = "graph"};
    text_add(out, " (over %s ", kind[c->domain]);
    names(out, c->index, c->nindex);
    if (c->has_edges)
        text_add(out, " (edges %.*s %.*s)", STRF(c->edge_in.text), STRF(c->edge_out.text));
    text_add(out, ")");
}

static void cell(Text *out, const Cell *c)
{
    text_add(out, "\n(cell %.*s", STRF(c->name.text));
    dim_decls(out, c->dim, c->ndim);
    domain(out, c);
    doc(out, c->doc, 1);
    decls(out, c->input, c->ninput, "input", 1);
    begin_line(out, 1);
    text_add(out, "(outputs ");
    names(out, c->output, c->noutput);
    text_add(out, ")");
    stmts(out, c->body, c->nbody, 1);
    text_add(out, ")");
}

static void model(Text *out, const Model *m)
{
    text_add(out, "\n(model %.*s", STRF(m->name.text));
    dim_decls(out, m->dim, m->ndim);
    doc(out, m->doc, 1);
    decls(out, m->input, m->ninput, "input", 1);
    decls(out, m->output, m->noutput, "output", 1);
    stmts(out, m->body, m->nbody, 1);
    text_add(out, ")");
}

static void schedule(Text *out, const Schedule *s)
{
    text_add(out, "\n(schedule %.*s", STRF(s->name.text));
    for (uint32_t i = 0; i < s->n; i++) {
        const ScheduleItem *it = &s->item[i];
        begin_line(out, 1);
        text_add(out, it->stage.text.n ? "(%.*s (stage %.*s)" : "(%.*s%.*s", STRF(it->key.text), STRF(it->stage.text));
        part(out, it->form);
        text_add(out, ")");
    }
    text_add(out, ")");
}

static void test(Text *out, const Test *t)
{
    text_add(out, "\n(test %.*s", STRF(t->name.text));
    for (uint32_t i = 0; i < t->n; i++) {
        const TestItem *it = &t->item[i];
        begin_line(out, 1);
        text_add(out, it->name.text.n ? "(%.*s %.*s" : "(%.*s%.*s", STRF(it->key.text), STRF(it->name.text));
        if (!it->value)
            text_add(out, " \"%.*s\"", STRF(it->text));
        part(out, it->value);
        text_add(out, ")");
    }
    text_add(out, ")");
}

static void import(Text *out, const Import *im)
{
    text_add(out, im->as.text.n ? "\n(import \"%.*s\" %.*s)" : "\n(import \"%.*s\"%.*s)", STRF(im->path),
             STRF(im->as.text));
}

void ast_print(Text *out, const Ast *ast)
{
    text_add(out, "(file");
    for (uint32_t i = 0; i < ast->nimport; i++)
        import(out, &ast->import[i]);
    for (uint32_t i = 0; i < ast->nfn; i++)
        fn(out, ast->fn[i], 0);
    for (uint32_t i = 0; i < ast->ncell; i++)
        cell(out, ast->cell[i]);
    for (uint32_t i = 0; i < ast->nmodel; i++)
        model(out, ast->model[i]);
    for (uint32_t i = 0; i < ast->nschedule; i++)
        schedule(out, ast->schedule[i]);
    for (uint32_t i = 0; i < ast->ntest; i++)
        test(out, ast->test[i]);
    text_add(out, ")\n");
}
