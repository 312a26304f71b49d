/* Windows of a FASTA file that is mapped into memory as it is, straight into one-hot form. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "onehot.h"

/* What a window needs to be found. */
typedef struct {
    int64_t offset; /* of the first character of its chromosome in the file */
    int64_t size;   /* of the chromosome */
    int64_t bases;  /* characters in a line */
    int64_t width;  /* bytes in a line */
    int64_t start;  /* of the window, which may be off either end of the chromosome */
    int64_t turned; /* 1 for the other strand */
} place;

enum { STRANGE = 255 };

/* Windows first .. last of `length` positions into out (rows, k, length). `tables` (2, 256) turns a byte of the
   file into a code, the second for the other strand; k is an unknown character, and what lies off the chromosome.
   Returns row * length + position (as it is in the file) of a byte that the
   tables call strange, -1 if there is none, or -2 without memory. */
int64_t cut_rows(const uint8_t *file, const place *places, int64_t first, int64_t last, int64_t length,
                 const uint8_t *tables, int64_t k, int64_t itemsize, uint64_t one, char *out)
{
    uint8_t *codes = malloc((size_t)length);
    if (!codes) return -2;
    for (int64_t row = first; row < last; row++) {
        const place p = places[row];
        const uint8_t *table = tables + (p.turned ? 256 : 0);
        const int64_t low = p.start > 0 ? p.start : 0;
        const int64_t high = p.start + length < p.size ? p.start + length : p.size;
        uint8_t worst = 0;
        if (low > p.start || high < p.start + length) memset(codes, (int)k, (size_t)length);
        int64_t line = low / p.bases, column = low % p.bases;
        for (int64_t at = low; at < high; line++, column = 0) {
            const int64_t rest = p.bases - column, n = rest < high - at ? rest : high - at;
            const uint8_t *from = file + p.offset + line * p.width + column;
            if (p.turned) {
                uint8_t *to = codes + length - 1 - (at - p.start);
                for (int64_t i = 0; i < n; i++) {
                    const uint8_t code = table[from[i]];
                    to[-i] = code;
                    worst = code > worst ? code : worst;
                }
            } else {
                uint8_t *to = codes + (at - p.start);
                for (int64_t i = 0; i < n; i++) {
                    const uint8_t code = table[from[i]];
                    to[i] = code;
                    worst = code > worst ? code : worst;
                }
            }
            at += n;
        }
        if (worst == STRANGE) {
            const uint8_t *strange = memchr(codes, STRANGE, (size_t)length);
            const int64_t at = strange - codes;
            free(codes);
            return row * length + (p.turned ? length - 1 - at : at);
        }
        write_one_hot(codes, length, k, itemsize, one, out + row * k * length * itemsize, length, 0);
    }
    free(codes);
    return -1;
}

/* Of a section of a bigWig file, 24 bytes and then its items. */
typedef struct {
    uint32_t chrom, start, end, step, span;
    uint8_t type, reserved;
    uint16_t count;
} section_header;

enum { SPANS = 1, STEPS = 2, EVEN_STEPS = 3 };

/* The values of a section where it meets the span from `first` on, into out (length,). Returns 0, or -1 if the
   section is shorter than it says, or of an unknown type. Bytes are those of a little-endian machine. */
int fill_section(const uint8_t *section, int64_t size, int64_t first, int64_t length, float *out)
{
    section_header h;
    if (size < (int64_t)sizeof h) return -1;
    memcpy(&h, section, sizeof h);
    if (h.type < SPANS || h.type > EVEN_STEPS) return -1;
    const int64_t width = h.type == SPANS ? 12 : h.type == STEPS ? 8 : 4;
    if (size < (int64_t)sizeof h + width * h.count) return -1;
    const uint8_t *item = section + sizeof h;
    int64_t i = 0;
    /* Steps before the span need no look. */
    if (h.type == EVEN_STEPS && h.step > 0 && first > (int64_t)h.start + h.span)
        i = (first - h.start - h.span) / h.step;
    item += width * i;
    for (; i < h.count; i++, item += width) {
        uint32_t at[2] = {h.start, 0};
        float value;
        memcpy(&value, item + width - 4, sizeof value);
        if (h.type != EVEN_STEPS) memcpy(at, item, (size_t)width - 4);
        int64_t low = (h.type == EVEN_STEPS ? at[0] + i * (int64_t)h.step : at[0]) - first;
        int64_t high = h.type == SPANS ? (int64_t)at[1] - first : low + h.span;
        if (low >= length && h.type == EVEN_STEPS) break;
        if (low < 0) low = 0;
        if (high > length) high = length;
        for (int64_t p = low; p < high; p++) out[p] = value;
    }
    return 0;
}
