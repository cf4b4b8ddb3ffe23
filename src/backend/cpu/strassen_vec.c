/* strassen_vec.c - sums of quarters of rows: strassen.c. */
#include "simd.h"
#include "vec.h"

static void sums(const float *const q[4], int64_t n, float *to, int64_t step)
{
    int64_t i = 0;
    for (; i + VW <= n; i += VW) {
        const vf q11 = vload(q[0] + i), q12 = vload(q[1] + i), q21 = vload(q[2] + i), q22 = vload(q[3] + i), two = q21 + q22, three = two - q11;
        vstore(to + i, two);
        vstore(to + step + i, three);
        vstore(to + 2 * step + i, q11 - q21);
        vstore(to + 3 * step + i, q12 - three);
    }
    for (; i < n; i++) {
        const float two = q[2][i] + q[3][i], three = two - q[0][i];
        to[i] = two;
        to[step + i] = three;
        to[2 * step + i] = q[0][i] - q[2][i];
        to[3 * step + i] = q[1][i] - three;
    }
}

const strassen_vec VEC(strassen_vec) = { sums };
