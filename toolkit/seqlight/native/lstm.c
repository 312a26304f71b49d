/* A layer of an LSTM of float32, what goes back through it, and the derivatives of both, step by step:
   rules/lstm_trajectory.py and rules/lstm_multiplier.py.

   Arrays hold directions, steps, rows and numbers, and of gates four times as many: input, memory, new and output. Rows are
   independent of each other, so a few of them go through all steps while they stay in the cache. Secants and slopes are
   computed again wherever they are needed, which takes less time than to keep them. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "recurrences.h"
#include "sigmoids.h"

/* Of sequences (1) and references (0): gates before their activation functions, first cell states, and the cell states
   before and after all steps, which are found. Then the gradients at outputs, last states and last cell states, and packed
   weights; found are those at gates, states, cell states, first states and first cell states. */
typedef struct {
    const float *x1, *x0, *first1, *first0, *grad, *at_last, *at_last_cell, *w;
    float *cells1, *cells0, *dz, *dh, *dc, *at_first, *at_first_cell;
    int64_t steps, rows, size, packed;
} LSTMMultipliers;

/* The gradients at what was found, but for states and cell states, with weights that are packed the other way; then those at
   all that was given, of first states in `by_cells`, and of the weights what their product with `dz` is. */
typedef struct {
    const float *x1, *x0, *cells1, *cells0, *dh, *dc, *grad, *at_first, *at_first_cell, *w;
    float *states, *cell, *by_x1, *by_x0, *by_cells1, *by_cells0;
    int64_t steps, rows, size, packed;
} LSTMDerivatives;

/* What the input adds to gates, from which they are found; packed weights; states and cell states before and after all
   steps, of which the first are given. */
typedef struct {
    const float *w;
    float *x, *states, *cells;
    int64_t steps, rows, size, packed;
} LSTMTrajectories;

/* The gates and cell states that were found, and weights that are packed the other way; the gradients at gates and at states
   after each step; found are those at what the input adds to gates, at the first cell state, in the place of those at the
   last one, and at the first state. */
typedef struct {
    const float *x, *cells, *w, *at_x, *dh;
    float *dx, *at_cell, *at_state;
    int64_t steps, rows, size, packed;
} LSTMTrajectoryGradients;

#ifdef HAVE_LANES
enum { INPUT, MEMORY, NEW, OUTPUT, GATES };
/* The gates of one row at some numbers, and half way between two rows. */
typedef struct {
    Sigmoid i, f, g, o;
} Gates;

INLINE Gates gates_of(const float *x, int64_t n, int64_t room)
{
    Lanes g = load_first(x + NEW * n, room, 0);
    return (Gates){sigmoid_of(load_first(x, room, 0)), sigmoid_of(load_first(x + MEMORY * n, room, 0)), sigmoid_of(g + g),
                   sigmoid_of(load_first(x + OUTPUT * n, room, 0))};
}

/* By which gradients go back: secants, and what these are multiplied with. */
typedef struct {
    Gates one, other;
    Sigmoid t1, t0;
    Secant o, i, f, g, t;
    Lanes by_o, by_i, by_f, by_g, output, keep;
} Step;

INLINE Step step_between(const float *x1, const float *x0, const float *before1, const float *before0, const float *after1,
                         const float *after0, int64_t n, int64_t room)
{
    Step to = {.one = gates_of(x1, n, room), .other = gates_of(x0, n, room)};
    Lanes c1 = load_first(after1, room, 0), c0 = load_first(after0, room, 0);
    to.t1 = sigmoid_of(c1 + c1), to.t0 = sigmoid_of(c0 + c0);
    to.o = secant_between(to.one.o, to.other.o), to.i = secant_between(to.one.i, to.other.i);
    to.f = secant_between(to.one.f, to.other.f), to.g = tanh_secant_between(to.one.g, to.other.g);
    to.t = tanh_secant_between(to.t1, to.t0);
    to.by_o = middle(tanh_from(to.t1), tanh_from(to.t0)), to.by_i = middle(tanh_from(to.one.g), tanh_from(to.other.g));
    to.by_f = middle(load_first(before1, room, 0), load_first(before0, room, 0));
    to.by_g = middle(to.one.i.y, to.other.i.y);
    to.output = middle(to.one.o.y, to.other.o.y), to.keep = middle(to.one.f.y, to.other.f.y);
    return to;
}

/* Cell states after each step, of some rows. */
static void walk(const float *x, float *cells, int64_t steps, int64_t rows, int64_t n, int64_t count)
{
    for (int64_t t = 0; t < steps; t++, x += rows * GATES * n, cells += rows * n)
        for (int64_t r = 0; r < count; r++)
            for (int64_t j = 0, room = n; j < n; j += LANES, room -= LANES) {
                Gates of = gates_of(x + r * GATES * n + j, n, room);
                Lanes before = load_first(cells + r * n + j, room, 0);
                store_first(cells + (rows + r) * n + j, room, fmadd(of.f.y, before, of.i.y * tanh_from(of.g)));
            }
}

