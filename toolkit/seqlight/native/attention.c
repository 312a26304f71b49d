/* Scaled dot-product attention of float32, a head at a time, and its way back half way between sequence and reference.

   All that is as large as positions times positions stays in the cache: of the references nothing of it is kept, and
   the way back makes it again. What was recorded of the sequences is their scores, weights and logsumexps. Rows of the
   references meet those of the sequences as in multipliers.c, here by heads. Each number is summed in one order,
   whatever head or thread it is in. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lanes.h"
#include "partners.h"

/* Sizes and strides in numbers: of (outer, heads, positions, width), the last always 1 apart. */
typedef struct {
    int64_t heads, queries, keys, width, values;
    int64_t q[3], k[3], v[3], y[3], bias[3], at_q[3], at_k[3], at_v[3];
    int64_t span, n; /* recorded heads behind each other for n times as many of the references */
    double scale, threshold;
} Attention;

#ifdef HAVE_LANES
/* Rows at a time, and summands before a sum is put aside: sums of sums round less than one long sum. */
enum { BLOCK = 32, SUMMANDS = 64, COLUMNS = 3 };

static inline int64_t start(const int64_t stride[3], int64_t head, const Attention *of)
{
    return head / of->heads * stride[0] + head % of->heads * stride[1];
}

/* y[o, l] = the sum over c of w[o, c] * x[c, l], added to what is there if it is `begun`. Of w numbers are `across` rows
   and `along` summands apart, rows of x and y are `xs` and `ys` apart; those of x end with a whole vector. */
WIDEST INLINE void tile(const int outputs, const int vectors, const float *w, int64_t across, int64_t along,
                        const float *x, int64_t xs, float *y, int64_t ys, int64_t rows, int64_t room, int64_t sums,
                        int begun)
{
    __m512 sum[GROUP][COLUMNS], in[COLUMNS];
    const float *at[GROUP];
    UNROLLED for (int o = 0; o < outputs; o++) {
        at[o] = w + least(o, rows - 1) * across;
        UNROLLED for (int v = 0; v < vectors; v++) sum[o][v] = _mm512_setzero_ps();
    }
    for (int64_t c = 0; c < sums; c++, x += xs) {
        UNROLLED for (int v = 0; v < vectors; v++) in[v] = _mm512_loadu_ps(x + v * LANES);
        UNROLLED for (int o = 0; o < outputs; o++)
            UNROLLED for (int v = 0; v < vectors; v++)
                sum[o][v] = _mm512_fmadd_ps(_mm512_set1_ps(at[o][c * along]), in[v], sum[o][v]);
    }
    UNROLLED for (int o = 0; o < outputs; o++)
        UNROLLED for (int v = 0; v < vectors; v++) {
            __mmask16 inside = o < rows ? first_lanes(room - v * LANES) : 0;
            float *to = y + o * ys + v * LANES;
            __m512 before = begun ? _mm512_maskz_loadu_ps(inside, to) : _mm512_setzero_ps();
            _mm512_mask_storeu_ps(to, inside, before + sum[o][v]);
        }
}

WIDEST static void multiply(const float *w, int64_t across, int64_t along, const float *x, int64_t xs, float *y,
                            int64_t ys, int64_t rows, int64_t columns, int64_t sums, int begun)
{
    for (int64_t o = 0; o < rows; o += GROUP)
        for (int64_t l = 0, vectors; l < columns; l += vectors * LANES) {
            vectors = least((columns - l + LANES - 1) / LANES, COLUMNS);
            for (int64_t c = 0; c < sums; c += SUMMANDS) {
                int64_t some = least(SUMMANDS, sums - c);
                const float *a = w + o * across + c * along, *b = x + c * xs + l;
                float *to = y + o * ys + l;
                int more = begun || c > 0;
#define TILE(outputs, vectors) tile(outputs, vectors, a, across, along, b, xs, to, ys, rows - o, columns - l, some, more)
                if (vectors == 3) TILE(8, 3);
                else if (vectors == 2) TILE(8, 2);
                else TILE(8, 1);
            }
        }
}

