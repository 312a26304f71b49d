/* The width of registers in this build of the loops, and in the widest that this machine can run (see build_native.py). */
#include "simd.h"

/* How many float32 a register of this build holds; 0 if it has no loops for wide registers. */
int lanes(void)
{
#ifdef HAVE_LANES
    return LANES;
#else
    return 0;
#endif
}

/* The same in the widest build that this machine can run. */
int lanes_here(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    if (__builtin_cpu_supports("avx512f"))
        return 16;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return 8;
#endif
    return 0;
}
