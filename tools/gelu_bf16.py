#!/usr/bin/env python3
"""Prints src/backend/cpu/gelu_bf16.h: GELU and its slope as polynomials in pieces.  Needs numpy.

    tools/gelu_bf16.py > src/backend/cpu/gelu_bf16.h
"""
import math
import numpy as np

TOP, PIECES = 5.5, 32
PER = (PIECES - .5) / TOP                       # piece i is where |x| PER rounds to i

erfc = np.vectorize(math.erfc)
density = lambda a: np.exp(-a * a / 2) / math.sqrt(2 * math.pi)
inside = lambda a: math.sqrt(2 / math.pi) * (a + .044715 * a ** 3)
FUNCTIONS = [
    ("gelu", lambda a: -a / 2 * erfc(a / math.sqrt(2)), True),
    ("gelu_tanh", lambda a: -a / (1 + np.exp(2 * inside(a))), True),
    ("gelu_slope", lambda a: a * density(a) - erfc(a / math.sqrt(2)) / 2, False),
]


def piece(f, i, relative):
    """c0 + c1 a + c2 a^2 of least greatest error, nearly: least squares, weighted anew where it is large.  Functions with a zero at 0 keep it."""
    low, high = max(0, (i - .5) / PER), (i + .5) / PER
    a = (low + high) / 2 + (high - low) / 2 * np.cos(np.pi * (np.arange(200) + .5) / 200)
    y = f(a)
    powers = range(1 if relative and i == 0 else 0, 3)
    terms = np.stack([a ** p for p in powers], 1)
    of = np.abs(y) if relative else np.ones_like(y)
    weight = 1 / of
    for _ in range(60):
        c = np.linalg.lstsq(terms * weight[:, None], y * weight, rcond=None)[0]
        error = np.abs(terms @ c - y) / of
        weight = weight * (1 + error / error.max() / 2)
        weight /= weight.max()
    return [0.] * (3 - len(c)) + list(c)


print("/* gelu_bf16.h - by tools/gelu_bf16.py: GELU(x) - max(x, 0), and its slope, c0 + c1 a + c2 a^2 of a = |x| in %d pieces up to %g.\n"
      " * Errors up to a = 3: 4e-4 of itself, 1e-4 of the slope. */\n#ifndef GELU_BF16_H\n#define GELU_BF16_H\n\n"
      "static const float gelu_top = %.8gf, gelu_per = %.8gf;       /* piece i is where a gelu_per rounds to i */" % (PIECES, TOP, TOP, PER))
for name, f, relative in FUNCTIONS:
    print(f"static const float {name}_pieces[3][{PIECES}] = {{")
    for column in zip(*[piece(f, i, relative) for i in range(PIECES)]):
        numbers = ["%.8ef" % c if c else "0" for c in column]
        print("    { " + ",\n      ".join(", ".join(numbers[k:k + 8]) for k in range(0, PIECES, 8)) + " },")
    print("};")
print("\n#endif")
