#!/usr/bin/env python3
"""golden.py - asks an installed timm 1.0.31 for the numbers that the tests hold the library to.

    golden.py names MODULE...       which models of these modules have which tensors: "name AxB dtype", sorted by name
    golden.py models CASE...        fingerprints of features, logits, pre_logits, features_only
    golden.py variants              the same for VARIANTS below: other sizes, channels and classes
    golden.py options               the same for OPTIONS below: dilation, pooling, images of any size
    golden.py kwargs                the same for KWARGS below: arguments of the constructors
    golden.py loads                 what the weights of a whole model become in the networks of LOADS below
    golden.py strides               features_only of STRIDES below, with another output_stride than their models'
    golden.py api                   of the models in API below: shapes and errors of timm's model methods
    golden.py precision CASE...     logits, and how far PyTorch's own bfloat16 autocast is off, in parts of the largest logit
    golden.py lists MODULE...       list_models, configs and resolved data configs of these modules

All of them print one JSON object a line; tests/data/*.jsonl.xz is what they printed.

A CASE is a model name with options: resnet18,size=160,in_chans=1,num_classes=10,output_stride=16; size is also passed
as img_size where the model has a fixed one; layers=1:1:2:1 is a list.  Nothing is random: parameters, buffers and the
image are a function of their names.  Element i of a tensor called NAME is lo + (hi - lo) u, with u the top 53 bits of splitmix64's output
function at fnv1a64(NAME) + (i + 1) * 0x9E3779B97F4A7C15, in double, rounded to float32; [lo, hi) is in `bounds`.  The
image is the fill of "input" in [-2, 2).  Integer tables stay as timm computes them.

A fingerprint: shape, mean, std, largest magnitude, l2 norm (double, over all), and the values at eight flat positions
k (n - 1) / 7.  "noise" is the largest relative change of a logit when every input value moves by about one unit in its
last place: hold a port to max(1e-4, 100 noise) of the largest value.
"""
import argparse
import hashlib
import json
import logging
import math
import tempfile
import warnings

import numpy as np
import safetensors.torch
import timm
import torch
from timm.data import resolve_data_config
from timm.models import _registry as registry

VARIANTS = """
resnet18,size=160,in_chans=1,num_classes=10 resnet26d,size=193 resnet10t,in_chans=4 resnext50_32x4d,size=112
seresnet18,size=96,num_classes=10 resnet50_gn,size=96 resnetaa50d,size=97 resnetblur18,size=130 ecaresnet26t,size=160
resnetrs50,size=100,in_chans=1 senet154,size=64 ecaresnet50d_pruned,size=96,num_classes=10
test_resnet,size=77,in_chans=2 efficientnet_b0,size=129,in_chans=1,num_classes=10 tf_efficientnet_b0,size=127
tf_efficientnet_lite0,size=161,in_chans=4 mixnet_s,size=97 tf_mixnet_s,size=97,num_classes=0
tf_efficientnet_cc_b0_4e,size=96 efficientnet_b0_g16_evos,size=96 efficientnet_es,size=99
tf_efficientnetv2_b0,size=101 mnasnet_small,in_chans=1 tinynet_e,size=90 test_efficientnet_ln,size=96
efficientnet_blur_b0,size=128 mobilenetv1_100h,size=95 efficientnet_x_b3,size=96 mobilenet_edgetpu_v2_xs,size=111
mobilenetv3_small_100,size=160,in_chans=1,num_classes=10 tf_mobilenetv3_large_minimal_100,size=113
mobilenetv4_conv_small,size=131,in_chans=4 mobilenetv4_hybrid_medium,size=192,num_classes=10
mobilenetv4_conv_aa_medium,size=128 lcnet_050,size=96,num_classes=0 fbnetv3_b,size=100 mobilenetv3_large_100,size=96
vit_tiny_patch16_224,size=160,in_chans=1,num_classes=10 test_vit,size=96 test_vit2,size=112,in_chans=4
test_vit3,size=128,num_classes=10 test_vit4,size=96,num_classes=0 vit_wee_patch16_reg1_gap_256,size=192
vit_dwee_patch16_reg1_gap_256,size=160,num_classes=10 vit_pwee_patch16_reg1_gap_256,size=128
vit_xsmall_patch16_clip_224,size=128,num_classes=10 vit_small_patch14_reg4_dinov2,size=126 flexivit_small,size=144
vit_small_patch16_36x1_224,size=96 vit_small_patch16_18x2_224,size=96
vit_base_patch16_siglip_224,size=96,num_classes=10 vit_base_patch16_siglip_gap_224,size=96,num_classes=10
convnext_atto,size=97,in_chans=1,num_classes=10 convnextv2_atto,size=128 convnext_zepto_rms_ols,size=96
convnext_tiny_hnf,size=96,num_classes=0 test_convnext,size=100 test_convnext2,in_chans=2 test_convnext3,size=96
convnext_large_mlp,size=64,num_classes=10 swin_tiny_patch4_window7_224,size=256,in_chans=1,num_classes=10
swin_s3_tiny_224,size=192 swin_tiny_patch4_window7_224,size=112,num_classes=0
""".split()

