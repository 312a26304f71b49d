/* Linear layers of float32 at many positions: y[r, o] = bias[o] + the sum over c of w[o, c] * x[r, c].

   The products of a matrix library are as fast while all is in the cache. Between the layers of a model nothing is, and here
   each number is read and written only once. A row is summed in one order, whatever rows are beside it. */
#include <stddef.h>
#include <stdint.h>

#include "simd.h"

typedef struct {
    const float *x, *w, *bias;
    float *y;
    int64_t channels, outputs;
} Layers;

typedef struct {
    const float *w;
    float *to;
    int64_t channels, outputs, across, along;
} LayerPacking;

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

/* The rows first .. last of y. */
int linear_layers(const Layers *of, int64_t first, int64_t last)
{
    int64_t channels = of->channels, outputs = of->outputs, many = AT_ONCE / channels / ROWS * ROWS;
    many = many < ROWS ? ROWS : many;
    for (int64_t from = first; from < last; from += many)
        for (int64_t o = 0; o < outputs; o += PANEL)
            for (int64_t r = from; r < least(last, from + many); r += ROWS)
                for (int64_t c = 0; c < channels; c += SUMMANDS) {
                    const float *x = of->x + r * channels + c, *w = of->w + o * channels + c * PANEL;
                    const float *bias = of->bias == NULL ? NULL : of->bias + o;
                    float *y = of->y + r * outputs + o;
                    int64_t rows = least(last, from + many) - r, room = outputs - o, sums = least(SUMMANDS, channels - c);
#define TILE(vectors) tile(vectors, x, channels, w, bias, y, outputs, rows, room, sums, c > 0)
                    if (VECTORS == 4 && room > 3 * LANES) TILE(VECTORS);
                    else if (VECTORS == 4 && room > 2 * LANES) TILE(VECTORS - 1);
                    else if (room > LANES) TILE(2);
                    else TILE(1);
                }
    return 0;
}

/* The number of panels of outputs. */
int64_t layer_panels(int64_t outputs) { return (outputs + PANEL - 1) / PANEL; }

/* The size of packed weights, in numbers. */
int64_t packed_layers(int64_t channels, int64_t outputs) { return layer_panels(outputs) * PANEL * channels; }

/* Pack the panels first .. last of weights, whose outputs are `across` and channels `along` apart. */
int pack_layers(const LayerPacking *of, int64_t first, int64_t last)
{
    for (int64_t panel = first; panel < last; panel++)
        for (int64_t c = 0; c < of->channels; c++)
            for (int64_t v = 0; v < PANEL; v++) {
                int64_t o = panel * PANEL + v;
                of->to[(panel * of->channels + c) * PANEL + v] = o < of->outputs ? of->w[o * of->across + c * of->along] : 0;
            }
    return 0;
}
#else
/* Never called in this build: it has no wide registers. */
void linear_layers(void) {}
void layer_panels(void) {}
void packed_layers(void) {}
void pack_layers(void) {}
#endif
