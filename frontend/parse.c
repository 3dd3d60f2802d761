/* Files and their declarations: imports, cells, models, schedules, tests. */
#include "frontend/parse.h"
#include "frontend/parser.h"

/* The lists of an Ast while they grow. */
typedef struct FileLists {
    VEC(Import) import;
    VEC(Cell *) cell;
    VEC(Model *) model;
    VEC(Fn *) fn;
    VEC(Schedule *) schedule;
    VEC(Test *) test;
    VEC(Ident) lost;
    bool *broken; /* of the declaration that an error here belongs to, or NULL */
} FileLists;

/* ---- strings and imports ---- */

static Str string(Parser *p, const char *what)
{
    Str s = parser_str(p);
    if (!parser_accept(p, TOK_STRING)) {
        parser_syntax(p, what);
        return (Str){0};
    }
    return (Str){s.p + 1, s.n - 2};
}

/* 'import' string ['as' name] */
static void import(Parser *p, FileLists *out)
{
    Import im = {.at = parser_here(p)};
    parser_expect(p, TOK_IMPORT);
    im.path = string(p, "a file name in double quotes");
    if (parser_accept_word(p, "as"))
        im.as = parser_name(p, "a name");
    im.at = parser_since(p, im.at);
    if (!p->failed)
        vec_push(p->arena, &out->import, im);
}

/* ---- cells ---- */

/* 'edges' name '->' name '->' name; the one between is the node's, again */
static void edges(Parser *p, Cell *c)
{
    parser_expect_word(p, "edges");
    c->has_edges = true;
    c->edge_in = parser_name(p, "the name of an edge");
    parser_expect(p, TOK_ARROW);
    if (!c->nindex || !parser_accept_word(p, str_c(p->arena, c->index[0].text)))
        parser_syntax(p, "the name of the node");
    parser_expect(p, TOK_ARROW);
    c->edge_out = parser_name(p, "the name of an edge");
}

/* name | name 'in' 'dag' [',' edges] | '(' name (',' name)* ')' */
static void domain(Parser *p, Cell *c)
{
    Span opened = parser_here(p);
    if (parser_accept(p, TOK_LPAREN)) {
        c->domain = DOMAIN_GRID;
        parse_names(p, &c->index, &c->nindex, "an index");
        parser_close(p, TOK_RPAREN, opened);
        return;
    }
    c->domain = DOMAIN_LINE;
    c->index = NEW(p->arena, Ident);
    c->index[0] = parser_name(p, "an index");
    c->nindex = 1;
    if (!parser_accept(p, TOK_IN))
        return;
    c->domain = DOMAIN_GRAPH;
    parser_expect_word(p, "dag");
    if (parser_accept(p, TOK_COMMA))
        edges(p, c);
}

/* 'cell' name dims 'over' domain inputs '->' names block */
static void cell(Parser *p, FileLists *out)
{
    Cell *c = NEW(p->arena, Cell);
    Span begin = parser_here(p);
    c->doc = parser_doc(p);
    parser_expect(p, TOK_CELL);
    c->name = parser_name(p, "the name of the cell");
    parse_dim_decls(p, &c->dim, &c->ndim);
    parser_expect_word(p, "over");
    domain(p, c);
    parse_inputs(p, &c->input, &c->ninput);
    parser_expect(p, TOK_ARROW);
    parse_names(p, &c->output, &c->noutput, "the name of an output");
    parse_block(p, &c->body, &c->nbody);
    c->at = parser_since(p, begin);
    if (p->failed)
        return;
    vec_push(p->arena, &out->cell, c);
    out->broken = &c->broken;
}

/* 'model' name dims inputs '->' decls block */
static void model(Parser *p, FileLists *out)
{
    Model *m = NEW(p->arena, Model);
    Span begin = parser_here(p);
    m->doc = parser_doc(p);
    parser_expect(p, TOK_MODEL);
    m->name = parser_name(p, "the name of the model");
    parse_dim_decls(p, &m->dim, &m->ndim);
    parse_inputs(p, &m->input, &m->ninput);
    parser_expect(p, TOK_ARROW);
    parse_decls(p, &m->output, &m->noutput, "the name of an output");
    parse_block(p, &m->body, &m->nbody);
    m->at = parser_since(p, begin);
    if (p->failed)
        return;
    vec_push(p->arena, &out->model, m);
    out->broken = &m->broken;
}

