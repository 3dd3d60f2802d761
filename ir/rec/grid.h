/* What the passes over grids share: rec.cascade, rec.wavefront, rec.rows. */
#ifndef IR_REC_GRID_H
#define IR_REC_GRID_H

#include "ir/rec/pass.h"

/* An array over places, moved along one of its axes: element i is v[i + by], or `outside` where there is none. */
RecId grid_moved(RecBuild *b, RecId v, uint8_t axis, int32_t by, RecId outside);

/* An order of the axes in which rows can run one inside of the other, each state being read in an earlier row of one axis
 * or at an earlier place of the same row of the next. Axes that nothing is read along come last. False if there is none. */
bool grid_row_order(const RecGrid *g, uint32_t nstate, uint8_t *order);
/* How many axes must run one place after the other in that order. */
uint8_t grid_row_depth(const RecGrid *g, uint32_t nstate, const uint8_t *order);

#endif
