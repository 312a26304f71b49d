/* Rows that go through all steps of a recurrent network together, while they stay in the cache, and what they are multiplied
   with in each step. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "tiles.h"

#ifdef HAVE_LANES
enum { TOGETHER = 4 * ROWS };

INLINE Lanes middle(Lanes a, Lanes b) { return (a + b) * .5f; }

/* y += x w, for some rows. */
static void multiply_rows(const float *x, int64_t channels, const float *w, float *y, int64_t outputs, int64_t count)
{
    for (int64_t o = 0; o < outputs; o += PANEL)
        for (int64_t c = 0; c < channels; c += SUMMANDS)
            for (int64_t r = 0; r < count; r += ROWS) {
                int64_t rows = count - r, room = outputs - o, sums = least(SUMMANDS, channels - c);
#define ADD(vectors)                                                                                                 \
    tile(vectors, x + r * channels + c, channels, w + o * channels + c * PANEL, NULL, y + r * outputs + o, outputs,  \
         least(rows, ROWS), room, sums, 1)
                OF_ITS_WIDTH(room, ADD)
            }
}

/* Some of the rows first .. last, which are those of all directions: all of one direction, and not too many. */
#define EACH_FEW(of)                                                                                                 \
    for (int64_t at = first, way, row, count;                                                                        \
         at < last && (way = at / of->rows, row = at % of->rows,                                                     \
                       count = least(TOGETHER, least(last - at, of->rows - row)));                                   \
         at += count)
#endif
