/* The lanes of AVX2 with FMA. */
INLINE Lanes zeros(void) { return _mm256_setzero_ps(); }
INLINE Lanes every(float x) { return _mm256_set1_ps(x); }
INLINE Lanes load(const float *x) { return _mm256_loadu_ps(x); }
INLINE void store(float *to, Lanes x) { _mm256_storeu_ps(to, x); }
INLINE Lanes as_lanes(Mask some) { return _mm256_castsi256_ps(some); }

INLINE Lanes fmadd(Lanes a, Lanes b, Lanes c) { return _mm256_fmadd_ps(a, b, c); }
INLINE Lanes magnitude(Lanes a) { return _mm256_andnot_ps(every(-0.f), a); }
/* -|a|. */
INLINE Lanes negative(Lanes a) { return _mm256_or_ps(every(-0.f), a); }
INLINE Lanes larger(Lanes a, Lanes b) { return _mm256_max_ps(a, b); }
INLINE Lanes smaller(Lanes a, Lanes b) { return _mm256_min_ps(a, b); }

INLINE Mask first_lanes(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)within(n, LANES)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE Mask less(Lanes a, Lanes b) { return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
INLINE Mask greater(Lanes a, Lanes b) { return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_GT_OQ)); }
INLINE Mask at_least(Lanes a, Lanes b) { return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_GE_OQ)); }
/* Which of some lanes are not less, as what is no number is not. */
INLINE Mask not_less(Mask some, Lanes a, Lanes b)
{
    return _mm256_castps_si256(_mm256_and_ps(as_lanes(some), _mm256_cmp_ps(a, b, _CMP_NLT_UQ)));
}
INLINE Lanes choose(Mask some, Lanes a, Lanes others) { return _mm256_blendv_ps(others, a, as_lanes(some)); }
INLINE int is_all(Mask some) { return _mm256_movemask_ps(as_lanes(some)) == 0xff; }
INLINE Lanes only(Mask some, Lanes a) { return _mm256_and_ps(as_lanes(some), a); }

/* No more than n numbers read, and another behind them; no more than n written. A mask is for the last of a row only: to
   write by one takes many processors ten times as long. */
INLINE Lanes load_first(const float *x, int64_t n, float other)
{
    if (n >= LANES)
        return load(x);
    return choose(first_lanes(n), _mm256_maskload_ps(x, first_lanes(n)), every(other));
}
INLINE void store_first(float *to, int64_t n, Lanes x)
{
    if (n >= LANES)
        store(to, x);
    else
        _mm256_maskstore_ps(to, first_lanes(n), x);
}

/* What an array of `length` numbers has from `at` on, 0 outside of it. */
INLINE Lanes load_inside(const float *x, int64_t at, int64_t length)
{
    if (at >= 0 && at + LANES <= length)
        return load(x + at);
    return _mm256_maskload_ps(x + at, _mm256_andnot_si256(first_lanes(-at), first_lanes(length - at)));
}

INLINE float largest_of(Lanes a)
{
    float of[LANES], found = -INFINITY;
    store(of, a);
    for (int i = 0; i < LANES; i++) found = of[i] > found ? of[i] : found;
    return found;
}

INLINE Lanes nearest(Lanes x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

/* x 2^n, in two steps, for the power may be less than there are numbers for. */
INLINE Lanes times_two_to_the(Lanes n, Lanes x)
{
    __m256i power = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(power, 1), bias = _mm256_set1_epi32(127);
    __m256i rest = _mm256_sub_epi32(power, half);
    x *= _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    return x * _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
}

/* The sum, in float64. */
INLINE double total(Lanes a)
{
    __m256d sums = _mm256_cvtps_pd(_mm256_castps256_ps128(a)) + _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1));
    __m128d both = _mm256_castpd256_pd128(sums) + _mm256_extractf128_pd(sums, 1);
    return both[0] + both[1];
}

/* In each piece of four: the first two of both, or the last two; one by one, or as pairs. */
INLINE Lanes low_ones(Lanes a, Lanes b) { return _mm256_unpacklo_ps(a, b); }
INLINE Lanes high_ones(Lanes a, Lanes b) { return _mm256_unpackhi_ps(a, b); }
INLINE Lanes low_pairs(Lanes a, Lanes b)
{
    return _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
}
INLINE Lanes high_pairs(Lanes a, Lanes b)
{
    return _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
}

/* Halves of eight rows: of row 4 i + j, half k becomes half i of row 4 k + j. */
INLINE void turn_pieces(Lanes r[LANES])
{
    UNROLLED for (int j = 0; j < 4; j++) {
        Lanes low = _mm256_permute2f128_ps(r[j], r[j + 4], 0x20), high = _mm256_permute2f128_ps(r[j], r[j + 4], 0x31);
        r[j] = low, r[j + 4] = high;
    }
}