/* Exponentials of a row of scores over that of the largest, which is put aside, and their sum. */
WIDEST static double exponentials(const float *scores, float *e, int64_t n, float *largest)
{
    __m512 most = _mm512_set1_ps(-INFINITY), sum = _mm512_setzero_ps();
    for (int64_t j = 0; j < n; j += LANES)
        most = _mm512_max_ps(most, _mm512_mask_loadu_ps(_mm512_set1_ps(-INFINITY), first_lanes(n - j), scores + j));
    *largest = _mm512_reduce_max_ps(most);
    for (int64_t j = 0; j < n; j += LANES) {
        __mmask16 inside = first_lanes(n - j);
        __m512 one = _mm512_maskz_mov_ps(inside, exponential(_mm512_maskz_loadu_ps(inside, scores + j) - *largest));
        sum += one;
        _mm512_mask_storeu_ps(e + j, inside, one);
    }
    return total(sum);
}

/* (rows, columns) with columns 1 apart, times a factor, to rows that end with a whole vector; or turned round. */
WIDEST static void lay(float *to, int64_t ts, const float *x, int64_t xs, int64_t rows, int64_t columns, float factor)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < columns; c += LANES)
            _mm512_storeu_ps(to + i * ts + c, _mm512_maskz_loadu_ps(first_lanes(columns - c), x + i * xs + c) * factor);
}
WIDEST static void turn(float *to, int64_t ts, const float *x, int64_t xs, int64_t rows, int64_t columns)
{
    __m512 r[LANES];
    for (int64_t i = 0; i < rows; i += LANES)
        for (int64_t c = 0; c < columns; c += LANES) {
            __mmask16 there = first_lanes(columns - c), inside = first_lanes(rows - i);
            UNROLLED for (int k = 0; k < LANES; k++)
                r[k] = i + k < rows ? _mm512_maskz_loadu_ps(there, x + (i + k) * xs + c) : _mm512_setzero_ps();
            turn_square(r);
            UNROLLED for (int k = 0; k < LANES; k++)
                if (c + k < columns)
                    _mm512_mask_storeu_ps(to + (c + k) * ts + i, inside, r[k]);
        }
}
/* What lies half way, times a factor, as `lay`. */
WIDEST static void half_way(float *to, int64_t ts, const float *x1, int64_t s1, const float *x0, int64_t s0,
                            int64_t rows, int64_t columns, float factor)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < columns; c += LANES) {
            __mmask16 inside = first_lanes(columns - c);
            __m512 one = _mm512_maskz_loadu_ps(inside, x1 + i * s1 + c), other = _mm512_maskz_loadu_ps(inside, x0 + i * s0 + c);
            _mm512_storeu_ps(to + i * ts + c, (one + other) * (factor / 2));
        }
}

/* What is known of some rows of scores: the largest, the sum of exponentials over its own, and their logsumexp. */
typedef struct {
    double sum[BLOCK], lse[BLOCK];
    float largest[BLOCK];
} Rows;

