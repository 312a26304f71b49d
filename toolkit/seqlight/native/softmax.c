/* The multipliers of softmax and the gradient at its input, a row at a time: softmax_multipliers and softmax_gradients for
   softmax by itself, attention_gradients for softmax between the two products of attention. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "dtypes.h"
#include "pairs.h"
#include "sums.h"

/* From any element with a share exp(x - logsumexp) that is not tiny; the largest is at least 1 / width. */
#define LOGSUMEXP(lse, x, p)                                                 \
    do {                                                                     \
        int64_t at = 0;                                                      \
        while (at < width - 1 && !((p)[at] * width >= 0.5)) at++;            \
        lse = (double)(x)[at] - log((double)(p)[at]);                        \
    } while (0)

/* The difference d of logsumexps, and the secant of the logarithm times either sum of exponentials. */
#define MEAN_EXPONENTIALS                                                    \
    do {                                                                     \
        double lse1, lse0;                                                   \
        LOGSUMEXP(lse1, a1, q1);                                             \
        LOGSUMEXP(lse0, a0, q0);                                             \
        d = lse1 - lse0;                                                     \
        int still = fabs(d) < 1e-9;                                          \
        above = still ? 1 + d / 2 : d / -expm1(-d);                          \
        below = still ? 1 - d / 2 : d / expm1(d);                            \
    } while (0)

/* The logarithmic mean of a and b, whose logarithms differ by `step`: see rules/logarithmic_mean.py. Where one is infinite,
   or both are, as where all is hidden, it is 0; what is no number stays so. */
#define LOGARITHMIC_MEAN(type, absolute, a, b, step)                         \
    (absolute(step) < (type)1e15                                             \
         ? (((a) - (b)) * (step) + ((a) + (b)) * nearness / 2) / ((step) * (step) + nearness) \
         : ((a) - (b)) * 0)

/* Written without branches, so that the compiler vectorizes it. */
#define SOFTMAX_ROW(type, absolute)                                          \
    static void softmax_row_##type(                                          \
        const type *restrict a1, const type *restrict q1, const type *restrict a0, const type *restrict q0, \
        type *restrict w, type *restrict s, int64_t width, type above, type below, type shift, type nearness) \
    {                                                                        \
        for (int64_t j = 0; j < width; j++) {                                \
            type dx = a1[j] - a0[j], dz = dx - shift, up = above * q1[j], down = below * q0[j]; \
            w[j] = LOGARITHMIC_MEAN(type, absolute, up, down, dx);           \
            s[j] = LOGARITHMIC_MEAN(type, absolute, q1[j], q0[j], dz);       \
        }                                                                    \
    }
SOFTMAX_ROW(float, fabsf)
SOFTMAX_ROW(double, fabs)

#define SOFTMAX(type)                                                        \
    do {                                                                     \
        int64_t width = of->width;                                           \
        EACH_ROW {                                                           \
            const type *a1 = (const type *)of->x1 + partner * width, *q1 = (const type *)of->p1 + partner * width; \
            const type *a0 = (const type *)of->x0 + row * width, *q0 = (const type *)of->p0 + row * width; \
            type *w = (type *)of->weights + row * width, *s = (type *)of->slope + row * width; \
            double d, above, below;                                          \
            MEAN_EXPONENTIALS;                                               \
            softmax_row_##type(a1, q1, a0, q0, w, s, width, (type)above, (type)below, (type)d, (type)of->nearness); \
        }                                                                    \
    } while (0)

/* From inputs x and softmaxes p: the weights of logsumexp, whose sum with the differences of inputs is that of logsumexps, and
   the secant of softmax over log_softmax. */
typedef struct {
    const void *x1, *p1, *x0, *p0;
    void *weights, *slope;
    int64_t span, n, width, itemsize;
    double nearness;
} Softmaxes;

int softmax_multipliers(const Softmaxes *of, int64_t first, int64_t last)
{
    OF_ITS_TYPE(SOFTMAX);
}

#define SOFTMAX_PULL(type)                                                   \
    do {                                                                     \
        int64_t width = of->width;                                           \
        for (int64_t row = first; row < last; row++) {                       \
            const type *g = (const type *)of->grad + row * width, *w = (const type *)of->weights + row * width; \
            const type *s = (const type *)of->slope + row * width;           \
            type *to = (type *)of->out + row * width;                        \
            double total;                                                    \
            SUM(total, g[at] * s[at]);                                       \
            type all = (type)total;                                          \
            for (int64_t j = 0; j < width; j++) to[j] = g[j] * s[j] - w[j] * all; \
        }                                                                    \
    } while (0)

