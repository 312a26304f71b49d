/* Recursive seqlets: bins, tails of their sums, and the spans all of whose inner spans are rare.
   Every sum is taken in the order of the NumPy twins in seqlight.seqlets, so the bits agree. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>


enum { CHUNK = 1024, TILE = 32 };

/* How values become bins: floor((x - origin) / width), or of the negated values where sign is
   negative, with what lies outside put into bin 0 and bin `highest`. The null has n_bins of them; a
   control, which may lie above all that the null was made of, has more. Where `own` is set, only calls whose sum has
   this sign count. */
typedef struct {
    double origin, width;
    int64_t itemsize, sign, n_bins, highest, own;
} binning;

#define BIN_VALUES(type)                                                       \
    do {                                                                       \
        const type *v = (const type *)x, origin = (type)how->origin;           \
        for (int64_t i = 0; i < n; i++) {                                      \
            double at = (double)(positive ? v[i] - origin : origin - v[i]) / width; \
            at = at > 0.0 ? at : 0.0;                                          \
            at = at < top ? at : top;                                          \
            bins[i] = (int32_t)at;                                             \
        }                                                                      \
    } while (0)

static void bin_values(const char *x, int64_t n, const binning *how, int32_t *bins)
{
    const double width = how->width, top = (double)how->highest;
    const int positive = how->sign > 0;
    if (how->itemsize == 4)
        BIN_VALUES(float);
    else
        BIN_VALUES(double);
}

/* Adds to counts (2, n_bins) the bins of the values first .. last. Neighbours count into different
   halves: they are often alike, and a count that was just written is slow to read. */
void span_counts(const char *x, int64_t first, int64_t last, const binning *how, int64_t *counts)
{
    int32_t bins[CHUNK];
    int64_t *odd = counts + how->n_bins;
    for (int64_t at = first; at < last; at += CHUNK) {
        const int64_t n = last - at < CHUNK ? last - at : CHUNK;
        bin_values(x + at * how->itemsize, n, how, bins);
        for (int64_t i = 0; i + 1 < n; i += 2) {
            counts[bins[i]]++;
            odd[bins[i + 1]]++;
        }
        if (n & 1) counts[bins[n - 1]]++;
    }
}

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Where the tail of sums of `span` bins begins, in the array that holds those of 1, 2, ... bins. */
static int64_t tail_at(int64_t span, int64_t n_bins)
{
    return (span - 1) * span / 2 * (n_bins - 1) + span - 1;
}

/* Adds up new[s] = sum over bins of f[bin] * old[s - bin] from the highest bin down, TILE sums at a time in registers.
   Only bins that occur are listed, from the highest down; old has TILE zeros on either side, new room for whole tiles. */
static void convolve(const double *f, const int64_t *bins, int64_t n_bins, const double *old, int64_t n_old,
                     double *new, int64_t n_new)
{
    int64_t first = n_bins;
    for (int64_t at = 0; at < n_new; at += TILE) {
        double sum[TILE] = {0};
        while (first && bins[first - 1] < at + TILE) first--;
        for (int64_t i = first; i < n_bins && at - bins[i] < n_old; i++) {
            const double *x = old + at - bins[i];
            for (int j = 0; j < TILE; j++) sum[j] += f[i] * x[j];
        }
        memcpy(new + at, sum, sizeof sum);
    }
}

/* P(sum of `span` bins >= s), for span = 1 .. longest, from the frequencies of the bins. Convolved
   directly and summed from the top, since only so do tails of 1e-50 keep their digits. Returns 0, or -1 without
   memory. */
int span_tails(const double *frequency, int64_t n_bins, int64_t longest, double *tails)
{
    const int64_t top = n_bins - 1, room = longest * top + 1 + 3 * TILE;
    double *mass = calloc((size_t)(2 * room + n_bins), sizeof(double)), *f = mass + 2 * room;
    int64_t *bins = malloc((size_t)n_bins * sizeof(int64_t)), n = 0;
    if (!mass || !bins) return free(mass), free(bins), -1;
    for (int64_t bin = top; bin >= 0; bin--)
        if (frequency[bin] != 0.0) f[n] = frequency[bin], bins[n++] = bin;
    double *old = mass + TILE, *new = old + room;
    memcpy(new, frequency, (size_t)n_bins * sizeof(double));
    for (int64_t span = 1; span <= longest; span++) {
        const int64_t n_new = span * top + 1;
        if (span > 1) convolve(f, bins, n, old, n_new - top, new, n_new);
        double *tail = tails + tail_at(span, n_bins), sum = 0.0;
        for (int64_t s = n_new - 1; s >= 0; s--) tail[s] = sum += new[s];
        double *swap = old;
        old = new;
        new = swap;
    }
    return free(mass), free(bins), 0;
}

