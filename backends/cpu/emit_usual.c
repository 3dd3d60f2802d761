/* Conditions that are the same for all lanes. Most of them say that a sequence has not ended, or that no reset follows. A loop over a
 * matrix is made twice, once for all of them being as usual, without selects. */
#include "backends/cpu/emit.h"

enum { MAXCONDITION = 8 };

typedef struct Usual {
    KVar var[MAXCONDITION];
    bool value[MAXCONDITION];
    uint32_t n;
} Usual;

static bool is_listed(const Usual *u, KVar v)
{
    for (uint32_t i = 0; i < u->n; i++)
        if (u->var[i] == v)
            return true;
    return false;
}

/* A constant is what takes the place of a value for once. */
static bool usual_value(const Emit *e, const KBlock *body, const KStmt *where)
{
    KVar a = where->let.arg[1];
    return kern_defines_in(body, a) || !e->var[a].value || !LLVMIsConstant(e->var[a].value);
}

static void find_usual(const Emit *e, const KBlock *body, const KBlock *b, Usual *u)
{
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        if (s->kind == K_LOOP)
            find_usual(e, body, &s->loop.body, u);
        if (s->kind != K_LET || s->let.fun != FUN_WHERE || u->n == MAXCONDITION)
            continue;
        KVar c = s->let.arg[0];
        bool is_constant = e->var[c].value && LLVMIsConstant(e->var[c].value);
        if (e->k->var.p[c].dt != DT_BOOL || is_listed(u, c) || kern_defines_in(body, c) || is_constant)
            continue;
        u->value[u->n] = usual_value(e, body, s);
        u->var[u->n++] = c;
    }
}

static LLVMValueRef all_usual(Emit *e, const Usual *u)
{
    LLVMValueRef all = NULL;
    for (uint32_t i = 0; i < u->n; i++) {
        LLVMValueRef v = emit_var(e, u->var[i], false);
        v = u->value[i] ? v : LLVMBuildNot(e->g.b, v, "");
        all = all ? LLVMBuildAnd(e->g.b, all, v, "") : v;
    }
    return all;
}

static void with_usual(Emit *e, const Usual *u, const KStmt *s, void (*emit)(Emit *e, const KStmt *s))
{
    EmitVar before[MAXCONDITION];
    for (uint32_t i = 0; i < u->n; i++) {
        before[i] = e->var[u->var[i]];
        emit_set(e, u->var[i], LLVMConstInt(gen_int1(&e->g, 1), u->value[i], false), false);
    }
    emit(e, s);
    for (uint32_t i = 0; i < u->n; i++)
        e->var[u->var[i]] = before[i];
}

void emit_as_usual(Emit *e, const KBlock *body, const KStmt *s, void (*usual)(Emit *e, const KStmt *s), void (*any)(Emit *e, const KStmt *s))
{
    Usual u = {.n = 0};
    if (body)
        find_usual(e, body, body, &u);
    if (u.n == 0) {
        usual(e, s);
        return;
    }
    GenElse all = gen_if_else(&e->g, all_usual(e, &u));
    with_usual(e, &u, s, usual);
    gen_else(&e->g, all);
    any(e, s);
    gen_end_else(&e->g, all);
}
