/* Layer norm of float32: each row of x less its mean, times the reciprocal root of its variance, times a weight and plus a
   bias. Rows may lie across memory, as those of positions do behind a convolution, of which each channel has its own. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "lanes.h"
#include "partners.h"

/* Row l of `rows` of block o begins at x + o * outer + l * down, and its numbers are `along` apart: `down` or `along` is
   1. Where it is `down`, `kept` gets x with each row in one piece; weight and bias may be null. */
typedef struct {
    const float *x, *weight, *bias;
    float *kept, *y, *mean, *rate;
    int64_t rows, width, outer, down, along;
    double eps;
} Standardisations;

#ifdef HAVE_LANES
WIDEST static void standardise(const float *x, float *y, float *mean, float *rate, const Standardisations *of)
{
    int64_t width = of->width;
    __m512 sum = _mm512_setzero_ps(), squares = sum;
    for (int64_t j = 0; j < width; j += LANES) sum += _mm512_maskz_loadu_ps(first_lanes(width - j), x + j);
    *mean = (float)(total(sum) / (double)width);
    __m512 middle = _mm512_set1_ps(*mean);
    for (int64_t j = 0; j < width; j += LANES) {
        __mmask16 inside = first_lanes(width - j);
        __m512 off = _mm512_maskz_sub_ps(inside, _mm512_maskz_loadu_ps(inside, x + j), middle);
        squares = _mm512_fmadd_ps(off, off, squares);
    }
    *rate = (float)(1 / sqrt(total(squares) / (double)width + of->eps));
    __m512 by = _mm512_set1_ps(*rate);
    for (int64_t j = 0; j < width; j += LANES) {
        __mmask16 inside = first_lanes(width - j);
        __m512 one = (_mm512_maskz_loadu_ps(inside, x + j) - middle) * by;
        if (of->weight != NULL)
            one *= _mm512_maskz_loadu_ps(inside, of->weight + j);
        if (of->bias != NULL)
            one += _mm512_maskz_loadu_ps(inside, of->bias + j);
        _mm512_mask_storeu_ps(y + j, inside, one);
    }
}

/* Rows that lie across memory, some beside each other, in one piece. */
WIDEST static void gather(const float *x, float *to, int64_t rows, const Standardisations *of)
{
    __m512 r[LANES];
    __mmask16 there = first_lanes(rows);
    for (int64_t c = 0; c < of->width; c += LANES) {
        __mmask16 inside = first_lanes(of->width - c);
        UNROLLED for (int k = 0; k < LANES; k++)
            r[k] = c + k < of->width ? _mm512_maskz_loadu_ps(there, x + (c + k) * of->along) : _mm512_setzero_ps();
        turn_square(r);
        UNROLLED for (int k = 0; k < LANES; k++)
            if (k < rows)
                _mm512_mask_storeu_ps(to + k * of->width + c, inside, r[k]);
    }
}

/* The rows first .. last of all blocks. */
WIDEST int standardisations(const Standardisations *of, int64_t first, int64_t last)
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
    __m512 grad, centred;
} Half;

WIDEST INLINE Half half_of(const float *g, const float *a1, const float *a0, const float *weight, float mid, __mmask16 inside)
{
    Half found = {_mm512_maskz_loadu_ps(inside, g),
                  (_mm512_maskz_loadu_ps(inside, a1) + _mm512_maskz_loadu_ps(inside, a0)) * .5f - mid};
    if (weight != NULL)
        found.grad *= _mm512_maskz_loadu_ps(inside, weight);
    return found;
}

WIDEST int standardisation_gradients(const StandardisationPulls *of, int64_t first, int64_t last)
{
    int64_t width = of->width;
    for (int64_t row = first; row < last; row++) {
        int64_t partner = partner_of(row, of->span, of->n);
        const float *g = of->grad + row * width, *a1 = of->x1 + partner * width, *a0 = of->x0 + row * width;
        float *to = of->out + row * width, mid = (of->mean1[partner] + of->mean0[row]) / 2;
        double r1 = of->rate1[partner], r0 = of->rate0[row];
        __m512 sum = _mm512_setzero_ps(), along = sum, rate = _mm512_set1_ps((float)((r1 + r0) / 2));
        for (int64_t j = 0; j < width; j += LANES) {
            __mmask16 inside = first_lanes(width - j);
            Half one = half_of(g + j, a1 + j, a0 + j, of->weight == NULL ? NULL : of->weight + j, mid, inside);
            sum += one.grad;
            along = _mm512_mask3_fmadd_ps(one.grad, one.centred, along, inside);
        }
        double rise = -2 * total(along) / (double)width * (r1 * r0) * (r1 * r0) / (r1 + r0);
        __m512 mean = _mm512_set1_ps((float)(total(sum) / (double)width)), by = _mm512_set1_ps((float)rise);
        for (int64_t j = 0; j < width; j += LANES) {
            __mmask16 inside = first_lanes(width - j);
            Half one = half_of(g + j, a1 + j, a0 + j, of->weight == NULL ? NULL : of->weight + j, mid, inside);
            _mm512_mask_storeu_ps(to + j, inside, _mm512_fmadd_ps(by, one.centred, rate * (one.grad - mean)));
        }
    }
    return 0;
}
#else
/* Never called where these are not here. */
void standardisations(void) {}
void standardisation_gradients(void) {}
#endif