/* What one row needs. starts holds, from right to left, the starts of which the shortest span is
   good; reach holds the length of the longest good span of each start, and 0 elsewhere. */
typedef struct {
    double p;
    int64_t start;
} candidate;

typedef struct {
    int64_t length, shortest, longest, n_bins, n_starts;
    int64_t *sums, *starts, *reach;
    candidate *order;
    uint8_t *taken;
    int32_t *bins;
} row_state;

static int row_alloc(row_state *r)
{
    const size_t n = (size_t)r->length + 1;
    r->sums = malloc(n * sizeof(int64_t));
    r->starts = malloc(n * sizeof(int64_t));
    r->reach = malloc(n * sizeof(int64_t));
    r->order = malloc(n * sizeof(candidate));
    r->taken = malloc(n);
    r->bins = malloc(n * sizeof(int32_t));
    return r->sums && r->starts && r->reach && r->order && r->taken && r->bins;
}

static void row_free(row_state *r)
{
    free(r->sums), free(r->starts), free(r->reach);
    free(r->order), free(r->taken), free(r->bins);
}

/* The longest good span from `start`, at most `most_allowed`, given that all of its inner spans that
   start further right are good up to there. critical[i] is for spans of shortest + i. */
static int64_t grow(const row_state *r, const int64_t *critical, int64_t start, int64_t most_allowed)
{
    const int64_t *sums = r->sums + start;
    int64_t span = r->shortest;
    while (span <= most_allowed && sums[span] - sums[0] >= critical[span - r->shortest]) span++;
    return span > r->shortest ? span - 1 : 0;
}

/* A span is good if it and all of its inner spans are: the span without its last position, which is
   the same start grown by one less, and the span without its first. */
static int64_t allowed(const row_state *r, int64_t start)
{
    return most(r->shortest, r->reach[start + 1] ? r->reach[start + 1] + 1 : 0);
}

static void row_begin(row_state *r, const char *x, const binning *how, const int64_t *critical)
{
    bin_values(x, r->length, how, r->bins);
    r->sums[0] = 0;
    for (int64_t i = 0; i < r->length; i++) r->sums[i + 1] = r->sums[i] + r->bins[i];
    memset(r->reach, 0, ((size_t)r->length + 1) * sizeof(int64_t));
    r->n_starts = 0;
    const int64_t *sums = r->sums, shortest = r->shortest, bar = critical[0];
    for (int64_t start = r->length - shortest; start >= 0; start--) {
        if (sums[start + shortest] - sums[start] < bar) continue;
        r->reach[start] = grow(r, critical, start, least(r->longest, allowed(r, start)));
        r->starts[r->n_starts++] = start;
    }
}

/* The same for stricter critical sums, looking only where the laxer ones were met. Returns whether
   any good span was lost. */
static int row_tighten(row_state *r, const int64_t *critical)
{
    int64_t kept = 0;
    int lost = 0;
    for (int64_t i = 0; i < r->n_starts; i++) {
        const int64_t start = r->starts[i], before = r->reach[start];
        r->reach[start] = grow(r, critical, start, least(before, allowed(r, start)));
        lost |= r->reach[start] != before;
        if (r->reach[start]) r->starts[kept++] = start;
    }
    r->n_starts = kept;
    return lost;
}

static int by_p_then_start(const void *a, const void *b)
{
    const candidate *one = a, *two = b;
    if (one->p != two->p) return one->p < two->p ? -1 : 1;
    return one->start < two->start ? -1 : 1;
}

/* The p-value of a sum of `span` bins; 0 beyond the largest sum that the null has. */
static double p_of(const row_state *r, const double *tails, int64_t span, int64_t sum)
{
    return sum > span * (r->n_bins - 1) ? 0.0 : tails[tail_at(span, r->n_bins) + sum];
}

/* The largest p-value of the span and of those inner spans that begin where it begins. */
static double worst_prefix(const row_state *r, const double *tails, int64_t start, int64_t span)
{
    const int64_t *sums = r->sums + start;
    double worst = 0.0;
    /* The tail of n bins begins at `at`, and its largest sum is `top`. */
    int64_t at = tail_at(r->shortest, r->n_bins), top = r->shortest * (r->n_bins - 1);
    for (int64_t n = r->shortest; n <= span; n++) {
        const int64_t sum = sums[n] - sums[0];
        const double p = sum > top ? 0.0 : tails[at + sum];
        worst = p > worst ? p : worst;
        at += top + 1;
        top += r->n_bins - 1;
    }
    return worst;
}

typedef struct {
    const char *x;
    const double *tails;
    int64_t itemsize, sign, row, n;
    int64_t *where; /* (n, 3): row, start, length; NULL where calls of the sign are counted only */
    double *score;  /* (n, 2): attribution, p-value */
} call_list;