static void function(Parser *p, FileLists *out)
{
    Fn *fn = parse_fn(p);
    if (!fn)
        return;
    vec_push(p->arena, &out->fn, fn);
    out->broken = &fn->broken;
}

/* ---- schedules and tests: items between braces ---- */

static bool block_goes_on(const Parser *p)
{
    return !parser_at(p, TOK_RBRACE) && !parser_at(p, TOK_END) && !parser_at_declaration(p);
}

/* '{' (item end)* '}', each item by a function that adds it to `out` */
static void items(Parser *p, void (*item)(Parser *p, void *out), void *out)
{
    Span opened = parser_here(p);
    if (!parser_expect(p, TOK_LBRACE))
        return;
    while (block_goes_on(p)) {
        if (parser_accept(p, TOK_SEMICOLON) || parser_accept(p, TOK_NEWLINE))
            continue;
        item(p, out);
        if (!parser_end_statement(p))
            parser_skip_statement(p);
    }
    parser_close(p, TOK_RBRACE, opened);
}

typedef VEC(ScheduleItem) ScheduleItems;

/* key [stage ':'] form (',' [stage ':'] form)*: one item for each form */
static void schedule_item(Parser *p, void *out)
{
    ScheduleItem it = {.key = parser_name(p, "`forward` or `backward`")};
    do {
        it.stage = (Ident){0};
        if (parser_at(p, TOK_NAME) && parser_ahead(p, 1) == TOK_COLON) {
            it.stage = parser_name(p, "a state");
            parser_expect(p, TOK_COLON);
        }
        it.form = parse_expr(p);
        if (!p->failed)
            vec_push(p->arena, (ScheduleItems *)out, it);
    } while (parser_accept(p, TOK_COMMA));
}

/* 'schedule' dotted_name '{' schedule_item* '}' */
static void schedule(Parser *p, FileLists *out)
{
    Schedule *s = NEW(p->arena, Schedule);
    ScheduleItems list = {0};
    Span begin = parser_here(p);
    parser_expect(p, TOK_SCHEDULE);
    s->name = parse_dotted_name(p, "the name of a cell");
    items(p, schedule_item, &list);
    PARSED(list, s->item, s->n);
    s->at = parser_since(p, begin);
    if (!p->failed)
        vec_push(p->arena, &out->schedule, s);
}

typedef VEC(TestItem) TestItems;

/* key (string | name '=' expr | expr) (',' ...)*: one item for each */
static void test_item(Parser *p, void *out)
{
    TestItem it = {.key = parser_name(p, "`data`, `tolerance` or `bind`")};
    do {
        it = (TestItem){.key = it.key};
        if (parser_at(p, TOK_STRING)) {
            it.text = string(p, "a string");
        } else {
            if (parser_at(p, TOK_NAME) && parser_ahead(p, 1) == TOK_ASSIGN) {
                it.name = parser_name(p, "a dimension");
                parser_expect(p, TOK_ASSIGN);
            }
            it.value = parse_expr(p);
        }
        if (!p->failed)
            vec_push(p->arena, (TestItems *)out, it);
    } while (parser_accept(p, TOK_COMMA));
}

/* 'test' dotted_name '{' test_item* '}' */
static void test(Parser *p, FileLists *out)
{
    Test *t = NEW(p->arena, Test);
    TestItems list = {0};
    Span begin = parser_here(p);
    parser_expect(p, TOK_TEST);
    t->name = parse_dotted_name(p, "the name of a cell");
    items(p, test_item, &list);
    PARSED(list, t->item, t->n);
    t->at = parser_since(p, begin);
    if (!p->failed)
        vec_push(p->arena, &out->test, t);
}

/* ---- files ---- */

static const TokenKind decl_word[] = {TOK_IMPORT, TOK_CELL, TOK_MODEL, TOK_FN, TOK_SCHEDULE, TOK_TEST};
enum { NDECL_WORDS = sizeof decl_word / sizeof *decl_word };

