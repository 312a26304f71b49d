/* Convolutions of float32 over positions, with stride 1, in the layout of PyTorch's tensors.

   Rows of x are (channels, length), rows of y (outputs, width); weights come as (outputs / GROUP, channels, taps,
   GROUP). y[o, l] = bias[o] + the sum over channels and taps of w[o, c, t] * x[c, l + t * dilation - padding], where
   x is 0 outside. A panel is PANEL positions of one row of y. What it reads of x is laid side by side, padding
   included, and fits into the cache; then a tile of outputs and positions at a time is summed in registers. Each
   number is one sum in one order, whatever panel, tile or thread it is in. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "simd.h"

#ifdef HAVE_LANES
#include "deinterleave.h"

enum { PANEL = 384, SUMMANDS = 64, BROAD = LANES == 16 ? 6 : 4 };

/* A tile of `outputs` times `vectors` sums over some channels, added to y if that is `begun`, else to the bias. Of these,
   `rows` rows are written, and of each the first `room` positions. */
INLINE void
tile(const int outputs, const int vectors, const float *x, const float *w, const float *bias, float *y,
     int64_t channels, int64_t taps, int64_t stride, int64_t step, int64_t width, int64_t rows, int64_t room, int begun)
{
    Lanes sum[GROUP][BROAD], in[BROAD];
    UNROLLED for (int o = 0; o < outputs; o++)
        UNROLLED for (int v = 0; v < vectors; v++) sum[o][v] = zeros();
    for (int64_t c = 0; c < channels; c++, x += stride) {
        const float *at = x;
        for (int64_t t = 0; t < taps; t++, at += step, w += GROUP) {
            UNROLLED for (int v = 0; v < vectors; v++) in[v] = load(at + v * LANES);
            UNROLLED for (int o = 0; o < outputs; o++)
                UNROLLED for (int v = 0; v < vectors; v++)
                    sum[o][v] = fmadd(every(w[o]), in[v], sum[o][v]);
        }
    }
    UNROLLED for (int o = 0; o < outputs; o++)
        UNROLLED for (int v = 0; v < vectors; v++) {
            int64_t left = o < rows ? room - v * LANES : 0;
            float *to = y + o * width + v * LANES, added = bias != NULL && o < rows ? bias[o] : 0;
            Lanes before = begun ? load_first(to, left, 0) : every(added);
            store_first(to, left, before + sum[o][v]);
        }
}

/* All outputs at `n` positions, from a copy of the input in which the taps of a channel are `step` apart, and channels `stride`.
   Sums of partial sums round less than one long sum. */
static void multiply(const float *window, const float *w, const float *bias, float *y, int64_t n,
                     int64_t channels, int64_t outputs, int64_t width, int64_t taps, int64_t stride, int64_t step)
{
    int64_t some = taps < SUMMANDS ? SUMMANDS / taps : 1;
#define TILE(outputs, vectors)                                                                                       \
    for (int64_t c = 0; c < channels; c += some)                                                                     \
        tile(outputs, vectors, window + c * stride + i, w + c * taps * GROUP, bias, y + i, least(some, channels - c),\
             taps, stride, step, width, rows, n - i, c > 0);                                                         \
    i += vectors * LANES
    for (int64_t rows = outputs; rows > 0; rows -= GROUP) {
        for (int64_t i = 0, vectors; vectors = (n - i + LANES - 1) / LANES, i < n;) {
            if (rows > GROUP / 2 && vectors >= 3) { TILE(GROUP, 3); }
            else if (rows > GROUP / 2 && vectors == 2) { TILE(GROUP, 2); }
            else if (rows > GROUP / 2) { TILE(GROUP, 1); }
            else if (vectors >= BROAD) { TILE(GROUP / 2, BROAD); }
            else if (vectors >= 3) { TILE(GROUP / 2, 3); }
            else { TILE(GROUP / 2, 1); }
        }
        w += channels * taps * GROUP, y += GROUP * width, bias = bias == NULL ? NULL : bias + GROUP;
    }
}

