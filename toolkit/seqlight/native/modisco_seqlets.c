/* TF-MoDISco seqlets: sums over windows, how many of each size, which a shuffle leaves in front, the
   isotonic fit, and the peaks. Every number is found in the order of the NumPy twins in
   seqlight.seqlets, so the bits agree. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mersenne_twister.h"

/* The running sum is rounded to the type of the values; differences are taken in double precision. */
#define RUNNING_SUM(type)                                    \
    do {                                                     \
        const type *v = (const type *)x;                     \
        type total = 0;                                      \
        for (int64_t i = 0; i < length; i++) {               \
            total += v[i];                                   \
            running[i + 1] = (double)total;                  \
        }                                                    \
    } while (0)

static void running_sum(const char *x, int64_t itemsize, int64_t length, double *running)
{
    running[0] = 0.0;
    if (itemsize == 4)
        RUNNING_SUM(float);
    else
        RUNNING_SUM(double);
}

/* Sums of `window` neighbours of rows first .. last of x (rows, length), into sums (rows, length + 1 -
   window); `running` has room for length + 1. */
void window_sums(const char *x, int64_t itemsize, int64_t first, int64_t last, int64_t length, int64_t window,
                 double *running, double *sums)
{
    const int64_t n = length + 1 - window;
    for (int64_t row = first; row < last; row++) {
        running_sum(x + row * length * itemsize, itemsize, length, running);
        double *out = sums + row * n;
        for (int64_t i = 0; i < n; i++) out[i] = running[i + window] - running[i];
    }
}

/* Buckets in the order of the numbers: sign, exponent and the first seven bits behind the point. */
enum { DROPPED_BITS = 45, BUCKETS_A_SIGN = 1 << 18 };

static inline int64_t bucket_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const int64_t size = (int64_t)((bits & INT64_MAX) >> DROPPED_BITS);
    return value < 0.0 ? BUCKETS_A_SIGN - 1 - size : BUCKETS_A_SIGN + size;
}

/* Adds to counts how many of values first .. last lie in each bucket. */
void bucket_counts(const double *values, int64_t first, int64_t last, int64_t *counts)
{
    for (int64_t i = first; i < last; i++) counts[bucket_of(values[i])]++;
}

/* Copies those of values first .. last whose bucket is wanted, and returns how many; `out` has room
   for all of them. */
int64_t bucket_members(const double *values, int64_t first, int64_t last, const uint8_t *wanted, double *out)
{
    int64_t n = 0;
    for (int64_t i = first; i < last; i++) {
        out[n] = values[i];
        n += wanted[bucket_of(values[i])];
    }
    return n;
}

enum { AHEAD = 64 };

static uint32_t draw_up_to(twister *t, uint32_t top, uint32_t mask)
{
    uint32_t draw;
    do draw = twister_word(t) & mask;
    while (draw > top);
    return draw;
}

/* The first `kept` of RandomState(seed).permutation(n), in any order, into the front of where (n,).
   What a swap moves to the back never matters again, so only the half of it that moves something to
   the front is done; and the last swaps, which only stir the front, are left out. Draws are made ahead
   of their moves so that the memory they go to is on its way. */
void shuffle_front(int32_t *where, int64_t n, int64_t kept, uint32_t seed)
{
    twister t;
    twister_seed(&t, seed);
    for (int64_t i = 0; i < n; i++) where[i] = (int32_t)i;
    uint32_t mask = 1, to[AHEAD];
    while ((int64_t)mask < n - 1) mask = mask << 1 | 1u;
    for (int64_t top = n - 1; top >= kept;) {
        const int64_t m = top - kept + 1 < AHEAD ? top - kept + 1 : AHEAD;
        for (int64_t i = 0; i < m; i++) {
            while ((int64_t)(mask >> 1) >= top - i) mask >>= 1;
            to[i] = draw_up_to(&t, (uint32_t)(top - i), mask);
#if defined(__GNUC__)
            __builtin_prefetch(where + to[i], 1);
#endif
        }
        for (int64_t i = 0; i < m; i++) where[to[i]] = where[top - i];
        top -= m;
    }
}

/* Joins points (x ascending; `real` 1 weighs 1 and has y = 1, 0 weighs `weight` and has y = 0) that
   lie less than `apart` right of the first of them. Returns how many points are left. */
