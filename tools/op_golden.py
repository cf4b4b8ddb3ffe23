#!/usr/bin/env python3
"""What PyTorch computes, op by op: writes tests/data/ops.jsonl.xz, which tests/ops_golden_test.c reads.

Needs: pip install torch.  A line: {"op", "in": [[shape, numbers]...], "attr": {...}, "out": [shape, numbers]}; numbers are float32,
nine digits.  Attributes carry the names of the constructors in include/timm/model.h.

    tools/op_golden.py tests/data/ops.jsonl.xz
"""
import json
import lzma
import sys

import torch
import torch.nn.functional as F

torch.manual_seed(0)
lines = []


def numbers(t):
    return [list(t.shape), [float("%.9g" % v) for v in t.detach().float().flatten().tolist()]]


def add(op, inputs, out, **attr):
    lines.append({"op": op, "in": [numbers(t) for t in inputs], "attr": attr, "out": numbers(out)})


def draw(*shape):
    return torch.randn(*shape)


ACTS = {"relu": F.relu, "relu6": F.relu6, "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x), "silu": F.silu, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
        "hard_swish": F.hardswish, "hard_sigmoid": F.hardsigmoid, "exp": torch.exp, "erf": torch.erf, "abs": torch.abs}
for name, f in ACTS.items():
    x = draw(2, 3, 5) * 3
    add(name, [x], f(x))
for name, f in {"log": torch.log, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt}.items():
    x = torch.rand(3, 7) + .1
    add(name, [x], f(x))
x = draw(4, 9) * 2
add("elu", [x], F.elu(x, 1.5), a=1.5)
add("leaky_relu", [x], F.leaky_relu(x, .1), a=.1)
add("clamp", [x], x.clamp(-1, .5), a=-1, b=.5)
for name, f in {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "maximum": torch.maximum,
                "minimum": torch.minimum}.items():
    a, b = draw(2, 3, 4, 5), draw(3, 1, 1) + 3
    add(name, [a, b], f(a, b))
x = draw(2, 3, 4, 5)
add("sum", [x], x.sum((2, 3), keepdim=True), axes=12)
add("mean", [x], x.mean((0, 2), keepdim=True), axes=5)
add("amax", [x], x.amax((1,), keepdim=True), axes=2)
add("softmax", [x], x.softmax(1), axis=1)
add("roll", [x], x.roll(-3, 3), axis=3, shift=-3)
add("permute", [x], x.permute(0, 2, 3, 1), order=[0, 2, 3, 1])
add("pad", [x], F.pad(x, (1, 2, 2, 1), mode="reflect"), before=[0, 0, 2, 1], after=[0, 0, 1, 2], mode=1)
add("pad", [x], F.pad(x, (1, 2, 2, 1), mode="replicate"), before=[0, 0, 2, 1], after=[0, 0, 1, 2], mode=2)
add("pad", [x], F.pad(x, (1, 2, 2, 1), value=1.5), before=[0, 0, 2, 1], after=[0, 0, 1, 2], mode=0, value=1.5)

CONVS = [dict(c=6, o=8, k=3, stride=1, pad=1, dilation=1, groups=1), dict(c=3, o=8, k=7, stride=2, pad=3, dilation=1, groups=1),
         dict(c=8, o=8, k=5, stride=2, pad=2, dilation=1, groups=8), dict(c=8, o=12, k=3, stride=1, pad=2, dilation=2, groups=4),
         dict(c=5, o=7, k=1, stride=1, pad=0, dilation=1, groups=1), dict(c=3, o=4, k=4, stride=4, pad=0, dilation=1, groups=1)]
for c in CONVS:
    x, w, b = draw(2, c["c"], 11, 9), draw(c["o"], c["c"] // c["groups"], c["k"], c["k"]), draw(c["o"])
    y = F.conv2d(x, w, b, c["stride"], c["pad"], c["dilation"], c["groups"])
    add("conv2d", [x, w, b], y, stride=c["stride"], pad=[c["pad"]] * 4, dilation=c["dilation"], groups=c["groups"])
x, w = draw(1, 4, 8, 8), draw(6, 4, 3, 3)
add("conv2d", [x, w], F.conv2d(F.pad(x, (0, 1, 0, 1)), w, None, 2), stride=2, pad=[0, 0, 1, 1], dilation=1, groups=1)

for k, s, p, ceil in ((3, 2, 1, False), (2, 2, 0, True), (3, 2, 1, True), (3, 1, 1, False)):
    x = draw(2, 3, 9, 8)
    add("max_pool", [x], F.max_pool2d(x, k, s, p, ceil_mode=ceil), k=k, stride=s, pad=[p] * 4, ceil=ceil)
    for count in (True, False):
        y = F.avg_pool2d(x, k, s, p, ceil_mode=ceil, count_include_pad=count)
        add("avg_pool", [x], y, k=k, stride=s, pad=[p] * 4, ceil=ceil, exclude_pad=not count)
for mode, name in enumerate(("nearest", "bilinear", "bicubic")):
    for size in ((14, 9), (4, 3), (7, 7), (5, 12)):
        for antialias in (False, True):
            x = draw(1, 2, 7, 7)
            if name == "nearest" and antialias:
                continue
            extra = {} if name == "nearest" else {"align_corners": False, "antialias": antialias}
            add("resize", [x], F.interpolate(x, size, mode=name, **extra), h=size[0], w=size[1], mode=mode, antialias=antialias)

x, w, b = draw(2, 5, 16), draw(24, 16), draw(24)
add("linear", [x, w, b], F.linear(x, w, b))
a, b = draw(2, 1, 3, 7), draw(4, 7, 5)
add("matmul", [a, b], a @ b)
q, k, v, bias = draw(2, 3, 5, 8), draw(2, 3, 7, 8), draw(2, 3, 7, 8), draw(3, 5, 7)
add("attention", [q, k, v], F.scaled_dot_product_attention(q, k, v), scale=0)
add("attention", [q, k, v, bias], F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=.3), scale=.3)
x, w, b = draw(2, 6, 4, 3), draw(6), draw(6)
add("batch_norm", [x, w, b, draw(6) * 0 + .3, torch.rand(6) + .5], x, eps=1e-5)      # filled in below
mean, var = torch.tensor(lines[-1]["in"][3][1]), torch.tensor(lines[-1]["in"][4][1])
lines[-1]["out"] = numbers(F.batch_norm(x, mean, var, w, b, eps=1e-5))
add("group_norm", [x, w, b], F.group_norm(x, 3, w, b, 1e-5), groups=3, eps=1e-5)
add("layer_norm", [x, w, b], F.layer_norm(x.permute(0, 2, 3, 1), (6,), w, b, 1e-6).permute(0, 3, 1, 2), axis=1, eps=1e-6)
x, w, b = draw(2, 5, 17), draw(17), draw(17)
add("layer_norm", [x, w, b], F.layer_norm(x, (17,), w, b, 1e-6), axis=2, eps=1e-6)
add("rms_norm", [x, w], F.rms_norm(x, (17,), w, 1e-6), axis=2, eps=1e-6)
table, index = draw(9, 4), torch.randint(0, 9, (3, 5))
add("gather", [table, index.float()], table[index])

with lzma.open(sys.argv[1], "wt", preset=9) as f:
    for line in lines:
        f.write(json.dumps(line) + "\n")
print(len(lines), "records")