/* log(x) for x >= 1 to 1e-11. */
WIDEST INLINE __m512d logarithm(__m512d x)
{
    const double of[] = {1. / 15, 1. / 13, 1. / 11, 1. / 9, 1. / 7, 1. / 5, 1. / 3, 1};
    __m512d m = _mm512_getmant_pd(x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_src);
    __m512d e = _mm512_roundscale_pd(_mm512_getexp_pd(x / m), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512d s = (m - 1) / (m + 1), square = s * s, p = _mm512_set1_pd(1. / 17);
    UNROLLED for (int i = 0; i < 8; i++) p = _mm512_fmadd_pd(p, square, _mm512_set1_pd(of[i]));
    return _mm512_fmadd_pd(e, _mm512_set1_pd(0.693147180559945309), 2 * s * p);
}

/* Scores of some queries and their exponentials, `room` from one to the next. */
WIDEST static void attend(const float *q, const float *turned, const float *bias, float *scores, float *e, Rows *met,
                          int64_t rows, int64_t room, int64_t qs, const Attention *of)
{
    multiply(q, qs, 1, turned, whole_lanes(of->keys), scores, room, rows, of->keys, of->width, 0);
    for (int64_t i = 0; i < rows; i++) {
        float *row = scores + i * room;
        if (bias != NULL)
            for (int64_t j = 0; j < of->keys; j++) row[j] += bias[i * of->bias[2] + j];
        met->sum[i] = exponentials(row, e + i * room, of->keys, met->largest + i);
    }
    for (int64_t i = rows; i < BLOCK; i++) met->sum[i] = 1, met->largest[i] = 0;
    for (int64_t i = 0; i < BLOCK; i += 8) {
        __m512d largest = _mm512_cvtps_pd(_mm256_loadu_ps(met->largest + i));
        _mm512_storeu_pd(met->lse + i, largest + logarithm(_mm512_loadu_pd(met->sum + i)));
    }
}

/* Rows of sums over exponentials become those over weights. */
WIDEST static void share(float *x, int64_t xs, int64_t rows, int64_t columns, const Rows *met)
{
    for (int64_t i = 0; i < rows; i++) {
        __m512 by = _mm512_set1_ps((float)(1 / met->sum[i]));
        for (int64_t c = 0; c < columns; c += LANES) {
            __mmask16 inside = first_lanes(columns - c);
            _mm512_mask_storeu_ps(x + i * xs + c, inside, _mm512_maskz_loadu_ps(inside, x + i * xs + c) * by);
        }
    }
}

/* The heads first .. last of y; if `scores` is not null, also what the way back will need of sequences: scores and
   weights (heads, queries, keys) and logsumexps (heads, queries). -1 where there is no memory. */
typedef struct {
    const float *q, *k, *v, *bias;
    float *y, *scores, *p;
    double *lse;
    Attention sizes;
} AttentionForward;

WIDEST int attention_forward(const AttentionForward *mine, int64_t first, int64_t last)
{
    const Attention *of = &mine->sizes;
    const float *q = mine->q, *k = mine->k, *v = mine->v, *bias = mine->bias;
    float *y = mine->y, *scores = mine->scores, *p = mine->p;
    double *lse = mine->lse;
    int64_t d = whole_lanes(of->width), e = whole_lanes(of->values), keys = whole_lanes(of->keys);
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

/* By how much the logsumexps d of two rows differ, and the mean exponential over the sum of the one that is behind and of
   the one that it comes from: d / (1 - exp(-d)) and d / (exp(d) - 1). One follows from the other by the sign of d, and for
   small d from its series. */
typedef struct {
    float rise[BLOCK], above[BLOCK], below[BLOCK];
} Rises;

WIDEST static void rises(const double *lse1, const Rows *met, int64_t rows, Rises *found)
{
    const float of[] = {1.f / 30240, -1.f / 720, 1.f / 12, 1};
    for (int64_t i = 0; i < rows; i++) found->rise[i] = (float)(lse1[i] - met->lse[i]);
    for (int64_t i = rows; i < BLOCK; i++) found->rise[i] = 0;
    for (int64_t i = 0; i < BLOCK; i += LANES) {
        __m512 rise = _mm512_loadu_ps(found->rise + i), d = _mm512_abs_ps(rise), e = exponential(-d), square = d * d;
        __m512 small = _mm512_set1_ps(-1.f / 1209600), one = _mm512_set1_ps(1);
        UNROLLED for (int k = 0; k < 4; k++) small = _mm512_fmadd_ps(small, square, _mm512_set1_ps(of[k]));
        __mmask16 near = _mm512_cmp_ps_mask(d, one, _CMP_LT_OQ), up = _mm512_cmp_ps_mask(rise, _mm512_setzero_ps(), _CMP_GE_OQ);
        __m512 more = d / (1 - e), less = more * e;
        more = _mm512_mask_fmadd_ps(_mm512_mask_mov_ps(more, near, d), near, _mm512_set1_ps(.5f), small);
        less = _mm512_mask_mov_ps(less, near, more - d);
        _mm512_storeu_ps(found->above + i, _mm512_mask_mov_ps(less, up, more));
        _mm512_storeu_ps(found->below + i, _mm512_mask_mov_ps(more, up, less));
    }
}

/* A row on its way back through the softmax, as attention_gradients has it: g, the gradient at the weights, becomes that
   at the scores, and e0, the exponentials, the weights half way. Scores a0 are lost: the shares of the normaliser are laid
   there. */
WIDEST static void pull(float *g, const float *a1, const float *p1, float *a0, float *e0, int64_t n, float share, float rise,
                        float above, float below, float near)
{
    __m512 one = _mm512_set1_ps(1), limit = _mm512_set1_ps(near), sum = _mm512_setzero_ps();
    for (int64_t j = 0; j < n; j += LANES) {
        __mmask16 inside = first_lanes(n - j);
        __m512 to = _mm512_maskz_loadu_ps(inside, p1 + j), from = _mm512_maskz_loadu_ps(inside, e0 + j) * share;
        __m512 dx = _mm512_maskz_loadu_ps(inside, a1 + j) - _mm512_maskz_loadu_ps(inside, a0 + j), dz = dx - rise;
        __mmask16 far = _mm512_cmp_ps_mask(_mm512_abs_ps(dx), limit, _CMP_GE_OQ);
        __mmask16 off = _mm512_cmp_ps_mask(_mm512_abs_ps(dz), limit, _CMP_GE_OQ);
        __m512 taken = above * to, on = _mm512_mask_mov_ps(to, off, to - from);
        taken = _mm512_mask_sub_ps(taken, far, taken, below * from);
        dx = _mm512_mask_mov_ps(one, far, dx), dz = _mm512_mask_mov_ps(one, off, dz);
        /* One division for both. Over a difference without end there is none of the weights to tell. */
        __mmask16 ends = _mm512_cmp_ps_mask(_mm512_abs_ps(dx * dz), _mm512_set1_ps(INFINITY), _CMP_LT_OQ);
        __m512 over = _mm512_maskz_div_ps(ends, one, dx * dz);
        dx = _mm512_maskz_mov_ps(ends, dx), dz = _mm512_maskz_mov_ps(ends, dz);
        __m512 slope = on * dx * over * _mm512_maskz_loadu_ps(inside, g + j);
        sum += _mm512_maskz_mov_ps(inside, slope);
        _mm512_mask_storeu_ps(g + j, inside, slope);
        _mm512_mask_storeu_ps(a0 + j, inside, taken * dz * over);
        _mm512_mask_storeu_ps(e0 + j, inside, (to + from) * .5f);
    }
    float all = (float)total(sum);
    for (int64_t j = 0; j < n; j += LANES) {
        __mmask16 inside = first_lanes(n - j);
        _mm512_mask_storeu_ps(g + j, inside, _mm512_maskz_loadu_ps(inside, g + j) - _mm512_maskz_loadu_ps(inside, a0 + j) * all);
    }
}

/* The gradients at query, key and value, for the heads first .. last: of q0, k0 and v0, the references, of
   what was recorded of the sequences, contiguous, and of g, the gradient at y. -1 where there is no memory. */
typedef struct {
    const float *g, *q0, *k0, *v0, *bias, *q1, *k1, *v1, *scores1, *p1;
    const double *lse1;
    float *at_q, *at_k, *at_v;
    Attention sizes;
} AttentionBackward;

WIDEST int attention_backward(const AttentionBackward *mine, int64_t first, int64_t last)
{
    const Attention *of = &mine->sizes;
    int64_t queries = of->queries, d = whole_lanes(of->width), e = whole_lanes(of->values), keys = whole_lanes(of->keys);
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
                     of->keys, (float)(1 / met.sum[r]), up.rise[r], up.above[r], up.below[r], (float)of->threshold);
            multiply(back, keys, 1, k_half, d, query + i * of->at_q[2], of->at_q[2], rows, of->width, of->keys, 0);
            multiply(back, 1, keys, q_half, d, key, of->at_k[2], of->keys, of->width, rows, i > 0);
            multiply(p, 1, keys, grad, e, value, of->at_v[2], of->keys, of->values, rows, i > 0);
        }
    }
    free(bench);
    return 0;
}

#else
/* Never called where it is not here. */
void attention_forward(void) {}
void attention_backward(void) {}
#endif
