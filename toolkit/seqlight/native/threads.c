/* A loop over blocks of rows on a team of threads. Each takes the next block until none is left, because a team may be
   smaller than requested. */
#include <stddef.h>
#include <stdint.h>

/* Every loop that Python runs by its name takes a struct of arguments, and handles the rows first <= row < last. It returns
   0, or another number if it cannot allocate memory. */
typedef int (*Loop)(const void *of, int64_t first, int64_t last);
/* OpenMP's GOMP_parallel. */
typedef void (*Start)(void (*step)(void *), void *data, unsigned threads, unsigned flags);

typedef struct {
    Loop loop;
    const void *of;
    int64_t rows, blocks, next;
    int failed;
} Team;

static void step(void *data)
{
    Team *team = data;
    for (int64_t at; (at = __atomic_fetch_add(&team->next, 1, __ATOMIC_RELAXED)) < team->blocks;)
        if (team->loop(team->of, team->rows * at / team->blocks, team->rows * (at + 1) / team->blocks))
            __atomic_store_n(&team->failed, 1, __ATOMIC_RELAXED);
}

int run_on_team(Start start, Loop loop, const void *of, int64_t rows, int64_t threads)
{
    Team team = {.loop = loop, .of = of, .rows = rows, .blocks = threads};
    start(step, &team, (unsigned)threads, 0);
    return team.failed;
}
