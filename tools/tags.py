#!/usr/bin/env python3
"""tags.py - writes src/zoo/*.tags.h and src/zoo/imagenet1k.labels.h from an installed timm 1.0.31.

    tools/tags.py resnet convnext      the rows of these modules (default: of every *.tags.h there is)
    tools/tags.py --deprecated         the names that older timms used and what they mean now
    tools/tags.py --labels             ImageNet-1k's class descriptions

The output is checked in; users of the library never run this.
"""
import argparse
import importlib
import os

import timm
from timm.models import _registry as registry

ZOO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "src", "zoo")
WIDTH = 120

# Names of timm 0.4.9 and 0.5.4 that went away without a word from timm, where the successor has the same network and
# the tag the same weights; and two of timm's deprecations that name a tag which does not exist ("sam" for "sam_in1k").
RENAMED = {
    "beit_base_patch16_224_in22k": "beit_base_patch16_224.in22k_ft_in22k",
    "beit_large_patch16_224_in22k": "beit_large_patch16_224.in22k_ft_in22k",
    "vit_base_patch16_sam_224": "vit_base_patch16_224.sam_in1k",
    "vit_base_patch32_sam_224": "vit_base_patch32_224.sam_in1k",
    "vit_base_patch16_224_sam": "vit_base_patch16_224.sam_in1k",
    "vit_base_patch32_224_sam": "vit_base_patch32_224.sam_in1k",
    "vit_deit_tiny_patch16_224": "deit_tiny_patch16_224.fb_in1k",
    "vit_deit_small_patch16_224": "deit_small_patch16_224.fb_in1k",
    "vit_deit_base_patch16_224": "deit_base_patch16_224.fb_in1k",
    "vit_deit_base_patch16_384": "deit_base_patch16_384.fb_in1k",
    "vit_deit_tiny_distilled_patch16_224": "deit_tiny_distilled_patch16_224.fb_in1k",
    "vit_deit_small_distilled_patch16_224": "deit_small_distilled_patch16_224.fb_in1k",
    "vit_deit_base_distilled_patch16_224": "deit_base_distilled_patch16_224.fb_in1k",
    "vit_deit_base_distilled_patch16_384": "deit_base_distilled_patch16_384.fb_in1k",
}

NORMS = {
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)): None,
    ((0.5,) * 3, (0.5,) * 3): "ZOO_HALF",
    ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)): "ZOO_CLIP",
    ((0.0,) * 3, (1.0,) * 3): "ZOO_ZERO_ONE",
    ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3): "ZOO_DPN",
    ((0.43, 0.411, 0.296), (0.213, 0.156, 0.143)): "ZOO_SAT493M",
}
FILTERS = {"bicubic": None, "bilinear": "ZOO_BILINEAR"}
CROPS = {"center": None, "squash": "ZOO_SQUASH", "border": "ZOO_BORDER"}
UNUSED = ("file", "state_dict", "hf_hub_filename", "test_pool_size", "label_offset", "label_names",
          "label_descriptions", "description")


