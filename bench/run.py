#!/usr/bin/env python3
"""This program, ONNX Runtime, OpenVINO and PyTorch on the same models in one interleaved run.

    run.py TIMM OUT.md [--threads 2] [--rounds 6] [--runs 5] [--batch 1,16] [--precision fp32,bf16x6,bf16x3,bf16] [--cache FOLDER] [MODEL...]

Needs a Python with: torch timm onnx onnxruntime openvino.  In every round each engine in turn does two runs to warm up and some
counted ones, so that whatever else the machine does meets all alike; what is compared is the least and the median over all rounds.
bf16x6 and bf16x3 stand beside the others' fp32, bf16 beside their bf16; all are left out where the processor has no instructions for them.
The tables, one a batch size and precision of the others, replace what stands between the two marks in OUT.md.
"""
import argparse, json, os, statistics, subprocess, sys, time, warnings

warnings.filterwarnings("ignore")
import numpy as np
import onnxruntime as ort
import openvino as ov
import timm
import torch
from report import least_median, load, supported, where, write_between

MODELS = ["resnet18", "resnet50", "mobilenetv3_large_100", "efficientnet_b0", "convnext_tiny", "vit_tiny_patch16_224",
          "vit_base_patch16_224", "swin_tiny_patch4_window7_224"]
# An engine is one program at one precision; the table of a precision holds ours and what they are held against.
PEERS = {"fp32": ["ONNX Runtime", "OpenVINO", "PyTorch"], "bf16": ["OpenVINO bf16", "PyTorch bf16"]}


def timed(run, runs):
    times = []
    for i in range(runs + 2):
        start = time.perf_counter()
        run()
        if i >= 2:
            times.append(1e3 * (time.perf_counter() - start))
    return times


def export(name, model, image, cache):
    path = os.path.join(cache, f"{name}-b{image.shape[0]}.onnx")
    if not os.path.exists(path):
        torch.onnx.export(model, (image,), path + ".part", input_names=["x"], output_names=["y"], opset_version=17, dynamo=False)
        os.replace(path + ".part", path)
    return path


def openvino(path, precision, threads):
    return ov.Core().compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
                                                 "INFERENCE_PRECISION_HINT": precision}).create_infer_request()


def engines(name, batch, args):
    """Name of each engine and a function that gives the milliseconds of some runs."""
    model = timm.create_model(name).eval()
    image = torch.randn(batch, *model.default_cfg["input_size"])
    path = export(name, model, image, args.cache)
    x = image.numpy()

    def ours(precision):
        out = subprocess.run([args.timm, "benchmark", name, "-b", str(batch), "--threads", str(args.threads), "--runs",
                              str(args.runs), "--precision", precision, "--json", "--times"], check=True, capture_output=True,
                             text=True).stdout
        return json.loads(out)["ms"]

    def torch_run(bf16):
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return model(image)

    e = {"timm " + p: lambda p=p: ours(p) for p in args.precision}
    if set(args.precision) - {"bf16"}:
        options = ort.SessionOptions()
        options.intra_op_num_threads = args.threads
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        request = openvino(path, "f32", args.threads)
        want = model(image).detach().numpy()
        for peer, got in (("ONNX Runtime", session.run(None, {"x": x})[0]), ("OpenVINO", request.infer({0: x})[0])):
            worst = np.abs(got - want).max() / np.abs(want).max()
            if worst > 1e-3:
                print(f"{name}: {peer} differs from PyTorch by {worst:.2g}", file=sys.stderr)
        e["ONNX Runtime"] = lambda: timed(lambda: session.run(None, {"x": x}), args.runs)
        e["OpenVINO"] = lambda: timed(lambda: request.infer({0: x}), args.runs)
        e["PyTorch"] = lambda: timed(lambda: torch_run(False), args.runs)
    if "bf16" in args.precision:
        half = openvino(path, "bf16", args.threads)
        e["OpenVINO bf16"] = lambda: timed(lambda: half.infer({0: x}), args.runs)
        e["PyTorch bf16"] = lambda: timed(lambda: torch_run(True), args.runs)
    return e


def measure(name, batch, args):
    e = engines(name, batch, args)
    times = {k: [] for k in e}
    for _ in range(args.rounds):
        for k, run in e.items():
            times[k] += run()
            time.sleep(.05)                      # threads that spin come to rest
    return {k: least_median(t) for k, t in times.items()}


def geometric_mean(ratios):
    return statistics.geometric_mean(ratios) if ratios else float("nan")


def table(batch, precision, results, args):
    """Ours of that precision (bf16x6 and bf16x3 are among fp32's) and the peers', then each of ours over the best of the peers."""
    ours = ["timm " + p for p in args.precision if (p == "bf16") == (precision == "bf16")]
    if not ours:
        return ""
    peers = PEERS[precision]
    lines, ratios = [], {o: ([], []) for o in ours}
    for name, t in results.items():
        best = [min(t[p][i] for p in peers) for i in (0, 1)]
        cells = ["%.1f / %.1f" % t[k] for k in ours + peers]
        for o in ours:
            r = [t[o][i] / best[i] for i in (0, 1)]
            ratios[o][0].append(r[0]), ratios[o][1].append(r[1])
            cells.append("%.2f / %.2f" % tuple(r))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    means = ["%.2f / %.2f" % tuple(geometric_mean(r) for r in ratios[o]) for o in ours]
    lines.append("| geometric mean |" + " |" * (len(ours) + len(peers)) + " " + " | ".join(means) + " |")
    return "\n".join([
        f"{precision}, batch {batch}, {where(args.threads)}; ONNX Runtime {ort.__version__}, OpenVINO {ov.__version__.split('-')[0]}, "
        f"PyTorch {torch.__version__}. Milliseconds: least / median of {args.rounds} x {args.runs} interleaved runs ({load()}); "
        "ratios: this program's time over the best of the others', below 1 it is faster.", "",
        "| model | " + " | ".join(ours + peers) + " | " + " | ".join(o + " / best" for o in ours) + " |",
        "|---|" + "---|" * (2 * len(ours) + len(peers)), *lines])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("timm")
    p.add_argument("out")
    p.add_argument("models", nargs="*")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=6)
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--batch", type=lambda text: [int(n) for n in text.split(",")], default=[1, 16])
    p.add_argument("--precision", type=lambda text: text.split(","), default=["fp32", "bf16x6", "bf16x3", "bf16"])
    p.add_argument("--cache", default="build/bench")
    args = p.parse_intermixed_args()
    os.makedirs(args.cache, exist_ok=True)
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    args.precision = supported(args.timm, args.precision)
    tables = []
    for batch in args.batch:
        results = {}
        for name in args.models or MODELS:
            results[name] = measure(name, batch, args)
            print(batch, name, "  ".join("%s %.1f / %.1f" % (k, *t) for k, t in results[name].items()), flush=True)
        tables += filter(None, (table(batch, precision, results, args) for precision in PEERS))
        write_between(args.out, "bench", "\n\n".join(tables))


main()
