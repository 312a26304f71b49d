/* Layer norm and the gradient at its input, which comes in two: for any registers and both dtypes, and for float32 in wide
   registers. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "dtypes.h"
#include "pairs.h"
#include "simd.h"
#include "sums.h"

/* With means m and reciprocal roots r of both, c = (a1 + a0) / 2 - (m1 + m0) / 2 lies half way between their rows, and a
   gradient g comes back as (r1 + r0) / 2 * (g - mean(g)) - 2 c * mean(g * c) * (r1 * r0)^2 / (r1 + r0). */
#define LAYER_NORM_GRADIENT(type)                                               \
    do {                                                                     \
        const type *weight = of->weight, *means1 = of->mean1, *means0 = of->mean0, *rates1 = of->rate1, *rates0 = of->rate0; \
        int64_t width = of->width;                                           \
        EACH_ROW {                                                           \
            const type *g = (const type *)of->grad + row * width;            \
            const type *a1 = (const type *)of->x1 + partner * width, *a0 = (const type *)of->x0 + row * width; \
            type *to = (type *)of->out + row * width, mid = (means1[partner] + means0[row]) / 2; \
            double sum, along, r1 = rates1[partner], r0 = rates0[row];       \
            type rate = (type)((r1 + r0) / 2);                               \
            if (weight) {                                                    \
                SUM(sum, g[at] * weight[at]);                                \
                SUM(along, g[at] * weight[at] * ((a1[at] + a0[at]) / 2 - mid)); \
            } else {                                                         \
                SUM(sum, g[at]);                                             \
                SUM(along, g[at] * ((a1[at] + a0[at]) / 2 - mid));           \
            }                                                                \
            type mean = (type)(sum / width), rise = (type)(-2 * along / width * (r1 * r0) * (r1 * r0) / (r1 + r0)); \
            if (weight)                                                      \
                for (int64_t j = 0; j < width; j++)                          \
                    to[j] = rate * (g[j] * weight[j] - mean) + rise * ((a1[j] + a0[j]) / 2 - mid); \
            else                                                             \
                for (int64_t j = 0; j < width; j++)                          \
                    to[j] = rate * (g[j] - mean) + rise * ((a1[j] + a0[j]) / 2 - mid); \
        }                                                                    \
    } while (0)

/* The gradient at the input of the references, for `grad`, that at their output; `weight` may be null. */
typedef struct {
    const void *grad, *weight, *x1, *mean1, *rate1, *x0, *mean0, *rate0;
    void *out;
    int64_t span, n, width, itemsize;
} LayerNormGradients;

int standardised_gradients(const LayerNormGradients *of, int64_t first, int64_t last)
{
    OF_ITS_TYPE(LAYER_NORM_GRADIENT);
}

/* The gradients at a row of h, the gradient times the weight, and at both inputs, for `g`, that at what comes back. With the
   midpoint c and k = (r1 * r0)^2 / r, r = (r1 + r0) / 2, what comes back is r * (h - mean(h)) - k * c * mean(h * c). In
   functions of their own, because the compiler believes only their parameters that results lie in other memory. */
