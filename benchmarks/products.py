"""The matrix products of linear layers beside OpenBLAS, MKL, BLIS and LIBXSMM, one thread, all called alike.

The three products of a layer with weight (o, i) and n samples: y = x Wᵀ, grad_W = grad_yᵀ x and grad_x = grad_y W, for
all small m, n, k (output rows, output columns, terms), and those of the workloads `nets`. A figure is the time of a
library over bprop's: above 1, bprop is faster. `python -m benchmarks.products` is the process that measures.
"""

import json
import math
import statistics
import sys
import time
from collections.abc import Iterator

import numpy as np

from .contest import run_pinned
from .workloads import MLPS

SMALL = (8, 16, 24, 32, 48, 64, 72, 128)
FORMS = {"y = x Wᵀ": (False, True), "grad_W = grad_yᵀ x": (True, False), "grad_x = grad_y W": (False, False)}
MOMENT = 2e-4  # seconds of one library in a round, among which a call from Python is lost


def list_products(only: str) -> Iterator[tuple[str, str, int, int, int]]:
    """List (table, form, m, n, k), where the table's name, `small` or that of a net, contains the text `only`."""
    for form in FORMS if only in "small" else ():
        for m in SMALL:
            yield from (("small", form, m, n, k) for n in SMALL for k in SMALL)
    for net in MLPS:
        if net.kind != "step":
            continue
        for i, o in dict.fromkeys(net.layers()):
            sizes = ((net.batch, o, i), (o, i, net.batch), (net.batch, i, o))
            yield from ((net.name, form, *mnk) for form, mnk in zip(FORMS, sizes, strict=True) if only in net.name)


def make_operands(form: str, m: int, n: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool, bool]:
    """The operands of a product, its result, and which of the two operands lie as their transposes."""
    ta, tb = FORMS[form]
    random = np.random.default_rng(0)
    a = random.random((k, m) if ta else (m, k), np.float32)
    b = random.random((n, k) if tb else (k, n), np.float32)
    return a, b, np.zeros((m, n), np.float32), ta, tb


def measure(libraries, form: str, m: int, n: int, k: int, rounds: int) -> dict[str, float]:
    """Measure the median over rounds of a product's seconds, for each library."""
    a, b, c, ta, tb = operands = make_operands(form, m, n, k)
    expected = (a.T if ta else a) @ (b.T if tb else b)
    calls = libraries.list_calls(*operands)
    counts, times = {}, {name: [] for name in calls}
    for name, call in calls.items():
        c.fill(0)
        call(1)
        np.testing.assert_allclose(c, expected, rtol=1e-3, err_msg=f"{name} {form} {m} {n} {k}")
        counts[name] = 1
        while clock(call, counts[name]) * counts[name] < MOMENT:
            counts[name] *= 2
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(clock(call, counts[name]))
    return {name: statistics.median(each) for name, each in times.items()}


def clock(call, repeat: int) -> float:
    """Measure the seconds of one call of several."""
    start = time.perf_counter()
    call(repeat)
    return (time.perf_counter() - start) / repeat


def summarize(records: list[tuple[str, str, int, int, int, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """For the small products of each form the geometric mean and the least ratio; for the others each ratio."""
    rows: dict[str, dict[str, float]] = {}
    for form in (*FORMS, "all three"):
        small = [(*sizes, t) for table, f, *sizes, t in records if table == "small" and form in (f, "all three")]
        if not small:
            continue
        shared = [name for name in small[0][-1] if name != "bprop" and all(name in each[-1] for each in small)]
        ratios = {name: [times[name] / times["bprop"] for *_, times in small] for name in shared}
        rows[f"{len(small)} small, {form}, mean"] = {
            name: math.exp(statistics.fmean(map(math.log, each))) for name, each in ratios.items()
        }
        for name, each in ratios.items():
            m, n, k, _ = small[each.index(min(each))]
            rows[f"{len(small)} small, {form}, least: {m} x {n} x {k}"] = {name: min(each)}
    for table, form, m, n, k, times in records:
        if table != "small":
            name = f"{table}, {form}: {m} x {n} x {k}"
            rows[name] = {"us": 1e6 * times["bprop"]}
            rows[name] |= {other: seconds / times["bprop"] for other, seconds in times.items() if other != "bprop"}
    return rows


def run(rounds: int, only: str, settings: dict[str, str | None]) -> dict[str, dict[str, float]]:
    """Measure all products in a process of its own; returns rows of ratios."""
    output = run_pinned("benchmarks.products", [str(rounds), only], settings)
    kernels, *records = (json.loads(line) for line in output.splitlines())
    print(f"kernels: {kernels}")
    return summarize(records)


def main() -> None:
    from .sides.libraries import Libraries

    rounds, only = int(sys.argv[1]), sys.argv[2]
    libraries = Libraries()
    print(json.dumps(libraries.describe()))
    products = list(list_products(only))
    for _, *product in products:
        libraries.list_calls(*make_operands(*product))["bprop"](1)
    libraries.specialize()
    for table, form, m, n, k in products:
        print(json.dumps([table, form, m, n, k, measure(libraries, form, m, n, k, rounds)]), flush=True)


if __name__ == "__main__":
    main()
