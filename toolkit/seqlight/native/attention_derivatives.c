/* The derivative of attention of float32 as PyTorch differentiates it, and that of its gradients by the mean Jacobian, a head
   at a time: what a loss needs that holds attributions.

   Scores and weights of both are recorded. Whatever else has the size of queries times keys stays in the cache. */
#include <math.h>
#include <stdint.h>

#include "attention.h"
#include "pairs.h"

#ifdef HAVE_LANES
/* g, the gradient at a row of weights p, becomes that at the scores. */
static void pull_softmax(float *g, const float *p, int64_t n)
{
    Lanes sum = zeros();
    for (int64_t j = 0; j < n; j += LANES) {
        int64_t room = n - j;
        Lanes at = load_first(p + j, room, 0) * load_first(g + j, room, 0);
        sum += at;
        store_first(g + j, room, at);
    }
    float all = (float)total(sum);
    for (int64_t j = 0; j < n; j += LANES) {
        int64_t room = n - j;
        store_first(g + j, room, load_first(g + j, room, 0) - load_first(p + j, room, 0) * all);
    }
}

/* The gradients at query, key and value for the heads first .. last, for g, that at y, from the recorded weights p. Returns -1
   without memory. */
typedef struct {
    const float *g, *q, *k, *v, *p;
    float *at_q, *at_k, *at_v;
    Attention sizes;
} AttentionSlopes;

int attention_slopes(const AttentionSlopes *mine, int64_t first, int64_t last)
{
    const Attention *of = &mine->sizes;
    int64_t n = of->keys, d = whole_lanes(of->width), e = whole_lanes(of->values), keys = odd_lines(n);
    float *v_turned = malloc((size_t)(of->values * keys + n * d + BLOCK * (d + e + keys)) * sizeof(float));
    if (v_turned == NULL)
        return -1;
    float *k_laid = v_turned + of->values * keys, *q_laid = k_laid + n * d, *grad = q_laid + BLOCK * d, *back = grad + BLOCK * e;
    for (int64_t head = first; head < last; head++) {
        float *query = mine->at_q + start(of->at_q, head, of), *key = mine->at_k + start(of->at_k, head, of);
        float *value = mine->at_v + start(of->at_v, head, of);
        turn(v_turned, keys, mine->v + start(of->v, head, of), of->v[2], n, of->values);
        lay(k_laid, d, mine->k + start(of->k, head, of), of->k[2], n, of->width, (float)of->scale);
        for (int64_t i = 0, rows; rows = least(BLOCK, of->queries - i), i < of->queries; i += rows) {
            const float *p = mine->p + (head * of->queries + i) * n;
            lay(q_laid, d, mine->q + start(of->q, head, of) + i * of->q[2], of->q[2], rows, of->width, (float)of->scale);
            lay(grad, e, mine->g + start(of->y, head, of) + i * of->y[2], of->y[2], rows, of->values, 1);
            multiply(grad, e, 1, v_turned, keys, back, keys, rows, n, of->values, 0);
            for (int64_t r = 0; r < rows; r++) pull_softmax(back + r * keys, p + r * n, n);
            multiply(back, keys, 1, k_laid, d, query + i * of->at_q[2], of->at_q[2], rows, of->width, n, 0);
            multiply(back, 1, keys, q_laid, d, key, of->at_k[2], n, of->width, rows, i > 0);
            multiply(p, 1, n, grad, e, value, of->at_v[2], n, of->values, rows, i > 0);
        }
    }
    free(v_turned);
    return 0;
}

/* The derivative of log(d / (1 - exp(-d))), which is that of log(d / (exp(d) - 1)) plus 1; near 0 its power series. */
static void bend(const Rises *up, float *found)
{
    const float of[] = {-1.f / 30240, 1.f / 720, -1.f / 12};
    for (int64_t i = 0; i < BLOCK; i += LANES) {
        Lanes d = load(up->rise + i), square = d * d, small = every(1.f / 1209600);
        UNROLLED for (int k = 0; k < 3; k++) small = fmadd(small, square, every(of[k]));
        Mask near = less(magnitude(d), every(1));
        Lanes far = (1 - load(up->below + i)) / choose(near, every(1), d);
        store(found + i, choose(near, fmadd(d, small, every(.5f)), far));
    }
}

/* A row of the softmax between both products. Of the sequence its scores and weights are recorded; of the reference they are
   overwritten, and so are `to`, the gradient at the weights, `back`, that at `to`, and `half`, that at the mean of both weights.
   Rows end with a whole vector, but for those of the sequence, and are 0 there. */
