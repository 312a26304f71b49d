/* Loops written for registers of 16 float32, where the machine has them. */
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#include <stdint.h>

#define HAVE_LANES
#define WIDEST __attribute__((target("avx512f")))
#define INLINE __attribute__((always_inline)) static inline
#define UNROLLED _Pragma("GCC unroll 8")
enum { LANES = 16, GROUP = 8 };

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t within(int64_t i, int64_t end) { return i < 0 ? 0 : least(i, end); }
static inline int64_t whole_lanes(int64_t n) { return (n + LANES - 1) / LANES * LANES; }
static inline __mmask16 first_lanes(int64_t n) { return (__mmask16)((1u << within(n, LANES)) - 1); }

/* An odd number of vectors: what lies a power of two apart falls into the same lines of the cache. */
static inline int64_t odd_lanes(int64_t n) { return (n + LANES - 1) / LANES * LANES | LANES; }
#endif
