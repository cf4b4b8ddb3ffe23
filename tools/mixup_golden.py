#!/usr/bin/env python3
"""Batches that timm's FastCollateMixup mixes when its draws are given ones: tests/data/train-mixup.jsonl.xz.

    tools/mixup_golden.py | xz -9 > tests/data/train-mixup.jsonl.xz

Needs: pip install torch timm.
"""
import json

import numpy as np
import timm.data.mixup as mx
import torch


def case(mode, n, h, w, classes, smoothing, cuts, lams, centres, minmax=None, sides=None, multi=False, seed=0):
    rng = np.random.default_rng(seed)
    px = rng.integers(0, 256, (n, 3, h, w), dtype=np.uint8)
    labels = rng.integers(0, classes, n)
    dense = (rng.random((n, classes)) < .3).astype(np.float32)
    m = mx.FastCollateMixup(mixup_alpha=1., cutmix_alpha=1., cutmix_minmax=minmax, prob=1., switch_prob=.5, mode=mode,
                            label_smoothing=smoothing, num_classes=classes, multi_label=multi)
    per = {'batch': 1, 'pair': n // 2, 'elem': n}[mode]
    it = {'c': 0}
    boxes = []
    orig = mx.cutmix_bbox_and_lam
    cut_rows = [i for i in range(per) if cuts[i] and lams[i] != 1]
    def fake_box(shape, lam, **kw):
        row = cut_rows[it['c']]; it['c'] += 1
        ints = []
        if minmax is None:
            ints = [np.int64(centres[row][0]), np.int64(centres[row][1])]
        else:
            ints = [np.int64(v) for v in sides[row]]
        def randint(*a, **k): return ints.pop(0)
        old = np.random.randint; np.random.randint = randint
        try: r = orig(shape, lam, **kw)
        finally: np.random.randint = old
        boxes.append((row, [int(v) for v in r[0]], float(r[1])))
        return r
    mx.cutmix_bbox_and_lam = fake_box
    if mode == 'batch':
        m._params_per_batch = lambda: (float(np.float32(lams[0])), bool(cuts[0]))
    else:
        m._params_per_elem = lambda k: (np.array(lams[:k], dtype=np.float32), np.array(cuts[:k], dtype=bool))
    out, target = m([(px[i].copy(), torch.from_numpy(dense[i]) if multi else int(labels[i])) for i in range(n)])
    mx.cutmix_bbox_and_lam = orig
    rec = dict(mode=mode, n=n, h=h, w=w, classes=classes, smoothing=smoothing, multi=multi,
               cut=[bool(c) for c in cuts[:per]], lam=[float(np.float32(l)) for l in lams[:per]],
               centre=[list(map(int, c)) for c in centres[:per]] if minmax is None else None,
               part=minmax, sides=[list(map(int, s)) for s in sides[:per]] if minmax else None,
               boxes=[[r, *b, l] for r, b, l in boxes],
               pixels=px.tobytes().hex(), labels=labels.tolist(), dense=dense.astype(int).tolist() if multi else None,
               out=out.numpy().tobytes().hex(), target=[[float('%.9g' % v) for v in r] for r in target.numpy()])
    print(json.dumps(rec, separators=(',', ':')))

n, h, w = 6, 10, 12
rng = np.random.default_rng(5)
lams = rng.random(n).tolist(); lams[2] = 1.0
cuts = [True, False, True, True, False, True]
ce = [(rng.integers(0, h), rng.integers(0, w)) for _ in range(n)]
sides = [(3, 4, 5, 6), (2, 6, 0, 1), (4, 4, 3, 3), (5, 3, 4, 9), (2, 2, 2, 2), (6, 8, 4, 4)]
case('batch', n, h, w, 5, .1, [False], [lams[0]], ce, seed=1)
case('batch', n, h, w, 5, .1, [True], [lams[1]], ce, seed=2)
case('batch', n, h, w, 5, .0, [False], [1.0], ce, seed=3)
case('pair', n, h, w, 7, .2, cuts, lams, ce, seed=4)
case('elem', n, h, w, 5, .1, cuts, lams, ce, seed=5)
case('elem', n, h, w, 5, .1, cuts, lams, ce, minmax=(.2, .7), sides=sides, seed=6)
case('batch', n, h, w, 5, .1, [False], [lams[3]], ce, multi=True, seed=7)
case('elem', n, h, w, 5, .1, [False] * n, lams, ce, multi=True, seed=8)