typedef struct {
    const float *a1, *p1;
    float *a0, *p0, *to, *back, *half, *at_1;
    float rise, above, below, bend, nearness;
} Row;

/* Numbers of a row that are met twice: its secants and weights of logsumexp, which are the logarithmic means of two numbers
   each, and their derivatives with respect to the logarithms of these. */
typedef struct {
    float *secant, *secant_1, *secant_0, *weight, *weight_1, *weight_0;
} Means;

/* Write the logarithmic mean of a and b, whose logarithms differ by `step`, and its derivatives: see logarithmic_mean.py. These
   are (a - mean) / step and (mean - b) / step, or the series of a (step - 1 + exp(-step)) / step^2 and the like. */
INLINE Lanes derive_mean(Lanes a, Lanes b, Lanes step, Lanes mean, float *at_a, float *at_b)
{
    const float even_of[] = {1.f / 40320, 1.f / 720, 1.f / 24, 1.f / 2}, odd_of[] = {1.f / 362880, 1.f / 5040, 1.f / 120, 1.f / 6};
    Mask near = less(magnitude(step), every(.5f));
    Lanes square = step * step, even = every(even_of[0]), odd = every(odd_of[0]), by = 1 / choose(near, every(1), step);
    UNROLLED for (int k = 1; k < 4; k++) even = fmadd(even, square, every(even_of[k])), odd = fmadd(odd, square, every(odd_of[k]));
    odd *= step;
    store(at_a, choose(near, a * (even - odd), (a - mean) * by));
    store(at_b, choose(near, b * (even + odd), (mean - b) * by));
    return mean;
}

/* Meet the secants and weights of a row; returns the sums of those times the gradients. */
static void meet_row(const Row *of, const Means *at, int64_t n, float *all, float *mean)
{
    Lanes end = every(INFINITY), flat = every(of->nearness), sum = zeros(), other = zeros();
    for (int64_t j = 0; j < n; j += LANES) {
        int64_t room = n - j;
        Lanes to = load_first(of->p1 + j, room, 0), from = load(of->p0 + j);
        Lanes dx = load_first(of->a1 + j, room, 0) - load(of->a0 + j), dz = dx - of->rise;
        /* As in attention.c; where scores are infinite, all is 0. */
        Mask ends = less(fmadd(dx, dx, flat) * fmadd(dz, dz, flat), end);
        dx = only(ends, dx), dz = only(ends, dz), to = only(ends, to), from = only(ends, from);
        Lanes up = of->above * to, down = of->below * from;
        Lanes wide = fmadd(dx, dx, flat), steep = fmadd(dz, dz, flat), over = 1 / (wide * steep);
        Lanes weight = fmadd(up - down, dx, (up + down) * (of->nearness / 2)) * steep * over;
        Lanes secant = fmadd(to - from, dz, (to + from) * (of->nearness / 2)) * wide * over;
        sum += secant * load(of->to + j);
        other += weight * load(of->back + j);
        store(at->weight + j, derive_mean(up, down, dx, weight, at->weight_1 + j, at->weight_0 + j));
        store(at->secant + j, derive_mean(to, from, dz, secant, at->secant_1 + j, at->secant_0 + j));
    }
    *all = (float)total(sum), *mean = (float)total(other);
}

/* The gradient at `to` replaces `back`, that at the scores, which is what `to` becomes, replaces `to`, and the mean of both
   weights replaces p0. The gradients at the scores go to at_1 and a0. */
static void derive_row(const Row *of, const Means *at, int64_t n)
{
    float all, mean;
    meet_row(of, at, n, &all, &mean);
    Lanes sum_1 = zeros(), sum_0 = zeros(), sum_d = zeros();
    for (int64_t j = 0; j < n; j += LANES) {
        Lanes to = load(of->to + j), back = load(of->back + j), half = load(of->half + j) * .5f;
        Lanes p1 = load_first(of->p1 + j, n - j, 0), p0 = load(of->p0 + j), secant = load(at->secant + j);
        Lanes up = back - mean, by_secant = up * to, by_weight = back * -all;
        Lanes weight_1 = by_weight * load(at->weight_1 + j), weight_0 = by_weight * load(at->weight_0 + j);
        /* At the logarithms of weights. */
        Lanes at_1 = fmadd(by_secant, load(at->secant_1 + j), fmadd(half, p1, weight_1));
        Lanes at_0 = fmadd(by_secant, load(at->secant_0 + j), fmadd(half, p0, weight_0));
        sum_1 += at_1, sum_0 += at_0, sum_d += weight_1 * of->bend + weight_0 * (of->bend - 1);
        store(of->back + j, up * secant);
        store(of->to + j, to * secant - load(at->weight + j) * all);
        store(of->at_1 + j, at_1);
        store(of->half + j, at_0);
    }
    double rise = total(sum_d);
    float by_1 = (float)(rise - total(sum_1)), by_0 = (float)(rise + total(sum_0));
    for (int64_t j = 0; j < n; j += LANES) {
        Lanes p1 = load_first(of->p1 + j, n - j, 0), p0 = load(of->p0 + j);
        store(of->at_1 + j, fmadd(p1, every(by_1), load(of->at_1 + j)));
        store(of->a0 + j, fmadd(p0, every(-by_0), load(of->half + j)));
        store(of->p0 + j, (p1 + p0) * .5f);
    }
}

