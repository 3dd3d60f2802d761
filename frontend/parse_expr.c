/* Expressions, one function per level of precedence, loosest first:
 *   or   and   not   < <= > >= == !=   + -   * /   @   unary -   ^ (to the right)   brackets, fields, calls */
#include "frontend/parser.h"

#include <math.h>
#include <stdlib.h>

/* The largest whole number that a double holds exactly, with all below it. */
static const double largest_int = 9007199254740992.0;

static Expr *new_expr(Parser *p, ExprKind kind, Span at)
{
    Expr *e = NEW(p->arena, Expr);
    e->kind = kind;
    e->height = 1;
    e->at = at;
    return e;
}

/* Makes e higher than its part. */
static void grow(Parser *p, Expr *e, const Expr *part)
{
    if (!part || part->height < e->height)
        return;
    e->height = part->height + 1;
    if (e->height <= EXPR_MAXHEIGHT || p->failed)
        return;
    diag(p->diags, E_NESTING, e->at, (int)EXPR_MAXHEIGHT);
    p->failed = true;
}

/* ---- binary operators ---- */

static Expr *binary(Parser *p, BinaryOp op, Expr *a, Span op_at, Expr *b)
{
    Expr *e = new_expr(p, EX_BINARY, span_join(a->at, b->at));
    e->bin.op = op;
    e->bin.op_at = op_at;
    e->bin.a = a;
    e->bin.b = b;
    grow(p, e, a);
    grow(p, e, b);
    return e;
}

typedef struct OpRow {
    TokenKind token;
    BinaryOp op;
} OpRow;

static const OpRow op_or[] = {{TOK_OR, BIN_OR}, {TOK_END, BIN_OR}};
static const OpRow op_and[] = {{TOK_AND, BIN_AND}, {TOK_END, BIN_AND}};
static const OpRow op_compare[] = {
    {TOK_LESS, BIN_LT},  {TOK_LESS_EQUAL, BIN_LE}, {TOK_GREATER, BIN_GT}, {TOK_GREATER_EQUAL, BIN_GE},
    {TOK_EQUAL, BIN_EQ}, {TOK_NOT_EQUAL, BIN_NE},  {TOK_END, BIN_EQ}};
static const OpRow op_sum[] = {{TOK_PLUS, BIN_ADD}, {TOK_MINUS, BIN_SUB}, {TOK_END, BIN_ADD}};
static const OpRow op_product[] = {{TOK_STAR, BIN_MUL}, {TOK_SLASH, BIN_DIV}, {TOK_END, BIN_MUL}};
static const OpRow op_matmul[] = {{TOK_AT, BIN_MATMUL}, {TOK_END, BIN_MATMUL}};

/* Takes one of the operators of a level, which END closes. */
static bool accept_op(Parser *p, const OpRow *row, BinaryOp *op, Span *at)
{
    *at = parser_here(p);
    for (; row->token != TOK_END; row++)
        if (parser_accept(p, row->token)) {
            *op = row->op;
            return true;
        }
    return false;
}

/* part (op part)*, to the left */
static Expr *left_level(Parser *p, const OpRow *row, Expr *(*part)(Parser *))
{
    Expr *e = part(p);
    BinaryOp op;
    Span at;
    while (accept_op(p, row, &op, &at))
        e = binary(p, op, e, at, part(p));
    return e;
}

/* A part that stands deeper: in brackets, or behind an operator that goes before it or binds to the right. */
static Expr *deeper(Parser *p, Expr *(*part)(Parser *))
{
    Expr *e = parser_enter(p, &p->exprs) ? part(p) : new_expr(p, EX_ERROR, parser_here(p));
    p->exprs--;
    return e;
}

static Expr *unary(Parser *p);
static Expr *postfix(Parser *p);

/* postfix ['^' unary] */
static Expr *power(Parser *p)
{
    Expr *a = postfix(p);
    Span at = parser_here(p);
    return parser_accept(p, TOK_CARET) ? binary(p, BIN_POW, a, at, deeper(p, unary)) : a;
}