/* Copy `need` numbers of a channel, from position `from` on; 0 outside of it. */
static inline void lay(float *to, const float *x, int64_t from, int64_t need, int64_t length)
{
    int64_t first = within(-from, need), last = within(length - from, need);
    last = last < first ? first : last;
    memset(to, 0, (size_t)first * sizeof(float));
    memcpy(to + first, x + from + first, (size_t)(last - first) * sizeof(float));
    memset(to + last, 0, (size_t)(need - last) * sizeof(float));
}

/* The direct algorithm ---------------------------------------------------------------------------------------------- */

static int64_t direct_panels(int64_t width) { return (width + PANEL - 1) / PANEL; }

static void pack_direct(const float *w, float *to, int64_t first, int64_t last, int64_t channels, int64_t outputs,
                        int64_t taps, int64_t row, int64_t channel, int64_t tap)
{
    to += first * channels * taps * GROUP;
    for (int64_t group = first; group < last; group++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t t = 0; t < taps; t++)
                for (int64_t o = group * GROUP; o < (group + 1) * GROUP; o++)
                    *to++ = o < outputs ? w[o * row + c * channel + t * tap] : 0;
}

static int convolve_directly(const float *x, const float *w, const float *bias, float *y, int64_t first,
                             int64_t last, int64_t channels, int64_t length, int64_t outputs, int64_t width,
                             int64_t taps, int64_t dilation, int64_t padding)
{
    /* Taps close to each other share what they read. */
    int64_t step = least(dilation, PANEL), shared = step == dilation, panels = direct_panels(width);
    int64_t stride = odd_lines(whole_lanes(least(width, PANEL)) + (taps - 1) * step);
    float *window = malloc((size_t)(channels * stride) * sizeof(float));
    if (window == NULL)
        return -1;
    for (int64_t panel = first; panel < last; panel++) {
        int64_t from = panel % panels * PANEL, n = least(width - from, PANEL), need = whole_lanes(n);
        const float *row = x + panel / panels * channels * length;
        for (int64_t c = 0; c < channels; c++)
            for (int64_t t = 0; t < (shared ? 1 : taps); t++)
                lay(window + c * stride + t * step, row + c * length, from - padding + t * dilation,
                    shared ? need + (taps - 1) * step : need, length);
        multiply(window, w, bias, y + panel / panels * outputs * width + from, n, channels, outputs, width, taps,
                 stride, step);
    }
    free(window);
    return 0;
}

/* The fast algorithm: six products in place of twelve, or seven in place of sixteen -----------------------------

   Four outputs of a group of three or four taps are coefficients of a product of polynomials, which is known from its
   values at 0, 1, -1 and a few other points: the algorithm of Toom and Cook, transposed as in Winograd (1980), Arithmetic
   Complexity of Computations. With the points 2 and -1/2, or 1/2, -1/2 and 2, sums of float32 have twice the rounding
   error of the direct algorithm; a test holds that. Positions of a row are divided into fours times `dilation`: column
   q * dilation + f has the four outputs (4 q + r) * dilation + f, and its products belong to no other column. So each
   product is a convolution over columns, with a tap for each group. The columns of all rows follow each other, and what
   overlaps two rows is discarded. */
enum { MOST = 7, COLUMNS = 48 };

typedef struct {
    int64_t taps, products, groups; /* taps of a group, its products, and the number of groups */
    int64_t dilation, columns;      /* dilation, and columns of a row */
    int64_t period, panel;          /* columns from one row to the next, and of a panel */
} Plan;

static Plan plan_of(int64_t width, int64_t taps, int64_t dilation)
{
    Plan plan = {.taps = taps <= 3 ? 3 : 4, .dilation = dilation};
    int64_t fours = width / (FOUR * dilation), rest = least(width - fours * FOUR * dilation, dilation);
    /* Dilations smaller than a register are deinterleaved, for which fours must be whole. */
    int small = dilation < LANES;
    plan.products = plan.taps + FOUR - 1;
    plan.groups = (taps + plan.taps - 1) / plan.taps;
    plan.columns = fours * dilation + (small && rest > 0 ? dilation : rest);
    plan.period = plan.columns + (plan.groups - 1) * dilation;
    plan.panel = small ? COLUMNS / dilation * dilation : COLUMNS;
    return plan;
}

