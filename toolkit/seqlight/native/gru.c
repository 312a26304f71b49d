/* A layer of a GRU of float32, what goes back through it, and the derivatives of both, step by step:
   rules/gru_trajectory.py and rules/gru_multiplier.py.

   Arrays hold directions, steps, rows and numbers, and of gates three times as many: reset, update and new. What the input
   adds to these is `a`, what the state adds is `m`. As in lstm.c, secants and slopes are computed again where needed. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "recurrences.h"
#include "sigmoids.h"

/* What inputs add to gates, and packed weights; what states add to them, from the biases that are there on, and states before
   and after all steps, of which the first are given. */
typedef struct {
    const float *a, *w;
    float *m, *states;
    int64_t steps, rows, size, packed;
} GRUTrajectories;

/* What was given and found, and weights that are packed the other way; the gradients at states after each step, and at what
   states add to gates; found are those at what inputs and states add, by all later steps as well, and at the first state. */
typedef struct {
    const float *a, *m, *states, *w, *dh, *at_m;
    float *by_a, *by_m, *at_first;
    int64_t steps, rows, size, packed;
} GRUTrajectoryGradients;

/* Of sequences (1) and references (0): what inputs and states add to gates, and states before each step. Then the gradients at
   outputs and last states, and packed weights; found are those at inputs' and states' parts, at states, and at first states. */
typedef struct {
    const float *a1, *m1, *h1, *a0, *m0, *h0, *grad, *at_last, *w;
    float *by_a, *by_m, *dh, *at_first;
    int64_t steps, rows, size, packed;
} GRUMultipliers;

/* The gradients at what was found of inputs' parts and first states, with weights that are packed the other way; then what
   arrives at states before and after all steps, and those at all that both passes consist of. */
typedef struct {
    const float *a1, *m1, *h1, *a0, *m0, *h0, *dh, *grad, *at_first, *w;
    float *states, *by_a1, *by_m1, *by_h1, *by_a0, *by_m0, *by_h0;
    int64_t steps, rows, size, packed;
} GRUDerivatives;

#ifdef HAVE_LANES
enum { RESET, UPDATE, NEW, GATES };

/* The gates of one row at some numbers, and what the state adds to the new one before it is reset. */
typedef struct {
    Sigmoid r, z, n;
    Lanes memory;
} Gates;

INLINE Gates gates_of(const float *a, const float *m, int64_t n, int64_t room)
{
    Gates of = {.r = sigmoid_of(load_first(a, room, 0) + load_first(m, room, 0)),
                .z = sigmoid_of(load_first(a + UPDATE * n, room, 0) + load_first(m + UPDATE * n, room, 0)),
                .memory = load_first(m + NEW * n, room, 0)};
    Lanes x = fmadd(of.r.y, of.memory, load_first(a + NEW * n, room, 0));
    of.n = sigmoid_of(x + x);
    return of;
}

/* By which gradients go back: secants, and gates and the like half way between two passes. */
typedef struct {
    Gates one, other;
    Secant r, z, n;
    Lanes reset, rest, keep, memory, change;
} Step;

INLINE Step step_between(const float *a1, const float *m1, const float *h1, const float *a0, const float *m0, const float *h0,
                         int64_t n, int64_t room)
{
    Step to = {.one = gates_of(a1, m1, n, room), .other = gates_of(a0, m0, n, room)};
    to.r = secant_between(to.one.r, to.other.r), to.z = secant_between(to.one.z, to.other.z);
    to.n = tanh_secant_between(to.one.n, to.other.n);
    to.reset = middle(to.one.r.y, to.other.r.y), to.keep = middle(to.one.z.y, to.other.z.y);
    to.rest = middle(to.one.z.rest, to.other.z.rest), to.memory = middle(to.one.memory, to.other.memory);
    to.change = middle(load_first(h1, room, 0), load_first(h0, room, 0)) -
                middle(tanh_from(to.one.n), tanh_from(to.other.n));
    return to;
}

/* What states add to gates, and states, of some rows, from the first step to the last. */
static void follow(const GRUTrajectories *of, int64_t way, int64_t row, int64_t count)
{
    int64_t n = of->size, rows = of->rows;
    for (int64_t t = 0; t < of->steps; t++) {
        int64_t before = ((way * (of->steps + 1) + t) * rows + row) * n, after = before + rows * n;
        int64_t at = ((way * of->steps + t) * rows + row) * GATES * n;
        multiply_rows(of->states + before, n, of->w + way * of->packed, of->m + at, GATES * n, count);
        for (int64_t r = 0; r < count; r++)
            for (int64_t j = 0, room = n; j < n; j += LANES, room -= LANES) {
                int64_t k = r * n + j, x = at + r * GATES * n + j;
                Gates gates = gates_of(of->a + x, of->m + x, n, room);
                Lanes new = tanh_from(gates.n), h = load_first(of->states + before + k, room, 0);
                store_first(of->states + after + k, room, fmadd(gates.z.y, h - new, new));
            }
    }
}