static Expr *unary_node(Parser *p, UnaryOp op, Span begin, Expr *a)
{
    Expr *e = new_expr(p, EX_UNARY, span_join(begin, a->at));
    e->un.op = op;
    e->un.a = a;
    grow(p, e, a);
    return e;
}

/* '-' unary | power */
static Expr *unary(Parser *p)
{
    Span begin = parser_here(p);
    return parser_accept(p, TOK_MINUS) ? unary_node(p, UN_NEG, begin, deeper(p, unary)) : power(p);
}

static Expr *matmul(Parser *p)
{
    return left_level(p, op_matmul, unary);
}

static Expr *product(Parser *p)
{
    return left_level(p, op_product, matmul);
}

static Expr *sum(Parser *p)
{
    return left_level(p, op_sum, product);
}

/* sum [op sum] */
static Expr *comparison(Parser *p)
{
    Expr *e = sum(p);
    BinaryOp op;
    Span at;
    if (!accept_op(p, op_compare, &op, &at))
        return e;
    e = binary(p, op, e, at, sum(p));
    if (accept_op(p, op_compare, &op, &at)) {
        diag(p->diags, E_COMPARE_CHAIN, at);
        p->failed = true;
    }
    return e;
}

/* 'not' negation | comparison */
static Expr *negation(Parser *p)
{
    Span begin = parser_here(p);
    return parser_accept(p, TOK_NOT) ? unary_node(p, UN_NOT, begin, deeper(p, negation)) : comparison(p);
}

static Expr *conjunction(Parser *p)
{
    return left_level(p, op_and, negation);
}

static Expr *disjunction(Parser *p)
{
    return left_level(p, op_or, conjunction);
}

Expr *parse_expr(Parser *p)
{
    return deeper(p, disjunction);
}

/* ---- the smallest parts ---- */

Expr *parse_number(Parser *p)
{
    Expr *e = new_expr(p, EX_NUMBER, parser_here(p));
    Str s = parser_str(p);
    e->number = strtod(s.p, NULL);
    e->is_int = parser_at(p, TOK_INT);
    e->imaginary = parser_at(p, TOK_IMAGINARY);
    if (isinf(e->number) || (e->is_int && e->number > largest_int))
        diag(p->diags, E_NUMBER_RANGE, e->at, str_c(p->arena, s));
    parser_accept(p, parser_kind(p));
    return e;
}

static Expr *name(Parser *p)
{
    Expr *e = new_expr(p, EX_NAME, parser_here(p));
    e->name = parser_str(p);
    parser_accept(p, TOK_NAME);
    return e;
}

static Expr *text(Parser *p)
{
    Expr *e = new_expr(p, EX_TEXT, parser_here(p));
    Str s = parser_str(p);
    e->name = (Str){s.p + 1, s.n - 2};
    parser_accept(p, TOK_STRING);
    return e;
}

static Expr *boolean(Parser *p, bool value)
{
    Expr *e = new_expr(p, EX_BOOL, parser_here(p));
    e->number = value;
    parser_accept(p, parser_kind(p));
    return e;
}

/* What the lexer could not read has been reported; the expression around it can still be parsed. */
static Expr *unreadable(Parser *p)
{
    Expr *e = new_expr(p, EX_ERROR, parser_here(p));
    parser_accept(p, TOK_BAD);
    return e;
}

static Expr *no_expr(Parser *p)
{
    Expr *e = new_expr(p, EX_ERROR, parser_here(p));
    parser_syntax(p, "an expression");
    return e;
}

/* '[' expr (',' expr)* ']' */
static Expr *list(Parser *p)
{
    Span begin = parser_here(p);
    Expr *e = new_expr(p, EX_LIST, begin);
    VEC(Expr *) item = {0};
    parser_expect(p, TOK_LBRACKET);
    do {
        Expr *part = parse_expr(p);
        vec_push(p->arena, &item, part);
        grow(p, e, part);
    } while (parser_accept(p, TOK_COMMA));
    parser_close(p, TOK_RBRACKET, begin);
    PARSED(item, e->list.item, e->list.n);
    e->at = parser_since(p, begin);
    return e;
}

