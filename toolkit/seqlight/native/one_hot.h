/* Characters, as small integers, into one-hot form. */
#ifndef SEQLIGHT_ONEHOT_H
#define SEQLIGHT_ONEHOT_H

#include <stdint.h>

#define WRITE_ONE_HOT(type)                                                  \
    do {                                                                     \
        type *to = (type *)out + start;                                      \
        const type bits = (type)one;                                         \
        for (int64_t c = 0; c < k; c++, to += length)                        \
            for (int64_t i = 0; i < span; i++)                               \
                to[i] = codes[i] == (uint8_t)c ? bits : (type)0;             \
    } while (0)

/* One sequence of characters into columns start .. start + span of a (k, length) matrix, whatever
   its dtype: `one` holds the bits of 1. A code of k or more leaves a column of zeros. */
static inline void write_one_hot(const uint8_t *codes, int64_t span, int64_t k, int64_t itemsize, uint64_t one,
                          char *out, int64_t length, int64_t start)
{
    switch (itemsize) {
    case 1: WRITE_ONE_HOT(uint8_t); break;
    case 2: WRITE_ONE_HOT(uint16_t); break;
    case 4: WRITE_ONE_HOT(uint32_t); break;
    default: WRITE_ONE_HOT(uint64_t);
    }
}

#endif
