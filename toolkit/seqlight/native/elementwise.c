/* The multipliers of elementwise functions: the secant of any of them, and the gradient of relu. Each takes one pass over
   memory, and does what PyTorch would do, in the same order: the bits are those of PyTorch's own arithmetic. */
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
