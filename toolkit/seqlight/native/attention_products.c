/* Products of matrices of float32, as heads of attention have them: one side is short. */
#include <stdint.h>

#include "attention.h"

#ifdef HAVE_LANES
/* Summands of a partial sum, because sums of partial sums round less than one long sum; and vectors of a row at a time. */
enum { SUMMANDS = 64, COLUMNS = 3 };

/* Some rows and vectors of the product in attention.h, for some of its summands. */
INLINE void tile(const int outputs, const int vectors, const float *w, int64_t across, int64_t along,
                 const float *x, int64_t xs, float *y, int64_t ys, int64_t rows, int64_t room, int64_t sums,
                 int begun)
{
    Lanes sum[GROUP][COLUMNS], in[COLUMNS];
    const float *at[GROUP];
    UNROLLED for (int o = 0; o < outputs; o++) {
        at[o] = w + least(o, rows - 1) * across;
        UNROLLED for (int v = 0; v < vectors; v++) sum[o][v] = zeros();
    }
    for (int64_t c = 0; c < sums; c++, x += xs) {
        UNROLLED for (int v = 0; v < vectors; v++) in[v] = load(x + v * LANES);
        UNROLLED for (int o = 0; o < outputs; o++)
            UNROLLED for (int v = 0; v < vectors; v++)
                sum[o][v] = fmadd(every(at[o][c * along]), in[v], sum[o][v]);
    }
    UNROLLED for (int o = 0; o < outputs; o++)
        UNROLLED for (int v = 0; v < vectors; v++) {
            int64_t left = o < rows ? room - v * LANES : 0;
            float *to = y + o * ys + v * LANES;
            Lanes before = begun ? load_first(to, left, 0) : zeros();
            store_first(to, left, before + sum[o][v]);
        }
}

/* All vectors of a row. A function of its own, so that the compiler has all registers for each. */
static void tiles(const float *w, int64_t across, int64_t along, const float *x, int64_t xs, float *y, int64_t ys, int64_t rows,
                  int64_t room, int64_t sums, int begun)
{
    if (room > 2 * LANES)
        tile(GROUP, 3, w, across, along, x, xs, y, ys, rows, room, sums, begun);
    else if (room > LANES)
        tile(GROUP, 2, w, across, along, x, xs, y, ys, rows, room, sums, begun);
    else
        tile(GROUP, 1, w, across, along, x, xs, y, ys, rows, room, sums, begun);
}

/* All rows and columns. Some summands at a time, with the shorter side of y in the inner loop, to stay in the nearest cache. */
void multiply(const float *w, int64_t across, int64_t along, const float *x, int64_t xs, float *y, int64_t ys,
              int64_t rows, int64_t columns, int64_t sums, int begun)
{
    int64_t broad = COLUMNS * LANES;
    for (int64_t c = 0; c < sums; c += SUMMANDS, w += SUMMANDS * along, x += SUMMANDS * xs, begun = 1) {
        int64_t some = least(SUMMANDS, sums - c);
#define TILES(o, l) tiles(w + (o) * across, across, along, x + (l), xs, y + (o) * ys + (l), ys, rows - (o), columns - (l), some, begun)
        if (rows < columns)
            for (int64_t l = 0; l < columns; l += broad)
                for (int64_t o = 0; o < rows; o += GROUP) TILES(o, l);
        else
            for (int64_t o = 0; o < rows; o += GROUP)
                for (int64_t l = 0; l < columns; l += broad) TILES(o, l);
    }
}
#endif