#define LAYER_NORM_DERIVE(type)                                              \
    static void derive_row_##type(                                           \
        const type *restrict g, const type *restrict grad, const type *restrict weight, const type *restrict a1, \
        const type *restrict a0, type *restrict h, type *restrict c, type *restrict at_h, type *restrict at_1, \
        type *restrict at_0, int64_t width, type m1, type m0, double r1, double r0) \
    {                                                                        \
        double sum_g, sum_h, along, rise, both, r = (r1 + r0) / 2, k = (r1 * r0) * (r1 * r0) / r; \
        type mid = (m1 + m0) / 2;                                            \
        for (int64_t j = 0; j < width; j++) c[j] = (a1[j] + a0[j]) / 2 - mid; \
        for (int64_t j = 0; j < width; j++) h[j] = weight ? grad[j] * weight[j] : grad[j]; \
        SUM(sum_g, g[at]);                                                   \
        SUM(sum_h, h[at]);                                                   \
        SUM(along, (double)g[at] * c[at]);                                   \
        SUM(rise, (double)h[at] * c[at]);                                    \
        SUM(both, (double)g[at] * h[at]);                                    \
        sum_g /= width, sum_h /= width, along /= width, rise /= width;       \
        double by_r = (both / width - sum_g * sum_h) / 2, by_k = along * rise * k; \
        type mean_g = (type)sum_g, mean_h = (type)sum_h, rate = (type)r, down = (type)(k * along); \
        type by_g = (type)(-k / 2 * rise), by_h = (type)(-k / 2 * along);    \
        type by_1 = (type)((by_r - by_k * (2 / r1 - 1 / (2 * r))) * r1 * r1 * r1); \
        type by_0 = (type)((by_r - by_k * (2 / r0 - 1 / (2 * r))) * r0 * r0 * r0); \
        for (int64_t j = 0; j < width; j++) {                                \
            type from_g = g[j] - mean_g, by = from_g * by_g + (h[j] - mean_h) * by_h; \
            at_h[j] = from_g * rate - c[j] * down;                           \
            at_1[j] = by - (a1[j] - m1) * by_1;                              \
            at_0[j] = by - (a0[j] - m0) * by_0;                              \
        }                                                                    \
    }
LAYER_NORM_DERIVE(float)
LAYER_NORM_DERIVE(double)

#define DERIVED_LAYER_NORM(type)                                             \
    do {                                                                     \
        int64_t width = of->width;                                           \
        const type *means1 = of->mean1, *means0 = of->mean0, *rates1 = of->rate1, *rates0 = of->rate0; \
        type *room = malloc((size_t)(2 * width) * sizeof(type));             \
        if (room == NULL)                                                    \
            return -1;                                                       \
        for (int64_t row = first; row < last; row++) {                       \
            int64_t from = row * width;                                      \
            derive_row_##type(                                               \
                (const type *)of->g + from, (const type *)of->grad + from, of->weight, (const type *)of->x1 + from, \
                (const type *)of->x0 + from, room, room + width, (type *)of->at_h + from, (type *)of->at_1 + from, \
                (type *)of->at_0 + from, width, means1[row], means0[row], rates1[row], rates0[row]); \
        }                                                                    \
        free(room);                                                          \
    } while (0)

/* For `g`, the gradient at what standardised_gradients returns for `grad`: those at `grad` times the weight, which may be
   null, and at both inputs, of which each has a row for each row. */
typedef struct {
    const void *g, *grad, *weight, *x1, *mean1, *rate1, *x0, *mean0, *rate0;
    void *at_h, *at_1, *at_0;
    int64_t width, itemsize;
} LayerNormDerivatives;

int standardised_derivatives(const LayerNormDerivatives *of, int64_t first, int64_t last)
{
    OF_ITS_TYPE(DERIVED_LAYER_NORM);
}

/* Layer norm: each row of x minus its mean, times the reciprocal root of its variance, times a weight, plus a bias. Rows may
   lie across memory, as those of positions do after a convolution, whose channels lie one behind the other.

   Row l of `rows` of block o begins at x + o * outer + l * down, and its numbers are `along` apart: `down` or `along` is
   1. Where it is `down`, `kept` gets x with each row in one piece; weight and bias may be null. */
typedef struct {
    const float *x, *weight, *bias;
    float *kept, *y, *mean, *rate;
    int64_t rows, width, outer, down, along;
    double eps;
} LayerNorms;

#ifdef HAVE_LANES
static void standardise(const float *x, float *y, float *mean, float *rate, const LayerNorms *of)
{
    int64_t width = of->width;
    Lanes sum = zeros(), squares = sum;
    for (int64_t j = 0; j < width; j += LANES) sum += load_first(x + j, width - j, 0);
    *mean = (float)(total(sum) / (double)width);
    Lanes middle = every(*mean);
    for (int64_t j = 0; j < width; j += LANES) {
        int64_t room = width - j;
        Lanes off = load_first(x + j, room, *mean) - middle;
        squares = fmadd(off, off, squares);
    }
    *rate = (float)(1 / sqrt(total(squares) / (double)width + of->eps));
    Lanes by = every(*rate);
    for (int64_t j = 0; j < width; j += LANES) {
        int64_t room = width - j;
        Lanes one = (load_first(x + j, room, 0) - middle) * by;
        if (of->weight != NULL)
            one *= load_first(of->weight + j, room, 0);
        if (of->bias != NULL)
            one += load_first(of->bias + j, room, 0);
        store_first(y + j, room, one);
    }
}

