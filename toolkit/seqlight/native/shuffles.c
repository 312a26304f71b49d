/* Shuffles and random characters, written straight into one-hot form, and one-hot form read.
   The draws are those of numpy.random.RandomState, word for word. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "one_hot.h"
#include "mersenne_twister.h"

/* Positions handled together, so that what is noted about each stays in the nearest cache. */
enum { BLOCK = 512 };

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
        for (int64_t at = 0; at < length; at += BLOCK) {
            const int64_t n = length - at < BLOCK ? length - at : BLOCK;
            uint8_t met[BLOCK] = {0};
            for (int64_t c = 0; c < n_known; c++)
                for (int64_t i = 0; i < n; i++) met[i] |= line[at + i] == known[c];
            for (int64_t i = 0; i < n; i++) all &= met[i];
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

#define READ_ONE_HOT(type)                                                                    \
    do {                                                                                      \
        const type *from = (const type *)x + row * k * length + at;                           \
        const type bits = (type)one;                                                          \
        for (int64_t c = 0; c < k; c++, from += length)                                       \
            for (int64_t i = 0; i < n; i++) {                                                 \
                const uint8_t hit = from[i] == bits ? 0xff : 0;                               \
                bad |= (from[i] != 0 ? 0xff : 0) ^ hit;                                       \
                bad |= hit & met[i];                                                          \
                met[i] |= hit;                                                                \
                to[i] = (uint8_t)((hit & (uint8_t)c) | (~hit & to[i]));                       \
            }                                                                                 \
    } while (0)

/* Rows first .. last of x (rows, k, length) as codes (rows, length): the letter of each column, k for one of
   zeros. Returns 0, or 1 where a column holds anything but zeros and at most one 1, bit for bit. */
int read_rows(const char *x, int64_t first, int64_t last, int64_t length, int64_t k, int64_t itemsize, uint64_t one,
              uint8_t *codes)
{
    for (int64_t row = first; row < last; row++)
        for (int64_t at = 0; at < length; at += BLOCK) {
            const int64_t n = length - at < BLOCK ? length - at : BLOCK;
            uint8_t met[BLOCK] = {0}, bad = 0, *to = codes + row * length + at;
            memset(to, (int)k, (size_t)n);
            switch (itemsize) {
            case 1: READ_ONE_HOT(uint8_t); break;
            case 2: READ_ONE_HOT(uint16_t); break;
            case 4: READ_ONE_HOT(uint32_t); break;
            default: READ_ONE_HOT(uint64_t);
            }
            if (bad) return 1;
        }
    return 0;
}

/* Rows first .. last of codes (rows, span) into out (rows, k, length). */
void one_hot_rows(const uint8_t *codes, int64_t first, int64_t last, int64_t span, int64_t k, int64_t itemsize,
                  uint64_t one, char *out, int64_t length, int64_t start)
{
    for (int64_t row = first; row < last; row++)
        write_one_hot(codes + row * span, span, k, itemsize, one, out + row * k * length * itemsize, length, start);
}

/* Fisher-Yates from the end, bounded integers by masked rejection. A rejected word swaps an entry
   with itself, so that the processor has no branch to guess; a mask serves until the bound has a bit less. */
static void permute(twister *restrict t, uint8_t *restrict x, int64_t n)
{
    if (n < 2) return;
    uint32_t i = (uint32_t)(n - 1), mask = i;
    mask |= mask >> 1, mask |= mask >> 2, mask |= mask >> 4, mask |= mask >> 8, mask |= mask >> 16;
    for (; mask; mask >>= 1)
        while (i > mask >> 1) {
            int at = twister_next(t);
            for (; at < TWISTER_WORDS && i > mask >> 1; at++) {
                const uint32_t v = t->ready[at] & mask, taken = v <= i, j = taken ? v : i;
                const uint8_t at_i = x[i];
                x[i] = x[j];
                x[j] = at_i;
                i -= taken;
            }
            t->next = at;
        }
}

/* What the walks through one sequence need, in one piece of memory. */
typedef struct {
    uint8_t *followers; /* (LANES, span): behind each other, what follows each letter, shuffled */
    uint8_t *walks;     /* (LANES, span) */
    uint8_t *origin;    /* the first walk */
    uint8_t *same;      /* where all walks agree with it */
    uint32_t begin[257]; /* where the followers of each letter begin */
} walk_room;

/* Each walk must wait for every step, so several go side by side. */
enum { LANES = 4 };

/* The characters that follow each character of x, in the order of x. */
static void list_followers(walk_room *r, const uint8_t *x, int64_t span, int64_t letters)
{
    uint32_t next[256];
    memset(r->begin, 0, sizeof r->begin);
    for (int64_t i = 0; i + 1 < span; i++) r->begin[x[i] + 1]++;
    for (int64_t c = 0; c < letters; c++) r->begin[c + 1] += r->begin[c], next[c] = r->begin[c];
    for (int64_t i = 0; i + 1 < span; i++) r->followers[next[x[i]]++] = x[i + 1];
}

/* Shuffle the lists of the lane before, all but the last follower of each letter. */
static void shuffle_followers(walk_room *r, int lane, int from, twister *t, int64_t span, int64_t letters)
{
    uint8_t *list = r->followers + lane * span;
    if (lane != from) memcpy(list, r->followers + from * span, (size_t)span);
    for (int64_t c = 0; c < letters; c++)
        permute(t, list + r->begin[c], (int64_t)r->begin[c + 1] - r->begin[c] - 1);
}

/* `lanes` is a constant wherever this is called, for compilers to unroll it. */
static inline void walk(walk_room *r, const int lanes, int lane, uint8_t first, int64_t span, int64_t letters)
{
    const uint8_t *followers = r->followers + lane * span;
    uint8_t *walks = r->walks + lane * span;
    uint32_t next[LANES][256];
    uint8_t at[LANES];
    for (int l = 0; l < lanes; l++) {
        memcpy(next[l], r->begin, (size_t)letters * sizeof next[0][0]);
        at[l] = walks[l * span] = first;
    }
    for (int64_t i = 1; i < span; i++)
        for (int l = 0; l < lanes; l++) {
            at[l] = followers[l * span + next[l][at[l]]++];
            walks[l * span + i] = at[l];
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
    uint8_t *room = malloc((2 * LANES + 2) * (size_t)span);
    if (!room) return 1;
    walk_room r = {room, room + LANES * span, room + 2 * LANES * span, room + (2 * LANES + 1) * span, {0}};
    for (int64_t row = first; row < last; row++) {
        const uint8_t *x = codes + row * span;
        char *to = out + row * n * k * length * itemsize;
        twister t;
        twister_seed(&t, seeds[row]);
        list_followers(&r, x, span, letters);
        memset(r.same, 1, (size_t)span);
        for (int64_t s = 0; s < n; s += LANES) {
            const int lanes = n - s < LANES ? (int)(n - s) : LANES;
            for (int lane = 0; lane < lanes; lane++)
                shuffle_followers(&r, lane, lane ? lane - 1 : s ? LANES - 1 : 0, &t, span, letters);
            if (lanes == LANES) walk(&r, LANES, 0, x[0], span, letters);
            else for (int lane = 0; lane < lanes; lane++) walk(&r, 1, lane, x[0], span, letters);
            if (!s) memcpy(r.origin, r.walks, (size_t)span);
            for (int lane = 0; lane < lanes; lane++) {
                const uint8_t *line = r.walks + lane * span;
                for (int64_t i = 0; i < span; i++) r.same[i] &= line[i] == r.origin[i];
                write_one_hot(line, span, k, itemsize, one, to + (s + lane) * k * length * itemsize, length, start);
            }
        }
        still[row] = 0;
        for (int64_t i = 0; i < span; i++) still[row] += r.same[i];
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
