/* The multipliers of max pooling, and the gradient at its input, each in one pass over memory. The bits are those of
   PyTorch's own arithmetic. */
#include <stdint.h>
#include <string.h>

#include "dtypes.h"
#include "pairs.h"

/* Maxima that are equal but for rounding may give a multiplier that is so much above 1. */
#define SLACK (1 + 1.0 / 256)

/* The credit of window j, whose maximum is b1[j] at w1[j] in the sequence, and v at `won` in the reference. */
#define CREDIT_WINDOW(type)                                                                \
    do {                                                                                   \
        type u = b1[j];                                                                    \
        int grown = u >= v;                                                                \
        int64_t to = grown ? w1[j] : won;                                                  \
        type other = (grown ? a0 : a1)[to], dx = grown ? u - other : other - v;            \
        int close = ((dx < 0 ? -dx : dx) < near) | ((u == v) & (dx != dx));                \
        m[j] = (close ? (type)1 : u - v) / (close ? (type)1 : dx);                         \
        w[j] = to;                                                                         \
    } while (0)

/* The largest finite magnitude of a row. As integers, whose order is that of the magnitudes, for these are compared side by
   side without a promise about NaN. */
#define LARGEST_SIZE(type, bits, infinity)                                                 \
    static inline type largest_##type(const type *a, int64_t width)                        \
    {                                                                                      \
        bits most = 0;                                                                     \
        for (int64_t i = 0; i < width; i++) {                                              \
            bits here;                                                                     \
            memcpy(&here, a + i, sizeof here);                                             \
            here &= (bits)(((uint64_t)1 << (8 * sizeof here - 1)) - 1);                    \
            here = here < infinity ? here : 0;                                             \
            most = here > most ? here : most;                                              \
        }                                                                                  \
        type found;                                                                        \
        memcpy(&found, &most, sizeof found);                                               \
        return found;                                                                      \
    }
LARGEST_SIZE(float, int32_t, 0x7f800000)
LARGEST_SIZE(double, int64_t, 0x7ff0000000000000)

/* The same with the first of the maxima that count as equal, if it is before the one that is reported, and the multiplier
   there is one of a cross-maximum. */
#define CREDIT_FIRST(type, at, dilation)                                                   \
    do {                                                                                   \
        CREDIT_WINDOW(type);                                                               \
        type u = b1[j], dy = u - v, least = u >= v ? u - tie1 : v - tie0;                  \
        const type *a = u >= v ? a1 : a0;                                                  \
        int64_t t = at, reported = w[j];                                                   \
        while (t < reported && !(a[t] >= least)) t += (dilation);                          \
        if (t < reported) {                                                                \
            type dx = a1[t] - a0[t];                                                       \
            type rise = dy < 0 ? -dy : dy, run = dx < 0 ? -dx : dx;                        \
            if ((dy * dx > 0) & (rise <= run * (type)SLACK)) m[j] = dy / dx, w[j] = t;     \
        }                                                                                  \
    } while (0)

#define CREDIT(type)                                                                       \
    do {                                                                                   \
        int64_t width = of->width, windows = of->windows;                                  \
        type near = (type)of->threshold;                                                   \
        for (int64_t row = first; row < last; row++) {                                     \
            int64_t partner = partner_of(row, of->span, of->n);                            \
            const type *a1 = (const type *)of->x1 + partner * width, *b1 = (const type *)of->y1 + partner * windows; \
            const type *a0 = (const type *)of->x0 + row * width, *b0 = (const type *)of->y0 + row * windows; \
            const int64_t *w1 = of->winners1 + partner * windows;                          \
            const int64_t *w0 = of->winners0 + row * windows;                              \
            int64_t *w = of->winners + row * windows;                                      \
            type *m = (type *)of->out + row * windows;                                     \
            for (int64_t j = 0; j < windows; j++) {                                        \
                type v = b0[j];                                                            \
                int64_t won = w0[j];                                                       \
                CREDIT_WINDOW(type);                                                       \
            }                                                                              \
        }                                                                                  \
    } while (0)

