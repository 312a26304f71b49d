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
enum { LANES = 16, GROUP = 8, PANEL = 384 };

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t within(int64_t i, int64_t end) { return i < 0 ? 0 : least(i, end); }
static inline int64_t whole_lanes(int64_t n) { return (n + LANES - 1) / LANES * LANES; }

/* `outputs` times `vectors` sums, of which `rows` rows and in each the first `room` positions are written. */
WIDEST __attribute__((always_inline)) static inline void
tile(const int outputs, const int vectors, const float *x, const float *w, const float *bias, float *y,
     int64_t channels, int64_t taps, int64_t stride, int64_t step, int64_t width, int64_t rows, int64_t room)
{
    __m512 sum[GROUP][6], in[6];
    UNROLLED for (int o = 0; o < outputs; o++)
        UNROLLED for (int v = 0; v < vectors; v++) sum[o][v] = _mm512_set1_ps(bias[o]);
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
            _mm512_mask_storeu_ps(y + o * width + v * LANES, (__mmask16)((1u << left) - 1), sum[o][v]);
        }
}

/* All outputs at `n` positions, from what was laid side by side: `taps` of a channel `step` apart, channels `stride`. */
WIDEST static void multiply(const float *window, const float *w, const float *bias, float *y, int64_t n,
                            int64_t channels, int64_t outputs, int64_t width, int64_t taps, int64_t stride, int64_t step)
{
#define TILE(outputs, vectors)                                                                                      \
    tile(outputs, vectors, window + i, w, bias, y + i, channels, taps, stride, step, width, rows, n - i), i += vectors * LANES
    for (int64_t rows = outputs; rows > 0; rows -= GROUP, w += channels * taps * GROUP, bias += GROUP, y += GROUP * width)
        for (int64_t i = 0, vectors; vectors = (n - i + LANES - 1) / LANES, i < n;) {
            if (rows > 4 && vectors >= 3) TILE(8, 3);
            else if (rows > 4 && vectors == 2) TILE(8, 2);
            else if (rows > 4) TILE(8, 1);
            else if (vectors >= 6) TILE(4, 6);
            else if (vectors >= 3) TILE(4, 3);
            else TILE(4, 1);
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

/* How many panels a row of y has; 0 where this machine has not the registers. */
int64_t convolution_panels(int64_t width)
{
    return __builtin_cpu_supports("avx512f") ? (width + PANEL - 1) / PANEL : 0;
}

/* The panels first .. last of y; -1 where there is no memory. */
int convolve_panels(const float *x, const float *w, const float *bias, float *y, int64_t first, int64_t last,
                    int64_t channels, int64_t length, int64_t outputs, int64_t width, int64_t taps, int64_t dilation,
                    int64_t padding)
{
    /* Taps that lie close together share what they read. */
    int64_t step = least(dilation, PANEL), shared = step == dilation, panels = convolution_panels(width);
    int64_t most = whole_lanes(least(width, PANEL));
    int64_t stride = (whole_lanes(most + (taps - 1) * step) / LANES | 1) * LANES; /* odd, for the cache's sake */
    float *window = malloc((size_t)(channels * stride + PANEL) * sizeof(float));
    if (window == NULL)
        return -1;
    for (int64_t panel = first; panel < last; panel++) {
        int64_t from = panel % panels * PANEL, n = least(width - from, PANEL), need = whole_lanes(n);
        const float *row = x + panel / panels * channels * length;
        for (int64_t c = 0; c < channels; c++)
            for (int64_t t = 0; t < (shared ? 1 : taps); t++)
                lay(window + c * stride + t * step, row + c * length, from - padding + t * dilation,
                    shared ? need + (taps - 1) * step : need, length);
        multiply(window, w, bias, y + panel / panels * outputs * width + from, n, channels, outputs, width, taps, stride,
                 step);
    }
    free(window);
    return 0;
}
#else
int64_t convolution_panels(int64_t width)
{
    return 0 * width;
}

int convolve_panels(const float *x, const float *w, const float *bias, float *y, int64_t first, int64_t last,
                    int64_t channels, int64_t length, int64_t outputs, int64_t width, int64_t taps, int64_t dilation,
                    int64_t padding)
{
    return -1;
}
#endif
