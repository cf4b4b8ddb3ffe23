#!/usr/bin/env python3
"""This program, ONNX Runtime, OpenVINO and PyTorch on the same models in one interleaved run.

    run.py TIMM OUT.md [--threads 2] [--rounds 6] [--runs 5] [--batch 1,16] [--cache FOLDER] [MODEL...]

Needs a Python with: torch timm onnx onnxruntime openvino.  In every round each engine in turn does two runs to warm up and some
counted ones, so that whatever else the machine does meets all alike; what is compared is the least and the median over all rounds.
The tables, one a batch size, replace what stands between the two marks in OUT.md.
"""
import argparse, json, os, subprocess, sys, time, warnings

warnings.filterwarnings("ignore")
import numpy as np
import onnxruntime as ort
import openvino as ov
import timm
import torch
from report import least_median, load, where, write_between

MODELS = ["resnet18", "resnet50", "mobilenetv3_large_100", "efficientnet_b0", "convnext_tiny", "vit_tiny_patch16_224",
          "vit_base_patch16_224", "swin_tiny_patch4_window7_224"]
PEERS = ["ONNX Runtime", "OpenVINO", "PyTorch"]


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


def engines(name, batch, args):
    """Name of each engine and a function that gives the milliseconds of some runs."""
    model = timm.create_model(name).eval()
    image = torch.randn(batch, *model.default_cfg["input_size"])
    path = export(name, model, image, args.cache)
    options = ort.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": args.threads, "PERFORMANCE_HINT": "LATENCY",
                                                     "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    x = image.numpy()

    def ours():
        out = subprocess.run([args.timm, "benchmark", name, "-b", str(batch), "--threads", str(args.threads), "--runs",
                              str(args.runs), "--json", "--times"], check=True, capture_output=True, text=True).stdout
        return json.loads(out)["ms"]

    def torch_run():
        with torch.inference_mode():
            model(image)

    want = model(image).detach().numpy()
    for peer, got in (("ONNX Runtime", session.run(None, {"x": x})[0]), ("OpenVINO", request.infer({0: x})[0])):
        worst = np.abs(got - want).max() / np.abs(want).max()
        if worst > 1e-3:
            print(f"{name}: {peer} differs from PyTorch by {worst:.2g}", file=sys.stderr)
    return {"timm": ours, "ONNX Runtime": lambda: timed(lambda: session.run(None, {"x": x}), args.runs),
            "OpenVINO": lambda: timed(lambda: request.infer({0: x}), args.runs), "PyTorch": lambda: timed(torch_run, args.runs)}


def measure(name, batch, args):
    e = engines(name, batch, args)
    times = {k: [] for k in e}
    for _ in range(args.rounds):
        for k, run in e.items():
            times[k] += run()
            time.sleep(.05)                      # threads that spin come to rest
    return {k: least_median(t) for k, t in times.items()}


def line(name, t):
    ours = t["timm"]
    cells = ["%.1f / %.1f" % t[k] for k in ["timm"] + PEERS]
    cells += ["%.2f / %.2f" % (ours[0] / t[p][0], ours[1] / t[p][1]) for p in PEERS]
    return f"| {name} | " + " | ".join(cells) + " |"


def table(batch, lines, args):
    return "\n".join([
        f"fp32, batch {batch}, {where(args.threads)}; ONNX Runtime {ort.__version__}, OpenVINO {ov.__version__.split('-')[0]}, "
        f"PyTorch {torch.__version__}. Milliseconds: least / median of {args.rounds} x {args.runs} interleaved runs ({load()}); "
        "ratios: this program's time over the other's, below 1 it is faster.", "",
        "| model | timm | " + " | ".join(PEERS) + " | " + " | ".join("/ " + p for p in PEERS) + " |",
        "|---|" + "---|" * (1 + 2 * len(PEERS)), *lines])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("timm")
    p.add_argument("out")
    p.add_argument("models", nargs="*")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=6)
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--batch", type=lambda text: [int(n) for n in text.split(",")], default=[1, 16])
    p.add_argument("--cache", default="build/bench")
    args = p.parse_intermixed_args()
    os.makedirs(args.cache, exist_ok=True)
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    tables = []
    for batch in args.batch:
        lines = []
        for name in args.models or MODELS:
            lines.append(line(name, measure(name, batch, args)))
            print(lines[-1], flush=True)
        tables.append(table(batch, lines, args))
        write_between(args.out, "bench", "\n\n".join(tables))


main()
