/* Shuffles and random characters, written straight into one-hot form.
   The draws are those of numpy.random.RandomState, word for word. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "twister.h"

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
static void write_one_hot(const uint8_t *codes, int64_t span, int64_t k, int64_t itemsize, uint64_t one,
                          char *out, int64_t length, int64_t start)
{
    switch (itemsize) {
    case 1: WRITE_ONE_HOT(uint8_t); break;
    case 2: WRITE_ONE_HOT(uint16_t); break;
    case 4: WRITE_ONE_HOT(uint32_t); break;
    default: WRITE_ONE_HOT(uint64_t);
    }
}

#define WRITE_TEXT(type)                                                     \
    do {                                                                     \
        type *to = (type *)out + row * k * length;                           \
        const type bits = (type)one;                                         \
        for (int64_t c = 0; c < k; c++, to += length)                        \
            for (int64_t i = 0; i < length; i++)                             \
                to[i] = line[i] == known[c] ? bits : (type)0;                \
    } while (0)

/* Text (rows, length) into out (rows, k, length): character c of `known` makes row c, those behind the
   first k make columns of zeros. Returns the position in the text of a character that is not known, or -1. */
int64_t encode_rows(const uint8_t *text, int64_t first, int64_t last, int64_t length, const uint8_t *known,
                    int64_t n_known, int64_t k, int64_t itemsize, uint64_t one, char *out)
{
    for (int64_t row = first; row < last; row++) {
        const uint8_t *line = text + row * length;
        uint8_t all = 1;
        for (int64_t at = 0; at < length; at += 512) {
            int64_t end = at + 512 < length ? at + 512 : length;
            uint8_t met[512] = {0};
            for (int64_t c = 0; c < n_known; c++)
                for (int64_t i = at; i < end; i++) met[i - at] |= line[i] == known[c];
            for (int64_t i = at; i < end; i++) all &= met[i - at];
        }
        for (int64_t i = 0; !all && i < length; i++)
            if (!memchr(known, line[i], (size_t)n_known)) return row * length + i;
        switch (itemsize) {
        case 1: WRITE_TEXT(uint8_t); break;
        case 2: WRITE_TEXT(uint16_t); break;
        case 4: WRITE_TEXT(uint32_t); break;
        default: WRITE_TEXT(uint64_t);
        }
    }
    return -1;
}

/* Rows first .. last of codes (rows, span) into out (rows, k, length). */
void one_hot_rows(const uint8_t *codes, int64_t first, int64_t last, int64_t span, int64_t k, int64_t itemsize,
                  uint64_t one, char *out, int64_t length, int64_t start)
{
    for (int64_t row = first; row < last; row++)
        write_one_hot(codes + row * span, span, k, itemsize, one, out + row * k * length * itemsize, length, start);
}

/* Fisher-Yates from the end, bounded integers by masked rejection. A rejected word swaps an entry
   with itself, so that the processor has no branch to guess. */
static void permute(twister *t, uint8_t *x, int64_t n)
{
    if (n < 2) return;
    uint32_t i = (uint32_t)(n - 1), mask = i;
    mask |= mask >> 1, mask |= mask >> 2, mask |= mask >> 4, mask |= mask >> 8, mask |= mask >> 16;
    while (i) {
        uint32_t v = twister_word(t) & mask;
        uint32_t taken = v <= i, j = taken ? v : i;
        uint8_t at_i = x[i];
        x[i] = x[j];
        x[j] = at_i;
        i -= taken;
        mask >>= i <= (mask >> 1);
    }
}

/* Altschul and Erickson's walk (1985), with the last exit of every character kept: n shuffles of each
   of the rows first .. last of codes (rows, span), into out (rows, n, k, length). The characters that
   follow each character are shuffled, and stay shuffled for the next of the n. `k` letters, of which
   the unknown character may be one more: `letters` counts it. still[row] tells how many positions bear
   the same character in all n shuffles. Returns 0, or 1 without memory. */
