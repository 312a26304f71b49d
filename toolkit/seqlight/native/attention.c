/* Scaled dot-product attention of float32, a head at a time, and its gradients by the mean Jacobian between sequence and
   reference.

   Whatever has the size of queries times keys stays in the cache: for the references none of it is kept, and the gradients
   compute it again. Of the sequences, scores, weights and logsumexps are recorded. Heads of the references are paired with
   those of the sequences as in pairs.h. Each number is summed in one order, whatever head or thread it is in. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "attention.h"
#include "pairs.h"

#ifdef HAVE_LANES
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
   recorded of the sequences, and from g, the gradient at y. What was recorded of the references, if
   scores0 is not null, is not computed again. Returns -1 without memory. */
typedef struct {
    const float *g, *q0, *k0, *v0, *bias, *q1, *k1, *v1, *scores1, *p1;
    const double *lse1;
    const float *scores0, *p0;
    const double *lse0;
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
        const float *q1 = mine->q1 + start_of_mate(of->q1, partner, of), *k1 = mine->k1 + start_of_mate(of->k1, partner, of);
        const float *v1 = mine->v1 + start_of_mate(of->v1, partner, of);
        float *query = mine->at_q + start(of->at_q, head, of), *key = mine->at_k + start(of->at_k, head, of);
        float *value = mine->at_v + start(of->at_v, head, of);
        turn(k_turned, keys, k, of->k[2], of->keys, of->width);
        half_way(k_half, d, k1, of->k1[2], k, of->k[2], of->keys, of->width, (float)of->scale);
        half_way(v_half, e, v1, of->v1[2], v, of->v[2], of->keys, of->values, 1);
        turn(v_turned, keys, v_half, e, of->keys, of->values);
        for (int64_t i = 0, rows; rows = least(BLOCK, queries - i), i < queries; i += rows) {
            const float *from = q + i * of->q[2];
            int64_t at = (partner * queries + i) * of->keys;
            lay(scaled, d, from, of->q[2], rows, of->width, (float)of->scale);
            half_way(q_half, d, q1 + i * of->q1[2], of->q1[2], from, of->q[2], rows, of->width, (float)of->scale);
            lay(grad, e, mine->g + start(of->y, head, of) + i * of->y[2], of->y[2], rows, of->values, 1);
            int64_t own = head * queries + i;
            if (mine->scores0 != NULL)
                recall(mine->scores0 + own * of->keys, mine->p0 + own * of->keys, mine->lse0 + own, scores, p, &met, rows, keys, of->keys);
            else
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
