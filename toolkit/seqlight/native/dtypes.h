/* What a loop over float32 or float64 does, which its arguments tell apart. */
#define OF_ITS_TYPE(done)                                                    \
    do {                                                                     \
        if (of->itemsize == 4)                                               \
            done(float);                                                     \
        else                                                                 \
            done(double);                                                    \
        return 0;                                                            \
    } while (0)
