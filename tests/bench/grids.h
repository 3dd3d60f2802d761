/* The arrays of the cells of `grids`, as in linear.h, whose protocol and drawing its contestants have. Compiled for one cell.
 *
 * arguments: MODE(forward|training) T P Q, which are here rows, columns and B of a grid; trees, nodes of each, and 1. */
#ifndef TESTS_BENCH_GRIDS_H
#define TESTS_BENCH_GRIDS_H

enum { K = 16, H = 64, TREE = 50 }; /* K and V; D and H; what parents are drawn with */

#define INPUTS_plstm_grid(X) \
    X(q, T * P * Q * K, -1, 1) X(k, T * P * Q * K, -1, 1) X(v, T * P * Q * K, -1, 1) X(source, T * P * Q * 2, 0, 1) \
    X(transition, T * P * Q * 4, 0.2, 0.5) X(mark, T * P * Q * 2, 0, 1)
#define PARAMS_plstm_grid(X)
#define OUTPUT_plstm_grid(X) X(y, T * P * Q * K, -1, 1)
#define SIZES_plstm_grid .R = t.T, .S = P, .B = Q, .N = 1, .K = K, .V = K

#define INPUTS_mdlstm_plain(X) X(x, T * P * Q * H, -1, 1)
#define PARAMS_mdlstm_plain(X) X(W, 5 * H * H, -0.12, 0.12) X(U, 10 * H * H, -0.12, 0.12) X(b, 5 * H, -1, 0)
#define OUTPUT_mdlstm_plain(X) X(h, T * P * Q * H, -1, 1)
#define SIZES_mdlstm_plain .R = t.T, .S = P, .B = Q, .D = H, .H = H

#define INPUTS_tree_lstm(X) X(x, T * P * H, -1, 1)
#define PARAMS_tree_lstm(X) \
    X(W, 3 * H * H, -0.12, 0.12) X(U, 3 * H * H, -0.12, 0.12) X(b, 3 * H, -0.1, 0.1) \
    X(Wf, H * H, -0.12, 0.12) X(Uf, H * H, -0.12, 0.12) X(bf, H, -1, 0)
#define OUTPUT_tree_lstm(X) X(h, T * P * H, -1, 1)
#define SIZES_tree_lstm .nodes = t.T * P, .B = 1, .D = H, .H = H

#include "linear.h"

#endif
