/* What the files of rec.chunk, rec.store and rec.scan share: several places of a recurrence under construction at once. */
#ifndef IR_REC_CHUNK_H
#define IR_REC_CHUNK_H

#include "ir/rec/structure.h"
#include "ir/rec/part.h"

/* Some places of a recurrence at once: those of one chunk, or one place of each piece of a scan. The step's values for all
 * of them are `lift.made`. */
typedef struct Chunk {
    Rewrite *w;
    RecBuild *b;
    RecId recur; /* old */
    const Structure *structure;
    Algebra algebra; /* of products of factors, and their element type */
    DType dt;
    Lift lift;
    Dim size;        /* places */
    RecId *entering; /* by state: as the chunk finds it */
    RecId *leaving;
} Chunk;

/* `known`: by old op, what is known of the step for all these places; REC_NONE for the rest. */
Chunk chunk_begin(Rewrite *w, RecBuild *b, const Structure *s, Dim size, RecId *entering, const RecId *known);

Part chunk_factor(Chunk *c, const Factor *f); /* its value, for all places */
enum { EVERY_FACTOR = 0x7fffffff };
/* Over the chunk's algebra: the product of the selected factors of a term, with summed axes that are not in `keep` (as bits of axes) summed. */
Part chunk_product(Chunk *c, const Term *t, uint32_t select, uint32_t keep);
/* What the term is where its state, or a map of it, is `state`, labelled as the state's axes. */
Part chunk_apply(Chunk *c, const Term *t, Part state);

void chunk_matrix(Chunk *c, const Matrix *m);     /* chunk_matrix.c: a matrix stage, and its read-outs */
void chunk_sequence(Chunk *c, uint32_t stage);    /* chunk_sequence.c: any other stage, step by step inside the chunk */

/* ---- chunk_cut.c: sequences in equal parts, and a rest ---- */
Dim cut_count(RecProg *p, Dim length, uint32_t size); /* how many whole parts of `size` places there are */
RecId cut_parts(RecBuild *b, RecId seq, Dim n, Dim size); /* the first n * size elements of axis 0 as [n, size, ...] */
RecId cut_rest(RecBuild *b, RecId seq, Dim from, Dim rest);
RecId cut_whole(RecBuild *b, RecId parts); /* [n, size, ...] as one sequence */
RecId cut_join(RecBuild *b, RecId parts, RecId rest); /* [n, size, ...] and [rest, ...] as one sequence */
/* A recurrence in whole parts of `size` places, and a rest that runs step by step as before. */
typedef struct Cut Cut;
/* One part: from its entering states and its sequences, [size, ...], to its leaving states and results for all its places. */
typedef void CutPart(const Cut *k, RecBuild *b, RecId *entering, const RecId *seq, RecId *result);
struct Cut {
    Rewrite *w;
    RecBuild *b;
    RecId recur; /* old */
    const RecOp *old;
    Dim n, size, rest;
    RecId *seq;               /* new sequences, whole */
    RecId *state;             /* as they are between the parts */
    RecId *whole, *remainder; /* results of all parts, and of the rest */
    CutPart *part;
    const void *cx; /* of `part` */
};
/* The old recurrence as one over parts, marked `chunk`, of the first `places` places (all of them or none). */
void cut_recur(Rewrite *w, RecBuild *b, RecId old, Dim places, uint32_t size, CutPart *part, const void *cx);

/* ---- chunk_decay.c: products of decays between the places of a chunk ---- */
/* What stands at earlier places: it is added to state `to` of the stage. */
typedef struct Standing {
    Part v; /* LABEL_PLACE, batch, k, and what it is summed over last */
    uint32_t to;
} Standing;
typedef struct Decays Decays;
/* `decay`: [n, n] as in Matrix, v REC_NONE for none: LABEL_PLACE, and labels of the batch, and of k if they differ along k. `reader`: what
 * will be asked for as x below; those of one shape are multiplied together, where decays do not differ along k. */
Decays *decays_new(Chunk *c, const Matrix *m, const Part *decay, const Standing *standing, uint32_t nstanding, const Part *reader, uint32_t nreader);
/* [t, batch, s]: the sum over k of x at t, which reads state `from`, times what stands at s, times all decays strictly
 * between; 0 unless s comes before t. */
Part decays_pairs(Decays *d, Part x, uint32_t from, uint32_t y);
/* [t, batch, ...]: the sum over k of x at t times what `state`, state `to` at the begin, is in `from` before t. */
Part decays_entering(Decays *d, Part x, uint32_t from, uint32_t to, Part state);
Part decays_whole(const Decays *d, uint32_t from, uint32_t to);    /* the same for the whole chunk, alone */
Part decays_to_end(Decays *d, uint32_t y, uint32_t from); /* what stands at s, times what it is in `from` at the end */

#endif
