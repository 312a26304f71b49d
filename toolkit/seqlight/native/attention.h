/* What the loops of attention have in common: products of matrices, layouts of heads, and the softmax of some queries. */
#pragma once
#include <stdlib.h>
#include <string.h>

#include "simd.h"

/* Sizes, and strides in numbers, of tensors (outer, heads, positions, width), whose last stride is always 1. Those of the
   sequences have `mates` in place of `heads`. */
typedef struct {
    int64_t heads, mates, queries, keys, width, values;
    int64_t q[3], k[3], v[3], y[3], bias[3], at_q[3], at_k[3], at_v[3], q1[3], k1[3], v1[3];
    int64_t span, n; /* as in pairs.h, in heads */
    double scale, nearness;
} Attention;

#ifdef HAVE_LANES
/* Of the library alone. */
#define LOCAL __attribute__((visibility("hidden")))
/* Rows at a time. */
enum { BLOCK = 32 };

static inline int64_t start(const int64_t stride[3], int64_t head, const Attention *of)
{
    return head / of->heads * stride[0] + head % of->heads * stride[1];
}
static inline int64_t start_of_mate(const int64_t stride[3], int64_t head, const Attention *of)
{
    return head / of->mates * stride[0] + head % of->mates * stride[1];
}

/* y[o, l] = the sum over c of w[o, c] * x[c, l], added to y if that is `begun`. Rows of w are `across` apart and summands
   `along`; rows of x and y are `xs` and `ys` apart, and those of x end with a whole vector. */
LOCAL void multiply(const float *w, int64_t across, int64_t along, const float *x, int64_t xs, float *y, int64_t ys,
                    int64_t rows, int64_t columns, int64_t sums, int begun);

/* Exponentials of a row of scores, divided by that of the largest, which goes to `largest`; returns their sum. */
static inline double exponentials(const float *scores, float *e, int64_t n, float *largest)
{
    Lanes most = every(-INFINITY), sum = zeros();
    for (int64_t j = 0; j < n; j += LANES) most = larger(most, load_first(scores + j, n - j, -INFINITY));
    *largest = largest_of(most);
    for (int64_t j = 0; j < n; j += LANES) {
        /* What would be denormal is 0: to be made and to be met it takes a hundred times as long. */
        Lanes x = load_first(scores + j, n - j, -INFINITY) - *largest;
        Mask none = less(x, every(-87));
        Lanes one = choose(none, zeros(), exponential(choose(none, zeros(), x)));
        sum += one;
        store_first(e + j, n - j, one);
    }
    return total(sum);
}

/* Copy (rows, columns), times a factor, to rows that end with a whole vector; or transposed. What was in memory before, and
   may be numbers so small that sums with them take a hundred times as long, is overwritten to the end of the vector. */
static inline void lay(float *to, int64_t ts, const float *x, int64_t xs, int64_t rows, int64_t columns, float factor)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < columns; c += LANES)
            store(to + i * ts + c, load_first(x + i * xs + c, columns - c, 0) * factor);
}
static inline void turn(float *to, int64_t ts, const float *x, int64_t xs, int64_t rows, int64_t columns)
{
    Lanes r[LANES];
    for (int64_t i = 0; i < rows; i += LANES)
        for (int64_t c = 0; c < columns; c += LANES) {
            int64_t beside = columns - c;
            UNROLLED for (int k = 0; k < LANES; k++)
                r[k] = i + k < rows ? load_first(x + (i + k) * xs + c, beside, 0) : zeros();
            turn_square(r);
            UNROLLED for (int k = 0; k < LANES; k++)
                if (c + k < columns)
                    store(to + (c + k) * ts + i, r[k]);
        }
}
/* The same of the midpoint of two tensors. */
static inline void half_way(float *to, int64_t ts, const float *x1, int64_t s1, const float *x0, int64_t s0,
                     int64_t rows, int64_t columns, float factor)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < columns; c += LANES) {
            int64_t room = columns - c;
            Lanes one = load_first(x1 + i * s1 + c, room, 0), other = load_first(x0 + i * s0 + c, room, 0);
            store(to + i * ts + c, (one + other) * (factor / 2));
        }
}

/* Of some rows of scores: the largest, the sum of exponentials divided by that of the largest, and the logsumexp. */
typedef struct {
    double sum[BLOCK], lse[BLOCK];
    float largest[BLOCK];
} Rows;