/* From the last step of some rows to the first; `c` is what arrives at the cell state. */
static void go_back(const LSTMMultipliers *of, int64_t way, int64_t row, int64_t count)
{
    int64_t n = of->size, rows = of->rows, all = rows * n;
    float *carry = of->at_first_cell + way * all + row * n;
    const float *w = of->w + way * of->packed;
    for (int64_t t = of->steps - 1; t >= 0; t--) {
        int64_t at = ((way * of->steps + t) * rows + row) * n, before = ((way * (of->steps + 1) + t) * rows + row) * n;
        float *dh = of->dh + at, *dz = of->dz + at * GATES;
        memcpy(dh, of->grad + at, (size_t)(count * n) * sizeof(float));
        if (t < of->steps - 1)
            multiply_rows(dz + all * GATES, GATES * n, w, dh, n, count);
        for (int64_t r = 0; r < count; r++)
            for (int64_t j = 0, room = n; j < n; j += LANES, room -= LANES) {
                int64_t k = r * n + j, c = before + k, z = r * GATES * n + j;
                const float *x1 = of->x1 + at * GATES + z, *x0 = of->x0 + at * GATES + z;
                const float *cells1 = of->cells1 + c, *cells0 = of->cells0 + c;
                Step to = step_between(x1, x0, cells1, cells0, cells1 + all, cells0 + all, n, room);
                Lanes u = load_first(dh + k, room, 0);
                if (t == of->steps - 1) {
                    u += load_first(of->at_last + way * all + row * n + k, room, 0);
                    store_first(dh + k, room, u);
                }
                Lanes d = fmadd(u, to.t.slope * to.output, load_first(carry + k, room, 0));
                store_first(of->dc + at + k, room, d);
                store_first(dz + z + OUTPUT * n, room, u * (to.o.slope * to.by_o));
                store_first(dz + z, room, d * (to.i.slope * to.by_i));
                store_first(dz + z + MEMORY * n, room, d * (to.f.slope * to.by_f));
                store_first(dz + z + NEW * n, room, d * (to.g.slope * to.by_g));
                store_first(carry + k, room, d * to.keep);
            }
    }
    float *first = of->at_first + way * all + row * n;
    memset(first, 0, (size_t)(count * n) * sizeof(float));
    multiply_rows(of->dz + (way * of->steps * rows + row) * GATES * n, GATES * n, w, first, n, count);
}

/* The derivatives at gates, and at cell states before and after a step, without what comes by later steps. Of each pair the
   first is that of the sequences. */
INLINE void derive(const Step *to, const LSTMDerivatives *of, Lanes at_o, Lanes at_i, Lanes at_f, Lanes at_g, Lanes at_cell,
                   Lanes at_keep, int64_t x, int64_t before, int64_t n, int64_t room)
{
    Lanes y_o = at_cell * to->t.slope * .5f, y_i = at_g * to->g.slope * .5f, y_f = at_keep * .5f;
    Lanes y_g = at_i * to->i.slope * .5f, y_t = at_o * to->o.slope * .5f, cell = at_f * to->f.slope * .5f;
    at_o *= to->by_o, at_i *= to->by_i, at_f *= to->by_f, at_g *= to->by_g, at_cell *= to->output;
#define OF_PASS(x_, cells, gates, t_, by)                                                                            \
    store_first(x_ + x, room, fmadd(at_i, to->i.by, y_i * (gates.i.y * gates.i.rest)));                              \
    store_first(x_ + x + OUTPUT * n, room, fmadd(at_o, to->o.by, y_o * (gates.o.y * gates.o.rest)));                 \
    store_first(x_ + x + MEMORY * n, room, fmadd(at_f, to->f.by, y_f * (gates.f.y * gates.f.rest)));                 \
    store_first(x_ + x + NEW * n, room, fmadd(at_g, to->g.by, y_g * 4 * (gates.g.y * gates.g.rest)));                \
    store_first(cells + before, room, load_first(cells + before, room, 0) + cell);                                   \
    store_first(cells + before + of->rows * n, room, fmadd(at_cell, to->t.by, y_t * 4 * (t_.y * t_.rest)));
    OF_PASS(of->by_x1, of->by_cells1, to->one, to->t1, by_1)
    OF_PASS(of->by_x0, of->by_cells0, to->other, to->t0, by_0)
}

