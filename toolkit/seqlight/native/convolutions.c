/* Convolutions over positions, of float32 and with stride 1, in the layout that PyTorch's tensors have.

   Rows of x are (channels, length), rows of y (outputs, width); weights come as (outputs / GROUP, channels, taps,
   GROUP). y[o, l] = bias[o] + the sum over channels and taps of w[o, c, t] * x[c, l + t * dilation - padding], where
   x is 0 outside. A panel is PANEL positions of one row of y. What it reads of x is laid side by side, padding
   included, and fits into the cache; then a tile of outputs and positions at a time is summed in registers. Each
   number is one sum in one order, whatever panel, tile or thread it is in. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define WIDEST __attribute__((target("avx512f")))
#define UNROLLED _Pragma("GCC unroll 8")
enum { LANES = 16, GROUP = 8, PANEL = 384, SUMMANDS = 256 };

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t within(int64_t i, int64_t end) { return i < 0 ? 0 : least(i, end); }
static inline int64_t whole_lanes(int64_t n) { return (n + LANES - 1) / LANES * LANES; }

/* Channels are an odd number of vectors apart: powers of two would fall into the same lines of the cache. */
static inline int64_t odd_lanes(int64_t n) { return (n + LANES - 1) / LANES * LANES | LANES; }

/* `outputs` times `vectors` sums over some channels, added to what y has if it is `begun`, else to the bias; of these
   `rows` rows are written, and in each the first `room` positions. */
WIDEST __attribute__((always_inline)) static inline void
tile(const int outputs, const int vectors, const float *x, const float *w, const float *bias, float *y,
     int64_t channels, int64_t taps, int64_t stride, int64_t step, int64_t width, int64_t rows, int64_t room, int begun)
{
    __m512 sum[GROUP][6], in[6];
    UNROLLED for (int o = 0; o < outputs; o++)
        UNROLLED for (int v = 0; v < vectors; v++) sum[o][v] = _mm512_setzero_ps();
    for (int64_t c = 0; c < channels; c++, x += stride) {
        const float *at = x;
        for (int64_t t = 0; t < taps; t++, at += step, w += GROUP) {
            UNROLLED for (int v = 0; v < vectors; v++) in[v] = _mm512_loadu_ps(at + v * LANES);
            UNROLLED for (int o = 0; o < outputs; o++)
                UNROLLED for (int v = 0; v < vectors; v++)
                    sum[o][v] = _mm512_fmadd_ps(_mm512_set1_ps(w[o]), in[v], sum[o][v]);
        }
    }
    UNROLLED for (int o = 0; o < outputs; o++)
        UNROLLED for (int v = 0; v < vectors; v++) {
            int64_t left = o < rows ? within(room - v * LANES, LANES) : 0;
            __mmask16 inside = (__mmask16)((1u << left) - 1);
            float *to = y + o * width + v * LANES, added = bias != NULL && o < rows ? bias[o] : 0;
            __m512 before = begun ? _mm512_maskz_loadu_ps(inside, to) : _mm512_set1_ps(added);
            _mm512_mask_storeu_ps(to, inside, before + sum[o][v]);
        }
}

/* All outputs at `n` positions, from what was laid side by side: `taps` of a channel `step` apart, channels `stride`.
   Sums of sums round less than one long sum. */
WIDEST static void multiply(const float *window, const float *w, const float *bias, float *y, int64_t n,
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
            if (rows > 4 && vectors >= 3) { TILE(8, 3); }
            else if (rows > 4 && vectors == 2) { TILE(8, 2); }
            else if (rows > 4) { TILE(8, 1); }
            else if (vectors >= 6) { TILE(4, 6); }
            else if (vectors >= 3) { TILE(4, 3); }
            else { TILE(4, 1); }
        }
        w += channels * taps * GROUP, y += GROUP * width, bias = bias == NULL ? NULL : bias + GROUP;
    }
}

/* `need` numbers of a channel from `from` on; 0 outside. */
static inline void lay(float *to, const float *x, int64_t from, int64_t need, int64_t length)
{
    int64_t first = within(-from, need), last = within(length - from, need);
    last = last < first ? first : last;
    memset(to, 0, (size_t)first * sizeof(float));
    memcpy(to + first, x + from + first, (size_t)(last - first) * sizeof(float));
    memset(to + last, 0, (size_t)(need - last) * sizeof(float));
}

/* The direct way ---------------------------------------------------------------------------------------------- */

static int64_t direct_panels(int64_t width) { return (width + PANEL - 1) / PANEL; }

