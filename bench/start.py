#!/usr/bin/env python3
"""From nothing to the first answer, and the peak of memory: this program, ONNX Runtime and PyTorch in turn.

    start.py TIMM OUT.md [--threads 2] [--rounds 5] [--cache FOLDER] [MODEL...]

Needs GNU time and a Python with: torch timm onnx onnxruntime safetensors.  Of this program it is the whole process, `timm infer` on a photograph
with a file of weights.  Of the others a process begins with its imports; counted is from then on: the session of an ONNX file, or
the network and its weights, and the first answer.  The peak (VmHWM) is of the whole process, and beside it without what it held
when the imports were done.  Files lie in the page cache for all.
"""
import argparse, json, os, subprocess, sys, time

MODELS = ["resnet18", "resnet50", "mobilenetv3_large_100", "efficientnet_b0", "convnext_tiny", "vit_tiny_patch16_224",
          "vit_base_patch16_224", "swin_tiny_patch4_window7_224"]
PEERS = ["ONNX Runtime", "PyTorch"]
PHOTO = os.path.join(os.path.dirname(__file__), "..", "tests", "data", "chelsea.jpg")


def held(field):
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith(field + ":"))


def worker(engine, name, path, threads):
    import numpy as np
    image = np.zeros((1, 3, 224, 224), np.float32)
    if engine == "PyTorch":
        import timm, torch
        from safetensors.torch import load_file
        torch.set_num_threads(threads)
        before, start = held("VmRSS"), time.perf_counter()
        model = timm.create_model(name).eval()
        model.load_state_dict(load_file(path))
        with torch.inference_mode():
            model(torch.from_numpy(image))
    else:
        import onnxruntime as ort
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        before, start = held("VmRSS"), time.perf_counter()
        ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, {"x": image})
    print(json.dumps([time.perf_counter() - start, held("VmHWM"), held("VmHWM") - before]))


def ours(args, name, weights):
    command = [args.timm, "infer", PHOTO, "--model", name, "--checkpoint", weights, "--threads", str(args.threads)]
    start = time.perf_counter()                  # a child of this process would inherit its peak: GNU time's does not
    done = subprocess.run(["/usr/bin/time", "-f", "%M"] + command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    took = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    peak = int(done.stderr.split()[-1]) * 1024
    return [took, peak, peak]


def theirs(args, engine, name, path):
    command = [sys.executable, __file__, "--worker", engine, name, path, str(args.threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def files(name, cache):
    import timm, torch
    from safetensors.torch import save_file
    weights, graph = os.path.join(cache, name + ".safetensors"), os.path.join(cache, name + "-b1.onnx")
    model = timm.create_model(name).eval()
    if not os.path.exists(graph):
        torch.onnx.export(model, (torch.zeros(1, 3, 224, 224),), graph + ".part", input_names=["x"], output_names=["y"], opset_version=17,
                          dynamo=False)
        os.replace(graph + ".part", graph)
    save_file(model.state_dict(), weights)
    return weights, graph


def line(name, args):
    from report import least_median
    weights, graph = files(name, args.cache)
    runs = {k: [] for k in ["timm"] + PEERS}
    for _ in range(args.rounds):
        runs["timm"].append(ours(args, name, weights))
        runs["ONNX Runtime"].append(theirs(args, "ONNX Runtime", name, graph))
        runs["PyTorch"].append(theirs(args, "PyTorch", name, weights))
    t = {k: least_median([1e3 * r[0] for r in v]) for k, v in runs.items()}
    peak = {k: min(r[1] for r in v) / 1e6 for k, v in runs.items()}
    net = {k: min(r[2] for r in v) / 1e6 for k, v in runs.items()}
    cells = ["%.0f / %.0f" % t[k] for k in runs] + ["%.2f / %.2f" % (t["timm"][0] / t[p][0], t["timm"][1] / t[p][1]) for p in PEERS]
    cells += ["%.0f" % peak["timm"]] + ["%.0f (%.0f)" % (peak[p], net[p]) for p in PEERS]
    cells += ["%.2f (%.2f)" % (peak["timm"] / peak[p], peak["timm"] / net[p]) for p in PEERS]
    return f"| {name} | " + " | ".join(cells) + " |"


def main():
    from report import load, where, write_between
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("timm")
    p.add_argument("out")
    p.add_argument("models", nargs="*")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--cache", default="build/bench")
    args = p.parse_intermixed_args()
    os.makedirs(args.cache, exist_ok=True)
    lines = []
    for name in args.models or MODELS:
        lines.append(line(name, args))
        print(lines[-1], flush=True)
    head = ["model", "timm"] + PEERS + ["/ " + p for p in PEERS] + ["peak timm"] + ["peak " + p for p in PEERS] + ["/ " + p for p in PEERS]
    write_between(args.out, "bench-start", "\n".join([
        f"One photograph, from a file of fp32 weights in the page cache, {where(args.threads)}. Milliseconds: least / median of "
        f"{args.rounds} interleaved processes ({load()}), of timm the whole process, of the others from when their imports are done. "
        "Peaks in MB of the whole process, in brackets without what it held after its imports; ratios: this program's over the "
        "other's.", "",
        "| " + " | ".join(head) + " |", "|---|" + "---|" * (len(head) - 1), *lines]))


if sys.argv[1:2] == ["--worker"]:
    worker(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
else:
    main()