/* [name '='] expr */
static Arg argument(Parser *p)
{
    Arg arg = {0};
    if (parser_at(p, TOK_NAME) && parser_ahead(p, 1) == TOK_ASSIGN) {
        arg.name = parser_name(p, "a name");
        parser_expect(p, TOK_ASSIGN);
    }
    arg.value = parse_expr(p);
    return arg;
}

/* '(' expr ')' | '(' argument (',' argument)* ')' */
static Expr *group(Parser *p)
{
    Span begin = parser_here(p);
    VEC(Arg) item = {0};
    parser_expect(p, TOK_LPAREN);
    do
        vec_push(p->arena, &item, argument(p));
    while (parser_accept(p, TOK_COMMA));
    parser_close(p, TOK_RPAREN, begin);
    Expr *e = item.p[0].value;
    if (item.n > 1 || item.p[0].name.text.n) {
        e = new_expr(p, EX_GROUP, begin);
        PARSED(item, e->group.item, e->group.n);
        for (uint32_t i = 0; i < item.n; i++)
            grow(p, e, item.p[i].value);
    }
    e->at = parser_since(p, begin);
    return e;
}

static Expr *primary(Parser *p)
{
    switch (parser_kind(p)) {
    case TOK_INT:
    case TOK_REAL:
    case TOK_IMAGINARY: return parse_number(p);
    case TOK_NAME: return name(p);
    case TOK_STRING: return text(p);
    case TOK_TRUE: return boolean(p, true);
    case TOK_FALSE: return boolean(p, false);
    case TOK_LPAREN: return group(p);
    case TOK_LBRACKET: return list(p);
    case TOK_BAD: return unreadable(p);
    default: return no_expr(p);
    }
}

/* ---- brackets, fields, calls ---- */

/* expr | [expr] ':' [expr] */
static Subscript subscript(Parser *p)
{
    Subscript s = {.at = parser_here(p)};
    if (!parser_at(p, TOK_COLON))
        s.lo = parse_expr(p);
    s.slice = parser_accept(p, TOK_COLON);
    if (s.slice && !parser_at(p, TOK_COMMA) && !parser_at(p, TOK_RBRACKET) && !parser_at(p, TOK_ELSE))
        s.hi = parse_expr(p);
    s.at = parser_since(p, s.at);
    return s;
}

/* base '[' subscript (',' subscript)* ['else' expr] ']' */
static Expr *index_of(Parser *p, Expr *base)
{
    Span opened = parser_here(p);
    Expr *e = new_expr(p, EX_INDEX, base->at);
    VEC(Subscript) sub = {0};
    grow(p, e, base);
    parser_expect(p, TOK_LBRACKET);
    do {
        Subscript s = subscript(p);
        vec_push(p->arena, &sub, s);
        grow(p, e, s.lo);
        grow(p, e, s.hi);
    } while (parser_accept(p, TOK_COMMA));
    if (parser_accept(p, TOK_ELSE))
        e->index.otherwise = parse_expr(p);
    grow(p, e, e->index.otherwise);
    parser_close(p, TOK_RBRACKET, opened);
    e->index.base = base;
    PARSED(sub, e->index.sub, e->index.nsub);
    e->at = parser_since(p, base->at);
    return e;
}

/* base '.' name */
static Expr *field_of(Parser *p, Expr *base)
{
    Expr *e = new_expr(p, EX_FIELD, base->at);
    parser_expect(p, TOK_DOT);
    e->field.base = base;
    e->field.name = parser_name(p, "the name of a field");
    e->at = parser_since(p, base->at);
    grow(p, e, base);
    return e;
}