OPTIONS = """
resnet50d,size=128,output_stride=8,num_classes=0 resnet18,size=128,output_stride=16
resnetblur50d,size=96,output_stride=16 efficientnet_b0,size=128,output_stride=16
mobilenetv2_100,size=128,output_stride=8 mixnet_s,size=96,output_stride=8 tf_efficientnet_b0,size=96,output_stride=8
convnext_atto,size=128,output_stride=16 convnextv2_atto,size=96,output_stride=8 resnet18,size=96,global_pool=max
resnet18,size=96,global_pool=avgmax resnet18,size=96,global_pool=catavgmax
efficientnet_b0,size=96,global_pool=catavgmax mobilenetv3_small_100,size=96,global_pool=max
convnext_atto,size=96,global_pool=max swin_tiny_patch4_window7_224,global_pool=max
vit_tiny_patch16_224,global_pool=avg,num_classes=10 vit_tiny_patch16_224,global_pool=max
vit_tiny_patch16_224,global_pool=avgmax,num_classes=10 vit_tiny_patch16_224,size=160,dynamic_img_size=True
vit_wee_patch16_reg1_gap_256,size=208,dynamic_img_size=True
""".split()

KWARGS = """
resnet10t,size=40,in_chans=1,num_classes=10,stem_type=deep,stem_width=16,channels=32:64:128:256
resnet18,size=64,num_classes=10,stem_type=deep,layers=1:2:1:1
resnet26d,size=65,num_classes=10,layers=1:1:2:1,channels=16:32:48:64,replace_stem_pool=True,avg_down=False
resnet26,size=65,num_classes=10,layers=1:1:1:1,block_reduce_first=2,down_kernel_size=3
convnext_atto,size=64,num_classes=10,depths=1:1:2:1,dims=16:24:32:40,kernel_sizes=3:5:7:3,stem_type=overlap
convnext_atto,size=64,num_classes=10,depths=1:1:1:1,conv_mlp=False
vit_tiny_patch16_224,size=32,num_classes=10,patch_size=4,embed_dim=64,depth=3,num_heads=4
""".split()
OF_ALL = ("size", "out_indices", "img_size", "in_chans", "num_classes", "output_stride", "global_pool", "dynamic_img_size")

STRIDES = """
lcnet_050,size=128,output_stride=16,out_indices=0:3 lcnet_050,size=128,output_stride=8
mobilenetv3_small_100,size=128,output_stride=8 mobilenetv3_small_100,size=128,output_stride=16
mobilenetv3_large_100,size=128,output_stride=8 mobilenetv3_large_100,size=128,output_stride=16
resnet18,size=128,output_stride=16,out_indices=1:4 test_vit,output_stride=16
""".split()

