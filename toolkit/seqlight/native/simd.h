/* Registers of several float32 ("lanes"), and functions named after what they do with them. A build of the loops has the
   widest registers that its flags allow (see build_native.py), or none. */
#pragma once
#include <math.h>
#include <stdint.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define HAVE_LANES
enum { LANES = 16 };
typedef __m512 Lanes;
typedef __mmask16 Mask;
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define HAVE_LANES
enum { LANES = 8 };
typedef __m256 Lanes;
typedef __m256i Mask;
#endif

#ifdef HAVE_LANES
#define INLINE __attribute__((always_inline)) static inline
#define UNROLLED _Pragma("GCC unroll 16")
/* Rows of a tile of sums: at three registers each, and with the factors, they take nearly all registers. */
enum { GROUP = LANES / 2 };
typedef double Doubles __attribute__((vector_size(LANES / 2 * sizeof(double))));
typedef uint64_t Words __attribute__((vector_size(LANES / 2 * sizeof(uint64_t))));

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t within(int64_t i, int64_t end) { return i < 0 ? 0 : least(i, end); }
static inline int64_t whole_lanes(int64_t n) { return (n + LANES - 1) / LANES * LANES; }

/* An odd number of cache lines, because addresses a power of two apart fall into the same set of the cache. */
static inline int64_t odd_lines(int64_t n) { return (n + 15) / 16 * 16 | 16; }

/* Masked functions work on the lanes that the mask selects; the others become 0, or those of another register. Of two
   registers, one of which is NaN, functions return the second, as the instructions do. */
#if defined(__AVX512F__)
#include "simd_avx512.h"
#else
#include "simd_avx2.h"
#endif

/* e^x to one unit in the last place, for x <= 0, minus infinity included. */
INLINE Lanes exponential(Lanes x)
{
    x = larger(every(-126), x); /* in this order NaN stays NaN */
    Lanes n = nearest(x * 1.44269504f);
    Lanes r = fmadd(n, every(-0.693359375f), x);
    r = fmadd(n, every(2.12194440e-4f), r);
    Lanes p = every(1.f / 5040);
    const float of[] = {1.f / 720, 1.f / 120, 1.f / 24, 1.f / 6, 1.f / 2, 1, 1};
    UNROLLED for (int i = 0; i < 7; i++) p = fmadd(p, r, every(of[i]));
    return times_two_to_the(n, p);
}

/* Transpose squares of numbers: in each piece of four, or the whole. */
INLINE void turn_fours(Lanes r[4])
{
    Lanes a = low_ones(r[0], r[1]), b = high_ones(r[0], r[1]), c = low_ones(r[2], r[3]), d = high_ones(r[2], r[3]);
    r[0] = low_pairs(a, c), r[1] = high_pairs(a, c), r[2] = low_pairs(b, d), r[3] = high_pairs(b, d);
}
INLINE void turn_square(Lanes r[LANES])
{
    UNROLLED for (int i = 0; i < LANES; i += 4) turn_fours(r + i);
    turn_pieces(r);
}
#endif