/* Rows of `more` are added to those of `x`, or replace them, times a factor. */
static void add(float *x, int64_t xs, const float *more, int64_t ms, int64_t rows, int64_t columns, float factor, int begun)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < columns; c += LANES) {
            int64_t room = columns - c;
            Lanes before = begun ? load_first(x + i * xs + c, room, 0) : zeros();
            store_first(x + i * xs + c, room, fmadd(load_first(more + i * ms + c, room, 0), every(factor), before));
        }
}

/* For hq, hk and hv, the gradients at what attention_backward returns for g: those at g, at the operands of the sequences,
   of which each reference has its own, and at those of the references. Returns -1 without memory. */
typedef struct {
    const float *hq, *hk, *hv, *g, *q0, *k0, *v0, *q1, *k1, *v1, *scores1, *p1;
    const double *lse1;
    const float *scores0, *p0;
    const double *lse0;
    float *at_g, *at_q1, *at_k1, *at_v1, *at_q0, *at_k0, *at_v0;
    Attention sizes;
    int64_t by_q[3], by_k[3], by_v[3], to_g[3], to_q[3], to_k[3], to_v[3];
} AttentionDerivatives;

int attention_derivatives(const AttentionDerivatives *mine, int64_t first, int64_t last)
{
    const Attention *of = &mine->sizes;
    int64_t queries = of->queries, width = of->width, values = of->values, n = of->keys;
    int64_t d = whole_lanes(width), e = whole_lanes(values), keys = odd_lines(n), square = BLOCK * keys;
    int64_t room = (2 * width + 2 * values) * keys + n * (4 * d + 2 * e) + BLOCK * (5 * d + e) + 6 * square + 6 * keys;
    float *bench = calloc((size_t)room, sizeof(float)), *next = bench; /* 0 behind the ends of rows */
    if (bench == NULL)
        return -1;
#define TAKE(numbers) (next += (numbers), next - (numbers))
    float *half_turned = TAKE(width * keys), *hk_turned = TAKE(width * keys);
    float *v_turned = TAKE(values * keys), *hv_turned = TAKE(values * keys);
    float *k0_laid = TAKE(n * d), *k1_laid = TAKE(n * d), *hk_laid = TAKE(n * d), *shared = TAKE(n * d);
    float *v_half = TAKE(n * e), *hv_laid = TAKE(n * e);
    float *q0_laid = TAKE(BLOCK * d), *q1_laid = TAKE(BLOCK * d), *q_half = TAKE(BLOCK * d), *hq_laid = TAKE(BLOCK * d);
    float *both = TAKE(BLOCK * d), *grad = TAKE(BLOCK * e);
    float *scores = TAKE(square), *p = TAKE(square), *to = TAKE(square), *back = TAKE(square), *half = TAKE(square), *at_1 = TAKE(square);
    Means at = {TAKE(keys), TAKE(keys), TAKE(keys), TAKE(keys), TAKE(keys), TAKE(keys)};
    float scale = (float)of->scale, bends[BLOCK];
    Rows met;
    Rises up;
    for (int64_t head = first; head < last; head++) {
        int64_t partner = partner_of(head, of->span, of->n);
        const float *k0 = mine->k0 + start(of->k, head, of), *k1 = mine->k1 + start_of_mate(of->k1, partner, of);
        const float *v1 = mine->v1 + start_of_mate(of->v1, partner, of), *mates = mine->q1 + start_of_mate(of->q1, partner, of);
        const float *hk = mine->hk + start(mine->by_k, head, of), *hv = mine->hv + start(mine->by_v, head, of);
        float *key1 = mine->at_k1 + start(mine->to_k, head, of), *key0 = mine->at_k0 + start(of->at_k, head, of);
        float *value1 = mine->at_v1 + start(mine->to_v, head, of), *value0 = mine->at_v0 + start(of->at_v, head, of);
        turn(hk_turned, keys, hk, mine->by_k[2], n, width);
        turn(hv_turned, keys, hv, mine->by_v[2], n, values);
        lay(k0_laid, d, k0, of->k[2], n, width, scale);
        lay(k1_laid, d, k1, of->k1[2], n, width, scale);
        lay(hk_laid, d, hk, mine->by_k[2], n, width, scale / 2);
        lay(hv_laid, e, hv, mine->by_v[2], n, values, 1);
        half_way(v_half, e, v1, of->v1[2], mine->v0 + start(of->v, head, of), of->v[2], n, values, 1);
        turn(v_turned, keys, v_half, e, n, values);
        half_way(shared, d, k1, of->k1[2], k0, of->k[2], n, width, 1);
        turn(half_turned, keys, shared, d, n, width);
        for (int64_t i = 0, rows; rows = least(BLOCK, queries - i), i < queries; i += rows) {
            const float *q0 = mine->q0 + start(of->q, head, of) + i * of->q[2], *q1 = mates + i * of->q1[2];
            float *query1 = mine->at_q1 + start(mine->to_q, head, of) + i * mine->to_q[2];
            float *query0 = mine->at_q0 + start(of->at_q, head, of) + i * of->at_q[2];
            float *gradient = mine->at_g + start(mine->to_g, head, of) + i * mine->to_g[2];
            lay(q0_laid, d, q0, of->q[2], rows, width, scale);
            lay(q1_laid, d, q1, of->q1[2], rows, width, scale);
            half_way(q_half, d, q1, of->q1[2], q0, of->q[2], rows, width, scale);
            lay(hq_laid, d, mine->hq + start(mine->by_q, head, of) + i * mine->by_q[2], mine->by_q[2], rows, width, scale);
            lay(grad, e, mine->g + start(of->y, head, of) + i * of->y[2], of->y[2], rows, values, 1);
            int64_t mate = partner * queries + i, own = head * queries + i;
            recall(mine->scores0 + own * n, mine->p0 + own * n, mine->lse0 + own, scores, p, &met, rows, keys, n);
            multiply(grad, e, 1, v_turned, keys, to, keys, rows, n, values, 0);
            multiply(grad, e, 1, hv_turned, keys, half, keys, rows, n, values, 0);
            multiply(hq_laid, d, 1, half_turned, keys, back, keys, rows, n, width, 0);
            multiply(q_half, d, 1, hk_turned, keys, back, keys, rows, n, width, 1);
            rises(mine->lse1 + mate, &met, rows, &up);
            bend(&up, bends);
            for (int64_t r = 0; r < rows; r++) {
                int64_t from = (mate + r) * n, here = r * keys;
                Row row = {mine->scores1 + from, mine->p1 + from, scores + here, p + here, to + here, back + here, half + here,
                           at_1 + here, up.rise[r], up.above[r], up.below[r], bends[r], (float)of->nearness};
                derive_row(&row, &at, n);
            }
            /* Rows of queries. */
            multiply(back, keys, 1, v_half, e, gradient, mine->to_g[2], rows, values, n, 0);
            multiply(p, keys, 1, hv_laid, e, gradient, mine->to_g[2], rows, values, n, 1);
            multiply(to, keys, 1, hk_laid, d, both, d, rows, width, n, 0);
            add(query1, mine->to_q[2], both, d, rows, width, 1, 0);
            add(query0, of->at_q[2], both, d, rows, width, 1, 0);
            multiply(at_1, keys, 1, k1_laid, d, query1, mine->to_q[2], rows, width, n, 1);
            multiply(scores, keys, 1, k0_laid, d, query0, of->at_q[2], rows, width, n, 1);
            /* And of keys. */
            multiply(to, 1, keys, hq_laid, d, shared, d, n, width, rows, i > 0);
            multiply(at_1, 1, keys, q1_laid, d, key1, mine->to_k[2], n, width, rows, i > 0);
            multiply(scores, 1, keys, q0_laid, d, key0, of->at_k[2], n, width, rows, i > 0);
            multiply(back, 1, keys, grad, e, value0, of->at_v[2], n, values, rows, i > 0);
        }
        add(key1, mine->to_k[2], shared, d, n, width, .5f, 1);
        add(key0, of->at_k[2], shared, d, n, width, .5f, 1);
        add(value1, mine->to_v[2], value0, of->at_v[2], n, values, .5f, 0);
        add(value0, of->at_v[2], value1, mine->to_v[2], n, values, 1, 0);
    }
#undef TAKE
    free(bench);
    return 0;
}

#else
/* Never called in this build: it has no wide registers. */
void attention_slopes(void) {}
void attention_derivatives(void) {}
#endif
