/* Which recorded element, row or head of the sequences belongs to number i of the references: the recorded ones have shape
   (outer, span), those of the references (outer, n, span). */
#include <stdint.h>

static inline int64_t partner_of(int64_t i, int64_t span, int64_t n) { return i / (n * span) * span + i % span; }

/* How many from i on, before `last`, have consecutive partners. */
static inline int64_t stretch(int64_t i, int64_t last, int64_t span)
{
    int64_t rest = span - i % span;
    return rest < last - i ? rest : last - i;
}

/* The rows first .. last of the references, each with the recorded row that is its `partner`. */
#define EACH_ROW                                                             \
    for (int64_t row = first, partner = 0;                                   \
         row < last && (partner = partner_of(row, of->span, of->n), 1); row++)