/* The position to which each window of the rows first .. last gives its credit, and the multiplier there. A row has
   `width` inputs and `windows` outputs; `span` rows were recorded for each n * span of the references. */
typedef struct {
    const void *x1, *y1;
    const int64_t *winners1;
    const void *x0, *y0;
    const int64_t *winners0;
    int64_t *winners;
    void *out;
    int64_t span, n, width, windows, itemsize;
    double threshold;
} Credits;

int pool_credits(const Credits *of, int64_t first, int64_t last)
{
    OF_ITS_TYPE(CREDIT);
}

/* The maximum of the elements at, at + dilation ... before end, and its position; the first of equals, and NaN if there is
   one. */
#define LARGEST(value, place, at, end, dilation)                                           \
    do {                                                                                   \
        value = a0[at], place = at;                                                        \
        for (int64_t t = (at) + (dilation); t < (end); t += (dilation)) {                  \
            int better = (a0[t] > value) | (a0[t] != a0[t]);                               \
            value = better ? a0[t] : value;                                                \
            place = better ? t : place;                                                    \
        }                                                                                  \
    } while (0)

/* Windows that touch but do not overlap, of a size that the compiler knows: SOME at a time, each step for all of them. It does
   what is done below for other windows, with a row for the elements at each place of the windows, so that nothing has to be
   looked up. */
enum { SOME = 64 };
#define SIDE_BY_SIDE(type, place, size)                                                    \
    static void side_by_side_##type##_##size(                                         \
        const type *restrict a1, const type *restrict b1, const int64_t *restrict w1, const type *restrict a0, \
        type *restrict b0, int64_t *restrict w, type *restrict m, int64_t windows, type near, type tie1, type tie0) \
    {                                                                                      \
        type e[size][SOME], f[size][SOME], v[SOME], mine[SOME], theirs[SOME], least[SOME], step[SOME]; \
        place won[SOME], to[SOME], first[SOME];                                            \
        for (int64_t j = 0; j < windows; j += SOME) {                                      \
            int64_t n = windows - j < SOME ? windows - j : SOME;                           \
            for (int t = 0; t < size; t++)                                                 \
                for (int64_t l = 0; l < n; l++) e[t][l] = a0[(j + l) * size + t];          \
            for (int t = 0; t < size; t++)                                                 \
                for (int64_t l = 0; l < n; l++) f[t][l] = a1[(j + l) * size + t];          \
            for (int64_t l = 0; l < n; l++) v[l] = e[0][l], won[l] = 0;                    \
            for (int t = 1; t < size; t++)                                                 \
                for (int64_t l = 0; l < n; l++) {                                          \
                    type here = e[t][l];                                                   \
                    int better = (here > v[l]) | (here != here);                           \
                    v[l] = better ? here : v[l];                                           \
                    won[l] = better ? t : won[l];                                          \
                }                                                                          \
            for (int64_t l = 0; l < n; l++) {                                              \
                place theirs_at = (place)(w1[j + l] - (j + l) * size);                     \
                to[l] = b1[j + l] >= v[l] ? theirs_at : won[l];                            \
                first[l] = to[l];                                                          \
                least[l] = b1[j + l] >= v[l] ? b1[j + l] - tie1 : v[l] - tie0;             \
            }                                                                              \
            for (int t = size - 1; t >= 0; t--)                                            \
                for (int64_t l = 0; l < n; l++) {                                          \
                    type here = b1[j + l] >= v[l] ? f[t][l] : e[t][l];                     \
                    first[l] = here >= least[l] ? t : first[l];                            \
                }                                                                          \
            for (int64_t l = 0; l < n; l++) step[l] = f[0][l] - e[0][l];                   \
            for (int t = 1; t < size; t++)                                                 \
                for (int64_t l = 0; l < n; l++) {                                          \
                    type here = f[t][l] - e[t][l];                                         \
                    step[l] = first[l] == t ? here : step[l];                              \
                }                                                                          \
            for (int64_t l = 0; l < n; l++) {                                              \
                type dy = b1[j + l] - v[l], rise = dy < 0 ? -dy : dy, run = step[l] < 0 ? -step[l] : step[l]; \
                to[l] = (dy * step[l] > 0) & (rise <= run * (type)SLACK) ? first[l] : to[l]; \
            }                                                                              \
            for (int64_t l = 0; l < n; l++) mine[l] = e[0][l], theirs[l] = f[0][l];        \
            for (int t = 1; t < size; t++)                                                 \
                for (int64_t l = 0; l < n; l++) {                                          \
                    type one = e[t][l], other = f[t][l];                                   \
                    mine[l] = to[l] == t ? one : mine[l];                                  \
                    theirs[l] = to[l] == t ? other : theirs[l];                            \
                }                                                                          \
            for (int64_t l = 0; l < n; l++) {                                              \
                type u = b1[j + l], dx = theirs[l] - mine[l], dy = u - v[l];               \
                int close = ((dx < 0 ? -dx : dx) < near) | ((u == v[l]) & (dx != dx));     \
                dy = close ? (type)1 : dy, dx = close ? (type)1 : dx;                      \
                m[j + l] = dy / dx;                                                        \
                b0[j + l] = v[l];                                                          \
            }                                                                              \
            for (int64_t l = 0; l < n; l++) w[j + l] = (j + l) * size + to[l];             \
        }                                                                                  \
    }