/* log(x) for x >= 1 to 1e-11. */
INLINE Doubles logarithm(Doubles x)
{
    /* x is m times 2^e, with m from 3/4 to 3/2. An integer below 2^52 in the low bits of the double 2^52 is their sum. */
    const int64_t three_quarters = 0x3fe8000000000000, large = 0x4330000000000000;
    Words exponent = ((Words)x - three_quarters) >> 52;
    Doubles m = (Doubles)((Words)x - (exponent << 52)), e = (Doubles)(exponent | large) - 0x1p52;
    const double of[] = {1. / 15, 1. / 13, 1. / 11, 1. / 9, 1. / 7, 1. / 5, 1. / 3, 1};
    Doubles s = (m - 1) / (m + 1), square = s * s, p = x - x + 1. / 17; /* NaN stays NaN */
    UNROLLED for (int i = 0; i < 8; i++) p = p * square + of[i];
    return e * 0.693147180559945309 + 2 * s * p;
}

/* Scores of some queries, and their exponentials, in rows that are `room` apart. */
static inline void attend(const float *q, const float *turned, const float *bias, float *scores, float *e, Rows *met,
                   int64_t rows, int64_t room, int64_t qs, const Attention *of)
{
    multiply(q, qs, 1, turned, odd_lines(of->keys), scores, room, rows, of->keys, of->width, 0);
    for (int64_t i = 0; i < rows; i++) {
        float *row = scores + i * room;
        if (bias != NULL)
            for (int64_t j = 0; j < of->keys; j++) row[j] += bias[i * of->bias[2] + j];
        met->sum[i] = exponentials(row, e + i * room, of->keys, met->largest + i);
    }
    for (int64_t i = rows; i < BLOCK; i++) met->sum[i] = 1, met->largest[i] = 0;
    for (int64_t i = 0; i < BLOCK; i += LANES / 2) {
        Doubles sum;
        memcpy(&sum, met->sum + i, sizeof sum);
        sum = logarithm(sum);
        memcpy(met->lse + i, &sum, sizeof sum);
    }
    for (int64_t i = 0; i < BLOCK; i++) met->lse[i] += (double)met->largest[i];
}

/* The same from scores, weights and logsumexps that were recorded. */
static inline void recall(const float *scores0, const float *p0, const double *lse0, float *scores, float *p, Rows *met,
                          int64_t rows, int64_t room, int64_t n)
{
    for (int64_t i = 0; i < rows; i++) {
        lay(scores + i * room, 0, scores0 + i * n, 0, 1, n, 1);
        lay(p + i * room, 0, p0 + i * n, 0, 1, n, 1);
        met->sum[i] = 1, met->lse[i] = lse0[i];
    }
}

/* Divide rows that were weighted with exponentials by the sums of these. */
static inline void share(float *x, int64_t xs, int64_t rows, int64_t columns, const Rows *met)
{
    for (int64_t i = 0; i < rows; i++) {
        Lanes by = every((float)(1 / met->sum[i]));
        for (int64_t c = 0; c < columns; c += LANES) {
            int64_t room = columns - c;
            store_first(x + i * xs + c, room, load_first(x + i * xs + c, room, 0) * by);
        }
    }
}

/* The difference d of the logsumexps of two rows, and the secant of the logarithm times either sum of exponentials:
   d / (1 - exp(-d)) and d / (exp(d) - 1). For small d these come from their series; for negative d they change places. */
typedef struct {
    float rise[BLOCK], above[BLOCK], below[BLOCK];
} Rises;

static inline void rises(const double *lse1, const Rows *met, int64_t rows, Rises *found)
{
    const float of[] = {1.f / 30240, -1.f / 720, 1.f / 12, 1};
    for (int64_t i = 0; i < rows; i++) found->rise[i] = (float)(lse1[i] - met->lse[i]);
    for (int64_t i = rows; i < BLOCK; i++) found->rise[i] = 0;
    for (int64_t i = 0; i < BLOCK; i += LANES) {
        Lanes rise = load(found->rise + i), d = magnitude(rise), e = exponential(-d), square = d * d;
        Lanes small = every(-1.f / 1209600), one = every(1);
        UNROLLED for (int k = 0; k < 4; k++) small = fmadd(small, square, every(of[k]));
        Mask near = less(d, one), up = at_least(rise, zeros());
        Lanes more = d / (1 - e), rest = more * e;
        more = choose(near, fmadd(d, every(.5f), small), more);
        rest = choose(near, more - d, rest);
        store(found->above + i, choose(up, more, rest));
        store(found->below + i, choose(up, rest, more));
    }
}
#endif