/* The gradients of some rows, from the last step to the first. */
static void follow_back(const GRUTrajectoryGradients *of, int64_t way, int64_t row, int64_t count)
{
    int64_t n = of->size, rows = of->rows;
    float *carry = of->at_first + (way * rows + row) * n;
    memset(carry, 0, (size_t)(count * n) * sizeof(float));
    for (int64_t t = of->steps - 1; t >= 0; t--) {
        int64_t at = ((way * of->steps + t) * rows + row) * n, before = ((way * (of->steps + 1) + t) * rows + row) * n;
        for (int64_t r = 0; r < count; r++)
            for (int64_t j = 0, room = n; j < n; j += LANES, room -= LANES) {
                int64_t k = r * n + j, x = at * GATES + r * GATES * n + j;
                Gates gates = gates_of(of->a + x, of->m + x, n, room);
                Lanes u = load_first(of->dh + at + k, room, 0) + load_first(carry + k, room, 0);
                Lanes h = load_first(of->states + before + k, room, 0) - tanh_from(gates.n);
                Lanes new = u * gates.z.rest * 4 * (gates.n.y * gates.n.rest);
                Lanes reset = new * gates.memory * (gates.r.y * gates.r.rest), update = u * h * (gates.z.y * gates.z.rest);
                const float *given = of->at_m + x;
                float *to = of->by_m + x;
                store_first(of->by_a + x, room, reset);
                store_first(of->by_a + x + UPDATE * n, room, update);
                store_first(of->by_a + x + NEW * n, room, new);
                store_first(to, room, load_first(given, room, 0) + reset);
                store_first(to + UPDATE * n, room, load_first(given + UPDATE * n, room, 0) + update);
                store_first(to + NEW * n, room, fmadd(new, gates.r.y, load_first(given + NEW * n, room, 0)));
                store_first(carry + k, room, u * gates.z.y);
            }
        multiply_rows(of->by_m + at * GATES, GATES * n, of->w + way * of->packed, carry, n, count);
    }
}

/* From the last step of some rows to the first. */
static void go_back(const GRUMultipliers *of, int64_t way, int64_t row, int64_t count)
{
    int64_t n = of->size, rows = of->rows, own = (way * rows + row) * n;
    float *carry = of->at_first + own;
    memcpy(carry, of->at_last + own, (size_t)(count * n) * sizeof(float));
    for (int64_t t = of->steps - 1; t >= 0; t--) {
        int64_t at = ((way * of->steps + t) * rows + row) * n;
        for (int64_t r = 0; r < count; r++)
            for (int64_t j = 0, room = n; j < n; j += LANES, room -= LANES) {
                int64_t k = r * n + j, h = at + k, x = at * GATES + r * GATES * n + j;
                Step to = step_between(of->a1 + x, of->m1 + x, of->h1 + h, of->a0 + x, of->m0 + x, of->h0 + h, n, room);
                Lanes u = load_first(of->grad + h, room, 0) + load_first(carry + k, room, 0);
                Lanes new = u * (to.n.slope * to.rest), update = u * (to.z.slope * to.change);
                Lanes reset = new * (to.memory * to.r.slope);
                store_first(of->dh + h, room, u);
                store_first(of->by_a + x, room, reset);
                store_first(of->by_a + x + UPDATE * n, room, update);
                store_first(of->by_a + x + NEW * n, room, new);
                store_first(of->by_m + x, room, reset);
                store_first(of->by_m + x + UPDATE * n, room, update);
                store_first(of->by_m + x + NEW * n, room, new * to.reset);
                store_first(carry + k, room, u * to.keep);
            }
        multiply_rows(of->by_m + at * GATES, GATES * n, of->w + way * of->packed, carry, n, count);
    }
}

/* The derivatives of one pass at some numbers of a row: of what the gates take, and of what these add up from. */
typedef struct {
    Lanes r, z, n, memory;
} Arriving;

