/* SUM(total, term) sums `term`, an expression in the index `at`, over a row of `width` numbers: as PARTS sums side by side,
   in an order that does not depend on the width of the machine's registers. */
#include <stdint.h>

enum { PARTS = 8 };
#define SUM(total, term)                                                     \
    do {                                                                     \
        double part[PARTS] = {0};                                            \
        int64_t j = 0;                                                       \
        for (; j + PARTS <= width; j += PARTS)                               \
            for (int k = 0; k < PARTS; k++) {                                \
                int64_t at = j + k;                                          \
                part[k] += (double)(term);                                   \
            }                                                                \
        for (int64_t at = j; at < width; at++) part[0] += (double)(term);    \
        for (int k = PARTS / 2; k; k /= 2)                                   \
            for (int l = 0; l < k; l++) part[l] += part[l + k];              \
        total = part[0];                                                     \
    } while (0)
