"""What the benchmarks share: the machine in words, and a table written between two marks of a page."""
import datetime, json, os, platform, re, statistics, subprocess, sys


def processor():
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def where(threads):
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return f"{threads} threads, {processor()}, {datetime.date.today()}, {commit or 'no commit'}"


def supported(timm, precisions):
    """Those of this program's precisions that the processor has instructions for; without them it computes in fp32, and says so."""
    def done(precision):
        out = subprocess.run([timm, "benchmark", "test_vit", "--no-tune", "--runs", "1", "--precision", precision, "--json"], check=True,
                             capture_output=True, text=True).stdout
        return json.loads(out)["precision"]
    return [p for p in precisions if done(p) == p]


def load():
    return f"load average {os.getloadavg()[0]:.1f} at the end"


def least_median(times):
    return min(times), statistics.median(times)


def write_between(path, name, text):
    """Replaces what stands between the marks of `name`; a page that is not there begins with them."""
    begin, end = f"<!-- {name}: make {name} writes this -->", f"<!-- {name}: end -->"
    page = f"{begin}{end}\n"
    if os.path.exists(path):
        with open(path) as f:
            page = f.read()
    if begin not in page or end not in page:
        sys.exit(f"{path} has no marks to write between: {begin} ... {end}")
    page = re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda m: f"{begin}\n\n{text}\n\n{end}", page, flags=re.S)
    with open(path, "w") as f:
        f.write(page)