static int64_t fast_panels(int64_t rows, Plan plan) { return (rows * plan.period + plan.panel - 1) / plan.panel; }

/* The distance from the weights of one product to those of the next; never a power of two, as above. */
static int64_t plane(int64_t channels, int64_t outputs, Plan plan)
{
    return odd_lines((outputs + GROUP - 1) / GROUP * GROUP * channels * plan.groups);
}

static const float OF_THREE[6][4] = {{1.f / 2}, {1.f / 6, 1.f / 6, 1.f / 6}, {1.f / 6, -1.f / 6, 1.f / 6},
                                     {1.f / 30, 2.f / 30, 4.f / 30}, {16.f / 15, -8.f / 15, 4.f / 15}, {0, 0, 1.f / 2}};
static const float OF_FOUR[7][4] = {{1.f / 2}, {1.f / 6, 1.f / 6, 1.f / 6, 1.f / 6},
                                    {1.f / 18, -1.f / 18, 1.f / 18, -1.f / 18}, {8.f / 9, 4.f / 9, 2.f / 9, 1.f / 9},
                                    {8.f / 15, -4.f / 15, 2.f / 15, -1.f / 15}, {1.f / 90, 2.f / 90, 4.f / 90, 8.f / 90},
                                    {0, 0, 0, 1.f / 4}};

static void pack_fast(const float *w, float *to, int64_t first, int64_t last, int64_t channels, int64_t outputs,
                      int64_t taps, int64_t row, int64_t channel, int64_t tap)
{
    Plan plan = plan_of(1, taps, 1);
    const float(*of)[4] = plan.taps == 3 ? OF_THREE : OF_FOUR;
    int64_t apart = plane(channels, outputs, plan);
    to += first * channels * plan.groups * GROUP;
    for (int64_t group = first; group < last; group++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t t = 0; t < taps; t += plan.taps, to += GROUP) {
                float h[FOUR][GROUP] = {{0}};
                for (int64_t s = 0; s < least(plan.taps, taps - t); s++)
                    for (int64_t o = 0; o < least(GROUP, outputs - group * GROUP); o++)
                        h[s][o] = w[(group * GROUP + o) * row + c * channel + (t + s) * tap];
                for (int64_t a = 0; a < plan.products; a++)
                    for (int64_t o = 0; o < GROUP; o++)
                        to[a * apart + o] = of[a][0] * h[0][o] + of[a][1] * h[1][o] + of[a][2] * h[2][o] + of[a][3] * h[3][o];
            }
}

/* The factors of the products, from six or seven numbers of x. */
INLINE void factors(const int taps, const Lanes *x, Lanes *m)
{
    if (taps == 3) {
        m[0] = 2 * (x[0] + x[4]) + 3 * (x[1] - x[3]) - 4 * x[2];
        m[1] = 2 * (x[1] - x[4]) + 5 * x[2] + x[3];
        m[2] = 2 * (x[1] + x[4]) + x[2] - 5 * x[3];
        m[3] = 2 * (x[4] - x[2]) + (x[3] - x[1]);
        m[4] = 2 * (x[3] - x[1]) + (x[2] - x[4]);
        m[5] = 2 * (x[1] + x[5]) + 3 * (x[2] - x[4]) - 4 * x[3];
    } else {
        m[0] = 2 * x[0] - x[1] + 5 * (x[3] - 2 * x[2]) + 4 * (2 * x[4] - x[5]);
        m[1] = 4 * (x[4] - x[5]) - 2 * x[1] - x[2] + 9 * x[3];
        m[2] = 2 * x[1] - 3 * x[2] - 7 * x[3] + 12 * x[4] - 4 * x[5];
        m[3] = 2 * (x[1] + x[5]) + 3 * (x[2] - x[4]) - 4 * x[3];
        m[4] = 2 * (x[5] - x[1]) + 5 * (x[2] - x[4]);
        m[5] = x[1] - 5 * x[3] + 4 * x[5];
        m[6] = x[2] - 2 * x[1] + 5 * (2 * x[3] - x[4]) + 4 * (x[6] - 2 * x[5]);
    }
}

