/* Registers of several float32, by the names of what is done to them. A build of the loops has the widest that its flags
   allow (see build_native.py), or none. */
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
/* Rows of a tile of sums, so many that with three registers each, and what is multiplied, they are nearly all. */
enum { GROUP = LANES / 2 };
typedef double Doubles __attribute__((vector_size(LANES / 2 * sizeof(double))));
typedef uint64_t Words __attribute__((vector_size(LANES / 2 * sizeof(uint64_t))));

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t within(int64_t i, int64_t end) { return i < 0 ? 0 : least(i, end); }
static inline int64_t whole_lanes(int64_t n) { return (n + LANES - 1) / LANES * LANES; }

/* An odd number of lines of the cache: what lies a power of two apart falls into the same of them. */
static inline int64_t odd_lines(int64_t n) { return (n + 15) / 16 * 16 | 16; }

/* What a mask says is done to some lanes; the others become 0, or another's. Functions of two registers take what is no
   number as the instructions do: the second is the result. */
#if defined(__AVX512F__)
#include "simd_avx512.h"
#else
#include "simd_avx2.h"
#endif

/* e^x to one unit in the last place; x is no more than 0, and may be minus infinity. */
INLINE Lanes exponential(Lanes x)
{
    x = larger(every(-126), x); /* in this order what is no number stays so */
    Lanes n = nearest(x * 1.44269504f);
    Lanes r = fmadd(n, every(-0.693359375f), x);
    r = fmadd(n, every(2.12194440e-4f), r);
    Lanes p = every(1.f / 5040);
    const float of[] = {1.f / 720, 1.f / 120, 1.f / 24, 1.f / 6, 1.f / 2, 1, 1};
    UNROLLED for (int i = 0; i < 7; i++) p = fmadd(p, r, every(of[i]));
    return times_two_to_the(n, p);
}

/* Rows become columns: in each piece of four numbers, or all of them. */
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