LOADS = """
test_vit,img_size=96:208 test_vit,img_size=80:320 test_vit,img_size=112:64 test_vit,img_size=224:224
test_vit,img_size=96:64,patch_size=8,in_chans=1 test_vit,img_size=240:160,patch_size=20
test_vit3,img_size=96:208 test_vit2,img_size=144:256
vit_wee_patch16_reg1_gap_256,img_size=128:304 vit_xsmall_patch16_clip_224,img_size=160:112
swin_tiny_patch4_window7_224,img_size=192:256 swin_tiny_patch4_window7_224,img_size=128:128
swin_s3_tiny_224,img_size=96:320
test_vit,global_pool=avg test_vit,global_pool=avg,num_classes=0 test_vit,global_pool=avg,num_classes=10
test_vit,num_classes=0 test_vit,num_classes=10,img_size=96:208 test_vit,num_classes=1000,global_pool=max
test_vit,num_classes=10,embed_dim=32,num_heads=2 vit_small_patch14_reg4_dinov2,num_classes=10,img_size=70:42
vit_small_patch14_reg4_dinov2,img_size=70:42,global_pool=avg
""".split()

API = """
resnet18 resnet26d resnet50_gn seresnext26d_32x4d test_resnet resnet10t efficientnet_b0 tf_efficientnet_lite0 mixnet_s
mobilenetv2_100 tf_efficientnetv2_b0 test_efficientnet mobilenetv3_small_100 tf_mobilenetv3_large_minimal_100
mobilenetv4_conv_small mobilenetv4_hybrid_medium lcnet_050 fbnetv3_b vit_tiny_patch16_224 vit_wee_patch16_reg1_gap_256
test_vit test_vit2 test_vit3 test_vit4 vit_xsmall_patch16_clip_224 flexivit_small convnext_atto convnextv2_atto
test_convnext test_convnext2 swin_tiny_patch4_window7_224 swin_s3_tiny_224
""".split()


def draw(name, count, lo, hi):
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return torch.from_numpy((lo + (hi - lo) * ((z >> np.uint64(11)) * 2.0**-53)).astype(np.float32))


def bounds(name, shape):
    last = name.split(".")[-1]
    if last.startswith("running_"):
        return (0.5, 1.5) if last == "running_var" else (-0.2, 0.2)
    if len(shape) > 1:
        a = math.sqrt(3 / math.prod(shape[1:])) if shape[0] > 1 else 0.5
        return -a, a
    scale = len(shape) == 1 and (last.endswith(("weight", "scale")) or last.startswith("gamma"))
    return (0.5, 1.0) if scale else (-0.1, 0.1)


def fill(model):
    for name, t in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            t.zero_()
        elif t.is_floating_point():
            t.copy_(draw(name, t.numel(), *bounds(name, t.shape)).view(t.shape))
    return model