/* The four outputs from the products. */
INLINE void outputs_of(const int taps, const Lanes *m, Lanes *y)
{
    Lanes even = m[1] + m[2], odd = m[1] - m[2];
    if (taps == 3) {
        y[0] = m[0] + even + m[3] + m[4];
        y[1] = odd + 2 * m[3] - m[4] / 2;
        y[2] = even + 4 * m[3] + m[4] / 4;
        y[3] = odd + 8 * m[3] - m[4] / 8 + m[5];
    } else {
        Lanes sum = m[3] + m[4], difference = m[3] - m[4];
        y[0] = m[0] + even + sum + m[5];
        y[1] = odd + difference / 2 + 2 * m[5];
        y[2] = even + sum / 4 + 4 * m[5];
        y[3] = odd + difference / 8 + 8 * m[5] + m[6];
    }
}

/* The memory in which a panel is computed. */
typedef struct {
    float *factors, *made, *numbers, *raw;
    int64_t stride, inputs, products, room; /* distances from one channel, product or number to the next */
} Bench;

/* Prefetch memory that is read or written soon: rows are too short for the processor to predict what follows. */
enum { AHEAD = 2, LINE = 16 };
INLINE void fetch(const float *at, int64_t n, const int write)
{
    for (int64_t i = 0; i < n; i += LINE)
        if (write)
            __builtin_prefetch(at + i, 1);
        else
            __builtin_prefetch(at + i, 0);
}

/* The first four numbers that `n` columns from `column` on need of x, and those of the next d columns, which hold the
   others: number k of column i at numbers[k * room + i]. For dilations smaller than a register. */
static void read_columns(Bench at, const float *x, int64_t column, int64_t n, int64_t d, const Deinterleave *order,
                         int64_t length, int64_t padding)
{
    int64_t from = FOUR * column - padding;
    if (deinterleaves(d)) {
        for (int64_t i = 0; i < n + d; i += LANES) {
            Lanes v[FOUR];
            UNROLLED for (int t = 0; t < FOUR; t++) v[t] = load_inside(x, from + FOUR * i + t * LANES, length);
            deinterleave(order, v);
            UNROLLED for (int r = 0; r < FOUR; r++) store(at.numbers + r * at.room + i, v[r]);
        }
        return;
    }
    lay(at.raw, x, from, FOUR * (n + d), length);
    for (int64_t r = 0; r < FOUR; r++)
        for (int64_t q = 0; q <= n / d; q++)
            memcpy(at.numbers + r * at.room + q * d, at.raw + (FOUR * q + r) * d, (size_t)d * sizeof(float));
}

/* Write the outputs of a vector of columns from `column` on, none after `end`. For dilations that deinterleave.h handles. */
static inline void write_columns(float *y, int64_t column, int64_t end, Lanes four[FOUR], const Deinterleave *order)
{
    interleave(order, four);
    UNROLLED for (int t = 0; t < FOUR; t++) store_first(y + FOUR * column + t * LANES, end - FOUR * column - t * LANES, four[t]);
}

/* Each run of columns of one row: `run` of them at i of the panel, from `column` of the row on. */
#define EACH_RUN(end)                                                                                                \
    for (int64_t i = 0, row, column, run;                                                                            \
         i < (end) && (row = (panel * plan.panel + i) / plan.period) < rows &&                                       \
         (column = (panel * plan.panel + i) % plan.period, run = least(plan.period - column, (end) - i)); i += run)
/* And in it, if the dilation is longer than a register, each run of columns of one four q, from f on. */
#define EACH_FOUR(end)                                                                                               \
    for (int64_t s = 0, q, f, some;                                                                                  \
         s < (end) && (q = (column + s) / d, f = (column + s) % d, some = least(d - f, (end) - s)); s += some)

