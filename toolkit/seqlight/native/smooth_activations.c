/* Smooth activation functions of float32, and the gradient at their inputs. The latter computes the outputs of the references
   again, which takes less time than keeping multipliers in memory. Equal inputs have outputs with equal bits. */
#include <stdint.h>

#include "simd.h"
#include "pairs.h"

#ifdef HAVE_LANES
typedef enum { GELU, GELU_TANH, SILU, SIGMOID, TANH } Kind;
typedef struct {
    Lanes y, slope;
} Both;

/* x Phi(x), with the normal distribution Phi(x) = 1 / 2 + x G(x^2) and a fit of G to 2e-8 / x^2 where |x| < 5.5. Beyond,
   Phi is within 2e-8 of 0 or 1. */
INLINE Both gelu(Lanes x, const int sloped)
{
    const float end = 5.5f, fit[] = {
        5.8543135e-4f, -6.9601805e-4f, 8.6154736e-4f, -2.2124585e-3f, 4.4530979e-3f, -6.9466503e-3f, .010326428f, -.014958595f,
        .020335382f, -.026054634f, .032074306f, -.038792368f, .047737420f, -.064172342f, .12855193f};
    Lanes square = x * x, t = fmadd(square, every(2 / (end * end)), every(-1));
    Lanes g = every(-1.8338945e-4f);
    UNROLLED for (int i = 0; i < 15; i++) g = fmadd(g, t, every(fit[i]));
    Lanes phi = fmadd(x, g, every(.5f));
    Mask beyond = greater(square, every(end * end));
    Mask above = greater(x, zeros());
    phi = choose(beyond, only(above, every(1)), phi);
    Both found = {x * phi, phi};
    if (sloped)
        found.slope = fmadd(x * .398942280f, exponential(square * -.5f), phi);
    return found;
}

INLINE Lanes sigmoid(Lanes x)
{
    Lanes one = every(1), e = exponential(negative(x));
    Mask above = at_least(x, zeros());
    return choose(above, one, e) / (one + e);
}

/* Its slope: s (1 - s), with the digits that 1 - s loses where s is nearly 1. */
INLINE Lanes sigmoid_slope(Lanes x)
{
    Lanes one = every(1), e = exponential(negative(x)), over = one / (one + e);
    return e * over * over;
}

/* x sigmoid(x). */
INLINE Both silu(Lanes x)
{
    Lanes s = sigmoid(x);
    return (Both){x * s, s + x * (s * (1 - s))};
}

/* x (1 + tanh(u / 2)) / 2 = x sigmoid(u) with u = sqrt(8 / pi) (x + 0.044715 x^3). */
INLINE Both gelu_tanh(Lanes x)
{
    const float root = 1.59576912f, cubic = .044715f;
    Lanes square = smaller(every(1e30f), x * x), s = sigmoid(x * root * (1 + cubic * square));
    return (Both){x * s, s + x * (s * (1 - s)) * (root + 3 * root * cubic * square)};
}

/* 2 sigmoid(2 x) - 1, which loses digits where it is nearly 0; its slope does not. */
INLINE Both hyperbolic_tangent(Lanes x)
{
    return (Both){2 * sigmoid(x + x) - 1, 4 * sigmoid_slope(x + x)};
}

INLINE Both activation(const Kind kind, Lanes x, const int sloped)
{
    if (kind == TANH)
        return hyperbolic_tangent(x);
    if (kind == GELU)
        return gelu(x, sloped);
    if (kind == GELU_TANH)
        return gelu_tanh(x);
    if (kind == SILU)
        return silu(x);
    return (Both){sigmoid(x), sloped ? sigmoid_slope(x) : zeros()};
}

#define OF_EACH_KIND(done)                                                                                           \
    switch (of->kind) {                                                                                              \
    case GELU: done(GELU); break;                                                                                    \
    case GELU_TANH: done(GELU_TANH); break;                                                                          \
    case SILU: done(SILU); break;                                                                                    \
    case TANH: done(TANH); break;                                                                                    \
    default: done(SIGMOID);                                                                                          \
    }

/* The elements first .. last of y and, if it is not null, of the slope. */
typedef struct {
    const float *x;
    float *y, *slope;
    int64_t kind;
} Activations;

