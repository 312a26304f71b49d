/* Windows of a FASTA file that is mapped into memory as it is, straight into one-hot form. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "one_hot.h"

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
