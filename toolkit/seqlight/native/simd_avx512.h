/* The lanes of AVX-512. */
INLINE Lanes zeros(void) { return _mm512_setzero_ps(); }
INLINE Lanes every(float x) { return _mm512_set1_ps(x); }
INLINE Lanes load(const float *x) { return _mm512_loadu_ps(x); }
INLINE void store(float *to, Lanes x) { _mm512_storeu_ps(to, x); }
INLINE Mask first_lanes(int64_t n) { return (Mask)((1u << within(n, LANES)) - 1); }

/* No more than n numbers read, and another behind them; no more than n written. */
INLINE Lanes load_first(const float *x, int64_t n, float other)
{
    if (__builtin_constant_p(other) && other == 0) /* which takes no register */
        return _mm512_maskz_loadu_ps(first_lanes(n), x);
    return _mm512_mask_loadu_ps(every(other), first_lanes(n), x);
}
INLINE void store_first(float *to, int64_t n, Lanes x) { _mm512_mask_storeu_ps(to, first_lanes(n), x); }

/* What an array of `length` numbers has from `at` on, 0 outside of it. */
INLINE Lanes load_inside(const float *x, int64_t at, int64_t length)
{
    return _mm512_maskz_loadu_ps((Mask)(first_lanes(length - at) & ~first_lanes(-at)), x + at);
}

INLINE Lanes fmadd(Lanes a, Lanes b, Lanes c) { return _mm512_fmadd_ps(a, b, c); }
INLINE Lanes magnitude(Lanes a) { return _mm512_abs_ps(a); }
/* -|a|. */
INLINE Lanes negative(Lanes a)
{
    return _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(a), _mm512_castps_si512(every(-0.f))));
}
INLINE Lanes larger(Lanes a, Lanes b) { return _mm512_max_ps(a, b); }
INLINE Lanes smaller(Lanes a, Lanes b) { return _mm512_min_ps(a, b); }
INLINE float largest_of(Lanes a) { return _mm512_reduce_max_ps(a); }

INLINE Mask less(Lanes a, Lanes b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
INLINE Mask greater(Lanes a, Lanes b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
INLINE Mask at_least(Lanes a, Lanes b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
/* Which of some lanes are not less, as what is no number is not. */
INLINE Mask not_less(Mask some, Lanes a, Lanes b) { return _mm512_mask_cmp_ps_mask(some, a, b, _CMP_NLT_UQ); }
INLINE Lanes choose(Mask some, Lanes a, Lanes others) { return _mm512_mask_mov_ps(others, some, a); }
INLINE int is_all(Mask some) { return some == 0xffff; }
INLINE Lanes only(Mask some, Lanes a) { return _mm512_maskz_mov_ps(some, a); }

/* x 2^n. */
INLINE Lanes times_two_to_the(Lanes n, Lanes x) { return _mm512_scalef_ps(x, n); }
INLINE Lanes nearest(Lanes x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

/* The sum, in float64. */
INLINE double total(Lanes a)
{
    __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
    return _mm512_reduce_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(a)) + _mm512_cvtps_pd(high));
}

/* In each piece of four: the first two of both, or the last two; one by one, or as pairs. */
INLINE Lanes low_ones(Lanes a, Lanes b) { return _mm512_unpacklo_ps(a, b); }
INLINE Lanes high_ones(Lanes a, Lanes b) { return _mm512_unpackhi_ps(a, b); }
INLINE Lanes low_pairs(Lanes a, Lanes b)
{
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}
INLINE Lanes high_pairs(Lanes a, Lanes b)
{
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}

/* Quarters of sixteen rows: of row 4 i + j, quarter k becomes quarter i of row 4 k + j. */
INLINE void turn_pieces(Lanes r[LANES])
{
    Lanes t[LANES];
    UNROLLED for (int j = 0; j < 4; j++) {
        Lanes a = _mm512_shuffle_f32x4(r[j], r[j + 4], 0x88), b = _mm512_shuffle_f32x4(r[j], r[j + 4], 0xdd);
        Lanes c = _mm512_shuffle_f32x4(r[j + 8], r[j + 12], 0x88), d = _mm512_shuffle_f32x4(r[j + 8], r[j + 12], 0xdd);
        t[j] = _mm512_shuffle_f32x4(a, c, 0x88), t[j + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
        t[j + 4] = _mm512_shuffle_f32x4(b, d, 0x88), t[j + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
    UNROLLED for (int i = 0; i < LANES; i++) r[i] = t[i];
}
