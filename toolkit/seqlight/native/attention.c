/* Scaled dot-product attention of float32, a head at a time, and its gradients by the mean Jacobian between sequence and
   reference.

   Whatever has the size of queries times keys stays in the cache: for the references none of it is kept, and the gradients
   compute it again. Of the sequences, scores, weights and logsumexps are recorded. Heads of the references are paired with
   those of the sequences as in pairs.h. Each number is summed in one order, whatever head or thread it is in. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "simd.h"
#include "pairs.h"

/* Sizes, and strides in numbers, of tensors (outer, heads, positions, width), whose last stride is always 1. */
typedef struct {
    int64_t heads, queries, keys, width, values;
    int64_t q[3], k[3], v[3], y[3], bias[3], at_q[3], at_k[3], at_v[3];
    int64_t span, n; /* as in pairs.h, in heads */
    double scale, nearness;
} Attention;

#ifdef HAVE_LANES
/* Rows at a time, and summands of a partial sum, because sums of partial sums round less than one long sum. */
enum { BLOCK = 32, SUMMANDS = 64, COLUMNS = 3 };

static inline int64_t start(const int64_t stride[3], int64_t head, const Attention *of)
{
    return head / of->heads * stride[0] + head % of->heads * stride[1];
}

/* y[o, l] = the sum over c of w[o, c] * x[c, l], added to y if that is `begun`. Rows of w are `across` apart and summands
   `along`; rows of x and y are `xs` and `ys` apart, and those of x end with a whole vector. */
INLINE void tile(const int outputs, const int vectors, const float *w, int64_t across, int64_t along,
                 const float *x, int64_t xs, float *y, int64_t ys, int64_t rows, int64_t room, int64_t sums,
                 int begun)
{
    Lanes sum[GROUP][COLUMNS], in[COLUMNS];
    const float *at[GROUP];
    UNROLLED for (int o = 0; o < outputs; o++) {
        at[o] = w + least(o, rows - 1) * across;
        UNROLLED for (int v = 0; v < vectors; v++) sum[o][v] = zeros();
    }
    for (int64_t c = 0; c < sums; c++, x += xs) {
        UNROLLED for (int v = 0; v < vectors; v++) in[v] = load(x + v * LANES);
        UNROLLED for (int o = 0; o < outputs; o++)
            UNROLLED for (int v = 0; v < vectors; v++)
                sum[o][v] = fmadd(every(at[o][c * along]), in[v], sum[o][v]);
    }
    UNROLLED for (int o = 0; o < outputs; o++)
        UNROLLED for (int v = 0; v < vectors; v++) {
            int64_t left = o < rows ? room - v * LANES : 0;
            float *to = y + o * ys + v * LANES;
            Lanes before = begun ? load_first(to, left, 0) : zeros();
            store_first(to, left, before + sum[o][v]);
        }
}

/* All vectors of a row. A function of its own, so that the compiler has all registers for each. */
static void tiles(const float *w, int64_t across, int64_t along, const float *x, int64_t xs, float *y, int64_t ys, int64_t rows,
                  int64_t room, int64_t sums, int begun)
{
    if (room > 2 * LANES)
        tile(GROUP, 3, w, across, along, x, xs, y, ys, rows, room, sums, begun);
    else if (room > LANES)
        tile(GROUP, 2, w, across, along, x, xs, y, ys, rows, room, sums, begun);
    else
        tile(GROUP, 1, w, across, along, x, xs, y, ys, rows, room, sums, begun);
}