static void no_declaration(Parser *p)
{
    Str known[NDECL_WORDS + 1] = {[NDECL_WORDS] = STR("associative")}, first = parser_str(p);
    for (int i = 0; i < NDECL_WORDS; i++)
        known[i] = str_of(token_text(decl_word[i]));
    Str near = nearest(first, known, NDECL_WORDS + 1);
    Diag *d = parser_syntax(p, "`cell`, `model`, `fn`, `import`, `schedule` or `test`");
    if (d && near.n)
        diag_help(d, str_fmt(p->arena, "did you mean `%.*s`?", STRF(near)));
}

/* Whether the lexer could not read something since that token. */
static bool has_unread(const Parser *p, uint32_t begin)
{
    uint32_t from = p->tokens.list.p[begin].begin, to = parser_here(p).begin;
    for (uint32_t i = 0; i < p->nunread; i++) {
        uint32_t at = p->diags->list.p[p->unread + i].at.begin;
        if (at >= from && at < to)
            return true;
    }
    return false;
}

static void declaration(Parser *p, FileLists *out)
{
    switch (parser_kind(p)) {
    case TOK_IMPORT: import(p, out); break;
    case TOK_CELL: cell(p, out); break;
    case TOK_MODEL: model(p, out); break;
    case TOK_FN: function(p, out); break;
    case TOK_SCHEDULE: schedule(p, out); break;
    case TOK_TEST: test(p, out); break;
    default:
        if (parse_at_associative(p))
            function(p, out);
        else
            no_declaration(p);
        break;
    }
}

static bool begins_declaration(TokenKind k)
{
    for (int i = 0; i < NDECL_WORDS; i++)
        if (decl_word[i] == k)
            return true;
    return false;
}

/* What was begun there has no tree. Its name is the second word; without a name it may be the rest of something, or all there is. */
static void lose(Parser *p, FileLists *out, uint32_t begin)
{
    const Token *first = &p->tokens.list.p[begin], *second = first->kind == TOK_END ? first : first + 1;
    Ident name = {.at = {p->tokens.file, second->begin, second->end}};
    if (second->kind == TOK_NAME)
        name.text = token_str(p->src, p->tokens.file, second);
    if (name.text.n || begins_declaration(first->kind))
        vec_push(p->arena, &out->lost, name);
}

/* After a bad header the body is parsed for its own errors, and dropped. */
static void declaration_or_skip(Parser *p, FileLists *out)
{
    Stmt **dropped;
    uint32_t begin = p->pos, ndropped, before = p->diags->nerrors;
    TokenKind first = parser_kind(p);
    bool has_body = first == TOK_CELL || first == TOK_MODEL || first == TOK_FN || first == TOK_NAME;
    if (begins_declaration(first))
        out->broken = NULL; /* else this may be the rest of the one before, behind a bracket too many */
    declaration(p, out);
    if (p->failed && first != TOK_SCHEDULE && first != TOK_TEST)
        lose(p, out, begin);
    if (p->failed && p->pos == begin)
        p->pos++;
    if (p->failed && has_body && parser_skip_to_block(p))
        parse_block(p, &dropped, &ndropped);
    if (!parser_end_statement(p))
        parser_skip_declaration(p);
    if (out->broken && (p->diags->nerrors > before || has_unread(p, begin)))
        *out->broken = true;
}

static Ast *finish(Parser *p, const FileLists *in)
{
    Ast *ast = NEW(p->arena, Ast);
    ast->file = p->tokens.file;
    PARSED(in->import, ast->import, ast->nimport);
    PARSED(in->cell, ast->cell, ast->ncell);
    PARSED(in->model, ast->model, ast->nmodel);
    PARSED(in->fn, ast->fn, ast->nfn);
    PARSED(in->schedule, ast->schedule, ast->nschedule);
    PARSED(in->test, ast->test, ast->ntest);
    PARSED(in->lost, ast->lost, ast->nlost);
    return ast;
}

Ast *parse_file(Arena *a, const Sources *src, uint32_t file, Diags *ds)
{
    Parser p = {.arena = a, .src = src, .diags = ds, .unread = ds->list.n};
    p.tokens = lex_file(a, src, file, ds);
    p.nunread = ds->list.n - p.unread;
    FileLists lists = {0};
    while (!parser_at(&p, TOK_END))
        if (!parser_accept(&p, TOK_NEWLINE) && !parser_accept(&p, TOK_SEMICOLON))
            declaration_or_skip(&p, &lists);
    return finish(&p, &lists);
}
