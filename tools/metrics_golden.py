#!/usr/bin/env python3
"""What timm's evaluators and PyTorch say of made-up logits: tests/data/train-metrics.jsonl, for tests/train_parts.

    tools/metrics_golden.py > tests/data/train-metrics.jsonl

Logits: the fill (golden.py) of NAME/logits over (N, C) in +-R, to the next multiple of "step" where it is not 0 (many
are equal then); labels (7 i + 3) % C; multi-label targets: 1 where the fill of NAME/multi in [0, 1) is below "density".
Needs: pip install torch timm.
"""
import json

import timm
import torch
from golden import draw
from timm.task.evaluator import ClassificationEvaluator, MultiLabelClassificationEvaluator, _average_precision

print(json.dumps({"what": "metrics", "timm": timm.__version__, "torch": torch.__version__.split("+")[0]}))
for name, n, c, r, step, density, threshold in (
        ("a", 200, 12, 3., 0., .3, .5), ("b", 97, 7, 2., .5, .4, .3), ("c", 40, 3, 4., 1., .05, .5),
        ("d", 5, 30, 1., 0., .1, .6), ("e", 300, 10, 2., .25, .002, .7)):
    x = draw(name + "/logits", n * c, -r, r).view(n, c)
    if step:
        x = torch.ceil(x / step) * step
    t = (draw(name + "/multi", n * c, 0., 1.).view(n, c) < density).float()
    y = torch.tensor([(7 * i + 3) % c for i in range(n)])
    one, many = ClassificationEvaluator(), MultiLabelClassificationEvaluator(threshold=threshold)
    for i in range(0, n, 64):
        one.update(x[i:i + 64], y[i:i + 64])
        many.update(x[i:i + 64], t[i:i + 64])
    rec = {"name": name, "n": n, "c": c, "range": r, "step": step, "density": density, "threshold": threshold}
    if not step:                                    # of equal logits PyTorch takes any
        rec |= {k: one.compute()[k] for k in ("top1", "top5")}
        rec["confusion"] = torch.bincount(y * c + x.argmax(1), minlength=c * c).tolist()
    rec |= {k: many.compute()[k] for k in ("map", "micro_f1", "macro_f1", "sample_f1")}
    rec["ap"] = _average_precision(x, t.bool()).tolist()
    print(json.dumps(rec))
