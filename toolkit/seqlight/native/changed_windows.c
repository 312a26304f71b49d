/* Windows of rows that equal a reference elsewhere: each row has one of its own, channels side by side. */
#include <stdint.h>
#include <string.h>

#include "dtypes.h"

typedef struct {
    const void *one, *reference; /* (rows, width, channels) and (length, channels) */
    const int64_t *starts;       /* where the window of each row begins in the reference */
    void *y;                     /* (rows, width, channels), maybe in the place of `one` */
    int64_t width, channels, itemsize;
    double sign;
} ReferenceSums;

#define SUMS_OF(Real)                                                                                                \
    static void sums_##Real(const ReferenceSums *of, int64_t first, int64_t last)                                    \
    {                                                                                                                \
        int64_t many = of->width * of->channels;                                                                     \
        for (int64_t row = first; row < last; row++) {                                                               \
            const Real *one = (const Real *)of->one + row * many;                                                    \
            const Real *there = (const Real *)of->reference + of->starts[row] * of->channels;                        \
            Real *y = (Real *)of->y + row * many, sign = (Real)of->sign;                                             \
            for (int64_t i = 0; i < many; i++) y[i] = one[i] + sign * there[i];                                      \
        }                                                                                                            \
    }
SUMS_OF(float)
SUMS_OF(double)

/* Windows plus, or minus, what the reference has there. */
int reference_sums(const ReferenceSums *of, int64_t first, int64_t last)
{
#define SUMS(Real) sums_##Real(of, first, last)
    OF_ITS_TYPE(SUMS);
}

typedef struct {
    const char *values, *reference; /* (rows, width, channels) and (length, channels) */
    const int64_t *starts, *begins; /* where the values of each row begin in the reference, and where the result does */
    char *y;                        /* (rows, size, channels) */
    int64_t width, size, each;      /* `each` is the bytes of a position */
} WiderWindows;

/* Other windows of the same rows: their values where they have any, and the reference before and after. */
int wider_windows(const WiderWindows *of, int64_t first, int64_t last)
{
    for (int64_t row = first; row < last; row++) {
        int64_t begin = of->begins[row], end = begin + of->size, from = of->starts[row], to = from + of->width;
        from = from < begin ? begin : from > end ? end : from;
        to = to < from ? from : to > end ? end : to;
        char *y = of->y + row * of->size * of->each;
        const char *values = of->values + (row * of->width + from - of->starts[row]) * of->each;
        memcpy(y, of->reference + begin * of->each, (size_t)((from - begin) * of->each));
        if (to > from)
            memcpy(y + (from - begin) * of->each, values, (size_t)((to - from) * of->each));
        memcpy(y + (to - begin) * of->each, of->reference + to * of->each, (size_t)((end - to) * of->each));
    }
    return 0;
}
