/* The multipliers of max pooling, and the gradient at its input, each in one pass over memory. The bits are those of
   PyTorch's own arithmetic. */
#include <stdint.h>
#include <string.h>

#include "dtypes.h"
#include "pairs.h"

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
        type *restrict b0, int64_t *restrict w, type *restrict m, int64_t windows, type near) \
    {                                                                                      \
        type e[size][SOME], f[size][SOME], v[SOME], mine[SOME], theirs[SOME];              \
        place won[SOME], to[SOME];                                                         \
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
            }                                                                              \
            for (int64_t l = 0; l < n; l++) mine[l] = e[0][l], theirs[l] = f[0][l];        \
            for (int t = 1; t < size; t++)                                                 \
                for (int64_t l = 0; l < n; l++) {                                          \
                    type one = e[t][l], other = f[t][l];                                   \
                    mine[l] = to[l] == t ? one : mine[l];                                  \
                    theirs[l] = to[l] == t ? other : theirs[l];                            \
                }                                                                          \
            for (int64_t l = 0; l < n; l++) {                                              \
                type u = b1[j + l], rise = u - mine[l], fall = theirs[l] - v[l];           \
                type dx = u >= v[l] ? rise : fall, dy = u - v[l];                          \
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
        type near = (type)of->threshold;                                                   \
        for (int64_t row = first; row < last; row++) {                                     \
            int64_t partner = partner_of(row, of->span, of->n);                            \
            const type *a1 = (const type *)of->x1 + partner * width, *b1 = (const type *)of->y1 + partner * windows; \
            const type *a0 = (const type *)of->x0 + row * width;                           \
            const int64_t *w1 = of->winners1 + partner * windows;                          \
            int64_t *w = of->winners + row * windows;                                      \
            type *m = (type *)of->out + row * windows, *b0 = (type *)of->y0 + row * windows; \
            if (even && kernel == 2)                                                       \
                side_by_side_##type##_2(a1, b1, w1, a0, b0, w, m, windows, near); \
            else if (even && kernel == 3)                                                  \
                side_by_side_##type##_3(a1, b1, w1, a0, b0, w, m, windows, near); \
            else if (even && kernel == 4)                                                  \
                side_by_side_##type##_4(a1, b1, w1, a0, b0, w, m, windows, near); \
            else                                                                           \
                for (int64_t j = 0; j < windows; j++) {                                    \
                    type v;                                                                \
                    int64_t won, at = j * stride - padding, end = at + kernel * dilation;  \
                    if (at < 0) at += (-at + dilation - 1) / dilation * dilation;          \
                    if (end > width) end = width;                                          \
                    LARGEST(v, won, at, end, dilation);                                    \
                    b0[j] = v;                                                             \
                    CREDIT_WINDOW(type);                                                   \
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
    double threshold;
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
