/* The derivative of attention of float32 as PyTorch differentiates it, and that of its gradients by the mean Jacobian, a head
   at a time: what a loss needs that holds attributions.

   Scores and weights of both are recorded. Whatever else has the size of queries times keys stays in the cache. */
#include <float.h>
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

/* The derivative of d / (1 - exp(-d)), for whole vectors: near 0 its power series. */
static void bend(const Rises *up, float *found)
{
    const float of[] = {1.f / 5040, -1.f / 180, 1.f / 6};
    for (int64_t i = 0; i < BLOCK; i += LANES) {
        Lanes d = load(up->rise + i), square = d * d, small = every(-1.f / 151200);
        UNROLLED for (int k = 0; k < 3; k++) small = fmadd(small, square, every(of[k]));
        Mask near = less(magnitude(d), every(1));
        Lanes far = load(up->above + i) * (1 - load(up->below + i)) / choose(near, every(1), d);
        store(found + i, choose(near, fmadd(d, small, every(.5f)), far));
    }
}

/* A row of the softmax between both products, with what stands in it for the scores, of which a and p are recorded: the
   gradients `to` at the weights, `back` at `to`, and `half` at the mean of both weights. */
typedef struct {
    const float *a1, *p1;
    float *a0, *p0, *to, *back, *half, *at_1;
    float rise, above, below, bend, near;
} Row;

/* Numbers of a row that are met again: the secant of softmax and the weights of logsumexp, the reciprocals of their steps,
   which are 0 in the last two where a tangent stands in for a secant, and sums of derivatives. */
typedef struct {
    float *secant, *weight, *by_shift, *by_step, *off_shift, *off_step, *along;
} Bench;

/* Secants as in attention.c; returns the sums of those times the gradients. */
static void meet_row(const Row *of, const Bench *at, int64_t n, float *all, float *mean)
{
    Lanes one = every(1), limit = every(of->near), allowed = every(16 * FLT_EPSILON), sum = zeros(), other = zeros();
    for (int64_t j = 0; j < n; j += LANES) {
        int64_t room = n - j;
        Lanes to = load_first(of->p1 + j, room, 0), from = load_first(of->p0 + j, room, 0);
        Lanes dx = load_first(of->a1 + j, room, 0) - load_first(of->a0 + j, room, 0), dz = dx - of->rise;
        Lanes taken = of->above * to, dw = taken - of->below * from, dp = to - from;
        Lanes step = choose(less(magnitude(dw - taken * dx), taken * allowed), zeros(), magnitude(dx));
        Lanes shift = choose(less(magnitude(dp - to * dz), to * allowed), zeros(), magnitude(dz));
        Mask far = at_least(step, limit), off = at_least(shift, limit);
        dx = choose(far, dx, one), dz = choose(off, dz, one);
        Mask ends = less(magnitude(dx * dz), every(INFINITY));
        Lanes over = only(ends, one / (dx * dz));
        Lanes by_step = only(ends, dz) * over, by_shift = only(ends, dx) * over;
        Lanes secant = choose(off, dp, to) * by_shift, weight = choose(far, dw, taken) * by_step;
        sum += secant * load_first(of->to + j, room, 0); /* 0 outside, as the gradients are */
        other += weight * load_first(of->back + j, room, 0);
        store_first(at->secant + j, room, secant);
        store_first(at->weight + j, room, weight);
        store_first(at->by_shift + j, room, by_shift);
        store_first(at->by_step + j, room, by_step);
        store_first(at->off_shift + j, room, only(off, by_shift));
        store_first(at->off_step + j, room, only(far, by_step));
    }
    *all = (float)total(sum), *mean = (float)total(other);
}

/* The gradient at `to` replaces `back`, and that at the scores, which is what `to` becomes, replaces `to`. The gradients at
   the scores of the sequences go to at_1, those of the references replace a0, and the mean of both weights p0. */
static void derive_row(const Row *of, const Bench *at, int64_t n)
{
    float all, mean;
    meet_row(of, at, n, &all, &mean);
    Lanes fall = zeros(), rise_1 = zeros(), rise_0 = zeros(), sum_1 = zeros(), sum_0 = zeros();
    for (int64_t j = 0; j < n; j += LANES) {
        int64_t room = n - j;
        Lanes to = load_first(of->to + j, room, 0), back = load_first(of->back + j, room, 0), half = load_first(of->half + j, room, 0);
        Lanes p1 = load_first(of->p1 + j, room, 0), p0 = load_first(of->p0 + j, room, 0);
        Lanes secant = load_first(at->secant + j, room, 0), weight = load_first(at->weight + j, room, 0);
        Lanes up = back - mean, bent = up * to, less_of = -all * back;
        /* At the weights: as they are in the secant of softmax, and in the weights of logsumexp. */
        Lanes s1 = bent * load_first(at->by_shift + j, room, 0), s0 = bent * load_first(at->off_shift + j, room, 0);
        Lanes w1 = less_of * load_first(at->by_step + j, room, 0), w0 = less_of * load_first(at->off_step + j, room, 0);
        Lanes c1 = s1 + w1 * of->above + half * .5f, c0 = half * .5f - s0 - w0 * of->below;
        fall += s0 * secant, rise_1 += w1 * p1, rise_0 += w0 * p0, sum_1 += c1 * p1, sum_0 += c0 * p0;
        store_first(of->back + j, room, up * secant);
        store_first(of->to + j, room, to * secant - weight * all);
        store_first(at->along + j, room, s0 * secant + w0 * weight);
        store_first(of->at_1 + j, room, c1);
        store_first(of->half + j, room, c0);
    }
    double rest = total(rise_0), by_rise = total(fall) + (total(rise_1) - rest) * of->bend + rest;
    float by_1 = (float)(by_rise - total(sum_1)), by_0 = (float)(by_rise + total(sum_0));
    for (int64_t j = 0; j < n; j += LANES) {
        int64_t room = n - j;
        Lanes p1 = load_first(of->p1 + j, room, 0), p0 = load_first(of->p0 + j, room, 0), step = load_first(at->along + j, room, 0);
        store_first(of->at_1 + j, room, p1 * (load_first(of->at_1 + j, room, 0) + by_1) - step);
        store_first(of->a0 + j, room, p0 * (load_first(of->half + j, room, 0) - by_0) + step);
        store_first(of->p0 + j, room, (p1 + p0) * .5f);
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
    int64_t room = (2 * width + 2 * values) * keys + n * (4 * d + 2 * e) + BLOCK * (5 * d + e) + 6 * square + 7 * keys;
    float *bench = malloc((size_t)room * sizeof(float)), *next = bench;
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
    Bench at = {TAKE(keys), TAKE(keys), TAKE(keys), TAKE(keys), TAKE(keys), TAKE(keys), TAKE(keys)};
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
                           at_1 + here, up.rise[r], up.above[r], up.below[r], bends[r], (float)of->threshold};
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
