/* WIDE functions are compiled for several widths of registers, and the widest that the machine has is run:
   the same operations on each number, so the same bits. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

/* What a loop over float32 or float64 does, which its arguments tell apart. */
#define OF_ITS_TYPE(done)                                                    \
    do {                                                                     \
        if (of->itemsize == 4)                                               \
            done(float);                                                     \
        else                                                                 \
            done(double);                                                    \
        return 0;                                                            \
    } while (0)
