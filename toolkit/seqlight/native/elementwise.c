/* The multipliers of elementwise functions: the secant of any of them, and the gradient of relu. Each takes one pass over
   memory, and does what PyTorch would do, in the same order: the bits are those of PyTorch's own arithmetic. */
#include <float.h>
#include <stdint.h>

#include "dtypes.h"
#include "pairs.h"

/* Stretches of elements whose partners are consecutive too: `run` of them from `i`, with the partner of the first at `p`. */
#define EACH_STRETCH                                                         \
    for (int64_t i = first, run = 0, p = 0;                                  \
         i < last && (p = partner_of(i, of->span, of->n), run = stretch(i, last, of->span)); i += run)

#define SECANT(type)                                                         \
    do {                                                                     \
        const type *a1 = of->x1, *b1 = of->y1, *t1 = of->slope1, *a0 = of->x0, *b0 = of->y0; \
        const type *size = of->by_input ? a1 : b1;                           \
        type *m = of->out, near = (type)of->threshold, allowed = (type)of->allowance; \
        EACH_STRETCH {                                                       \
            for (int64_t j = 0; j < run; j++) {                              \
                type dx = a1[p + j] - a0[i + j], dy = b1[p + j] - b0[i + j]; \
                type s = size[p + j], t = t1[p + j] * a1[p + j], rest = dy - t1[p + j] * dx; \
                type noise = ((s < 0 ? -s : s) + (t < 0 ? -t : t)) * allowed; \
                int far = (dx < 0 ? -dx : dx) >= near, hidden = (rest < 0 ? -rest : rest) < noise; \
                far &= !hidden;                                              \
                type secant = dy / (far ? dx : (type)1);                     \
                m[i + j] = far ? secant : t1[p + j];                         \
            }                                                                \
        }                                                                    \
    } while (0)

/* dy / dx for the elements first .. last of the references, or the slope at the input where dx is 0 or where that slope
   explains dy up to rounding. */
typedef struct {
    const void *x1, *y1, *slope1, *x0, *y0;
    void *out;
    int64_t span, n, itemsize;
    double threshold, allowance;
    int64_t by_input;
} Secants;

int secants(const Secants *of, int64_t first, int64_t last)
{
    OF_ITS_TYPE(SECANT);
}

#define RELU(type)                                                           \
    do {                                                                     \
        const type *a1 = of->x1, *a0 = of->x0, *g = of->grad;                \
        type *to = of->out, near = (type)of->threshold;                      \
        EACH_STRETCH {                                                       \
            for (int64_t j = 0; j < run; j++) {                              \
                type u = a1[p + j], v = a0[i + j], dx = u - v;               \
                type above = u < 0 ? (type)0 : u, below = v < 0 ? (type)0 : v; \
                int far = (dx < 0 ? -dx : dx) >= near;                       \
                type secant = (above - below) / (far ? dx : (type)1);        \
                to[i + j] = g[i + j] * (far ? secant : (type)(u > 0));       \
            }                                                                \
        }                                                                    \
    } while (0)

/* The gradient at the input of max(x, 0): that at its output times the secant. */
typedef struct {
    const void *grad, *x1, *x0;
    void *out;
    int64_t span, n, itemsize;
    double threshold;
} ReluGradients;

int relu_gradients(const ReluGradients *of, int64_t first, int64_t last)
{
    OF_ITS_TYPE(RELU);
}

/* Where both inputs lie on one side of 0, slopes and multiplier are the same number, and their difference is 0. A quotient
   by so small a step that it is infinite counts as 0. In functions of their own, because the compiler believes only their
   parameters that results lie in other memory. */
#define RELU_DERIVE(type, smallest, largest)                                 \
    static void derive_relu_##type(                                          \
        const type *restrict gs, const type *restrict grads, const type *restrict a1, const type *restrict a0, \
        type *restrict at_grad, type *restrict at_1, type *restrict at_0, int64_t first, int64_t last) \
    {                                                                        \
        for (int64_t i = first; i < last; i++) {                             \
            type u = a1[i], v = a0[i], g = gs[i], both = g * grads[i], dx = u - v, size = dx < 0 ? -dx : dx; \
            type above = u > 0 ? u : (type)0, below = v > 0 ? v : (type)0;   \
            type on_1 = u > 0 ? (type)1 : (type)0, on_0 = v > 0 ? (type)1 : (type)0; \
            int turned = (on_1 != on_0) & (size >= smallest);                \
            type step = turned ? dx : (type)1, up = turned ? above - below : on_1; \
            type secant = up / step, along = turned ? both : (type)0, rate = along / step; \
            type far = rate < 0 ? -rate : rate;                              \
            rate = far <= largest ? rate : (type)0;                          \
            at_grad[i] = g * secant;                                         \
            at_1[i] = rate * (on_1 - secant);                                \
            at_0[i] = rate * (secant - on_0);                                \
        }                                                                    \
    }
RELU_DERIVE(float, FLT_MIN, FLT_MAX)
RELU_DERIVE(double, DBL_MIN, DBL_MAX)

/* For `g`, the gradient at what relu_gradients returns for `grad`: those at `grad` and at both inputs. */
typedef struct {
    const void *g, *grad, *x1, *x0;
    void *at_grad, *at_1, *at_0;
    int64_t itemsize;
} ReluDerivatives;

#define DERIVED_RELU(type) \
    derive_relu_##type(of->g, of->grad, of->x1, of->x0, of->at_grad, of->at_1, of->at_0, first, last)

int relu_derivatives(const ReluDerivatives *of, int64_t first, int64_t last)
{
    OF_ITS_TYPE(DERIVED_RELU);
}
