/* The syntax tree: what the parser saw, nothing resolved. Everything lives in the parser's arena.
 * Each kind says which union member is valid. Names follow lang/reference.md's grammar. */
#ifndef LANG_AST_H
#define LANG_AST_H

#include "lang/diag.h"

typedef struct Expr Expr;
typedef struct Stmt Stmt;

/* A name that is declared or bound, with its place. */
typedef struct Ident {
    Str text;
    Span at;
} Ident;

typedef enum UnaryOp { UN_NEG, UN_NOT } UnaryOp;

typedef enum BinaryOp {
    BIN_ADD, BIN_SUB, BIN_MUL, BIN_DIV, BIN_POW, BIN_MATMUL, /* + - * / ^ @ */
    BIN_LT, BIN_LE, BIN_GT, BIN_GE, BIN_EQ, BIN_NE,          /* < <= > >= == != */
    BIN_AND, BIN_OR,                                         /* and or */
} BinaryOp;

/* One entry between brackets: `e`, `lo:hi` (either side may be missing). */
typedef struct Subscript {
    bool slice;
    Expr *lo; /* the index itself when !slice; may be NULL in a slice */
    Expr *hi;
    Span at;
} Subscript;

/* A name that takes a range: `i` or `i in X` (`range` NULL without `in`). */
typedef struct Binder {
    Ident name;
    Expr *range;
} Binder;

/* An argument of a call: `e` or `name = e` (name.text.n == 0 without a name); a bare word such as `reverse` is a NAME. */
typedef struct Arg {
    Ident name;
    Expr *value;
} Arg;

typedef enum ExprKind {
    EX_NUMBER, /* number, is_int, imaginary */
    EX_NAME,   /* name */
    EX_BOOL,   /* number is 0 or 1: true, false */
    EX_UNARY,  /* un */
    EX_BINARY, /* bin */
    EX_INDEX,  /* index: base[subs] with an optional `else` value */
    EX_FIELD,  /* field: base.name, as in W.T, run.last.S, layer.0.W is not written in the language */
    EX_CALL,   /* call: callee(args) */
    EX_REDUCE, /* reduce: callee(i in K, j: body), a reduction that binds indices */
    EX_LIST,   /* list: [a, b] */
    EX_GROUP,  /* group: (h = a, c = b), as for `from =`; or (r, s) without names, as for `reverse =` */
    EX_TEXT,   /* name: between the quotes of "ij,jk->ik"; only functions that ask for one take it */
    EX_ERROR,  /* the parser already reported it */
} ExprKind;

/* The parser refuses a taller tree, so that every walk may recurse. */
enum { EXPR_MAXHEIGHT = 1000 };

struct Expr {
    ExprKind kind;
    uint32_t height; /* in a parsed tree: more than that of any part, at most EXPR_MAXHEIGHT */
    Span at;
    union {
        struct { double number; bool is_int, imaginary; };
        Str name;
        struct { UnaryOp op; Expr *a; } un;
        struct { BinaryOp op; Expr *a, *b; Span op_at; } bin;
        struct { Expr *base; Subscript *sub; uint32_t nsub; Expr *otherwise; } index;
        struct { Expr *base; Ident name; } field;
        struct { Ident callee; Arg *arg; uint32_t narg; } call;
        struct { Ident callee; Binder *bind; uint32_t nbind; Expr *body; } reduce;
        struct { Expr **item; uint32_t n; } list;
        struct { Arg *item; uint32_t n; } group;
    };
};

/* `real[4, H]`; for a graph `dag[N, E]` the name is "dag". */
typedef struct TypeExpr {
    Ident name; /* real, complex, int, bool, dag */
    Expr **dim;
    uint32_t ndim;
    Span at;
} TypeExpr;

/* One declared name: an input, a parameter, a state. `noise eps: real[Z] ~ normal(1)`, `param W: real[H] = e frozen`. */
typedef struct Decl {
    Ident name;
    Ident *place; /* `source[e]`, `transition[d, e]`: names between the brackets */
    uint32_t nplace;
    TypeExpr type;
    Expr *init;         /* `= e` or NULL */
    Expr *distribution; /* `~ uniform(a)`: an EX_CALL, or NULL */
    bool is_const, is_noise, frozen;
    Str doc;
} Decl;

/* `let a, b[i, j in X] = e`: each target with its indices. */
typedef struct Target {
    Ident name;
    Binder *index;
    uint32_t nindex;
} Target;

/* `fwd = lstm[E, H]`, `layer[N] = lstm[E, E]` */
typedef struct Use {
    Ident name;
    Expr *count; /* `layer[N]`, or NULL */
    Ident cell;  /* `lstm` or `a.lstm` */
    Expr **dim;
    uint32_t ndim;
    Span at;
} Use;

