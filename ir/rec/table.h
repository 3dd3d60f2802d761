/* States that are chosen from few: whole numbers that only say which element of an axis is meant, such as a node of an
 * automaton or where a best path came from. What a step makes of each is a table, and tables compose. */
#ifndef IR_REC_TABLE_H
#define IR_REC_TABLE_H

#include "ir/rec/part.h"

/* Whether the new value of such a state, REGARG `state`, is found at its own place from the old one, which is looked at
 * only as an index of an axis, or carried on; the axis's size. `reads`: by op, whether it reads the state. */
bool table_stage(const RecProg *p, Arena *a, RecId state, RecId next, const bool *reads, Dim *size);

#endif
