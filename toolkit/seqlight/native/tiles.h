/* Products of rows with packed weights (see linear.c), a tile of rows and outputs at a time. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "simd.h"

#ifdef HAVE_LANES
/* Outputs are computed PANEL at a time, for ROWS rows; their weights lie side by side, w[panel][c][output]. */
enum { VECTORS = LANES / 4, PANEL = VECTORS * LANES, ROWS = 6 };
/* Summands of a partial sum, because sums of partial sums round less than one long sum; and numbers of x at a time. */
enum { SUMMANDS = 64, AT_ONCE = 8192 };

INLINE void tile(const int vectors, const float *x, int64_t xs, const float *w, const float *bias, float *y, int64_t ys,
                 int64_t rows, int64_t room, int64_t sums, int begun)
{
    Lanes sum[ROWS][VECTORS], in[VECTORS];
    const float *at[ROWS];
    UNROLLED for (int v = 0; v < vectors; v++)
        in[v] = bias == NULL ? zeros() : load_first(bias + v * LANES, room - v * LANES, 0);
    UNROLLED for (int r = 0; r < ROWS; r++) {
        at[r] = x + least(r, rows - 1) * xs;
        UNROLLED for (int v = 0; v < vectors; v++) sum[r][v] = begun ? zeros() : in[v];
    }
    for (int64_t c = 0; c < sums; c++, w += PANEL) {
        UNROLLED for (int v = 0; v < vectors; v++) in[v] = load(w + v * LANES);
        UNROLLED for (int r = 0; r < ROWS; r++)
            UNROLLED for (int v = 0; v < vectors; v++)
                sum[r][v] = fmadd(every(at[r][c]), in[v], sum[r][v]);
    }
    UNROLLED for (int r = 0; r < ROWS; r++)
        if (r < rows)
            UNROLLED for (int v = 0; v < vectors; v++) {
                float *to = y + r * ys + v * LANES;
                if (begun)
                    sum[r][v] += load_first(to, room - v * LANES, 0);
                store_first(to, room - v * LANES, sum[r][v]);
            }
}

/* Run the code of a tile for as many registers as `room` outputs take. */
#define OF_ITS_WIDTH(room, done)                                                                                     \
    if (VECTORS == 4 && (room) > 3 * LANES) done(VECTORS);                                                           \
    else if (VECTORS == 4 && (room) > 2 * LANES) done(VECTORS - 1);                                                  \
    else if ((room) > LANES) done(2);                                                                                \
    else done(1);
#endif