typedef struct Fn Fn;

typedef enum StmtKind {
    ST_PARAM,  /* decls */
    ST_STATE,  /* decls */
    ST_LET,    /* let: one or more targets, one expression */
    ST_EQUATION, /* let with one target: `c = ...`, `S[n, p, j] = ...` */
    ST_USE,    /* uses */
    ST_FOR,    /* loop: `for j in 20 until r < 1e-6 { ... }` */
    ST_FN,     /* fn: a function that sees the cell's names */
} StmtKind;

struct Stmt {
    StmtKind kind;
    Span at;
    union {
        struct { Decl *decl; uint32_t n; } decls;
        struct { Target *target; uint32_t n; Expr *value; } let;
        struct { Use *use; uint32_t n; } uses;
        struct { Ident var; Expr *count; Expr *until; Stmt **body; uint32_t n; } loop;
        Fn *fn;
    };
};

/* `D`, `P = D / G` */
typedef struct DimDecl {
    Ident name;
    Expr *value; /* or NULL */
} DimDecl;

/* `fn f[N](x: real[N], u: real) = e   derivative u: e2`; `fn f(x: real) -> y { ... }` */
struct Fn {
    Ident name;
    DimDecl *dim;
    uint32_t ndim;
    Decl *arg;
    uint32_t narg;
    Expr *value;     /* short form, or NULL */
    Ident *result;   /* long form: names after `->` */
    uint32_t nresult;
    Stmt **body;
    uint32_t nbody;
    Arg *derivative; /* name = argument, value = its derivative */
    uint32_t nderivative;
    bool associative; /* declared so */
    Str doc;
    Span at;
    bool broken; /* parts are missing, because of an error that was reported; so for cells and models */
};

typedef enum DomainKind {
    DOMAIN_LINE,  /* over t */
    DOMAIN_GRID,  /* over (r, s, ...) */
    DOMAIN_GRAPH, /* over v in dag, optionally `edges d -> v -> e` */
} DomainKind;

typedef struct Cell {
    Ident name;
    DimDecl *dim;
    uint32_t ndim;
    DomainKind domain;
    Ident *index; /* t; r, s; v */
    uint32_t nindex;
    bool has_edges;
    Ident edge_in, edge_out; /* d, e */
    Decl *input;
    uint32_t ninput;
    Ident *output;
    uint32_t noutput;
    Stmt **body;
    uint32_t nbody;
    Str doc; /* the `##` lines before it, joined by newlines */
    Span at;
    bool broken;
} Cell;

typedef struct Model {
    Ident name;
    DimDecl *dim;
    uint32_t ndim;
    Decl *input;
    uint32_t ninput;
    Decl *output; /* with types */
    uint32_t noutput;
    Stmt **body;
    uint32_t nbody;
    Str doc;
    Span at;
    bool broken;
} Model;

typedef struct Import {
    Str path;  /* between the quotes */
    Ident as;  /* text.n == 0 without `as` */
    Span at;
} Import;

/* `schedule lstm { forward newton(max_iterations = 8); backward store(every = 64) }`: kept as parsed. */
typedef struct ScheduleItem {
    Ident key;        /* forward, backward */
    Ident stage;      /* `m: scan`; text.n == 0 without */
    Expr *form;       /* EX_NAME or EX_CALL */
} ScheduleItem;

typedef struct Schedule {
    Ident name; /* may be dotted: tagger.fwd */
    ScheduleItem *item;
    uint32_t n;
    Span at;
} Schedule;

/* `test lstm { data "lstm.npz"; tolerance 1e-11; bind H = 8 }` */
typedef struct TestItem {
    Ident key;
    Str text;    /* of a string, or empty */
    Expr *value; /* or NULL */
    Ident name;  /* `bind H = 8`: H */
} TestItem;

typedef struct Test {
    Ident name;
    TestItem *item;
    uint32_t n;
    Span at;
} Test;

/* A file, with its declarations by kind, each in the order of the text. */
typedef struct Ast {
    uint32_t file; /* in Sources */
    Import *import;
    uint32_t nimport;
    Cell **cell;
    uint32_t ncell;
    Model **model;
    uint32_t nmodel;
    Fn **fn;
    uint32_t nfn;
    Schedule **schedule;
    uint32_t nschedule;
    Test **test;
    uint32_t ntest;
    Ident *lost; /* cells, models and functions that are in none of these lists because of an error; text.n == 0: not even a name */
    uint32_t nlost;
} Ast;

#endif
