/* Values with labelled axes, for passes that make products of many things: what two parts have in common is matched by
 * label, and results have their axes in the order of the labels. */
#ifndef IR_REC_PART_H
#define IR_REC_PART_H

#include "ir/rec/pass.h"

enum {
    LABEL_PLACE = 0,                 /* places of a chunk */
    LABEL_AXIS = 1,                  /* + i: axis i of a state, a term or a value of the step */
    LABEL_FROM = LABEL_AXIS + MAXIT, /* + i: axis i of a state that something is a map of */
    LABEL_OTHER = 24,                /* a second axis of places */
    LABEL_BETWEEN,                   /* a third */
    LABEL_ALONG,                     /* the axis that what stands at places is summed over, behind those of places */
    LABEL_COUNT = 32,
};

typedef struct Part {
    RecId v;
    uint8_t label[MAXRANK];
} Part;

Part part_of(RecId v, uint32_t labels); /* its axes are these labels, in order */
uint32_t part_labels(const RecBuild *b, Part x); /* as bits */
Part part_relabel(const RecBuild *b, Part x, uint8_t from, uint8_t to);
Part part_number(RecBuild *b, DType dt, double number);
Part part_map1(RecBuild *b, Fun f, Part x);
Part part_map(RecBuild *b, Fun f, Part x, Part y);
Part part_where(RecBuild *b, Part condition, Part x, Part y);
Part part_chosen(RecBuild *b, Part x, Part y); /* x, with the derivative of y */
/* table[i0, i1, ...]: its first axes are indexed, whatever their labels; the others and those of the indices are
 * matched. */
Part part_gather(RecBuild *b, Part table, const Part *index, uint8_t n);
Part part_reduce(RecBuild *b, RecReduce red, Part x, uint32_t over);
/* The sum of x * y over these labels. */
Part part_contract(RecBuild *b, Part x, Part y, uint32_t over);
/* With at least these labels, whose sizes are given by label, in order of labels; and only the value. */
Part part_expand(RecBuild *b, Part x, uint32_t labels, const Dim *size);

#endif