/* The gradient at the input of softmax; `out` may be `grad`. */
typedef struct {
    const void *grad, *weights, *slope;
    void *out;
    int64_t width, itemsize;
} SoftmaxPulls;

int softmax_gradients(const SoftmaxPulls *of, int64_t first, int64_t last)
{
    OF_ITS_TYPE(SOFTMAX_PULL);
}

/* The gradient at a row of scores, in two sweeps: times the secant of softmax over log_softmax, then minus the weights. */
#define ATTENTION_ROW(type, absolute)                                        \
    static double secant_row_##type(                                         \
        type *restrict g, const type *restrict a1, const type *restrict q1, const type *restrict a0,          \
        const type *restrict q0, int64_t width, type shift, type nearness)       \
    {                                                                        \
        for (int64_t j = 0; j < width; j++) {                                \
            type dz = a1[j] - a0[j] - shift;                                 \
            g[j] *= LOGARITHMIC_MEAN(type, absolute, q1[j], q0[j], dz);      \
        }                                                                    \
        double total;                                                        \
        SUM(total, g[at]);                                                   \
        return total;                                                        \
    }                                                                        \
    static void pull_row_##type(                                             \
        type *restrict g, type *restrict half, const type *restrict a1, const type *restrict q1,              \
        const type *restrict a0, const type *restrict q0, int64_t width, type above, type below, type all, type nearness) \
    {                                                                        \
        for (int64_t j = 0; j < width; j++) {                                \
            type dx = a1[j] - a0[j], up = above * q1[j], down = below * q0[j]; \
            g[j] -= LOGARITHMIC_MEAN(type, absolute, up, down, dx) * all;    \
            half[j] = (q1[j] + q0[j]) / 2;                                   \
        }                                                                    \
    }
ATTENTION_ROW(float, fabsf)
ATTENTION_ROW(double, fabs)

#define ATTENTION_PULL(type)                                                 \
    do {                                                                     \
        int64_t width = of->width;                                           \
        type nearness = (type)of->nearness;                                      \
        EACH_ROW {                                                           \
            const type *a1 = (const type *)of->x1 + partner * width, *q1 = (const type *)of->p1 + partner * width; \
            const type *a0 = (const type *)of->x0 + row * width, *q0 = (const type *)of->p0 + row * width; \
            type *g = (type *)of->grad + row * width, *h = (type *)of->half + row * width; \
            double d, above, below;                                          \
            MEAN_EXPONENTIALS;                                               \
            type all = (type)secant_row_##type(g, a1, q1, a0, q0, width, (type)d, nearness); \
            pull_row_##type(g, h, a1, q1, a0, q0, width, (type)above, (type)below, all, nearness); \
        }                                                                    \
    } while (0)

/* softmax_multipliers and softmax_gradients in one, without multipliers in memory: the gradient at the scores x replaces
   `grad`, that at the weights p. And the mean of both weights. */
typedef struct {
    void *grad, *half;
    const void *x1, *p1, *x0, *p0;
    int64_t span, n, width, itemsize;
    double nearness;
} AttentionPulls;

int attention_gradients(const AttentionPulls *of, int64_t first, int64_t last)
{
    OF_ITS_TYPE(ATTENTION_PULL);
}

/* The derivative of the logarithmic mean of a and b with respect to log(a), for a step log(a / b): see
   rules/logarithmic_mean.py. */
#define MEAN_BY_LOGARITHM(type, terms)                                       \
    static inline type mean_by_log_##type(type a, type mean, type step)      \
    {                                                                        \
        type near = 0, square = step * step;                                 \
        _Pragma("GCC unroll 16") for (int k = terms; k > 1; k--) near = (1 - near * step) * (type)(1.0 / k); \
        type far = (a - mean) / step;                                        \
        return square < (type)0.25 ? a * near : square < (type)1e30 ? far : (a - mean) * 0; \
    }
MEAN_BY_LOGARITHM(float, 9)
MEAN_BY_LOGARITHM(double, 14)

/* Gradients at the logarithms of p1 and p0, as they are in the secant (s1, s0) and, with their factors, in the weights (w1, w0).
   `all` is the sum of what softmax_row and the gradient give, `mean` that of `g` times the weights. */