int64_t join_points(const double *x, const uint8_t *real, int64_t n, double weight, double apart, double *out_x,
                    double *out_y, double *out_weight)
{
    int64_t joined = 0;
    for (int64_t i = 0; i < n;) {
        const double from = x[i];
        double sum = 0.0, total = 0.0;
        for (; i < n && x[i] - from < apart; i++) {
            total += real[i] ? 1.0 : weight;
            sum += real[i] ? 1.0 : 0.0;
        }
        out_x[joined] = from;
        out_y[joined] = sum / total;
        out_weight[joined++] = total;
    }
    return joined;
}

typedef struct {
    double mean, weight;
    int64_t end;
} level;

static void absorb(double *sum, level *into, double mean, double weight)
{
    *sum += weight * mean;
    into->weight += weight;
    into->mean = *sum / into->weight;
}

/* Replaces y by the rising sequence nearest to it in weighted squares. A point that falls behind is
   joined with the level before it, then with what follows, then with what came before, for as long
   as they are out of order. Returns 0, or -1 without memory. */
int64_t isotonic_fit(double *y, const double *weight, int64_t n)
{
    level *levels = malloc((size_t)(n > 0 ? n : 1) * sizeof(level));
    if (!levels) return -1;
    int64_t n_levels = 0;
    for (int64_t i = 0; i < n;) {
        level now = {y[i], weight[i], i + 1};
        i++;
        if (n_levels && levels[n_levels - 1].mean >= now.mean) {
            double sum = now.weight * now.mean;
            n_levels--;
            absorb(&sum, &now, levels[n_levels].mean, levels[n_levels].weight);
            for (; i < n && now.mean >= y[i]; now.end = ++i) absorb(&sum, &now, y[i], weight[i]);
            for (; n_levels && levels[n_levels - 1].mean >= now.mean; n_levels--)
                absorb(&sum, &now, levels[n_levels - 1].mean, levels[n_levels - 1].weight);
        }
        levels[n_levels++] = now;
    }
    for (int64_t k = 0, i = 0; k < n_levels; k++)
        for (; i < levels[k].end; i++) y[i] = levels[k].mean;
    free(levels);
    return 0;
}

typedef struct {
    double size;
    int64_t at;
} peak;

static int by_size_then_place(const void *a, const void *b)
{
    const peak *one = a, *two = b;
    if (one->size != two->size) return one->size > two->size ? -1 : 1;
    return one->at < two->at ? -1 : 1;
}

/* Calls the largest of `n` candidates, the leftmost of equals, then those of what lies more than
   `apart` to its left and to its right: these are too far from each other to matter to each other.
   Only the shorter part is a call deeper. Returns how many peaks are called. */
static int64_t call_peaks(const peak *candidates, int64_t n, int64_t apart, peak *called)
{
    int64_t n_called = 0;
    while (n > 0) {
        int64_t top = 0;
        for (int64_t i = 1; i < n; i++)
            if (candidates[i].size > candidates[top].size) top = i;
        called[n_called++] = candidates[top];
        int64_t left = top, right = top;
        while (left > 0 && candidates[left - 1].at >= candidates[top].at - apart) left--;
        while (right < n && candidates[right].at <= candidates[top].at + apart) right++;
        const peak *rest = candidates + right;
        const int64_t n_rest = n - right;
        const int left_is_shorter = left < n_rest;
        n_called += call_peaks(left_is_shorter ? candidates : rest, left_is_shorter ? left : n_rest, apart,
                               called + n_called);
        if (left_is_shorter) candidates = rest;
        n = left_is_shorter ? n_rest : left;
    }
    return n_called;
}

/* The peaks among rows first .. last of sums (rows, n), into where (row and place): sums of at least
   `high` or at most `low`, none of the first and last `margin`, the largest first, none within
   `apart` of a larger one. Returns how many, or -1 without memory. */
int64_t window_peaks(const double *sums, int64_t first, int64_t last, int64_t n, double high, double low,
                     int64_t margin, int64_t apart, int64_t *where)
{
    peak *candidates = malloc((size_t)n * sizeof(peak)), *called = malloc((size_t)n * sizeof(peak));
    int64_t found = candidates && called ? 0 : -1;
    for (int64_t row = first; found >= 0 && row < last; row++) {
        const double *sum = sums + row * n;
        int64_t n_candidates = 0;
        for (int64_t i = margin; i < n - margin; i++)
            if (sum[i] >= high || sum[i] <= low) candidates[n_candidates++] = (peak){fabs(sum[i]), i};
        const int64_t n_called = call_peaks(candidates, n_candidates, apart, called);
        qsort(called, (size_t)n_called, sizeof(peak), by_size_then_place);
        for (int64_t i = 0; i < n_called; i++, found++) {
            where[2 * found] = row;
            where[2 * found + 1] = called[i].at;
        }
    }
    free(candidates);
    free(called);
    return found;
}