/* From the first step of some rows to the last, with what arrives at gates lent the place of their derivatives. */
static void come_forth(const LSTMDerivatives *of, int64_t way, int64_t row, int64_t count)
{
    int64_t n = of->size, rows = of->rows, all = rows * n;
    size_t bytes = (size_t)(count * n) * sizeof(float);
    float *cell = of->cell + way * all + row * n;
    memcpy(of->states + (way * (of->steps + 1) * rows + row) * n, of->at_first + way * all + row * n, bytes);
    memcpy(cell, of->at_first_cell + way * all + row * n, bytes);
    for (int64_t t = 0; t < of->steps; t++) {
        int64_t at = ((way * of->steps + t) * rows + row) * n, before = ((way * (of->steps + 1) + t) * rows + row) * n;
        float *back = of->by_x1 + at * GATES;
        memcpy(back, of->grad + at * GATES, bytes * GATES);
        multiply_rows(of->states + before, n, of->w + way * of->packed, back, GATES * n, count);
        for (int64_t r = 0; r < count; r++)
            for (int64_t j = 0, room = n; j < n; j += LANES, room -= LANES) {
                int64_t k = r * n + j, c = before + k, x = at * GATES + r * GATES * n + j;
                Step to = step_between(of->x1 + x, of->x0 + x, of->cells1 + c, of->cells0 + c, of->cells1 + c + all,
                                       of->cells0 + c + all, n, room);
                const float *arrived = of->by_x1 + x;
                Lanes o = load_first(arrived + OUTPUT * n, room, 0), i = load_first(arrived, room, 0);
                Lanes f = load_first(arrived + MEMORY * n, room, 0), g = load_first(arrived + NEW * n, room, 0);
                Lanes u = load_first(of->dh + at + k, room, 0), d = load_first(of->dc + at + k, room, 0);
                Lanes earlier = load_first(cell + k, room, 0), later = earlier * to.keep;
                later = fmadd(i, to.i.slope * to.by_i, later);
                later = fmadd(f, to.f.slope * to.by_f, later);
                later = fmadd(g, to.g.slope * to.by_g, later);
                store_first(cell + k, room, later);
                store_first(of->states + c + all, room, fmadd(o, to.o.slope * to.by_o, later * (to.t.slope * to.output)));
                derive(&to, of, o * u, i * d, f * d, g * d, later * u, earlier * d, x, c, n, room);
            }
    }
}

/* Back through the cell states of one pass, from what is known of each step. */
static void walk_back(const float *x, const float *cells, float *by_x, float *by_cells, int64_t steps, int64_t rows,
                      int64_t n, int64_t count)
{
    for (int64_t t = steps - 1; t >= 0; t--)
        for (int64_t r = 0; r < count; r++)
            for (int64_t j = 0, room = n; j < n; j += LANES, room -= LANES) {
                int64_t c = (t * rows + r) * n + j, z = (t * rows + r) * GATES * n + j;
                Gates of = gates_of(x + z, n, room);
                Lanes at = load_first(by_cells + c + rows * n, room, 0);
                Lanes i = of.i.y * of.i.rest * tanh_from(of.g), f = of.f.y * of.f.rest * load_first(cells + c, room, 0);
                Lanes g = 4 * of.g.y * of.g.rest * of.i.y;
                store_first(by_cells + c, room, fmadd(at, of.f.y, load_first(by_cells + c, room, 0)));
                float *to = by_x + z;
                store_first(to, room, fmadd(at, i, load_first(to, room, 0)));
                store_first(to + MEMORY * n, room, fmadd(at, f, load_first(to + MEMORY * n, room, 0)));
                store_first(to + NEW * n, room, fmadd(at, g, load_first(to + NEW * n, room, 0)));
            }
}

/* The gates, states and cell states of some rows, from the first step to the last. */
static void follow(const LSTMTrajectories *of, int64_t way, int64_t row, int64_t count)
{
    int64_t n = of->size, rows = of->rows;
    for (int64_t t = 0; t < of->steps; t++) {
        int64_t before = ((way * (of->steps + 1) + t) * rows + row) * n, after = before + rows * n;
        float *x = of->x + ((way * of->steps + t) * rows + row) * GATES * n;
        multiply_rows(of->states + before, n, of->w + way * of->packed, x, GATES * n, count);
        for (int64_t r = 0; r < count; r++)
            for (int64_t j = 0, room = n; j < n; j += LANES, room -= LANES) {
                int64_t k = r * n + j;
                Gates gates = gates_of(x + r * GATES * n + j, n, room);
                Lanes cell = load_first(of->cells + before + k, room, 0);
                cell = fmadd(gates.f.y, cell, gates.i.y * tanh_from(gates.g));
                store_first(of->cells + after + k, room, cell);
                store_first(of->states + after + k, room, gates.o.y * tanh_from(sigmoid_of(cell + cell)));
            }
    }
}