/* All rows and columns. Some summands at a time, with the shorter side of y in the inner loop, to stay in the nearest cache. */
static void multiply(const float *w, int64_t across, int64_t along, const float *x, int64_t xs, float *y, int64_t ys,
                     int64_t rows, int64_t columns, int64_t sums, int begun)
{
    int64_t broad = COLUMNS * LANES;
    for (int64_t c = 0; c < sums; c += SUMMANDS, w += SUMMANDS * along, x += SUMMANDS * xs, begun = 1) {
        int64_t some = least(SUMMANDS, sums - c);
#define TILES(o, l) tiles(w + (o) * across, across, along, x + (l), xs, y + (o) * ys + (l), ys, rows - (o), columns - (l), some, begun)
        if (rows < columns)
            for (int64_t l = 0; l < columns; l += broad)
                for (int64_t o = 0; o < rows; o += GROUP) TILES(o, l);
        else
            for (int64_t o = 0; o < rows; o += GROUP)
                for (int64_t l = 0; l < columns; l += broad) TILES(o, l);
    }
}

/* Exponentials of a row of scores, divided by that of the largest, which goes to `largest`; returns their sum. */
static double exponentials(const float *scores, float *e, int64_t n, float *largest)
{
    Lanes most = every(-INFINITY), sum = zeros();
    for (int64_t j = 0; j < n; j += LANES) most = larger(most, load_first(scores + j, n - j, -INFINITY));
    *largest = largest_of(most);
    for (int64_t j = 0; j < n; j += LANES) {
        Lanes one = exponential(load_first(scores + j, n - j, -INFINITY) - *largest);
        sum += one;
        store_first(e + j, n - j, one);
    }
    return total(sum);
}

