/* What was recorded of the sequences has shape (outer, span), what the references give (outer, n, span). So of elements, rows
   or heads that are counted through, number i of the references meets this one of the recorded. */
#include <stdint.h>

static inline int64_t partner_of(int64_t i, int64_t span, int64_t n) { return i / (n * span) * span + i % span; }

/* How many from i on, before `last`, have partners that lie behind each other too. */
static inline int64_t stretch(int64_t i, int64_t last, int64_t span)
{
    int64_t rest = span - i % span;
    return rest < last - i ? rest : last - i;
}