def fingerprint(t):
    flat = t.detach().double().reshape(-1)
    n = len(flat)
    print9 = lambda v: float("%.9g" % float(v))
    return {"shape": list(t.shape), "mean": print9(flat.mean()), "std": print9(flat.std(unbiased=False)),
            "amax": print9(flat.abs().max()), "l2": print9(flat.norm()),
            "at": [print9(flat[k * (n - 1) // 7]) for k in range(8)]}


def flatten(y):
    return [y] if torch.is_tensor(y) else [t for part in y for t in flatten(part)]


def emit(record):
    print(json.dumps(record, separators=(",", ":")), flush=True)


def sentence(error):
    return ("%s: %s" % (type(error).__name__, error)).split("\n")[0]


def manifest(model):
    return sorted((k, "x".join(map(str, v.shape)), str(v.dtype)[len("torch."):]) for k, v in model.state_dict().items())


def parse(case):
    """'resnet18,size=160' -> name, arguments of create_model, the options as a record says them, (c, h, w)."""
    name, *words = case.split(",")
    said = {}
    for key, value in (w.split("=") for w in words):
        said[key] = int(value) if value.isdigit() else {"True": True, "False": False}.get(value, value)
        if ":" in value:
            said[key] = [int(v) for v in value.split(":")]
    kw = dict(said)
    own = {k: said.pop(k) for k in list(said) if k not in OF_ALL}
    if own:
        said["model_kwargs"] = " ".join(f"{k}={v}".replace(", ", ",") for k, v in own.items())
    cfg = registry.get_pretrained_cfg(name)
    c, h, w = cfg.input_size
    size = kw.pop("size", None)
    if size:
        h = w = size
        if cfg.fixed_input_size and not kw.get("dynamic_img_size"):
            kw["img_size"] = size
    said = {("input_size" if k == "size" else k): v for k, v in said.items()}
    return name, kw, said, (kw.get("in_chans", c), h, w)


def features_only(name, kw, model, x, **more):
    """A features_only network with the parameters of model; wrappers write '_' for '.' in names."""
    taps = timm.create_model(name, features_only=True, **kw, **more).eval()
    have = {k.replace(".", "_"): v for k, v in model.state_dict().items()}
    matched = 0
    for key, value in taps.state_dict().items():
        mine = have.get(key.removeprefix("model.").replace(".", "_"))
        if mine is not None and mine.shape == value.shape:
            value.copy_(mine)
            matched += 1
    info = taps.feature_info.get_dicts(["num_chs", "reduction", "module"])
    return [info] if isinstance(info, dict) else info, [matched, len(taps.state_dict())], flatten(taps(x))


def golden(case):
    name, kw, said, (c, h, w) = parse(case)
    model = fill(timm.create_model(name, **kw).eval())
    rows = manifest(model)
    text = "".join("\t".join(row) + "\n" for row in rows)
    x = draw("input", c * h * w, -2, 2).view(1, c, h, w)
    out = {"model": name, **said, "input": [1, c, h, w], "tensors": len(rows),
           "names": hashlib.sha256(text.encode()).hexdigest(), "params": sum(p.numel() for p in model.parameters())}
    features = model.forward_features(x)
    logits = flatten(model.forward_head(features))
    moved = flatten(model(x * (1 + 1.2e-7 * draw("nudge", x.numel(), -1, 1).view(x.shape).sign())))
    out["features"] = [fingerprint(t) for t in flatten(features)]
    out["logits"] = [fingerprint(t) for t in logits]
    out["noise"] = float("%.3g" % max(((a - b).abs().max() / a.abs().max()).item() for a, b in zip(logits, moved)))
    out["pre_logits"] = [fingerprint(t) for t in flatten(model.forward_head(features, pre_logits=True))]
    try:
        info, matched, maps = features_only(name, kw, model, x)
        out.update(feature_info=info, feature_tensors_matched=matched)
        if matched[0] == matched[1]:
            out["features_only"] = [fingerprint(t) for t in maps]
    except Exception as error:
        out["features_only_error"] = sentence(error)
    return out


def precision(case):
    name, kw, said, (c, h, w) = parse(case)
    model = fill(timm.create_model(name, **kw).eval())
    x = draw("input", c * h * w, -2, 2).view(1, c, h, w)
    logits = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        off = (model(x).float() - logits).abs().max() / logits.abs().max()
    return {"model": name, **said, "input": [1, c, h, w], "logits": [fingerprint(logits)], "bf16": float("%.3g" % off.item())}


def strides(case):
    name, kw, said, shape = parse(case)
    c, h, w = shape
    x = draw("input", c * h * w, -2, 2).view(1, c, h, w)

    def run():
        info, matched, maps = features_only(name, kw, fill(timm.create_model(name).eval()), x)
        assert matched[0] == matched[1], matched
        return {"input": [1, c, h, w], "feature_info": info, "features_only": [fingerprint(t) for t in maps]}

    return {"model": name, **said, "gives": attempt(run)}


class Notes(logging.Handler):
    """The names that timm's loader finds missing and unexpected."""
    def emit(self, record):
        text = record.getMessage()
        for what in ("Missing", "Unexpected"):
            if text.startswith(what + " keys ("):
                setattr(self, what, text[text.index("(") + 1:text.index(")")].split(", "))


def loads(case):
    name, kw, said, _ = parse(case)
    saved = fill(timm.create_model(name)).state_dict()
    notes = Notes()
    logger = logging.getLogger("timm.models._builder")
    logger.handlers, logger.propagate = [notes], False
    logger.setLevel(logging.INFO)

    def load():
        with tempfile.TemporaryDirectory() as folder:
            file = folder + "/model.safetensors"
            safetensors.torch.save_file(saved, file)
            model = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"file": file}, **kw).eval()
        found = model.state_dict()
        missing = getattr(notes, "Missing", [])
        for key in missing:
            found[key].copy_(draw(key, found[key].numel(), *bounds(key, found[key].shape)).view(found[key].shape))
        refit = {k: fingerprint(v) for k, v in found.items()
                 if k in saved and k not in missing and not (v.shape == saved[k].shape and torch.equal(v, saved[k]))}
        c = kw.get("in_chans", 3)
        h, w = kw.get("img_size", model.pretrained_cfg["input_size"][1:])
        x = draw("input", c * h * w, -2, 2).view(1, c, h, w)
        return {"input": [1, c, h, w], "missing": missing, "unexpected": getattr(notes, "Unexpected", []),
                "refit": refit, "logits": fingerprint(model(x))}

    return {"model": name, **said, "gives": attempt(load)}


def shapes(y):
    return [list(t.shape) for t in flatten(y)]


def attempt(action):
    """What action answers, or {"error": the exception's first line}."""
    try:
        return action()
    except Exception as error:
        return {"error": sentence(error)}


def tapped(name, model, x, **how):
    info, _, maps = features_only(name, {}, model, x, **how)
    return {"info": info, "maps": shapes(maps)}


def reset(name, x, *args):
    model = timm.create_model(name).eval()
    model.reset_classifier(*args)
    return {"num_classes": model.num_classes, "num_features": model.num_features, "logits": shapes(model(x)),
            "head_hidden_size": model.head_hidden_size,
            "pre_logits": shapes(model.forward_head(model.forward_features(x), pre_logits=True)),
            "params": sum(p.numel() for p in model.parameters())}


def strided(name, x, stride):
    model = timm.create_model(name, output_stride=stride).eval()
    taps = timm.create_model(name, features_only=True, output_stride=stride).eval()
    return {"features": shapes(model.forward_features(x)), "maps": shapes(taps(x)),
            "info": taps.feature_info.get_dicts(["num_chs", "reduction", "module"])}


def api(name):
    model = timm.create_model(name).eval()
    c, h, w = model.pretrained_cfg["input_size"]
    x = draw("input", c * h * w, -2, 2).view(1, c, h, w)
    features = model.forward_features(x)
    return {
        "model": name, "input": [1, c, h, w], "num_features": model.num_features,
        "head_hidden_size": model.head_hidden_size, "num_classes": model.num_classes,
        "features": shapes(features), "pre_logits": shapes(model.forward_head(features, pre_logits=True)),
        "logits": shapes(model(x)),
        "reset": [{"args": list(a), "gives": attempt(lambda: reset(name, x, *a))}
                  for a in ((0,), (0, ""), (10,), (10, "avg"), (10, "max"), (10, "catavgmax"))],
        "taps": [{"out_indices": o, "gives": attempt(lambda: tapped(name, model, x, out_indices=o) if o else
                                                     tapped(name, model, x))}
                 for o in (None, [0], [1, 3], [-1], [-2, -1], [3, 1], 2, [99])],
        "output_stride": [{"stride": s, "gives": attempt(lambda: strided(name, x, s))} for s in (16, 8, 4)],
        "in_chans": [{"in_chans": n, "names": hashlib.sha256("".join(
            "\t".join(r) + "\n" for r in manifest(timm.create_model(name, in_chans=n))).encode()).hexdigest()}
            for n in (1, 4)],
    }


def names(modules):
    same = {}
    for name in timm.list_models(module=modules):
        with torch.device("meta"):
            rows = manifest(timm.create_model(name))
        same.setdefault(tuple(" ".join(row) for row in rows), []).append(name)
    for rows, who in same.items():
        emit({"models": who, "tensors": rows})


QUERIES = [
    {},
    {"pretrained": True},
    {"include_tags": True},
    {"pretrained": True, "include_tags": False},
    {"name_matches_cfg": True},
    {"filter": ""},
    {"filter": "resnet50"},
    {"filter": "resnet50", "pretrained": True},
    {"filter": "resnet50.*", "pretrained": True},
    {"filter": "resnet50.*"},
    {"filter": "RESNET50"},
    {"filter": "resnet*"},
    {"filter": "*resnext*"},
    {"filter": "*.in21k*", "pretrained": True},
    {"filter": "*in12k*", "include_tags": True},
    {"filter": ["vit_tiny*", "swin_*"], "exclude_filters": "*384*"},
    {"filter": "vit_*", "pretrained": True, "exclude_filters": ["*clip*", "*.augreg*"]},
    {"filter": "resnet50.a1*", "exclude_filters": "resnet50", "pretrained": True},
    {"exclude_filters": "*"},
    {"filter": "[er]esnet1?", "pretrained": False},
    {"filter": "[!t]*net_b?", "pretrained": True},
    {"filter": "*_b[0-3]"},
    {"filter": "[]r]esnet18"},
    {"filter": "resnet[1-"},
    {"filter": "[r-q]esnet18"},
    {"filter": "[!r-q]esnet18"},
    {"filter": "[a-]esnet18"},
    {"filter": "r[^x]snet18"},
    {"filter": "*[0-9][0-9]?_*x*d"},
    {"filter": "tf_efficientnet_b0_ns"},
    {"filter": "convnext?*_*_rms", "name_matches_cfg": True},
    {"filter": "test_*"},
    {"filter": "test_*", "pretrained": True},
]


NOT_HELD = ("file", "state_dict", "source", "label_offset", "label_names", "label_descriptions", "custom_load",
            "paper_name")


def config(arch, tag):
    name = arch + "." + tag if tag else arch
    cfg = registry.get_pretrained_cfg(name).to_dict(remove_null=False)
    return {"config": name, "module": registry._model_to_module[arch],
            "default": tag == registry._model_default_cfgs[arch].tags[0],
            "cfg": {k: v for k, v in cfg.items() if k not in NOT_HELD and v not in (None, "")},
            "train": resolve_data_config(pretrained_cfg=cfg, use_test_size=False),
            "test": resolve_data_config(pretrained_cfg=cfg, use_test_size=True)}


def lists(modules):
    for query in QUERIES:
        for module in [modules] + ([] if "filter" in query else [[m] for m in modules]):
            emit({"query": {"module": module, **query}, "gives": timm.list_models(module=module, **query)})
    archs = timm.list_models(module=modules)
    for arch in archs:
        for tag in registry._model_default_cfgs[arch].tags:
            emit(config(arch, tag))
    asked = ["", ".a1_in1k", "resnet50.nope", "resnet5", "Resnet50", "tf_efficientnet_b0_ns", "tf_efficientnet_b0_ns.x"]
    for name in asked + archs + [c for a in archs for c in registry._model_with_tags[a]]:
        emit({"name": name, "is_model": timm.is_model(name), "is_pretrained": timm.is_model_pretrained(name)})
    for old, new in registry._deprecated_models.items():
        emit({"old": old, "new": new})
    info = timm.data.ImageNetInfo()
    emit({"labels": [info.index_to_description(i) for i in range(info.num_classes())]})


def main():
    assert timm.__version__ == "1.0.31", "the tests speak of timm 1.0.31, installed is " + timm.__version__
    warnings.filterwarnings("ignore")
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=["names", "models", "variants", "options", "kwargs", "loads", "strides",
                                     "precision", "api", "lists"])
    ap.add_argument("argument", nargs="*")
    ap.add_argument("--threads", type=int, default=1)
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    if args.what in ("names", "lists"):
        (names if args.what == "names" else lists)(args.argument)
        return
    cases = {"variants": VARIANTS, "options": OPTIONS, "kwargs": KWARGS, "loads": LOADS, "strides": STRIDES, "api": API}.get(args.what, [])
    cases = [c for c in cases if not args.argument or c.split(",")[0] in args.argument] or args.argument
    for case in cases:
        emit(attempt(lambda: {"api": api, "loads": loads, "strides": strides, "precision": precision}.get(args.what, golden)(case)))


if __name__ == "__main__":
    main()