#define DERIVATIVE_ROW(type)                                                 \
    static void derivative_row_##type(                                       \
        const type *restrict g, const type *restrict grad, const type *restrict a1, const type *restrict q1, \
        const type *restrict a0, const type *restrict q0, const type *restrict w, const type *restrict s, \
        type *restrict at_grad, type *restrict s1, type *restrict s0, type *restrict w1, type *restrict w0, \
        int64_t width, type above, type below, type shift, type all, type mean) \
    {                                                                        \
        for (int64_t j = 0; j < width; j++) {                                \
            type dx = a1[j] - a0[j], dz = dx - shift, rise = above * q1[j], fall = below * q0[j]; \
            type up = g[j] - mean, by_s = up * grad[j], by_w = -g[j] * all;  \
            at_grad[j] = up * s[j];                                          \
            s1[j] = by_s * mean_by_log_##type(q1[j], s[j], dz);              \
            s0[j] = by_s * mean_by_log_##type(q0[j], s[j], -dz);             \
            w1[j] = by_w * mean_by_log_##type(rise, w[j], dx);               \
            w0[j] = by_w * mean_by_log_##type(fall, w[j], -dx);              \
        }                                                                    \
    }                                                                        \
    static void input_row_##type(                                            \
        const type *restrict q, const type *restrict s, const type *restrict w, type *restrict at, int64_t width, type by) \
    {                                                                        \
        for (int64_t j = 0; j < width; j++) at[j] = s[j] + w[j] + q[j] * by; \
    }
DERIVATIVE_ROW(float)
DERIVATIVE_ROW(double)

/* The derivative of d / (1 - exp(-d)): near 0 its power series. */
static double slope_above(double d)
{
    double fall = expm1(-d);
    if (fabs(d) < 0.05)
        return 0.5 + d * (1.0 / 6 - d * d * (1.0 / 180 - d * d / 5040));
    return (-fall - d * (1 + fall)) / (fall * fall);
}

#define SOFTMAX_DERIVE(type)                                                 \
    do {                                                                     \
        int64_t width = of->width;                                           \
        type *w = malloc((size_t)(6 * width) * sizeof(type));                \
        if (w == NULL)                                                       \
            return -1;                                                       \
        type *s = w + width, *s1 = s + width, *s0 = s1 + width, *w1 = s0 + width, *w0 = w1 + width; \
        for (int64_t row = first; row < last; row++) {                       \
            int64_t from = row * width;                                      \
            const type *a1 = (const type *)of->x1 + from, *q1 = (const type *)of->p1 + from; \
            const type *a0 = (const type *)of->x0 + from, *q0 = (const type *)of->p0 + from; \
            const type *g = (const type *)of->g + from, *grad = (const type *)of->grad + from; \
            double d, above, below, all, mean, rise_1, rise_0, total_1, total_0; \
            MEAN_EXPONENTIALS;                                               \
            softmax_row_##type(a1, q1, a0, q0, w, s, width, (type)above, (type)below, (type)d, (type)of->nearness); \
            SUM(all, grad[at] * s[at]);                                      \
            SUM(mean, g[at] * w[at]);                                        \
            derivative_row_##type(                                           \
                g, grad, a1, q1, a0, q0, w, s, (type *)of->at_grad + from, s1, s0, w1, w0, width, (type)above, \
                (type)below, (type)d, (type)all, (type)mean);                \
            SUM(rise_1, w1[at]);                                             \
            SUM(rise_0, w0[at]);                                             \
            SUM(total_1, s1[at]);                                            \
            SUM(total_0, s0[at]);                                            \
            double by_d = (rise_1 + rise_0) * slope_above(d) / above - rise_0; \
            input_row_##type(q1, s1, w1, (type *)of->at_1 + from, width, (type)(by_d - total_1 - rise_1)); \
            input_row_##type(q0, s0, w0, (type *)of->at_0 + from, width, (type)(-by_d - total_0 - rise_0)); \
        }                                                                    \
        free(w);                                                             \
    } while (0)

/* For `g`, the gradient at what softmax_multipliers and softmax_gradients give together for `grad`: those at `grad`, and at
   the inputs x. */
typedef struct {
    const void *g, *grad, *x1, *p1, *x0, *p0;
    void *at_grad, *at_1, *at_0;
    int64_t width, itemsize;
    double nearness;
} SoftmaxDerivatives;

int softmax_derivatives(const SoftmaxDerivatives *of, int64_t first, int64_t last)
{
    OF_ITS_TYPE(SOFTMAX_DERIVE);
}
