/* Run the code of a loop for float or double, whichever its arguments are. */
#define OF_ITS_TYPE(done)                                                    \
    do {                                                                     \
        if (of->itemsize == 4)                                               \
            done(float);                                                     \
        else                                                                 \
            done(double);                                                    \
        return 0;                                                            \
    } while (0)