INLINE void
transform_inputs(const int taps, const float *x, int64_t panel, int64_t n, int64_t rows, int64_t channels, int64_t length,
           int64_t padding, Plan plan, const Deinterleave *order, Bench at)
{
    Lanes in[MOST], m[MOST];
    int64_t d = plan.dilation;
#define KEEP(to, left)                                                                                               \
    do {                                                                                                             \
        factors(taps, in, m);                                                                                        \
        UNROLLED for (int a = 0; a < taps + 3; a++) store_first((to) + a * at.inputs, left, m[a]); \
    } while (0)
    for (int64_t c = 0; c < channels; c++)
        EACH_RUN(n) {
            const float *from = x + (row * channels + c) * length;
            float *to = at.factors + c * at.stride + i;
            if (d < LANES) {
                fetch(from + AHEAD * length + FOUR * column - padding, FOUR * run, 0);
                read_columns(at, from, column, run, d, order, length, padding);
                for (int64_t j = 0; j < run; j += LANES) {
                    UNROLLED for (int k = 0; k < taps + 3; k++)
                        in[k] = load(at.numbers + k % FOUR * at.room + k / FOUR * d + j);
                    KEEP(to + j, run - j);
                }
            } else
                EACH_FOUR(run) {
                    int64_t start = FOUR * q * d + f - padding;
                    for (int64_t k = 0; k < taps + 3; k++) fetch(from + AHEAD * length + start + k * d, some, 0);
                    for (int64_t j = 0; j < some; j += LANES) {
                        UNROLLED for (int k = 0; k < taps + 3; k++) in[k] = load_inside(from, start + k * d + j, length);
                        KEEP(to + s + j, some - j);
                    }
                }
        }
}

INLINE void
transform_outputs(const int taps, float *y, const float *bias, int64_t panel, int64_t n, int64_t rows, int64_t outputs,
             int64_t width, Plan plan, const Deinterleave *order, Bench at)
{
    Lanes m[MOST], four[FOUR];
    int64_t d = plan.dilation;
#define MADE(from)                                                                                                   \
    do {                                                                                                             \
        UNROLLED for (int a = 0; a < taps + 3; a++) m[a] = load((from) + a * at.products);                           \
        outputs_of(taps, m, four);                                                                                   \
        UNROLLED for (int r = 0; r < FOUR; r++) four[r] += added;                                                    \
    } while (0)
    for (int64_t o = 0; o < outputs; o++)
        EACH_RUN(n) {
            const float *from = at.made + o * COLUMNS + i, added = bias == NULL ? 0 : bias[o];
            float *to = y + (row * outputs + o) * width;
            int64_t there = least(run, plan.columns - column), end = least(width, FOUR * (column + there));
            if (deinterleaves(d)) {
                fetch(to + AHEAD * width + FOUR * column, FOUR * there, 1);
                for (int64_t j = 0; j < there; j += LANES) {
                    MADE(from + j);
                    write_columns(to, column + j, end, four, order);
                }
            } else
                EACH_FOUR(there) {
                    int64_t start = FOUR * q * d + f;
                    for (int64_t r = 0; r < FOUR; r++) fetch(to + AHEAD * width + start + r * d, some, 1);
                    for (int64_t j = 0; j < some; j += LANES) {
                        MADE(from + s + j);
                        UNROLLED for (int r = 0; r < FOUR; r++)
                            store_first(to + start + r * d + j, least(some, width - start - r * d) - j, four[r]);
                    }
                }
        }
}