INLINE void activate_lanes(const Kind kind, const Activations *of, int64_t i, int64_t room)
{
    Both found = activation(kind, load_first(of->x + i, room, 0), of->slope != NULL);
    store_first(of->y + i, room, found.y);
    if (of->slope != NULL)
        store_first(of->slope + i, room, found.slope);
}

INLINE void activate(const Kind kind, const Activations *of, int64_t first, int64_t last)
{
    Activations own = *of; /* a copy that no store can change */
    int64_t i = first;
    for (; i + LANES <= last; i += LANES) activate_lanes(kind, &own, i, LANES);
    if (i < last)
        activate_lanes(kind, &own, i, last - i);
}

int activations(const Activations *of, int64_t first, int64_t last)
{
#define ACTIVATE(kind) activate(kind, of, first, last)
    OF_EACH_KIND(ACTIVATE)
    return 0;
}

/* The gradient at the input of the references: that at their output, times the secant (see elementwise.c) to their sequence,
   whose input, output and slope were recorded. */
typedef struct {
    const float *grad, *x1, *y1, *slope1, *x0;
    float *out;
    int64_t span, n, kind;
    double threshold, allowance;
} ActivationPulls;

INLINE void pull_lanes(const Kind kind, const ActivationPulls *of, int64_t i, int64_t p, int64_t room)
{
    Lanes near = every((float)of->threshold), allowed = every((float)of->allowance), one = every(1);
    Lanes x1 = load_first(of->x1 + p, room, 0), y1 = load_first(of->y1 + p, room, 0);
    Lanes tangent = load_first(of->slope1 + p, room, 0), x0 = load_first(of->x0 + i, room, 0);
    Lanes dx = x1 - x0, dy = y1 - activation(kind, x0, 0).y;
    Lanes noise = (magnitude(kind == GELU || kind == GELU_TANH ? x1 : y1) + magnitude(tangent * x1)) * allowed;
    /* The secant, unless the tangent explains dy up to rounding. */
    Mask far = not_less(at_least(magnitude(dx), near), magnitude(dy - tangent * dx), noise);
    Lanes slope = choose(far, dy, tangent);
    slope = slope / choose(far, dx, one) * load_first(of->grad + i, room, 0);
    store_first(of->out + i, room, slope);
}

INLINE void pull(const Kind kind, const ActivationPulls *of, int64_t first, int64_t last)
{
    ActivationPulls own = *of; /* a copy that no store can change */
    for (int64_t i = first, run; i < last; i += run) {
        int64_t p = partner_of(i, own.span, own.n), j = 0;
        run = stretch(i, last, own.span);
        for (; j + LANES <= run; j += LANES) pull_lanes(kind, &own, i + j, p + j, LANES);
        if (j < run)
            pull_lanes(kind, &own, i + j, p + j, run - j);
    }
}

int activation_gradients(const ActivationPulls *of, int64_t first, int64_t last)
{
#define PULL(kind) pull(kind, of, first, last)
    OF_EACH_KIND(PULL)
    return 0;
}

/* The derivative of the slope. Beyond 80 it is that at 80, which is 0. */
INLINE Lanes curvature(const Kind kind, Lanes x)
{
    x = larger(every(-80), smaller(every(80), x)); /* in this order NaN stays NaN */
    Lanes square = x * x, two = every(2);
    if (kind == GELU)
        return exponential(square * -.5f) * (two - square) * .398942280f;
    if (kind == TANH) {
        Both found = hyperbolic_tangent(x);
        return -2 * found.y * found.slope;
    }
    const float root = kind == GELU_TANH ? 1.59576912f : 1, cubic = kind == GELU_TANH ? .044715f : 0;
    Lanes s = sigmoid(x * root * (1 + cubic * square)), fall = 1 - two * s;
    Lanes slope = s * (1 - s), rise = root + 3 * root * cubic * square;
    if (kind == SIGMOID)
        return slope * fall;
    return slope * (two * rise + x * (fall * rise * rise + 6 * root * cubic * x));
}

/* Two points on the line between inputs, whose mean stands for that of the line; each is at its share of the step. */
static const float SHARES[] = {.211324865f, .788675135f};

/* Whether a step is so long that the secant has digits enough, and finite. */
INLINE Mask is_far(Lanes dx, float near)
{
    return not_less(at_least(magnitude(dx), every(near)), every(3.40282347e38f), magnitude(dx));
}
INLINE Lanes finite(Lanes x) { return only(at_least(every(3.40282347e38f), magnitude(x)), x); }

