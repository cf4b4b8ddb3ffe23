/* pool_grad_vec.c - what one window of a pool sends back, channels in the lanes. */
#include "simd.h"
#include "vec.h"

INLINE vf some(const float *p, int n) { return n == VW ? vload(p) : vload_n(p, n); }
INLINE void add_to(float *p, vf v, int n)
{
    if (n == VW)
        vstore(p, vload(p) + v);
    else
        vstore_n(p, vload_n(p, n) + v, n);
}

/* The first of equals takes dy, as does a first that is not a number. */
INLINE void max_of(const bool narrow, const void *const *x, float *const *dx, const int places, const float *dy, int64_t n)
{
    for (int64_t j = 0; j < n; j += VW) {
        const int left = n - j < VW ? (int)(n - j) : VW;
        vf most = narrow ? vwiden((const uint16_t *)x[0] + j, left) : some((const float *)x[0] + j, left), d = some(dy + j, left);
        vi place = vseti(0);
        UNROLL for (int i = 1; i < places; i++) {
            vf v = narrow ? vwiden((const uint16_t *)x[i] + j, left) : some((const float *)x[i] + j, left);
            vi more = v > most;
            most = vpick(more, v, most);
            place = (more & vseti(i)) | (~more & place);
        }
        UNROLL for (int i = 0; i < places; i++)
            add_to(dx[i] + j, (vf)((vi)d & (place == vseti(i))), left);
    }
}

static void max_back(const void *const *x, bool narrow, float *const *dx, int places, const float *dy, int64_t n)
{
    if (narrow && places == 9)                          /* of networks' usual window */
        max_of(true, x, dx, 9, dy, n);
    else if (narrow)
        max_of(true, x, dx, places, dy, n);
    else if (places == 9)
        max_of(false, x, dx, 9, dy, n);
    else
        max_of(false, x, dx, places, dy, n);
}

static void mean_back(float *const *dx, int places, const float *dy, float share, int64_t n)
{
    for (int64_t j = 0; j < n; j += VW) {
        const int left = n - j < VW ? (int)(n - j) : VW;
        vf d = some(dy + j, left) * vset(share);
        for (int i = 0; i < places; i++)
            add_to(dx[i] + j, d, left);
    }
}

const pool_grad_vec VEC(pool_grad_vec) = { .max_back = max_back, .mean_back = mean_back };
