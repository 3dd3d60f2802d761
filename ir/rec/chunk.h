/* What the files of rec.chunk share: one chunk of places under construction. */
#ifndef IR_REC_CHUNK_H
#define IR_REC_CHUNK_H

#include "ir/rec/matrix.h"
#include "ir/rec/part.h"

typedef struct Plan {
    RecId recur; /* old */
    Stages stages;
    Matrix **matrix;      /* by stage, NULL for one that runs step by step */
} Plan;

/* One chunk: the step's values for all its places at once are `lift.made`. */
typedef struct Chunk {
    Rewrite *w;
    RecBuild *b;
    const Plan *plan;
    Lift lift;
    Dim size;       /* places */
    RecId *entering; /* by state: as the chunk finds it */
    RecId *leaving;
} Chunk;

Part chunk_factor(Chunk *c, const Factor *f); /* labels: LABEL_PLACE if it differs by place, LABEL_AXIS + axis of the term */
/* The product of the selected factors of a term, with summed axes that are not in `keep` (as bits of axes) summed. */
Part chunk_product(Chunk *c, const Term *t, uint32_t select, uint32_t keep);

void chunk_matrix(Chunk *c, const Matrix *m);     /* chunk_matrix.c: a matrix stage, and its read-outs */
void chunk_sequence(Chunk *c, uint32_t stage);    /* chunk.c: any other stage, step by step inside the chunk */

/* ---- chunk_decay.c: products of decays between the places of a chunk ---- */
typedef struct Decays Decays;
/* `decay` has LABEL_PLACE and the labels of the batch, and that of k if it differs along k. `vector`: what stands at earlier places. */
Decays *decays_new(Chunk *c, const Matrix *m, Part decay, const Part *vector, uint32_t nvector);
/* [t, batch, s]: the sum over k of x at t times vector number `y` at s, times all decays strictly between; 0 unless s comes before t. */
Part decays_pairs(Decays *d, Part x, uint32_t y);
Part decays_before(Decays *d, Part x);      /* x at t times all decays before t */
Part decays_whole(const Decays *d);         /* all decays of the chunk */
Part decays_to_end(Decays *d, uint32_t y);  /* vector number y, times all decays behind its place; its places are LABEL_OTHER */

#endif
