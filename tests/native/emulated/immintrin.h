/* The instructions of AVX-512 that the loops use, done one lane after the other, so that the loops written for them are
   tested on machines without. */
#undef __AVX512F__
#include_next <immintrin.h>
#define __AVX512F__ 1
#include <math.h>
#include <string.h>

#define EMULATED __attribute__((always_inline)) static inline
#define EACH(n) for (int i = 0; i < (n); i++)

/* Memory ------------------------------------------------------------------------------------------------------ */

EMULATED __m512 emulated_every(float x) { __m512 r; EACH(16) r[i] = x; return r; }
EMULATED __m512 emulated_load(const float *x) { __m512 r; memcpy(&r, x, sizeof r); return r; }
EMULATED __m512i emulated_load_places(const void *x) { __m512i r; memcpy(&r, x, sizeof r); return r; }
EMULATED void emulated_store(float *to, __m512 x) { memcpy(to, &x, sizeof x); }
EMULATED __m512 emulated_mask_load(__m512 r, __mmask16 m, const float *x) { EACH(16) if (m >> i & 1) r[i] = x[i]; return r; }
EMULATED void emulated_mask_store(float *to, __mmask16 m, __m512 x) { EACH(16) if (m >> i & 1) to[i] = x[i]; }
#define _mm512_setzero_ps() emulated_every(0)
#define _mm512_set1_ps emulated_every
#define _mm512_loadu_ps emulated_load
#define _mm512_loadu_si512 emulated_load_places
#define _mm512_storeu_ps emulated_store
#define _mm512_mask_loadu_ps emulated_mask_load
#define _mm512_maskz_loadu_ps(m, x) emulated_mask_load(emulated_every(0), m, x)
#define _mm512_mask_storeu_ps emulated_mask_store

/* Numbers ----------------------------------------------------------------------------------------------------- */

EMULATED __m512 emulated_fmadd(__m512 a, __m512 b, __m512 c) { EACH(16) a[i] = __builtin_fmaf(a[i], b[i], c[i]); return a; }
EMULATED __m512 emulated_abs(__m512 a) { EACH(16) a[i] = __builtin_fabsf(a[i]); return a; }
EMULATED __m512 emulated_max(__m512 a, __m512 b) { EACH(16) a[i] = a[i] > b[i] ? a[i] : b[i]; return a; }
EMULATED __m512 emulated_min(__m512 a, __m512 b) { EACH(16) a[i] = a[i] < b[i] ? a[i] : b[i]; return a; }
EMULATED __m512 emulated_round(__m512 a) { EACH(16) a[i] = rintf(a[i]); return a; }
EMULATED __m512 emulated_scale(__m512 a, __m512 n) { EACH(16) a[i] = n[i] == n[i] ? scalbnf(a[i], (int)n[i]) : n[i]; return a; }
EMULATED __m512i emulated_or(__m512i a, __m512i b) { return (__m512i)((__v16si)a | (__v16si)b); }
EMULATED float emulated_largest(__m512 a) { float r = a[0]; EACH(16) r = a[i] > r ? a[i] : r; return r; }
#define _mm512_fmadd_ps emulated_fmadd
#define _mm512_abs_ps emulated_abs
#define _mm512_max_ps emulated_max
#define _mm512_min_ps emulated_min
#define _mm512_roundscale_ps(a, how) emulated_round(a)
#define _mm512_scalef_ps emulated_scale
#define _mm512_reduce_max_ps emulated_largest
#define _mm512_or_si512 emulated_or
#define _mm512_castps_si512(a) ((__m512i)(a))
#define _mm512_castsi512_ps(a) ((__m512)(a))

EMULATED __m256 emulated_low(__m512 a) { __m256 r; EACH(8) r[i] = a[i]; return r; }
EMULATED __m256d emulated_half(__m512d a, int k) { __m256d r; EACH(4) r[i] = a[i + 4 * k]; return r; }
EMULATED __m512d emulated_longer(__m256 a) { __m512d r; EACH(8) r[i] = a[i]; return r; }
EMULATED double emulated_sum(__m512d a) { double r = 0; EACH(4) r += a[i] + a[i + 4]; return r; }
#define _mm512_castps_pd(a) ((__m512d)(a))
#define _mm512_castpd_ps(a) ((__m512)(a))
#define _mm512_castps512_ps256 emulated_low
#define _mm512_extractf64x4_pd emulated_half
#define _mm512_cvtps_pd emulated_longer
#define _mm512_reduce_add_pd emulated_sum

/* Choices ----------------------------------------------------------------------------------------------------- */

EMULATED __m512 emulated_move(__m512 r, __mmask16 m, __m512 a) { EACH(16) r[i] = m >> i & 1 ? a[i] : r[i]; return r; }
EMULATED __mmask16 emulated_compare(__m512 a, __m512 b, int how)
{
    __mmask16 less = 0, greater = 0, at_least = 0;
    EACH(16) less |= (__mmask16)((a[i] < b[i]) << i);
    EACH(16) greater |= (__mmask16)((a[i] > b[i]) << i);
    EACH(16) at_least |= (__mmask16)((a[i] >= b[i]) << i);
    return how == _CMP_LT_OQ ? less : how == _CMP_NLT_UQ ? (__mmask16)~less : how == _CMP_GT_OQ ? greater : at_least;
}
#define _mm512_mask_mov_ps emulated_move
#define _mm512_maskz_mov_ps(m, a) emulated_move(emulated_every(0), m, a)
#define _mm512_mask_blend_ps(m, a, b) emulated_move(a, m, b)
#define _mm512_cmp_ps_mask emulated_compare
#define _mm512_mask_cmp_ps_mask(m, a, b, how) ((__mmask16)((m) & emulated_compare(a, b, how)))

/* Places ------------------------------------------------------------------------------------------------------ */

EMULATED __m512 emulated_pick(__m512 a, __m512i of, __m512 b)
{
    int32_t at[16];
    __m512 r;
    memcpy(at, &of, sizeof at);
    EACH(16) r[i] = at[i] & 16 ? b[at[i] & 15] : a[at[i] & 15];
    return r;
}
EMULATED __m512 emulated_quarters(__m512 a, __m512 b, int of)
{
    __m512 r;
    EACH(16) r[i] = (i < 8 ? a : b)[(of >> i / 4 * 2 & 3) * 4 + i % 4];
    return r;
}
EMULATED __m512 emulated_unpack(__m512 a, __m512 b, int high)
{
    __m512 r;
    EACH(16) r[i] = (i % 2 ? b : a)[i / 4 * 4 + 2 * high + i % 4 / 2];
    return r;
}
EMULATED __m512d emulated_unpack_pairs(__m512d a, __m512d b, int high)
{
    __m512d r;
    EACH(8) r[i] = (i % 2 ? b : a)[i / 2 * 2 + high];
    return r;
}
#define _mm512_permutex2var_ps emulated_pick
#define _mm512_shuffle_f32x4 emulated_quarters
#define _mm512_unpacklo_ps(a, b) emulated_unpack(a, b, 0)
#define _mm512_unpackhi_ps(a, b) emulated_unpack(a, b, 1)
#define _mm512_unpacklo_pd(a, b) emulated_unpack_pairs(a, b, 0)
#define _mm512_unpackhi_pd(a, b) emulated_unpack_pairs(a, b, 1)
