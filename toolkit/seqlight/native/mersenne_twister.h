/* The 32-bit Mersenne Twister (Matsumoto and Nishimura, 1998), seeded with one integer as
   numpy.random.RandomState seeds it, and the bounded integers and permutations drawn from it. */
#ifndef SEQLIGHT_TWISTER_H
#define SEQLIGHT_TWISTER_H

#include <stdint.h>

enum { TWISTER_WORDS = 624, TWISTER_SHIFT = 397 };

typedef struct {
    uint32_t state[TWISTER_WORDS];
    uint32_t ready[TWISTER_WORDS]; /* tempered words of the present block */
    int next;
} twister;

static void twister_seed(twister *t, uint32_t seed)
{
    for (int i = 0; i < TWISTER_WORDS; i++) {
        t->state[i] = seed;
        seed = 1812433253u * (seed ^ (seed >> 30)) + (uint32_t)i + 1u;
    }
    t->next = TWISTER_WORDS;
}

static inline uint32_t twister_mix(uint32_t high, uint32_t low, uint32_t far)
{
    uint32_t y = (high & 0x80000000u) | (low & 0x7fffffffu);
    return far ^ (y >> 1) ^ ((0u - (low & 1u)) & 0x9908b0dfu);
}

static inline uint32_t twister_temper(uint32_t y)
{
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

/* The next 624 words. Three loops, none of which reads a word too near to one it writes, so that
   compilers can use vector instructions. */
static void twister_refill(twister *t)
{
    uint32_t *s = t->state;
    const int n = TWISTER_WORDS, m = TWISTER_SHIFT, near = TWISTER_WORDS - TWISTER_SHIFT;
    for (int i = 0; i < near; i++) s[i] = twister_mix(s[i], s[i + 1], s[i + m]);
    for (int i = near; i < 2 * near; i++) s[i] = twister_mix(s[i], s[i + 1], s[i - near]);
    for (int i = 2 * near; i < n - 1; i++) s[i] = twister_mix(s[i], s[i + 1], s[i - near]);
    s[n - 1] = twister_mix(s[n - 1], s[0], s[m - 1]);
    for (int i = 0; i < n; i++) t->ready[i] = twister_temper(s[i]);
    t->next = 0;
}

/* Where the next word lies in `ready`. */
static inline int twister_next(twister *t)
{
    if (t->next == TWISTER_WORDS) twister_refill(t);
    return t->next;
}

static inline uint32_t twister_word(twister *t)
{
    const int at = twister_next(t);
    t->next = at + 1;
    return t->ready[at];
}

#endif