/* Copy rows that lie across memory, side by side, so that each is in one piece. */
static void gather(const float *x, float *to, int64_t rows, const LayerNorms *of)
{
    Lanes r[LANES];
    int64_t beside = rows;
    for (int64_t c = 0; c < of->width; c += LANES) {
        int64_t room = of->width - c;
        UNROLLED for (int k = 0; k < LANES; k++)
            r[k] = c + k < of->width ? load_first(x + (c + k) * of->along, beside, 0) : zeros();
        turn_square(r);
        UNROLLED for (int k = 0; k < LANES; k++)
            if (k < rows)
                store_first(to + k * of->width + c, room, r[k]);
    }
}

/* The rows first .. last of all blocks. */
int standardisations(const LayerNorms *of, int64_t first, int64_t last)
{
    for (int64_t row = first, some; row < last; row += some) {
        int64_t l = row % of->rows;
        const float *x = of->x + row / of->rows * of->outer + l * of->down;
        some = least(least(LANES, of->rows - l), last - row);
        if (of->along != 1)
            gather(x, of->kept + row * of->width, some, of);
        for (int64_t k = 0; k < some; k++) {
            const float *from = of->along == 1 ? x + k * of->down : of->kept + (row + k) * of->width;
            standardise(from, of->y + (row + k) * of->width, of->mean + row + k, of->rate + row + k, of);
        }
    }
    return 0;
}

/* Some numbers of a row: the gradient times the weight, and the midpoint of both inputs minus the mean of both means. */
typedef struct {
    Lanes grad, centred;
} Half;

INLINE Half half_of(const float *g, const float *a1, const float *a0, const float *weight, float mid, int64_t room)
{
    Half found = {load_first(g, room, 0),
                  (load_first(a1, room, 0) + load_first(a0, room, 0)) * .5f - mid};
    if (weight != NULL)
        found.grad *= load_first(weight, room, 0);
    return found;
}

/* As standardised_gradients, of float32. */
int standardisation_gradients(const LayerNormGradients *of, int64_t first, int64_t last)
{
    const float *grad = of->grad, *weight = of->weight, *x1 = of->x1, *x0 = of->x0;
    const float *mean1 = of->mean1, *mean0 = of->mean0, *rate1 = of->rate1, *rate0 = of->rate0;
    float *out = of->out;
    int64_t width = of->width;
    for (int64_t row = first; row < last; row++) {
        int64_t partner = partner_of(row, of->span, of->n);
        const float *g = grad + row * width, *a1 = x1 + partner * width, *a0 = x0 + row * width;
        float *to = out + row * width, mid = (mean1[partner] + mean0[row]) / 2;
        double r1 = rate1[partner], r0 = rate0[row];
        Lanes sum = zeros(), along = sum, rate = every((float)((r1 + r0) / 2));
        for (int64_t j = 0; j < width; j += LANES) {
            int64_t room = width - j;
            Half one = half_of(g + j, a1 + j, a0 + j, weight == NULL ? NULL : weight + j, mid, room);
            sum += one.grad;
            along = fmadd(one.grad, one.centred, along); /* outside there is no gradient */
        }
        double rise = -2 * total(along) / (double)width * (r1 * r0) * (r1 * r0) / (r1 + r0);
        Lanes mean = every((float)(total(sum) / (double)width)), by = every((float)rise);
        for (int64_t j = 0; j < width; j += LANES) {
            int64_t room = width - j;
            Half one = half_of(g + j, a1 + j, a0 + j, weight == NULL ? NULL : weight + j, mid, room);
            store_first(to + j, room, fmadd(by, one.centred, rate * (one.grad - mean)));
        }
    }
    return 0;
}
#else
/* Never called in this build: it has no wide registers. */
void standardisations(void) {}
void standardisation_gradients(void) {}
#endif
