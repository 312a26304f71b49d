/* What each row of an activation contributes in all: the sum of multipliers times differences from the references. One pass
   over memory, and nothing is written but the sums. */
#include <stdint.h>

#include "dtypes.h"
#include "pairs.h"
#include "sums.h"

#define TOTAL(type)                                                          \
    do {                                                                     \
        int64_t width = of->width;                                           \
        EACH_ROW {                                                           \
            const type *g = (const type *)of->multipliers + row * width;     \
            const type *a1 = (const type *)of->x1 + partner * width, *a0 = (const type *)of->x0 + row * width; \
            double total;                                                    \
            SUM(total, g[at] * (a1[at] - a0[at]));                           \
            ((type *)of->out)[row] = (type)total;                            \
        }                                                                    \
    } while (0)

/* The rows first .. last of the references, each of `width` numbers. */
typedef struct {
    const void *multipliers, *x1, *x0;
    void *out;
    int64_t span, n, width, itemsize;
} Contributions;

int contribution_totals(const Contributions *of, int64_t first, int64_t last)
{
    OF_ITS_TYPE(TOTAL);
}