/* Writes down a call, or looks at its sign; returns whether it counts. */
static int64_t take_call(call_list *list, const row_state *r, int64_t start, int64_t span)
{
    double attribution = 0.0;
    for (int64_t i = start; i < start + span; i++)
        attribution += list->itemsize == 4 ? (double)((const float *)list->x)[i] : ((const double *)list->x)[i];
    if (!list->where) return (double)list->sign * attribution > 0.0;
    int64_t *where = list->where + 3 * list->n;
    where[0] = list->row, where[1] = start, where[2] = span;
    list->score[2 * list->n] = attribution;
    list->score[2 * list->n + 1] = p_of(r, list->tails, span, r->sums[start + span] - r->sums[start]);
    list->n++;
    return 1;
}

/* Calls among the starts number `first` .. `last`, whose spans overlap only each other: the longest
   first, then by p-value, then from the left. Where there is a list, they are written there, or only those of its sign
   count. */
static int64_t call_group(row_state *r, const double *tails, int64_t first, int64_t last, call_list *list)
{
    int64_t n_calls = 0, span = 0;
    for (int64_t i = first; i < last; i++) span = most(span, r->reach[r->starts[i]]);
    for (; span >= r->shortest; span--) {
        int64_t n = 0;
        for (int64_t i = first; i < last; i++) {
            const int64_t start = r->starts[i];
            if (r->reach[start] >= span && !memchr(r->taken + start, 1, (size_t)span)) r->order[n++].start = start;
        }
        if (n > 1) {
            for (int64_t i = 0; i < n; i++) r->order[i].p = worst_prefix(r, tails, r->order[i].start, span);
            qsort(r->order, (size_t)n, sizeof(candidate), by_p_then_start);
        }
        for (int64_t i = 0; i < n; i++) {
            const int64_t start = r->order[i].start;
            if (memchr(r->taken + start, 1, (size_t)span)) continue;
            memset(r->taken + start, 1, (size_t)span);
            n_calls += list ? take_call(list, r, start, span) : 1;
        }
    }
    return n_calls;
}

/* Ends of good spans never decrease from one start to the next, so where the span of a start ends
   before the next start begins, nothing to the left meets anything to the right. */
static int64_t call_row(row_state *r, const double *tails, call_list *list)
{
    int64_t n_calls = 0, first = 0;
    memset(r->taken, 0, (size_t)r->length);
    for (int64_t i = 1; i <= r->n_starts; i++) {
        if (i < r->n_starts && r->starts[i] + r->reach[r->starts[i]] > r->starts[i - 1]) continue;
        n_calls += call_group(r, tails, first, i, list);
        first = i;
    }
    return n_calls;
}

/* The calls of rows first .. last of x (rows, length), into where and score. Returns how many, or -1
   without memory. */
int64_t span_calls(const char *x, int64_t first, int64_t last, int64_t length, const binning *how,
                   const double *tails, const int64_t *critical, int64_t shortest, int64_t longest,
                   int64_t *where, double *score)
{
    row_state r = {.length = length, .shortest = shortest, .longest = longest, .n_bins = how->n_bins};
    call_list list = {.tails = tails, .itemsize = how->itemsize, .where = where, .score = score};
    const int ready = row_alloc(&r);
    for (int64_t row = first; ready && row < last; row++) {
        list.x = x + row * length * how->itemsize;
        list.row = row;
        row_begin(&r, list.x, how, critical);
        if (r.n_starts) call_row(&r, tails, &list);
    }
    row_free(&r);
    return ready ? list.n : -1;
}

/* Adds to counts how many calls rows first .. last have at each of n_levels thresholds, laxest first;
   critical (n_levels, longest - shortest + 1). Returns 0, or -1 without memory. */
int64_t span_level_counts(const char *x, int64_t first, int64_t last, int64_t length, const binning *how,
                          const double *tails, const int64_t *critical, int64_t n_levels, int64_t shortest,
                          int64_t longest, int64_t *counts)
{
    row_state r = {.length = length, .shortest = shortest, .longest = longest, .n_bins = how->n_bins};
    call_list own = {.itemsize = how->itemsize, .sign = how->sign};
    const int ready = row_alloc(&r);
    for (int64_t row = first; ready && row < last; row++) {
        own.x = x + row * length * how->itemsize;
        row_begin(&r, own.x, how, critical);
        int64_t n_calls = 0;
        for (int64_t level = 0; level < n_levels; level++) {
            const int lost = level ? row_tighten(&r, critical + level * (longest - shortest + 1)) : 1;
            if (!r.n_starts) break;
            if (lost) n_calls = call_row(&r, tails, how->own ? &own : NULL);
            counts[level] += n_calls;
        }
    }
    row_free(&r);
    return ready ? 0 : -1;
}