static int convolve_fast(const float *x, const float *w, const float *bias, float *y, int64_t first, int64_t last,
                         int64_t rows, int64_t channels, int64_t length, int64_t outputs, int64_t width,
                         int64_t taps, int64_t dilation, int64_t padding)
{
    Plan plan = plan_of(width, taps, dilation);
    int64_t more = (plan.groups - 1) * dilation, stride = odd_lines(COLUMNS + more);
    Bench at = {.stride = stride, .inputs = odd_lines(channels * stride), .products = odd_lines(outputs * COLUMNS),
                .room = stride + LANES};
    Deinterleave order = deinterleave_of(deinterleaves(dilation) ? dilation : 1);
    int64_t factors = plan.products * at.inputs, made = plan.products * at.products, numbers = FOUR * at.room, raw = FOUR * at.room;
    at.factors = malloc((size_t)(factors + made + numbers + raw + LANES) * sizeof(float));
    if (at.factors == NULL)
        return -1;
    at.made = at.factors + factors, at.numbers = at.made + made + LANES, at.raw = at.numbers + numbers;
    for (int64_t panel = first; panel < last; panel++) {
        int64_t n = least(plan.panel, rows * plan.period - panel * plan.panel);
        if (plan.taps == 3)
            transform_inputs(3, x, panel, n + more, rows, channels, length, padding, plan, &order, at);
        else
            transform_inputs(4, x, panel, n + more, rows, channels, length, padding, plan, &order, at);
        for (int64_t a = 0; a < plan.products; a++)
            multiply(at.factors + a * at.inputs, w + a * plane(channels, outputs, plan), NULL, at.made + a * at.products,
                     n, channels, outputs, COLUMNS, plan.groups, stride, dilation);
        if (plan.taps == 3)
            transform_outputs(3, y, bias, panel, n, rows, outputs, width, plan, &order, at);
        else
            transform_outputs(4, y, bias, panel, n, rows, outputs, width, plan, &order, at);
    }
    free(at.factors);
    return 0;
}

/* Both algorithms --------------------------------------------------------------------------------------------------------- */

/* The number of panels of y. */
int64_t convolution_panels(int64_t rows, int64_t width, int64_t taps, int64_t dilation, int64_t fast)
{
    return fast ? fast_panels(rows, plan_of(width, taps, dilation)) : rows * direct_panels(width);
}

/* The number of groups of outputs, whose weights lie side by side. */
int64_t weight_groups(int64_t outputs) { return (outputs + GROUP - 1) / GROUP; }

/* The size of packed weights, in numbers. */
int64_t packed_weights(int64_t channels, int64_t outputs, int64_t taps, int64_t fast)
{
    Plan plan = plan_of(1, taps, 1);
    return fast ? plan.products * plane(channels, outputs, plan) : weight_groups(outputs) * GROUP * channels * taps;
}

/* Pack the weights of the groups first .. last of outputs, which are `row` apart in w, channels `channel` and taps `tap`. */
typedef struct {
    const float *w;
    float *to;
    int64_t channels, outputs, taps, row, channel, tap, fast;
} Packing;

int pack_weights(const Packing *of, int64_t first, int64_t last)
{
    (of->fast ? pack_fast : pack_direct)(of->w, of->to, first, last, of->channels, of->outputs, of->taps, of->row, of->channel, of->tap);
    return 0;
}

/* The number of products that the fast algorithm takes for each number of a channel and an output. */
double fast_products(int64_t width, int64_t taps, int64_t dilation)
{
    Plan plan = plan_of(width, taps, dilation);
    return (double)(plan.products * plan.groups * plan.columns) / (double)width;
}

/* The panels first .. last of y. Returns -1 without memory. */
typedef struct {
    const float *x, *w, *bias;
    float *y;
    int64_t rows, channels, length, outputs, width, taps, dilation, padding, fast;
} Panels;

int convolve_panels(const Panels *of, int64_t first, int64_t last)
{
    return of->fast ? convolve_fast(of->x, of->w, of->bias, of->y, first, last, of->rows, of->channels, of->length,
                                    of->outputs, of->width, of->taps, of->dilation, of->padding)
                    : convolve_directly(of->x, of->w, of->bias, of->y, first, last, of->channels, of->length,
                                        of->outputs, of->width, of->taps, of->dilation, of->padding);
}
#else
/* Never called in this build: it has no wide registers. */
void convolution_panels(void) {}
void weight_groups(void) {}
void packed_weights(void) {}
void fast_products(void) {}
void pack_weights(void) {}
void convolve_panels(void) {}
#endif