/* Copy (rows, columns), times a factor, to rows that end with a whole vector; or transposed. */
static void lay(float *to, int64_t ts, const float *x, int64_t xs, int64_t rows, int64_t columns, float factor)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < columns; c += LANES)
            store(to + i * ts + c, load_first(x + i * xs + c, columns - c, 0) * factor);
}
static void turn(float *to, int64_t ts, const float *x, int64_t xs, int64_t rows, int64_t columns)
{
    Lanes r[LANES];
    for (int64_t i = 0; i < rows; i += LANES)
        for (int64_t c = 0; c < columns; c += LANES) {
            int64_t beside = columns - c, room = rows - i;
            UNROLLED for (int k = 0; k < LANES; k++)
                r[k] = i + k < rows ? load_first(x + (i + k) * xs + c, beside, 0) : zeros();
            turn_square(r);
            UNROLLED for (int k = 0; k < LANES; k++)
                if (c + k < columns)
                    store_first(to + (c + k) * ts + i, room, r[k]);
        }
}
/* The same of the midpoint of two tensors. */
static void half_way(float *to, int64_t ts, const float *x1, int64_t s1, const float *x0, int64_t s0,
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
static void attend(const float *q, const float *turned, const float *bias, float *scores, float *e, Rows *met,
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

/* Divide rows that were weighted with exponentials by the sums of these. */
static void share(float *x, int64_t xs, int64_t rows, int64_t columns, const Rows *met)
{
    for (int64_t i = 0; i < rows; i++) {
        Lanes by = every((float)(1 / met->sum[i]));
        for (int64_t c = 0; c < columns; c += LANES) {
            int64_t room = columns - c;
            store_first(x + i * xs + c, room, load_first(x + i * xs + c, room, 0) * by);
        }
    }
}

/* The heads first .. last of y; if `scores` is not null, also what is recorded of sequences: scores and weights
   (heads, queries, keys) and logsumexps (heads, queries). Returns -1 without memory. */
typedef struct {
    const float *q, *k, *v, *bias;
    float *y, *scores, *p;
    double *lse;
    Attention sizes;
} AttentionForward;

int attention_forward(const AttentionForward *mine, int64_t first, int64_t last)
{
    const Attention *of = &mine->sizes;
    const float *q = mine->q, *k = mine->k, *v = mine->v, *bias = mine->bias;
    float *y = mine->y, *scores = mine->scores, *p = mine->p;
    double *lse = mine->lse;
    int64_t d = whole_lanes(of->width), e = whole_lanes(of->values), keys = odd_lines(of->keys);
    float *turned = malloc((size_t)(of->width * keys + of->keys * e + BLOCK * (d + 2 * keys)) * sizeof(float));
    if (turned == NULL)
        return -1;
    float *values = turned + of->width * keys, *scaled = values + of->keys * e;
    float *block = scaled + BLOCK * d, *weights = block + BLOCK * keys;
    Rows met;
    for (int64_t head = first; head < last; head++) {
        const float *from = q + start(of->q, head, of);
        turn(turned, keys, k + start(of->k, head, of), of->k[2], of->keys, of->width);
        lay(values, e, v + start(of->v, head, of), of->v[2], of->keys, of->values, 1);
        for (int64_t i = 0, rows; rows = least(BLOCK, of->queries - i), i < of->queries; i += rows) {
            int64_t at = (head * of->queries + i) * of->keys, room = scores == NULL ? keys : of->keys;
            float *s = scores == NULL ? block : scores + at, *w = scores == NULL ? weights : p + at;
            lay(scaled, d, from + i * of->q[2], of->q[2], rows, of->width, (float)of->scale);
            attend(scaled, turned, bias == NULL ? NULL : bias + start(of->bias, head, of) + i * of->bias[2], s, w, &met, rows,
                   room, d, of);
            float *to = y + start(of->y, head, of) + i * of->y[2];
            multiply(w, room, 1, values, e, to, of->y[2], rows, of->values, of->keys, 0);
            share(to, of->y[2], rows, of->values, &met);
            if (scores != NULL) {
                share(w, room, rows, of->keys, &met);
                memcpy(lse + head * of->queries + i, met.lse, (size_t)rows * sizeof(double));
            }
        }
    }
    free(turned);
    return 0;
}

/* The difference d of the logsumexps of two rows, and the secant of the logarithm times either sum of exponentials:
   d / (1 - exp(-d)) and d / (exp(d) - 1). For small d these come from their series; for negative d they change places. */
typedef struct {
    float rise[BLOCK], above[BLOCK], below[BLOCK];
} Rises;

static void rises(const double *lse1, const Rows *met, int64_t rows, Rises *found)
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

/* The gradient of a row of softmax, as attention_gradients in softmax.c has it: g, the gradient at the weights, becomes that
   at the scores, and e0, the exponentials, the mean of both weights. The scores a0 are overwritten with the weights of
   logsumexp. */
static void pull(float *g, const float *a1, const float *p1, float *a0, float *e0, int64_t n, float share, float rise,
                 float above, float below, float nearness)
{
    Lanes one = every(1), end = every(INFINITY), flat = every(nearness), sum = zeros();
    for (int64_t j = 0; j < n; j += LANES) {
        int64_t room = n - j;
        Lanes to = load_first(p1 + j, room, 0), from = load_first(e0 + j, room, 0) * share, half = (to + from) * .5f;
        Lanes dx = load_first(a1 + j, room, 0) - load_first(a0 + j, room, 0), dz = dx - rise;
        Lanes up = above * to, down = below * from;
        /* Two logarithmic means with one division; 0 for infinite differences, where the weights are 0. */
        Lanes wide = fmadd(dx, dx, flat), steep = fmadd(dz, dz, flat);
        Mask ends = less(wide * steep, end);
        Lanes over = only(ends, one / (wide * steep));
        Lanes taken = only(ends, fmadd(up - down, dx, (up + down) * (nearness / 2)));
        Lanes on = only(ends, fmadd(to - from, dz, half * nearness));
        Lanes slope = on * only(ends, wide) * over * load_first(g + j, room, 0);
        sum += slope; /* 0 outside, as g is */
        store_first(g + j, room, slope);
        store_first(a0 + j, room, taken * only(ends, steep) * over);
        store_first(e0 + j, room, half);
    }
    float all = (float)total(sum);
    for (int64_t j = 0; j < n; j += LANES) {
        int64_t room = n - j;
        store_first(g + j, room, load_first(g + j, room, 0) - load_first(a0 + j, room, 0) * all);
    }
}

/* The gradients at query, key and value for the heads first .. last, from q0, k0 and v0 of the references, from what was
   recorded of the sequences, which is contiguous, and from g, the gradient at y. Returns -1 without memory. */
typedef struct {
    const float *g, *q0, *k0, *v0, *bias, *q1, *k1, *v1, *scores1, *p1;
    const double *lse1;
    float *at_q, *at_k, *at_v;
    Attention sizes;
} AttentionBackward;

int attention_backward(const AttentionBackward *mine, int64_t first, int64_t last)
{
    const Attention *of = &mine->sizes;
    int64_t queries = of->queries, d = whole_lanes(of->width), e = whole_lanes(of->values), keys = odd_lines(of->keys);
    int64_t turned = of->width * keys, wide = of->keys * d, broad = of->keys * e, square = BLOCK * keys;
    int64_t room = 2 * turned + of->values * keys + wide + broad + BLOCK * (2 * d + e) + 3 * square;
    float *bench = malloc((size_t)room * sizeof(float));
    if (bench == NULL)
        return -1;
    float *k_turned = bench, *v_half = k_turned + turned, *v_turned = v_half + broad, *k_half = v_turned + of->values * keys;
    float *scaled = k_half + wide, *q_half = scaled + BLOCK * d, *grad = q_half + BLOCK * d;
    float *scores = grad + BLOCK * e, *p = scores + square, *back = p + square;
    Rows met;
    Rises up;
    for (int64_t head = first; head < last; head++) {
        int64_t partner = partner_of(head, of->span, of->n);
        const float *k = mine->k0 + start(of->k, head, of), *v = mine->v0 + start(of->v, head, of), *q = mine->q0 + start(of->q, head, of);
        const float *mates = mine->q1 + partner * queries * of->width;
        float *query = mine->at_q + start(of->at_q, head, of), *key = mine->at_k + start(of->at_k, head, of);
        float *value = mine->at_v + start(of->at_v, head, of);
        turn(k_turned, keys, k, of->k[2], of->keys, of->width);
        half_way(k_half, d, mine->k1 + partner * of->keys * of->width, of->width, k, of->k[2], of->keys, of->width, (float)of->scale);
        half_way(v_half, e, mine->v1 + partner * of->keys * of->values, of->values, v, of->v[2], of->keys, of->values, 1);
        turn(v_turned, keys, v_half, e, of->keys, of->values);
        for (int64_t i = 0, rows; rows = least(BLOCK, queries - i), i < queries; i += rows) {
            const float *from = q + i * of->q[2];
            int64_t at = (partner * queries + i) * of->keys;
            lay(scaled, d, from, of->q[2], rows, of->width, (float)of->scale);
            half_way(q_half, d, mates + i * of->width, of->width, from, of->q[2], rows, of->width, (float)of->scale);
            lay(grad, e, mine->g + start(of->y, head, of) + i * of->y[2], of->y[2], rows, of->values, 1);
            attend(scaled, k_turned, mine->bias == NULL ? NULL : mine->bias + start(of->bias, head, of) + i * of->bias[2], scores,
                   p, &met, rows, keys, d, of);
            multiply(grad, e, 1, v_turned, keys, back, keys, rows, of->keys, of->values, 0);
            rises(mine->lse1 + partner * queries + i, &met, rows, &up);
            for (int64_t r = 0; r < rows; r++)
                pull(back + r * keys, mine->scores1 + at + r * of->keys, mine->p1 + at + r * of->keys, scores + r * keys, p + r * keys,
                     of->keys, (float)(1 / met.sum[r]), up.rise[r], up.above[r], up.below[r], (float)of->nearness);
            multiply(back, keys, 1, k_half, d, query + i * of->at_q[2], of->at_q[2], rows, of->width, of->keys, 0);
            multiply(back, 1, keys, q_half, d, key, of->at_k[2], of->keys, of->width, rows, i > 0);
            multiply(p, 1, keys, grad, e, value, of->at_v[2], of->keys, of->values, rows, i > 0);
        }
    }
    free(bench);
    return 0;
}

#else
/* Never called in this build: it has no wide registers. */
void attention_forward(void) {}
void attention_backward(void) {}
#endif