SIDE_BY_SIDE(float, int32_t, 2)
SIDE_BY_SIDE(float, int32_t, 3)
SIDE_BY_SIDE(float, int32_t, 4)
SIDE_BY_SIDE(double, int64_t, 2)
SIDE_BY_SIDE(double, int64_t, 3)
SIDE_BY_SIDE(double, int64_t, 4)

#define POOL(type)                                                                         \
    do {                                                                                   \
        int64_t width = of->width, windows = of->windows, kernel = of->kernel, stride = of->stride; \
        int64_t padding = of->padding, dilation = of->dilation;                            \
        int even = stride == kernel && !padding && dilation == 1 && windows * kernel <= width; \
        type near = (type)of->threshold, ulp = (type)of->tie;                              \
        for (int64_t row = first; row < last; row++) {                                     \
            int64_t partner = partner_of(row, of->span, of->n);                            \
            const type *a1 = (const type *)of->x1 + partner * width, *b1 = (const type *)of->y1 + partner * windows; \
            const type *a0 = (const type *)of->x0 + row * width;                           \
            const int64_t *w1 = of->winners1 + partner * windows;                          \
            int64_t *w = of->winners + row * windows;                                      \
            type *m = (type *)of->out + row * windows, *b0 = (type *)of->y0 + row * windows; \
            /* Maxima that differ by less count as equal. */                               \
            type tie1 = largest_##type(a1, width) * ulp, tie0 = largest_##type(a0, width) * ulp; \
            if (even && kernel == 2)                                                       \
                side_by_side_##type##_2(a1, b1, w1, a0, b0, w, m, windows, near, tie1, tie0); \
            else if (even && kernel == 3)                                                  \
                side_by_side_##type##_3(a1, b1, w1, a0, b0, w, m, windows, near, tie1, tie0); \
            else if (even && kernel == 4)                                                  \
                side_by_side_##type##_4(a1, b1, w1, a0, b0, w, m, windows, near, tie1, tie0); \
            else                                                                           \
                for (int64_t j = 0; j < windows; j++) {                                    \
                    type v;                                                                \
                    int64_t won, at = j * stride - padding, end = at + kernel * dilation;  \
                    if (at < 0) at += (-at + dilation - 1) / dilation * dilation;          \
                    if (end > width) end = width;                                          \
                    LARGEST(v, won, at, end, dilation);                                    \
                    b0[j] = v;                                                             \
                    CREDIT_FIRST(type, at, dilation);                                      \
                }                                                                          \
        }                                                                                  \
    } while (0)