/* The name that is called: `f`, or `a.f` of a file imported as `a`. */
static Ident callee_of(Parser *p, const Expr *e)
{
    if (e->kind == EX_NAME)
        return (Ident){e->name, e->at};
    if (e->kind == EX_FIELD && e->field.base->kind == EX_NAME) {
        Str text = str_fmt(p->arena, "%.*s.%.*s", STRF(e->field.base->name), STRF(e->field.name.text));
        return (Ident){text, e->at};
    }
    parser_syntax(p, "an operator (only a name can be called)");
    return (Ident){.at = e->at};
}

/* Whether names follow, and then `in` or `:`, as in `sum(i, j in K: e)`. */
static bool at_binders(const Parser *p)
{
    for (uint32_t n = 0; parser_ahead(p, n) == TOK_NAME; n += 2) {
        TokenKind next = parser_ahead(p, n + 1);
        if (next == TOK_IN || next == TOK_COLON)
            return true;
        if (next != TOK_COMMA)
            return false;
    }
    return false;
}

/* name ['in' expr] */
Binder parse_binder(Parser *p)
{
    Binder b = {.name = parser_name(p, "an index")};
    if (parser_accept(p, TOK_IN))
        b.range = parse_expr(p);
    return b;
}

/* callee '(' binder (',' binder)* ':' expr ')', behind the bracket */
static Expr *reduction(Parser *p, Ident callee)
{
    Expr *e = new_expr(p, EX_REDUCE, callee.at);
    VEC(Binder) bind = {0};
    do {
        Binder b = parse_binder(p);
        vec_push(p->arena, &bind, b);
        grow(p, e, b.range);
    } while (parser_accept(p, TOK_COMMA));
    parser_expect(p, TOK_COLON);
    e->reduce.callee = callee;
    e->reduce.body = parse_expr(p);
    grow(p, e, e->reduce.body);
    PARSED(bind, e->reduce.bind, e->reduce.nbind);
    return e;
}

/* callee '(' [argument (',' argument)*] ')', behind the bracket */
static Expr *plain_call(Parser *p, Ident callee)
{
    Expr *e = new_expr(p, EX_CALL, callee.at);
    VEC(Arg) arg = {0};
    e->call.callee = callee;
    if (parser_at(p, TOK_RPAREN))
        return e;
    do {
        Arg a = argument(p);
        vec_push(p->arena, &arg, a);
        grow(p, e, a.value);
    } while (parser_accept(p, TOK_COMMA));
    PARSED(arg, e->call.arg, e->call.narg);
    return e;
}

static Expr *call_of(Parser *p, const Expr *base)
{
    Span opened = parser_here(p);
    Ident callee = callee_of(p, base);
    parser_accept(p, TOK_LPAREN);
    Expr *e = at_binders(p) ? reduction(p, callee) : plain_call(p, callee);
    parser_close(p, TOK_RPAREN, opened);
    e->at = parser_since(p, base->at);
    return e;
}

static Expr *postfix(Parser *p)
{
    Expr *e = primary(p);
    for (;;) {
        if (parser_at(p, TOK_LBRACKET))
            e = index_of(p, e);
        else if (parser_at(p, TOK_DOT))
            e = field_of(p, e);
        else if (parser_at(p, TOK_LPAREN))
            e = call_of(p, e);
        else
            return e;
    }
}

/* ---- what declarations need ---- */

void parse_dims(Parser *p, Expr ***dim, uint32_t *n)
{
    VEC(Expr *) list = {0};
    Span opened = parser_here(p);
    if (!parser_accept(p, TOK_LBRACKET))
        return;
    do
        vec_push(p->arena, &list, parse_expr(p));
    while (parser_accept(p, TOK_COMMA));
    parser_close(p, TOK_RBRACKET, opened);
    PARSED(list, *dim, *n);
}

/* name ['.' name] */
Ident parse_dotted_name(Parser *p, const char *what)
{
    Ident id = parser_name(p, what);
    if (!parser_accept(p, TOK_DOT))
        return id;
    Ident field = parser_name(p, "a name");
    Str text = str_fmt(p->arena, "%.*s.%.*s", STRF(id.text), STRF(field.text));
    return (Ident){text, span_join(id.at, field.at)};
}