WIDEST static void pack_direct(const float *w, float *to, int64_t first, int64_t last, int64_t channels, int64_t outputs,
                               int64_t taps, int64_t row, int64_t channel, int64_t tap)
{
    to += first * channels * taps * GROUP;
    for (int64_t group = first; group < last; group++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t t = 0; t < taps; t++)
                for (int64_t o = group * GROUP; o < (group + 1) * GROUP; o++)
                    *to++ = o < outputs ? w[o * row + c * channel + t * tap] : 0;
}

WIDEST static int convolve_directly(const float *x, const float *w, const float *bias, float *y, int64_t first,
                                    int64_t last, int64_t channels, int64_t length, int64_t outputs, int64_t width,
                                    int64_t taps, int64_t dilation, int64_t padding)
{
    /* Taps that lie close together share what they read. */
    int64_t step = least(dilation, PANEL), shared = step == dilation, panels = direct_panels(width);
    int64_t stride = odd_lanes(whole_lanes(least(width, PANEL)) + (taps - 1) * step);
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

/* The fast way: nine products in place of sixteen -------------------------------------------------------------

   Positions and taps are taken by fours, y[4q + r] = sum over j and s of h[4j + s] * u[4q + r + 4j + s], and r and s by
   halves: of (d0 g0 + d1 g1, d1 g0 + d2 g1) the products are (d0 - d1) g0, d1 (g0 + g1) and (d2 - d1) g1, which is done
   twice, one within the other; as in Winograd (1980), Arithmetic Complexity of Computations. Each product is a
   convolution along q with a fourth of the taps. The columns q of all rows stand behind each other, and what overlaps
   two rows is thrown away. */
enum { PRODUCTS = 9, COLUMNS = 96 };

static int64_t fourth(int64_t n) { return (n + 3) / 4; }
static int64_t fast_panels(int64_t rows, int64_t width, int64_t taps)
{
    return (rows * (fourth(width) + fourth(taps) - 1) + COLUMNS - 1) / COLUMNS;
}
/* From the weights of one product to those of the next; never a power of two, as above. */
static int64_t plane(int64_t channels, int64_t outputs, int64_t taps)
{
    return odd_lanes((outputs + GROUP - 1) / GROUP * GROUP * channels * fourth(taps));
}

WIDEST static void pack_fast(const float *w, float *to, int64_t first, int64_t last, int64_t channels, int64_t outputs,
                             int64_t taps, int64_t row, int64_t channel, int64_t tap)
{
    int64_t apart = plane(channels, outputs, taps);
    to += first * channels * fourth(taps) * GROUP;
    for (int64_t group = first; group < last; group++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t t = 0; t < taps; t += 4)
                for (int64_t o = group * GROUP; o < (group + 1) * GROUP; o++, to++) {
                    float h[4];
                    for (int s = 0; s < 4; s++)
                        h[s] = o < outputs && t + s < taps ? w[o * row + c * channel + (t + s) * tap] : 0;
                    const float g[3][2] = {{h[0], h[1]}, {h[0] + h[2], h[1] + h[3]}, {h[2], h[3]}};
                    for (int a = 0; a < 3; a++) {
                        to[3 * a * apart] = g[a][0];
                        to[(3 * a + 1) * apart] = g[a][0] + g[a][1];
                        to[(3 * a + 2) * apart] = g[a][1];
                    }
                }
}

/* Nine sums of what was laid at u, `apart` from each other, for `n` columns. */
WIDEST static void split(float *to, int64_t apart, const float *u, int64_t n)
{
    for (int64_t q = 0; q < n; q++, u += 4) {
        const float d[3][3] = {{u[0] - u[2], u[1] - u[3], u[2] - u[4]},
                               {u[2], u[3], u[4]},
                               {u[4] - u[2], u[5] - u[3], u[6] - u[4]}};
        for (int a = 0; a < 3; a++) {
            to[3 * a * apart + q] = d[a][0] - d[a][1];
            to[(3 * a + 1) * apart + q] = d[a][1];
            to[(3 * a + 2) * apart + q] = d[a][2] - d[a][1];
        }
    }
}

/* The four outputs of each of `n` columns from its nine products, which are `apart`. */
WIDEST static void join(float *y, const float *m, int64_t apart, float bias, int64_t n)
{
    for (int64_t q = 0; q < n; q++, m++, y += 4) {
        float half[3][2];
        for (int a = 0; a < 3; a++) {
            half[a][0] = m[3 * a * apart] + m[(3 * a + 1) * apart];
            half[a][1] = m[(3 * a + 1) * apart] + m[(3 * a + 2) * apart];
        }
        for (int r = 0; r < 4; r++)
            y[r] = half[r / 2][r % 2] + half[r / 2 + 1][r % 2] + bias;
    }
}

WIDEST static int convolve_fast(const float *x, const float *w, const float *bias, float *y, int64_t first, int64_t last,
                                int64_t rows, int64_t channels, int64_t length, int64_t outputs, int64_t width,
                                int64_t taps, int64_t padding)
{
    int64_t more = fourth(taps) - 1, period = fourth(width) + more, stride = odd_lanes(COLUMNS + more);
    int64_t inputs = odd_lanes(channels * stride), products = odd_lanes(outputs * COLUMNS);
    float *window = malloc((size_t)(PRODUCTS * (inputs + products) + 4 * stride + LANES) * sizeof(float));
    if (window == NULL)
        return -1;
    float *made = window + PRODUCTS * inputs, *raw = made + PRODUCTS * products;
/* Each run of columns q .. q + run, at i of the panel, that lies in one row. */
#define EACH_RUN(end)                                                                                                \
    for (int64_t i = 0, row, q, run;                                                                                 \
         i < (end) && (row = (panel * COLUMNS + i) / period) < rows &&                                               \
         (q = (panel * COLUMNS + i) % period, run = least(period - q, (end) - i)); i += run)
    for (int64_t panel = first; panel < last; panel++) {
        int64_t n = least(COLUMNS, rows * period - panel * COLUMNS);
        for (int64_t c = 0; c < channels; c++)
            EACH_RUN(n + more) {
                lay(raw, x + (row * channels + c) * length, 4 * q - padding, 4 * run + 3, length);
                split(window + c * stride + i, inputs, raw, run);
            }
        for (int64_t a = 0; a < PRODUCTS; a++)
            multiply(window + a * inputs, w + a * plane(channels, outputs, taps), NULL, made + a * products, n, channels,
                     outputs, COLUMNS, more + 1, stride, 1);
        for (int64_t o = 0; o < outputs; o++)
            EACH_RUN(n) {
                float *to = y + (row * outputs + o) * width + 4 * q, four[4], added = bias == NULL ? 0 : bias[o];
                int64_t whole = least(run, width / 4 - q), rest = width - 4 * (q + whole);
                join(to, made + o * COLUMNS + i, products, added, whole);
                if (0 <= whole && whole < run && rest > 0) { /* the last of a row, which are fewer than four */
                    join(four, made + o * COLUMNS + i + whole, products, added, 1);
                    memcpy(to + 4 * whole, four, (size_t)rest * sizeof(float));
                }
            }
    }
    free(window);
    return 0;
}

/* Both --------------------------------------------------------------------------------------------------------- */

/* How many panels y has; 0 where this machine has not the registers. */
int64_t convolution_panels(int64_t rows, int64_t width, int64_t taps, int64_t fast)
{
    if (!__builtin_cpu_supports("avx512f"))
        return 0;
    return fast ? fast_panels(rows, width, taps) : rows * direct_panels(width);
}

/* How many numbers the packed weights are. */
int64_t packed_weights(int64_t channels, int64_t outputs, int64_t taps, int64_t fast)
{
    return fast ? PRODUCTS * plane(channels, outputs, taps) : (outputs + GROUP - 1) / GROUP * GROUP * channels * taps;
}

/* Pack the outputs of the groups first .. last, in w `row` apart, channels `channel` and taps `tap`. */
void pack_weights(const float *w, float *to, int64_t first, int64_t last, int64_t channels, int64_t outputs,
                  int64_t taps, int64_t row, int64_t channel, int64_t tap, int64_t fast)
{
    (fast ? pack_fast : pack_direct)(w, to, first, last, channels, outputs, taps, row, channel, tap);
}

/* The panels first .. last of y; -1 where there is no memory. The fast way has dilation 1. */
int convolve_panels(const float *x, const float *w, const float *bias, float *y, int64_t first, int64_t last,
                    int64_t rows, int64_t channels, int64_t length, int64_t outputs, int64_t width, int64_t taps,
                    int64_t dilation, int64_t padding, int64_t fast)
{
    return fast ? convolve_fast(x, w, bias, y, first, last, rows, channels, length, outputs, width, taps, padding)
                : convolve_directly(x, w, bias, y, first, last, channels, length, outputs, width, taps, dilation, padding);
}
#else
int64_t convolution_panels(int64_t rows, int64_t width, int64_t taps, int64_t fast)
{
    return 0 * (rows + width + taps + fast);
}

/* Never called where there are no panels. */
void packed_weights(void) {}
void pack_weights(void) {}
void convolve_panels(void) {}
#endif