/* Max pooling of the rows first .. last over their width, with positions and multipliers of its windows as above. */
typedef struct {
    const void *x1, *y1;
    const int64_t *winners1;
    const void *x0;
    void *y0;
    int64_t *winners;
    void *out;
    int64_t span, n, width, windows, kernel, stride, padding, dilation, itemsize;
    double threshold, tie;
} Pools;

int pools(const Pools *of, int64_t first, int64_t last)
{
    OF_ITS_TYPE(POOL);
}

#define SCATTER(type)                                                                      \
    do {                                                                                   \
        int64_t width = of->width, windows = of->windows;                                  \
        for (int64_t row = first; row < last; row++) {                                     \
            type *to = (type *)of->out + row * width;                                      \
            const type *g = (const type *)of->grad + row * windows, *m = (const type *)of->multiplier + row * windows; \
            const int64_t *w = of->winners + row * windows;                                \
            memset(to, 0, (size_t)width * sizeof(type));                                   \
            for (int64_t j = 0; j < windows; j++) to[w[j]] += g[j] * m[j];                 \
        }                                                                                  \
    } while (0)

/* The gradient at the input: that of each window times its multiplier, at the position that gets the credit. */
typedef struct {
    const void *grad, *multiplier;
    const int64_t *winners;
    void *out;
    int64_t width, windows, itemsize;
} Scatters;

int pool_gradients(const Scatters *of, int64_t first, int64_t last)
{
    OF_ITS_TYPE(SCATTER);
}

#define POOL_DERIVE(type)                                                                  \
    do {                                                                                   \
        int64_t width = of->width, windows = of->windows;                                  \
        for (int64_t row = first; row < last; row++) {                                     \
            int64_t here = row * width, some = row * windows;                              \
            const type *g = (const type *)of->g + here, *a1 = (const type *)of->x1 + here, *a0 = (const type *)of->x0 + here; \
            const type *grad = (const type *)of->grad + some, *m = (const type *)of->multiplier + some; \
            const int64_t *w = of->winners + some;                                         \
            type *to = (type *)of->at_grad + some, *by_1 = (type *)of->at_1 + here, *by_0 = (type *)of->at_0 + here; \
            type *rise_1 = (type *)of->at_y1 + some, *rise_0 = (type *)of->at_y0 + some;   \
            memset(by_1, 0, (size_t)width * sizeof(type));                                 \
            memset(by_0, 0, (size_t)width * sizeof(type));                                 \
            for (int64_t j = 0; j < windows; j++) {                                        \
                int64_t at = w[j];                                                         \
                type rise = g[at] * grad[j] / (a1[at] - a0[at]);                           \
                rise = rise - rise == 0 ? rise : 0; /* of what does not change */          \
                to[j] = g[at] * m[j];                                                      \
                rise_1[j] = rise, rise_0[j] = -rise;                                       \
                by_1[at] -= rise * m[j], by_0[at] += rise * m[j];                          \
            }                                                                              \
        }                                                                                  \
    } while (0)

/* For g, the gradient at what pool_gradients returns: those at the gradients of windows, at both inputs, and at both maxima, as
   the multiplier is the quotient of their differences. */
typedef struct {
    const void *g, *grad, *multiplier, *x1, *x0;
    const int64_t *winners;
    void *at_grad, *at_1, *at_0, *at_y1, *at_y0;
    int64_t width, windows, itemsize;
} PoolDerivatives;

int pool_derivatives(const PoolDerivatives *of, int64_t first, int64_t last)
{
    OF_ITS_TYPE(POOL_DERIVE);
}