INLINE void derive(const Gates *gates, Lanes by_r, Lanes by_z, Lanes by_n, Arriving of, Arriving y, float *by_a, float *by_m,
                   int64_t n, int64_t room)
{
    Lanes new = fmadd(of.n, by_n, y.n * 4 * (gates->n.y * gates->n.rest));
    Lanes reset = fmadd(of.r, by_r, fmadd(new, gates->memory, y.r) * (gates->r.y * gates->r.rest));
    Lanes update = fmadd(of.z, by_z, y.z * (gates->z.y * gates->z.rest));
    store_first(by_a, room, reset);
    store_first(by_a + UPDATE * n, room, update);
    store_first(by_a + NEW * n, room, new);
    store_first(by_m, room, reset);
    store_first(by_m + UPDATE * n, room, update);
    store_first(by_m + NEW * n, room, fmadd(new, gates->r.y, y.memory));
}

/* From the first step of some rows to the last, with what arrives at gates lent the place of their derivatives. */
static void come_forth(const GRUDerivatives *of, int64_t way, int64_t row, int64_t count)
{
    int64_t n = of->size, rows = of->rows;
    size_t bytes = (size_t)(count * n) * sizeof(float);
    memcpy(of->states + (way * (of->steps + 1) * rows + row) * n, of->at_first + (way * rows + row) * n, bytes);
    for (int64_t t = 0; t < of->steps; t++) {
        int64_t at = ((way * of->steps + t) * rows + row) * n, before = ((way * (of->steps + 1) + t) * rows + row) * n;
        memset(of->by_m1 + at * GATES, 0, bytes * GATES);
        multiply_rows(of->states + before, n, of->w + way * of->packed, of->by_m1 + at * GATES, GATES * n, count);
        for (int64_t r = 0; r < count; r++)
            for (int64_t j = 0, room = n; j < n; j += LANES, room -= LANES) {
                int64_t k = r * n + j, h = at + k, x = at * GATES + r * GATES * n + j;
                Step to = step_between(of->a1 + x, of->m1 + x, of->h1 + h, of->a0 + x, of->m0 + x, of->h0 + h, n, room);
                const float *given = of->grad + x, *arrived = of->by_m1 + x;
                Lanes u = load_first(of->dh + h, room, 0), earlier = load_first(of->states + before + k, room, 0);
                Lanes reset = load_first(given, room, 0) + load_first(arrived, room, 0);
                Lanes update = load_first(given + UPDATE * n, room, 0) + load_first(arrived + UPDATE * n, room, 0);
                Lanes memory = load_first(arrived + NEW * n, room, 0), slope = to.n.slope * to.rest;
                /* What arrives at the new state: by itself, by what it resets, and by the reset. */
                Lanes new = load_first(given + NEW * n, room, 0) + memory * to.reset + reset * (to.memory * to.r.slope);
                Lanes later = fmadd(earlier, to.keep, fmadd(new, slope, update * (to.z.slope * to.change)));
                store_first(of->states + before + rows * n + k, room, later);
                reset *= u, update *= u, memory *= u, new *= u;
                Lanes change = update * to.z.slope * .5f;
                Arriving along = {reset * slope * to.memory, update * to.change, new * to.rest, zeros()};
                Arriving y = {memory * slope * .5f, (earlier * u - new * to.n.slope) * .5f, -change,
                              reset * slope * to.r.slope * .5f};
                derive(&to.one, to.r.by_1, to.z.by_1, to.n.by_1, along, y, of->by_a1 + x, of->by_m1 + x, n, room);
                derive(&to.other, to.r.by_0, to.z.by_0, to.n.by_0, along, y, of->by_a0 + x, of->by_m0 + x, n, room);
                store_first(of->by_h1 + h, room, change);
                store_first(of->by_h0 + h, room, change);
            }
    }
}

int gru_trajectories(const GRUTrajectories *of, int64_t first, int64_t last)
{
    EACH_FEW(of) follow(of, way, row, count);
    return 0;
}

int gru_trajectory_gradients(const GRUTrajectoryGradients *of, int64_t first, int64_t last)
{
    EACH_FEW(of) follow_back(of, way, row, count);
    return 0;
}

int gru_multipliers(const GRUMultipliers *of, int64_t first, int64_t last)
{
    EACH_FEW(of) go_back(of, way, row, count);
    return 0;
}

int gru_derivatives(const GRUDerivatives *of, int64_t first, int64_t last)
{
    EACH_FEW(of) come_forth(of, way, row, count);
    return 0;
}
#else
/* Never called in this build: it has no wide registers. */
void gru_trajectories(void) {}
void gru_trajectory_gradients(void) {}
void gru_multipliers(void) {}
void gru_derivatives(void) {}
#endif