/* The gradients of some rows, from the last step to the first. */
static void follow_back(const LSTMTrajectoryGradients *of, int64_t way, int64_t row, int64_t count)
{
    int64_t n = of->size, rows = of->rows, own = (way * rows + row) * n;
    size_t bytes = (size_t)(count * n) * sizeof(float);
    float *carry = of->at_state + own;
    memset(carry, 0, bytes);
    for (int64_t t = of->steps - 1; t >= 0; t--) {
        int64_t at = ((way * of->steps + t) * rows + row) * n, before = ((way * (of->steps + 1) + t) * rows + row) * n;
        for (int64_t r = 0; r < count; r++)
            for (int64_t j = 0, room = n; j < n; j += LANES, room -= LANES) {
                int64_t k = r * n + j, z = at * GATES + r * GATES * n + j;
                Gates gates = gates_of(of->x + z, n, room);
                Lanes cell = load_first(of->cells + before + rows * n + k, room, 0);
                Lanes earlier = load_first(of->cells + before + k, room, 0);
                Sigmoid t_ = sigmoid_of(cell + cell);
                Lanes u = load_first(of->dh + at + k, room, 0) + load_first(carry + k, room, 0);
                Lanes d = fmadd(u, gates.o.y * 4 * (t_.y * t_.rest), load_first(of->at_cell + own + k, room, 0));
                Lanes o = tanh_from(t_) * (gates.o.y * gates.o.rest), i = tanh_from(gates.g) * (gates.i.y * gates.i.rest);
                Lanes f = earlier * (gates.f.y * gates.f.rest), g = gates.i.y * 4 * (gates.g.y * gates.g.rest);
                const float *given = of->at_x + z;
                float *to = of->dx + z;
                store_first(to, room, fmadd(d, i, load_first(given, room, 0)));
                store_first(to + MEMORY * n, room, fmadd(d, f, load_first(given + MEMORY * n, room, 0)));
                store_first(to + NEW * n, room, fmadd(d, g, load_first(given + NEW * n, room, 0)));
                store_first(to + OUTPUT * n, room, fmadd(u, o, load_first(given + OUTPUT * n, room, 0)));
                store_first(of->at_cell + own + k, room, d * gates.f.y);
            }
        memset(carry, 0, bytes);
        multiply_rows(of->dx + at * GATES, GATES * n, of->w + way * of->packed, carry, n, count);
    }
}

int lstm_multipliers(const LSTMMultipliers *of, int64_t first, int64_t last)
{
    int64_t n = of->size, all = of->rows * n;
    EACH_FEW(of)
    {
        int64_t x = (way * of->steps * of->rows + row) * GATES * n, cells = (way * (of->steps + 1) * of->rows + row) * n;
        int64_t own = way * all + row * n;
        size_t bytes = (size_t)(count * n) * sizeof(float);
        memcpy(of->cells1 + cells, of->first1 + own, bytes);
        memcpy(of->cells0 + cells, of->first0 + own, bytes);
        walk(of->x1 + x, of->cells1 + cells, of->steps, of->rows, n, count);
        walk(of->x0 + x, of->cells0 + cells, of->steps, of->rows, n, count);
        memcpy(of->at_first_cell + own, of->at_last_cell + own, bytes);
        go_back(of, way, row, count);
    }
    return 0;
}

int lstm_derivatives(const LSTMDerivatives *of, int64_t first, int64_t last)
{
    int64_t n = of->size;
    EACH_FEW(of)
    {
        int64_t x = (way * of->steps * of->rows + row) * GATES * n, cells = (way * (of->steps + 1) * of->rows + row) * n;
        size_t bytes = (size_t)(count * n) * sizeof(float);
        memset(of->by_cells1 + cells, 0, bytes);
        memset(of->by_cells0 + cells, 0, bytes);
        come_forth(of, way, row, count);
        walk_back(of->x1 + x, of->cells1 + cells, of->by_x1 + x, of->by_cells1 + cells, of->steps, of->rows, n, count);
        walk_back(of->x0 + x, of->cells0 + cells, of->by_x0 + x, of->by_cells0 + cells, of->steps, of->rows, n, count);
    }
    return 0;
}

int lstm_trajectories(const LSTMTrajectories *of, int64_t first, int64_t last)
{
    EACH_FEW(of) follow(of, way, row, count);
    return 0;
}

int lstm_trajectory_gradients(const LSTMTrajectoryGradients *of, int64_t first, int64_t last)
{
    EACH_FEW(of) follow_back(of, way, row, count);
    return 0;
}
#else
/* Never called in this build: it has no wide registers. */
void lstm_trajectories(void) {}
void lstm_trajectory_gradients(void) {}
void lstm_multipliers(void) {}
void lstm_derivatives(void) {}
#endif
