/* The sigmoid s, and the secant between two of its points, with all digits also where these are near to each other:
   s(a) - s(b) = s(a) s(-b) (1 - exp(b - a)). For the rest, tanh(x) = s(2 x) - s(-2 x). */
#pragma once
#include "simd.h"

#ifdef HAVE_LANES
/* s(x) and s(-x). */
typedef struct {
    Lanes x, y, rest;
} Sigmoid;

/* A secant, and its derivatives by both inputs. */
typedef struct {
    Lanes slope, by_1, by_0;
} Secant;

INLINE Sigmoid sigmoid_of(Lanes x)
{
    x = larger(every(-1e30f), smaller(every(1e30f), x)); /* in this order NaN stays NaN */
    Lanes one = every(1), e = exponential(negative(x)), over = one / (one + e), under = e * over;
    Mask above = at_least(x, zeros());
    return (Sigmoid){x, choose(above, over, under), choose(above, under, over)};
}

INLINE Lanes tanh_from(Sigmoid of) { return of.y - of.rest; }

/* The derivative of q(d) = (1 - exp(-d)) / d where d < 1 / 2. */
INLINE Lanes bend_near(Lanes d)
{
    const float of[] = {-1.f / 5760, 1.f / 840, -1.f / 144, 1.f / 30, -1.f / 8, 1.f / 3, -1.f / 2};
    Lanes found = every(1.f / 45360);
    UNROLLED for (int i = 0; i < 7; i++) found = fmadd(found, d, every(of[i]));
    return found;
}

INLINE Secant secant_between(Sigmoid s1, Sigmoid s0)
{
    Mask up = at_least(s1.x, s0.x);
    Lanes product = choose(up, s1.y * s0.rest, s0.y * s1.rest), d = magnitude(s1.x - s0.x), e = exponential(negative(d));
    Mask far = at_least(d, every(.5f));
    Lanes over = every(1) / choose(far, d, every(1)), bend = bend_near(d), quotient = fmadd(negative(d), bend, e);
    quotient = choose(far, (1 - e) * over, quotient);
    bend = choose(far, (e - quotient) * over, bend);
    Lanes slope = product * quotient, fall = product * bend;
    Lanes above = fmadd(slope, choose(up, s1.rest, s0.rest), fall), below = -fmadd(slope, choose(up, s0.y, s1.y), fall);
    return (Secant){slope, choose(up, above, below), choose(up, below, above)};
}

/* The same of tanh, from the sigmoids of both doubled inputs. */
INLINE Secant tanh_secant_between(Sigmoid s1, Sigmoid s0)
{
    Secant found = secant_between(s1, s0);
    return (Secant){4 * found.slope, 8 * found.by_1, 8 * found.by_0};
}
#endif
