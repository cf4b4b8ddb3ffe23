#!/usr/bin/env python3
"""Steps of training of this program and of PyTorch (eager) on the same models, in one interleaved run.

    train.py TIMM OUT.md [--threads 2] [--rounds 4] [--runs 4] [--no-peer-bf16] [MODEL:BATCH...]

Needs a Python with: torch timm.  A step is forward, cross entropy, backward and SGD with Nesterov momentum, on images that lie
in memory.  PyTorch is measured four ways, fp32 and bf16 autocast, images channels-last and not; the better layout counts.  Each
way has a process of its own, as this program has: so the peak of its memory (VmHWM) is that of training alone, the interpreter
and the libraries included.  In every round each process in turn does a step or two to warm up and some counted ones.
"""
import argparse, json, statistics, subprocess, sys, time

MODELS = ["resnet18:32", "resnet50:16", "mobilenetv3_large_100:32", "efficientnet_b0:16", "vit_tiny_patch16_224:32",
          "vit_small_patch16_224:16", "convnext_tiny:8", "swin_tiny_patch4_window7_224:8"]
AGAINST = {"fp32": "fp32", "bf16x6": "fp32", "bf16x3": "fp32", "bf16": "bf16"}   # a precision of ours, and that of PyTorch it is held against
LAYOUTS = ["plain", "channels-last"]


def worker(name, batch, threads, precision, layout):
    """PyTorch's side, in its own process: for each line of stdin, a number of runs, their milliseconds; at the end the peak."""
    import timm, torch
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    model = timm.create_model(name).train()
    image = torch.randn(batch, *model.default_cfg["input_size"])
    label = torch.arange(batch) % model.num_classes
    if layout == "channels-last":
        model, image = model.to(memory_format=torch.channels_last), image.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=.9, nesterov=True)

    def step():
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = torch.nn.functional.cross_entropy(model(image), label)
        loss.backward()
        optimizer.step()

    step()                                       # the first, which sets everything up
    print("ready", flush=True)
    for line in sys.stdin:
        times = []
        for i in range(int(line) + 1):
            start = time.perf_counter()
            step()
            if i:
                times.append(1e3 * (time.perf_counter() - start))
        print(json.dumps(times), flush=True)
    with open("/proc/self/status") as f:
        print(next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM")))


class Torch:
    def __init__(self, name, batch, args, precision, layout):
        command = [sys.executable, __file__, "--worker", name, str(batch), str(args.threads), precision, layout]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()           # so that nobody is measured beside it

    def run(self, runs):
        print(runs, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def peak(self):
        return int(self.process.communicate()[0])


class Timm:
    """A process a round: it starts in no time.  What it cannot do gives no times."""
    def __init__(self, name, batch, args, precision):
        self.command = [args.timm, "benchmark", name, "--train", "-b", str(batch), "--opt", "sgd", "--json", "--times",
                        "--threads", str(args.threads), "--precision", precision, "--runs"]
        self.most = 0

    def run(self, runs):
        done = subprocess.run(self.command + [str(runs)], capture_output=True, text=True)
        if done.returncode:
            print(done.stderr, end="", file=sys.stderr)
            return []
        row = json.loads(done.stdout)
        self.most = max(self.most, row["peak_bytes"])
        return row["ms"]

    def peak(self):
        return self.most


def measure(name, batch, args):
    """(engine, precision) to (least, median, peak); of PyTorch's layouts the better one."""
    from report import least_median
    engines = {("timm", p, ""): Timm(name, batch, args, p) for p in AGAINST}
    theirs = [p for p in dict.fromkeys(AGAINST.values()) if p == "fp32" or not args.no_peer_bf16]
    engines.update({("PyTorch", p, layout): Torch(name, batch, args, p, layout) for p in theirs for layout in LAYOUTS})
    times = {k: [] for k in engines}
    for _ in range(args.rounds):
        for k, e in engines.items():
            times[k] += e.run(args.runs)
            time.sleep(.05)                      # threads that spin come to rest
    best = {}
    for k, e in engines.items():
        peak = e.peak()
        if times[k]:
            row = (*least_median(times[k]), peak)
            best[k[:2]] = min(row, best.get(k[:2], row))
    return best


def line(name, batch, best, ratios):
    cells = [f"{name} | {batch}"]
    speed = lambda t: "%.1f / %.1f" % (1e3 * batch / t[0], 1e3 * batch / t[1]) if t else "-"
    peak = lambda t: "%.0f" % (t[2] / 1e6) if t else "-"
    memory = []
    for ours, theirs in AGAINST.items():
        t, p = best.get(("timm", ours)), best.get(("PyTorch", theirs))
        cells += [speed(t)] + ([speed(p)] if ours == theirs else [])
        if t and p:
            ratios[ours].append((p[0] / t[0], p[1] / t[1]))
        cells.append("%.2f / %.2f" % ratios[ours][-1] if t and p else "-")
        memory.append(f"{peak(t)} / {peak(p)} | " + ("%.2f" % (t[2] / p[2]) if t and p else "-"))
    return "| " + " | ".join(cells + memory) + " |"


def means(ratios):
    """The last line: geometric means of the ratios of speed."""
    cells = ["geometric mean", ""]
    for ours, r in ratios.items():
        cells += [""] * (2 if ours == AGAINST[ours] else 1)
        cells.append("%.2f / %.2f" % tuple(map(statistics.geometric_mean, zip(*r))) if r else "-")
    return "| " + " | ".join(cells + [""] * 2 * len(AGAINST)) + " |"


def table(lines, args):
    import torch
    from report import load, where
    head = [f"timm {p} | PyTorch {p} | ratio" if p == AGAINST[p] else f"timm {p} | ratio to {AGAINST[p]}" for p in AGAINST]
    return "\n".join([
        f"Steps of training, SGD with Nesterov momentum, {where(args.threads)}; PyTorch {torch.__version__}, eager, the better of "
        f"channels-last and not. Images a second: of the least / of the median time of {args.rounds} x {args.runs} interleaved steps "
        f"({load()}); ratio: this program's over PyTorch's, above 1 it is faster. Peak: of a process of its own that does nothing else "
        "(VmHWM, interpreter and libraries included), timm / PyTorch in MB, and their ratio, below 1 it is less. bf16 of PyTorch: "
        "autocast.", "",
        "| model | batch | " + " | ".join(head + [f"peak {p} | ratio" for p in AGAINST]) + " |",
        "|---|---|" + "---|" * (len(" | ".join(head).split("|")) + 2 * len(AGAINST)), *lines])


def main():
    from report import supported, write_between
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("timm")
    p.add_argument("out")
    p.add_argument("models", nargs="*", metavar="MODEL:BATCH")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=4)
    p.add_argument("--runs", type=int, default=4)
    p.add_argument("--no-peer-bf16", action="store_true", help="leave PyTorch's bf16 out: minutes a step without instructions for it")
    args = p.parse_intermixed_args()
    usual = dict(m.split(":") for m in MODELS)
    for precision in set(AGAINST) - set(supported(args.timm, AGAINST)):
        del AGAINST[precision]
    lines, ratios = [], {p: [] for p in AGAINST}
    for m in args.models or MODELS:
        name, _, batch = m.partition(":")
        batch = int(batch or usual.get(name, 16))
        lines.append(line(name, batch, measure(name, batch, args), ratios))
        print(lines[-1], flush=True)
    write_between(args.out, "bench-train", table(lines + [means(ratios)], args))


if sys.argv[1:2] == ["--worker"]:
    worker(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
else:
    main()
