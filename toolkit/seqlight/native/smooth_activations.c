/* Smooth activation functions of float32, and the gradient at their inputs. The latter computes the outputs of the references
   again, which takes less time than keeping multipliers in memory. Equal inputs have outputs with equal bits. */
#include <stdint.h>

#include "simd.h"
#include "pairs.h"

#ifdef HAVE_LANES
typedef enum { GELU, GELU_TANH, SILU, SIGMOID } Kind;
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

INLINE Both activation(const Kind kind, Lanes x, const int sloped)
{
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

#else
/* Never called in this build: it has no wide registers. */
void activations(void) {}
void activation_gradients(void) {}
#endif
