/* Layer norm of float32: each row of x less its mean, times the reciprocal root of its variance, times a weight and plus a
   bias. Rows may lie across memory, as those of positions do behind a convolution, of which each channel has its own. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "simd.h"
#include "pairs.h"

/* Row l of `rows` of block o begins at x + o * outer + l * down, and its numbers are `along` apart: `down` or `along` is
   1. Where it is `down`, `kept` gets x with each row in one piece; weight and bias may be null. */
typedef struct {
    const float *x, *weight, *bias;
    float *kept, *y, *mean, *rate;
    int64_t rows, width, outer, down, along;
    double eps;
} Standardisations;

#ifdef HAVE_LANES
static void standardise(const float *x, float *y, float *mean, float *rate, const Standardisations *of)
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

/* Rows that lie across memory, some beside each other, in one piece. */
static void gather(const float *x, float *to, int64_t rows, const Standardisations *of)
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
int standardisations(const Standardisations *of, int64_t first, int64_t last)
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

/* The gradient at the input of the references for g, that at their output, as standardised_gradients has it, whose
   arguments these are. */
typedef struct {
    const float *grad, *weight, *x1, *mean1, *rate1, *x0, *mean0, *rate0;
    float *out;
    int64_t span, n, width, itemsize;
} StandardisationPulls;

/* Some numbers of a row: the gradient that its weight lets through, and what lies half way, less the mean of both. */
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

int standardisation_gradients(const StandardisationPulls *of, int64_t first, int64_t last)
{
    int64_t width = of->width;
    for (int64_t row = first; row < last; row++) {
        int64_t partner = partner_of(row, of->span, of->n);
        const float *g = of->grad + row * width, *a1 = of->x1 + partner * width, *a0 = of->x0 + row * width;
        float *to = of->out + row * width, mid = (of->mean1[partner] + of->mean0[row]) / 2;
        double r1 = of->rate1[partner], r0 = of->rate0[row];
        Lanes sum = zeros(), along = sum, rate = every((float)((r1 + r0) / 2));
        for (int64_t j = 0; j < width; j += LANES) {
            int64_t room = width - j;
            Half one = half_of(g + j, a1 + j, a0 + j, of->weight == NULL ? NULL : of->weight + j, mid, room);
            sum += one.grad;
            along = fmadd(one.grad, one.centred, along); /* outside there is no gradient */
        }
        double rise = -2 * total(along) / (double)width * (r1 * r0) * (r1 * r0) / (r1 + r0);
        Lanes mean = every((float)(total(sum) / (double)width)), by = every((float)rise);
        for (int64_t j = 0; j < width; j += LANES) {
            int64_t room = width - j;
            Half one = half_of(g + j, a1 + j, a0 + j, of->weight == NULL ? NULL : of->weight + j, mid, room);
            store_first(to + j, room, fmadd(by, one.centred, rate * (one.grad - mean)));
        }
    }
    return 0;
}
#else
/* Never called where these are not here. */
void standardisations(void) {}
void standardisation_gradients(void) {}
#endif
