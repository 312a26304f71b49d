/* What changes of some rows add to a convolution of three taps, and to a ReLU after it: float32, channels side by side.

   Positions of a window that are `dilation` apart belong together. Two of them give four outputs: coefficients of a product
   of polynomials, known from its values at 0, 1, -1 and infinity, so four products of matrices in place of six. Each number
   is one sum in one order, whatever row or thread it is in. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "simd.h"

typedef struct {
    const float *change, *w, *reference; /* (rows, width, channels); packed; (length, outputs), or NULL for no ReLU */
    const int64_t *starts;               /* of the outputs in the reference: for each row, or one for all */
    float *y;                            /* (rows, room, outputs) */
    /* Of the outputs that see the window, `room` are written from number `first` on. */
    int64_t channels, outputs, width, dilation, first, room, each;
} ChangedConvolutions;

#ifdef HAVE_LANES
/* Outputs are computed PANEL at a time, for at most TILE positions; the five matrices of a panel lie one after the other. */
enum { PANEL = 2 * LANES, TILE = LANES == 16 ? 12 : 6, MATRICES = 5, LINE = 16 };

typedef struct {
    const ChangedConvolutions *of;
    const float *x, *w, *around; /* of the row and the panel; `around` is the reference from its start on */
    float *y, *sums;
    int64_t outputs; /* of the panel */
} Panel;

INLINE void product(const int positions, const float *x, int64_t channels, const float *w, float *to)
{
    Lanes sum[TILE][2];
    UNROLLED for (int p = 0; p < positions; p++) sum[p][0] = sum[p][1] = zeros();
    for (int64_t c = 0; c < channels; c++, w += PANEL) {
        Lanes low = load(w), high = load(w + LANES);
        UNROLLED for (int p = 0; p < positions; p++) {
            Lanes in = every(x[p * channels + c]);
            sum[p][0] = fmadd(in, low, sum[p][0]), sum[p][1] = fmadd(in, high, sum[p][1]);
        }
    }
    UNROLLED for (int p = 0; p < positions; p++) store(to + p * PANEL, sum[p][0]), store(to + p * PANEL + LANES, sum[p][1]);
}

/* Write one register of outputs at position `at` of those that see the window. */
INLINE void finish(const Panel *panel, int64_t at, int v, Lanes sum)
{
    int64_t left = panel->outputs - v * LANES, place = at - panel->of->first;
    if (place < 0 || place >= panel->of->room || left <= 0)
        return;
    int64_t to = place * panel->of->outputs + v * LANES;
    if (panel->around != NULL) {
        Lanes before = load_first(panel->around + to, left, 0);
        sum = larger(zeros(), sum + before) - larger(zeros(), before); /* in this order NaN stays NaN */
    }
    store_first(panel->y + to, left, sum);
}

/* Prefetch what `finish` reads and writes at position `at`, while products are computed. */
INLINE void expect(const Panel *panel, int64_t at)
{
    int64_t place = at - panel->of->first;
    if (place < 0 || place >= panel->of->room)
        return;
    for (int64_t to = place * panel->of->outputs, end = to + least(PANEL, panel->outputs); to < end; to += LINE) {
        __builtin_prefetch(panel->y + to, 1);
        if (panel->around != NULL)
            __builtin_prefetch(panel->around + to, 0);
    }
}

/* All outputs that the positions `from` .. `from + positions`, and those whole dilations further, add to. */
INLINE void positions_of(const Panel *panel, const int positions, int64_t from)
{
    float made[4][TILE * PANEL] __attribute__((aligned(64)));
    Lanes next[TILE][2], last[TILE][2];
    int64_t channels = panel->of->channels, d = panel->of->dilation, width = panel->of->width;
    int64_t apart = channels * PANEL, many = positions * channels;
    float *plus = panel->sums, *minus = plus + TILE * channels;
    for (int p = 0; p < positions; p++)
        for (int v = 0; v < 2; v++) next[p][v] = last[p][v] = zeros();
    for (; from < width; from += 2 * d) {
        const float *a = panel->x + from * channels, *b = a + d * channels;
        int two = from + d < width;
        for (int p = 0; p < positions; p++) expect(panel, from + p), expect(panel, from + d + p);
        product(positions, a, channels, panel->w, made[0]);
        if (two) {
            for (int64_t i = 0; i < many; i++) plus[i] = a[i] + b[i], minus[i] = a[i] - b[i];
            product(positions, plus, channels, panel->w + apart, made[1]);
            /* What the next positions read. */
            for (int64_t i = 0; i < many; i += LINE) __builtin_prefetch(a + many + i), __builtin_prefetch(b + many + i);
            product(positions, minus, channels, panel->w + 2 * apart, made[2]);
            product(positions, b, channels, panel->w + 3 * apart, made[3]);
        } else {
            product(positions, a, channels, panel->w + 4 * apart, made[1]);
            product(positions, a, channels, panel->w + 3 * apart, made[2]);
        }
        for (int p = 0; p < positions; p++)
            for (int v = 0; v < 2; v++) {
                int at = p * PANEL + v * LANES;
                Lanes y0 = load(made[0] + at), y1 = load(made[1] + at), y2 = load(made[2] + at), y3 = zeros();
                if (two) {
                    Lanes sum = y1 + y2, difference = y1 - y2;
                    y3 = load(made[3] + at), y1 = difference - y3, y2 = sum - y0;
                }
                finish(panel, from + p, v, next[p][v] + y0);
                finish(panel, from + d + p, v, last[p][v] + y1);
                next[p][v] = y2, last[p][v] = y3;
            }
    }
    for (int p = 0; p < positions; p++)
        for (int v = 0; v < 2; v++) finish(panel, from + p, v, next[p][v]), finish(panel, from + d + p, v, last[p][v]);
}

/* The positions first .. last, all of which have as many others whole dilations further. */
static void some_positions(const Panel *panels, int64_t many, int64_t first, int64_t last)
{
#define TILES(positions)                                                                                             \
    for (; last - first >= positions; first += positions)                                                            \
        for (int64_t i = 0; i < many; i++) positions_of(panels + i, positions, first)
    TILES(TILE);
#if defined(__AVX512F__)
    TILES(8);
#endif
    TILES(4);
    TILES(2);
    TILES(1);
#undef TILES
}

/* The rows first .. last. */
int changed_convolutions(const ChangedConvolutions *of, int64_t first, int64_t last)
{
    int64_t many = (of->outputs + PANEL - 1) / PANEL, d = of->dilation, rest = of->width % d;
    float *sums = malloc((size_t)(2 * TILE * of->channels) * sizeof(float));
    Panel *panels = malloc((size_t)many * sizeof(Panel));
    int failed = sums == NULL || panels == NULL;
    for (int64_t row = first; row < last && !failed; row++) {
        for (int64_t i = 0; i < many; i++) {
            int64_t start = of->starts == NULL ? 0 : of->starts[of->each ? row : 0];
            panels[i] = (Panel){
                .of = of,
                .x = of->change + row * of->width * of->channels,
                .w = of->w + i * PANEL * MATRICES * of->channels,
                .around = of->reference == NULL ? NULL : of->reference + start * of->outputs + i * PANEL,
                .y = of->y + row * of->room * of->outputs + i * PANEL,
                .sums = sums,
                .outputs = of->outputs - i * PANEL,
            };
        }
        some_positions(panels, many, 0, rest);
        some_positions(panels, many, rest, d);
    }
    free(sums);
    free(panels);
    return failed;
}
#else
/* Never called in this build: it has no wide registers. */
void changed_convolutions(void) {}
#endif