def c_string(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def joined(value, between=" "):
    """One C string of a string or of several; None of nothing."""
    if not value:
        return None
    return c_string(value if isinstance(value, str) else between.join(value))


def numbers(value):
    return "{ " + ", ".join(str(v) for v in value) + " }"


def fraction(value):
    text = repr(float(value))
    return text[1:] if text.startswith("0.") else text


def designators(name, cfg):
    """The fields of a row that differ from struct zoo_tag's defaults, in its order."""
    for field in UNUSED:
        assert getattr(cfg, field) is None, (name, field)
    norm = NORMS[tuple(cfg.mean), tuple(cfg.std)]
    hub = cfg.hf_hub_id or None
    auto = hub in ("timm/", "timm/" + name)
    yield "input", None if tuple(cfg.input_size) == (3, 224, 224) else numbers(cfg.input_size)
    yield "test", cfg.test_input_size and numbers(cfg.test_input_size)
    yield "min", cfg.min_input_size and numbers(cfg.min_input_size)
    yield "fixed", "true" if cfg.fixed_input_size else None
    yield "filter", FILTERS[cfg.interpolation]
    yield "crop_pct", None if cfg.crop_pct == 0.875 else fraction(cfg.crop_pct)
    yield "test_crop_pct", fraction(cfg.test_crop_pct) if cfg.test_crop_pct else None
    yield "crop", CROPS[cfg.crop_mode]
    yield "norm", norm
    yield "classes", {1000: None, 0: "ZOO_NO_HEAD"}.get(cfg.num_classes, str(cfg.num_classes))
    yield "pool", cfg.pool_size and numbers(cfg.pool_size)
    yield "first_conv", joined(cfg.first_conv)
    yield "classifier", joined(cfg.classifier)
    yield "license", joined(cfg.license)
    yield "no_hub", None if hub else "true"
    yield "hub", None if auto or not hub else c_string(hub)
    yield "url", joined(cfg.url)
    yield "origin", joined(cfg.origin_url)
    yield "papers", joined(cfg.paper_ids)
    yield "notes", joined(cfg.notes, "; ")


def split(word, room, at="/"):
    """A word of one C string, cut after a slash into adjacent literals where it is longer than a line."""
    cut = word.rfind(at, 0, room - 1) + 1
    return [word] if len(word) <= room else [word[:cut] + '"'] + split('"' + word[cut:], room, at)


def row(name, cfg):
    words = [c_string(name)] + [".%s = %s" % (k, v) for k, v in designators(name, cfg) if v]
    if len(words) == 1:
        words.append(".no_hub = false")
    lines, line = [], "    { "
    for i, word in enumerate(words):
        end = " }," if i == len(words) - 1 else ","
        if len(line) + len(word) + len(end) > WIDTH and line.strip() != "{":
            lines.append(line.rstrip())
            line = "      "
        first, *rest = split(word + end, WIDTH - 6)
        for part in rest:
            lines.append(line + first)
            line, first = "      ", part
        line += first + " "
    return "\n".join(lines + [line.rstrip()]) + "\n"


def write(name, text):
    with open(os.path.join(ZOO, name), "w", encoding="utf-8") as f:
        f.write(text)


def write_module(module):
    cfgs = importlib.import_module("timm.models." + module).default_cfgs
    names = registry._module_to_models[module] - registry._deprecated_models.keys()
    archs = [a for a in cfgs if a in names]
    assert not names - set(archs), (module, "without any config", names - set(archs))
    text = "/* %s.tags.h - the weights that timm 1.0.31 publishes for it; written by tools/tags.py. */\n" % module
    text += '#include "zoo/tag.h"\n\nstatic const struct zoo_tag %s_tags[] = {\n' % module
    for arch in archs:
        default = cfgs[arch]
        for tag in default.tags:
            text += row(arch + "." + tag if tag else arch, default.cfgs[tag])
    write(module + ".tags.h", text + "};\n")


def write_deprecated():
    """timm's own map, and RENAMED: both point at names that exist, though perhaps in no family of ours yet."""
    names = dict(registry._deprecated_models)
    for old, new in RENAMED.items():
        arch, _, tag = new.partition(".")
        assert names.get(old) not in registry._model_pretrained_cfgs, old
        assert arch in registry._model_entrypoints and (not tag or new in registry._model_pretrained_cfgs), new
        names[old] = new
    text = "/* deprecated.tags.h - names of older timms and what they mean in 1.0.31; written by tools/tags.py. */\n"
    text += "\nstruct zoo_renamed { const char *old, *now; };\n\nstatic const struct zoo_renamed zoo_deprecated[] = {\n"
    text += "".join("    { %s, %s },\n" % (c_string(old), c_string(new)) for old, new in sorted(names.items()))
    write("deprecated.tags.h", text + "};\n")


def write_labels():
    info = timm.data.ImageNetInfo("imagenet-1k")
    text = "/* imagenet1k.labels.h - ImageNet-1k's classes as WordNet's lemmas; written by tools/tags.py. */\n"
    text += "\nstatic const char *const imagenet1k_labels[1000] = {\n"
    for i in range(info.num_classes()):
        text += "    " + "\n    ".join(split(c_string(info.index_to_description(i)) + ",", WIDTH - 4, " ")) + "\n"
    write("imagenet1k.labels.h", text + "};\n")


def main():
    assert timm.__version__ == "1.0.31", "this table is of timm 1.0.31, installed is " + timm.__version__
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("module", nargs="*")
    ap.add_argument("--deprecated", action="store_true")
    ap.add_argument("--labels", action="store_true")
    args = ap.parse_args()
    if args.deprecated:
        write_deprecated()
    if args.labels:
        write_labels()
    modules = args.module
    if not (modules or args.deprecated or args.labels):
        end = ".tags.h"
        modules = sorted(f[:-len(end)] for f in os.listdir(ZOO) if f.endswith(end) and f != "deprecated" + end)
    for module in modules:
        write_module(module)


if __name__ == "__main__":
    main()
