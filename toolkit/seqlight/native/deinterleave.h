/* Positions sorted into columns of four that are d apart, and back. Column q * d + f has the four numbers r of positions
   (4 q + r) * d + f, so four registers of positions become one register of columns for each r. For distances d that are
   powers of two and smaller than a register. */
#include "simd.h"

enum { FOUR = 4 };

static inline int deinterleaves(int64_t d) { return d < LANES && (d & (d - 1)) == 0; }

#if defined(__AVX512F__)
/* Which positions of two vectors go to which lane of number r; which lane of the numbers (0, 1) or (2, 3) goes to each position
   of vector t; and whether it comes from the second two. */
typedef struct {
    __m512i to[FOUR], from[FOUR];
    Mask second[FOUR];
} Deinterleave;

static Deinterleave deinterleave_of(int64_t d)
{
    int32_t to[LANES], from[LANES];
    Deinterleave order;
    for (int r = 0; r < FOUR; r++) {
        order.second[r] = 0;
        for (int i = 0; i < LANES; i++) {
            int64_t position = r * LANES + i, number = position / d % FOUR;
            to[i] = (int32_t)((FOUR * (i / d) + r) * d + i % d) % (2 * LANES);
            from[i] = (int32_t)(position / (FOUR * d) * d + position % d + number % 2 * LANES);
            order.second[r] |= (Mask)((number >= 2) << i);
        }
        order.to[r] = _mm512_loadu_si512(to), order.from[r] = _mm512_loadu_si512(from);
    }
    return order;
}

INLINE void deinterleave(const Deinterleave *order, Lanes v[FOUR])
{
    Lanes number[FOUR];
    UNROLLED for (int r = 0; r < FOUR; r++)
        number[r] = _mm512_mask_blend_ps(0xFF00, _mm512_permutex2var_ps(v[0], order->to[r], v[1]),
                                         _mm512_permutex2var_ps(v[2], order->to[r], v[3]));
    UNROLLED for (int r = 0; r < FOUR; r++) v[r] = number[r];
}

INLINE void interleave(const Deinterleave *order, Lanes v[FOUR])
{
    Lanes at[FOUR];
    UNROLLED for (int t = 0; t < FOUR; t++)
        at[t] = _mm512_mask_blend_ps(order->second[t], _mm512_permutex2var_ps(v[0], order->from[t], v[1]),
                                     _mm512_permutex2var_ps(v[2], order->from[t], v[3]));
    UNROLLED for (int t = 0; t < FOUR; t++) v[t] = at[t];
}
#else
/* Only the distance: the four numbers of a column lie in the same half of all four registers once halves are exchanged. */
typedef struct {
    int64_t distance;
} Deinterleave;

static inline Deinterleave deinterleave_of(int64_t d) { return (Deinterleave){d}; }

INLINE void deinterleave(const Deinterleave *order, Lanes v[FOUR])
{
    Lanes u[FOUR] = {_mm256_permute2f128_ps(v[0], v[2], 0x20), _mm256_permute2f128_ps(v[0], v[2], 0x31),
                     _mm256_permute2f128_ps(v[1], v[3], 0x20), _mm256_permute2f128_ps(v[1], v[3], 0x31)};
    if (order->distance == 1)
        turn_fours(u);
    if (order->distance == 2) {
        v[0] = low_pairs(u[0], u[2]), v[1] = high_pairs(u[0], u[2]);
        v[2] = low_pairs(u[1], u[3]), v[3] = high_pairs(u[1], u[3]);
    } else
        UNROLLED for (int r = 0; r < FOUR; r++) v[r] = u[r];
}

INLINE void interleave(const Deinterleave *order, Lanes v[FOUR])
{
    Lanes u[FOUR] = {v[0], v[1], v[2], v[3]};
    if (order->distance == 1)
        turn_fours(u);
    if (order->distance == 2) {
        u[0] = low_pairs(v[0], v[1]), u[1] = low_pairs(v[2], v[3]);
        u[2] = high_pairs(v[0], v[1]), u[3] = high_pairs(v[2], v[3]);
    }
    v[0] = _mm256_permute2f128_ps(u[0], u[1], 0x20), v[1] = _mm256_permute2f128_ps(u[2], u[3], 0x20);
    v[2] = _mm256_permute2f128_ps(u[0], u[1], 0x31), v[3] = _mm256_permute2f128_ps(u[2], u[3], 0x31);
}
#endif