/* The multiplier between inputs, a secant or the mean slope of the line, and the gradient at the outputs times it. */
typedef struct {
    const float *grad, *x1, *x0, *y1, *y0;
    float *out, *multiplier;
    int64_t kind;
    double near;
} ActivationMultipliers;

INLINE void multiply_lanes(const Kind kind, const ActivationMultipliers *of, int64_t i, int64_t room)
{
    Lanes x0 = load_first(of->x0 + i, room, 0), dx = load_first(of->x1 + i, room, 0) - x0;
    Lanes rise = load_first(of->y1 + i, room, 0) - load_first(of->y0 + i, room, 0);
    Mask far = is_far(dx, (float)of->near);
    Lanes found = rise / choose(far, dx, every(1));
    if (!is_all(far)) {
        Lanes mean = zeros();
        UNROLLED for (int k = 0; k < 2; k++)
            mean += finite(activation(kind, fmadd(dx, every(SHARES[k]), x0), 1).slope);
        found = choose(far, found, mean * .5f);
    }
    store_first(of->multiplier + i, room, found);
    store_first(of->out + i, room, found * load_first(of->grad + i, room, 0));
}

INLINE void multiply(const Kind kind, const ActivationMultipliers *of, int64_t first, int64_t last)
{
    ActivationMultipliers own = *of; /* a copy that no store can change */
    for (int64_t i = first; i < last; i += LANES) multiply_lanes(kind, &own, i, least(LANES, last - i));
}

int activation_multipliers(const ActivationMultipliers *of, int64_t first, int64_t last)
{
#define MULTIPLY(kind) multiply(kind, of, first, last)
    OF_EACH_KIND(MULTIPLY)
    return 0;
}

/* For `g`, the gradient at that product: those at `grad` and at both inputs. */
typedef struct {
    const float *g, *grad, *x1, *x0, *multiplier;
    float *at_grad, *at_1, *at_0;
    int64_t kind;
    double near;
} ActivationDerivatives;

INLINE void derive_lanes(const Kind kind, const ActivationDerivatives *of, int64_t i, int64_t room)
{
    Lanes g = load_first(of->g + i, room, 0), along = g * load_first(of->grad + i, room, 0);
    Lanes x1 = load_first(of->x1 + i, room, 0), x0 = load_first(of->x0 + i, room, 0), dx = x1 - x0;
    Lanes secant = load_first(of->multiplier + i, room, 0);
    Mask far = is_far(dx, (float)of->near);
    Lanes rate = along / choose(far, dx, every(1));
    Lanes by_1 = (activation(kind, x1, 1).slope - secant) * rate, by_0 = (secant - activation(kind, x0, 1).slope) * rate;
    if (!is_all(far)) {
        Lanes bend_1 = zeros(), bend_0 = zeros();
        UNROLLED for (int k = 0; k < 2; k++) {
            Lanes bend = finite(curvature(kind, fmadd(dx, every(SHARES[k]), x0))) * .5f;
            bend_1 = fmadd(bend, every(SHARES[k]), bend_1);
            bend_0 = fmadd(bend, every(1 - SHARES[k]), bend_0);
        }
        by_1 = choose(far, by_1, along * bend_1);
        by_0 = choose(far, by_0, along * bend_0);
    }
    store_first(of->at_grad + i, room, g * secant);
    store_first(of->at_1 + i, room, by_1);
    store_first(of->at_0 + i, room, by_0);
}

INLINE void derive(const Kind kind, const ActivationDerivatives *of, int64_t first, int64_t last)
{
    ActivationDerivatives own = *of; /* a copy that no store can change */
    for (int64_t i = first; i < last; i += LANES) derive_lanes(kind, &own, i, least(LANES, last - i));
}

int activation_derivatives(const ActivationDerivatives *of, int64_t first, int64_t last)
{
#define DERIVE(kind) derive(kind, of, first, last)
    OF_EACH_KIND(DERIVE)
    return 0;
}

#else
/* Never called in this build: it has no wide registers. */
void activations(void) {}
void activation_gradients(void) {}
void activation_multipliers(void) {}
void activation_derivatives(void) {}
#endif
