/* Linear layers of float32 at many positions: y[r, o] = bias[o] + the sum over c of w[o, c] * x[r, c].

   The products of a matrix library are as fast while all is in the cache. Between the layers of a model nothing is, and here
   each number is read and written only once. A row is summed in one order, whatever rows are beside it. */
#include <stddef.h>
#include <stdint.h>

#include "tiles.h"

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
                    OF_ITS_WIDTH(room, TILE)
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
