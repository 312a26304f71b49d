/* Loops written for registers of 16 float32, where the machine has them. */
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#include <stdint.h>

#define HAVE_LANES
#define WIDEST __attribute__((target("avx512f")))
#define INLINE __attribute__((always_inline)) static inline
#define UNROLLED _Pragma("GCC unroll 16")
enum { LANES = 16, GROUP = 8 };

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t within(int64_t i, int64_t end) { return i < 0 ? 0 : least(i, end); }
static inline int64_t whole_lanes(int64_t n) { return (n + LANES - 1) / LANES * LANES; }
static inline __mmask16 first_lanes(int64_t n) { return (__mmask16)((1u << within(n, LANES)) - 1); }

/* An odd number of vectors: what lies a power of two apart falls into the same lines of the cache. */
static inline int64_t odd_lanes(int64_t n) { return (n + LANES - 1) / LANES * LANES | LANES; }

/* e^x to one unit in the last place; x is no more than 0, and may be minus infinity. */
WIDEST INLINE __m512 exponential(__m512 x)
{
    x = _mm512_max_ps(_mm512_set1_ps(-126), x); /* in this order what is no number stays so */
    __m512 n = _mm512_roundscale_ps(x * 1.44269504f, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.f / 5040);
    const float of[] = {1.f / 720, 1.f / 120, 1.f / 24, 1.f / 6, 1.f / 2, 1, 1};
    UNROLLED for (int i = 0; i < 7; i++) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(of[i]));
    return _mm512_scalef_ps(p, n);
}

/* The sum of a register, in float64. */
WIDEST INLINE double total(__m512 a)
{
    __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
    return _mm512_reduce_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(a)) + _mm512_cvtps_pd(high));
}

/* Rows become columns. */
WIDEST INLINE void turn_square(__m512 r[LANES])
{
    __m512 t[LANES];
    UNROLLED for (int i = 0; i < LANES; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLLED for (int i = 0; i < LANES; i += 4)
        UNROLLED for (int j = 0; j < 2; j++) {
            __m512d low = _mm512_castps_pd(t[i + j]), high = _mm512_castps_pd(t[i + j + 2]);
            r[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
            r[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
        }
    /* Now row 4 i + j holds, of columns j, 4 + j, 8 + j and 12 + j, what rows 4 i .. 4 i + 3 have there. */
    UNROLLED for (int j = 0; j < 4; j++) {
        __m512 a = _mm512_shuffle_f32x4(r[j], r[j + 4], 0x88), b = _mm512_shuffle_f32x4(r[j], r[j + 4], 0xdd);
        __m512 c = _mm512_shuffle_f32x4(r[j + 8], r[j + 12], 0x88), d = _mm512_shuffle_f32x4(r[j + 8], r[j + 12], 0xdd);
        t[j] = _mm512_shuffle_f32x4(a, c, 0x88), t[j + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
        t[j + 4] = _mm512_shuffle_f32x4(b, d, 0x88), t[j + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
    UNROLLED for (int i = 0; i < LANES; i++) r[i] = t[i];
}
#endif