int dinucleotide_rows(const uint8_t *codes, const uint32_t *seeds, int64_t first, int64_t last, int64_t span,
                      int64_t letters, int64_t n, int64_t k, int64_t itemsize, uint64_t one, char *out,
                      int64_t length, int64_t start, int64_t *still)
{
    uint8_t *room = malloc(4 * (size_t)span);
    if (!room) return 1;
    uint8_t *followers = room, *walk = room + span, *origin = room + 2 * span, *same = room + 3 * span;
    for (int64_t row = first; row < last; row++) {
        const uint8_t *x = codes + row * span;
        int64_t begin[257] = {0};
        uint8_t *next[256];
        for (int64_t i = 0; i + 1 < span; i++) begin[x[i] + 1]++;
        for (int64_t c = 0; c < letters; c++) begin[c + 1] += begin[c], next[c] = followers + begin[c];
        for (int64_t i = 0; i + 1 < span; i++) *next[x[i]]++ = x[i + 1];

        twister t;
        twister_seed(&t, seeds[row]);
        for (int64_t s = 0; s < n; s++) {
            for (int64_t c = 0; c < letters; c++) {
                permute(&t, followers + begin[c], begin[c + 1] - begin[c] - 1);
                next[c] = followers + begin[c];
            }
            walk[0] = x[0];
            for (int64_t i = 1; i < span; i++) walk[i] = *next[walk[i - 1]]++;
            if (s == 0) memcpy(origin, walk, (size_t)span), memset(same, 1, (size_t)span);
            for (int64_t i = 0; i < span; i++) same[i] &= walk[i] == origin[i];
            write_one_hot(walk, span, k, itemsize, one, out + (row * n + s) * k * length * itemsize, length, start);
        }
        still[row] = 0;
        for (int64_t i = 0; i < span; i++) still[row] += same[i];
    }
    free(room);
    return 0;
}

#define GATHER(type)                                                                          \
    do {                                                                                      \
        const type *from = (const type *)x + (row * k + c) * length + start;                  \
        type *to = (type *)out + ((row * n + s) * k + c) * length + start;                    \
        for (int64_t i = 0; i < span; i++) to[i] = from[order[i]];                            \
    } while (0)

/* Columns of x (rows, k, length) in n orders (n, span), the same for all rows, into out (rows, n, k, length). */
void reorder_rows(const char *x, const uint32_t *orders, int64_t first, int64_t last, int64_t span, int64_t n,
                  int64_t k, int64_t itemsize, char *out, int64_t length, int64_t start)
{
    for (int64_t row = first; row < last; row++)
        for (int64_t s = 0; s < n; s++) {
            const uint32_t *order = orders + s * span;
            for (int64_t c = 0; c < k; c++) switch (itemsize) {
                case 1: GATHER(uint8_t); break;
                case 2: GATHER(uint16_t); break;
                case 4: GATHER(uint32_t); break;
                default: GATHER(uint64_t);
                }
        }
}

/* Characters by inverse transform: one 53-bit double a character, as RandomState.random_sample draws it,
   against `steps` (rows, k), the cumulative probabilities of a row times 2^53, rounded up. The stream goes
   on from `key` and `position` and leaves them where it stopped. Round s of row b goes to out[b, s]. */
void random_rows(uint32_t *key, int32_t *position, const uint64_t *steps, int64_t rows, int64_t n, int64_t span,
                 int64_t k, uint8_t *out)
{
    twister t;
    memcpy(t.state, key, sizeof t.state);
    t.next = *position;
    for (int i = t.next; i < TWISTER_WORDS; i++) t.ready[i] = twister_temper(t.state[i]);
    for (int64_t s = 0; s < n; s++)
        for (int64_t row = 0; row < rows; row++) {
            uint8_t *to = out + (row * n + s) * span;
            const uint64_t *step = steps + row * k;
            for (int64_t i = 0; i < span; i++) {
                uint64_t high = twister_word(&t) >> 5;
                uint64_t draw = (high << 26) | (twister_word(&t) >> 6);
                uint8_t code = 0;
                for (int64_t c = 0; c + 1 < k; c++) code += draw >= step[c];
                to[i] = code;
            }
        }
    memcpy(key, t.state, sizeof t.state);
    *position = t.next;
}
