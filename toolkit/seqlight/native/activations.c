/* Smooth activation functions of float32, and the gradient at their inputs, which makes the outputs of the references
   again: that takes less time than to keep multipliers in memory. Equal numbers have equal bits. */
#include <stdint.h>

#include "lanes.h"
#include "partners.h"

#ifdef HAVE_LANES
typedef enum { GELU, GELU_TANH, SILU, SIGMOID } Kind;
typedef struct {
    __m512 y, slope;
} Both;

/* x Phi(x), with the normal distribution Phi(x) = 1 / 2 + x G(x^2) and a fit of G to 2e-8 / x^2 where |x| < 5.5. Beyond,
   Phi is within 2e-8 of 0 or 1. */
WIDEST INLINE Both gelu(__m512 x, const int sloped)
{
    const float end = 5.5f, fit[] = {
        5.8543135e-4f, -6.9601805e-4f, 8.6154736e-4f, -2.2124585e-3f, 4.4530979e-3f, -6.9466503e-3f, .010326428f, -.014958595f,
        .020335382f, -.026054634f, .032074306f, -.038792368f, .047737420f, -.064172342f, .12855193f};
    __m512 square = x * x, t = _mm512_fmsub_ps(square, _mm512_set1_ps(2 / (end * end)), _mm512_set1_ps(1));
    __m512 g = _mm512_set1_ps(-1.8338945e-4f);
    UNROLLED for (int i = 0; i < 15; i++) g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(fit[i]));
    __m512 phi = _mm512_fmadd_ps(x, g, _mm512_set1_ps(.5f));
    __mmask16 beyond = _mm512_cmp_ps_mask(square, _mm512_set1_ps(end * end), _CMP_GT_OQ);
    __mmask16 above = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
    phi = _mm512_mask_mov_ps(phi, beyond, _mm512_maskz_mov_ps(above, _mm512_set1_ps(1)));
    Both found = {x * phi, phi};
    if (sloped)
        found.slope = _mm512_fmadd_ps(x * .398942280f, exponential(square * -.5f), phi);
    return found;
}

WIDEST INLINE __m512 sigmoid(__m512 x)
{
    __m512 one = _mm512_set1_ps(1), e = exponential(_mm512_min_ps(x, _mm512_setzero_ps() - x));
    __mmask16 above = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GE_OQ);
    return _mm512_mask_mov_ps(e, above, one) / (one + e);
}

/* x sigmoid(x). */
WIDEST INLINE Both silu(__m512 x)
{
    __m512 s = sigmoid(x);
    return (Both){x * s, s + x * (s * (1 - s))};
}

/* x (1 + tanh(u / 2)) / 2 = x sigmoid(u) with u = sqrt(8 / pi) (x + 0.044715 x^3). */
WIDEST INLINE Both gelu_tanh(__m512 x)
{
    const float root = 1.59576912f, cubic = .044715f;
    __m512 square = _mm512_min_ps(_mm512_set1_ps(1e30f), x * x), s = sigmoid(x * root * (1 + cubic * square));
    return (Both){x * s, s + x * (s * (1 - s)) * (root + 3 * root * cubic * square)};
}

WIDEST INLINE Both activation(const Kind kind, __m512 x, const int sloped)
{
    if (kind == GELU)
        return gelu(x, sloped);
    if (kind == GELU_TANH)
        return gelu_tanh(x);
    if (kind == SILU)
        return silu(x);
    __m512 s = sigmoid(x);
    return (Both){s, s * (1 - s)};
}

#define OF_EACH_KIND(done)                                                                                           \
    switch (of->kind) {                                                                                              \
    case GELU: done(GELU); break;                                                                                    \
    case GELU_TANH: done(GELU_TANH); break;                                                                          \
    case SILU: done(SILU); break;                                                                                    \
    default: done(SIGMOID);                                                                                          \
    }

/* The elements first .. last of y and, if it is not null, of the slope. */
typedef struct {
    const float *x;
    float *y, *slope;
    int64_t kind;
} Activations;

WIDEST INLINE void activate(const Kind kind, const Activations *of, int64_t first, int64_t last)
{
    for (int64_t i = first; i < last; i += LANES) {
        __mmask16 inside = first_lanes(last - i);
        Both found = activation(kind, _mm512_maskz_loadu_ps(inside, of->x + i), of->slope != NULL);
        _mm512_mask_storeu_ps(of->y + i, inside, found.y);
        if (of->slope != NULL)
            _mm512_mask_storeu_ps(of->slope + i, inside, found.slope);
    }
}

WIDEST int activations(const Activations *of, int64_t first, int64_t last)
{
#define ACTIVATE(kind) activate(kind, of, first, last)
    OF_EACH_KIND(ACTIVATE)
    return 0;
}

/* The gradient at the input of the references: that at their output, times the secant to the sequence they stand
   against (see multipliers.c), whose input, output and slope were recorded. */
typedef struct {
    const float *grad, *x1, *y1, *slope1, *x0;
    float *out;
    int64_t span, n, kind;
    double threshold;
} ActivationPulls;

WIDEST INLINE void pull(const Kind kind, const ActivationPulls *of, int64_t first, int64_t last)
{
    __m512 near = _mm512_set1_ps((float)of->threshold), one = _mm512_set1_ps(1);
    for (int64_t i = first, run; i < last; i += run) {
        int64_t p = partner_of(i, of->span, of->n);
        run = stretch(i, last, of->span);
        for (int64_t j = 0; j < run; j += LANES) {
            __mmask16 inside = first_lanes(run - j);
            __m512 x0 = _mm512_maskz_loadu_ps(inside, of->x0 + i + j), dx = _mm512_maskz_loadu_ps(inside, of->x1 + p + j) - x0;
            __m512 dy = _mm512_maskz_loadu_ps(inside, of->y1 + p + j) - activation(kind, x0, 0).y;
            __mmask16 far = _mm512_cmp_ps_mask(_mm512_abs_ps(dx), near, _CMP_GE_OQ);
            __m512 slope = _mm512_mask_mov_ps(_mm512_maskz_loadu_ps(inside, of->slope1 + p + j), far, dy);
            slope = slope / _mm512_mask_mov_ps(one, far, dx) * _mm512_maskz_loadu_ps(inside, of->grad + i + j);
            _mm512_mask_storeu_ps(of->out + i + j, inside, slope);
        }
    }
}

WIDEST int activation_gradients(const ActivationPulls *of, int64_t first, int64_t last)
{
#define PULL(kind) pull(kind, of, first, last)
    OF_EACH_KIND(PULL)
    return 0;
}

int lanes_here(void) { return __builtin_cpu_supports("avx512f") != 0; }
#else
int lanes_here(void) { return 0; }
/* Never called where these are not here. */
void activations(void) {}
void activation_gradients(void) {}
#endif
