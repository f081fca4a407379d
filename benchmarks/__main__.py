"""Time this project, PyTorch and JAX in alternating runs on the same data.

python -m benchmarks [GROUP ...] [--threads 1 2] [--only TEXT] [--sides bprop torch jax] [--rounds 7] [--json FILE]

GROUP: nets, grids, graphs, images, units, optimizers, products, derivatives, parallel, exchange, starting; nets by
default. In grids, scikit-learn's MLPClassifier is the other side; in products, the matrix products of OpenBLAS, MKL,
BLIS and LIBXSMM; in parallel, PyTorch's DistributedDataParallel; in exchange, the model of docs/parallel_model.md.
Each side runs in a process of its own; a round measures each side once, one after the other. A result is the median
over rounds of the median of a call; the spread is the largest of these medians over the smallest. A missing package is
left out.
With --isa avx2, every side is told to use AVX2 at most, and says which kernels it has then.
With --coretype, each workload runs twice: with OpenBLAS's own choice of kernels, and with OPENBLAS_CORETYPE as given.
"""

import argparse
import json
import os
import platform
from pathlib import Path

from . import derivatives, exchange, parallel, products, rules, startup
from .contest import list_available, run
from .instruction_sets import INSTRUCTION_SETS, describe_kernels
from .sides import PLACES
from .workloads import GROUPS, format_title

TABLES = {
    "products": lambda arguments, settings: products.run(arguments.rounds, arguments.only, settings),
    "derivatives": lambda arguments, settings: derivatives.run(
        arguments.rounds, arguments.seconds, arguments.only, settings
    ),
    "rules": lambda arguments, settings: rules.run(arguments.rounds, arguments.seconds, arguments.only, settings),
    "parallel": lambda arguments, settings: parallel.run(arguments.rounds, arguments.only, settings),
    "exchange": lambda arguments, settings: exchange.run(arguments.rounds, arguments.only, settings),
    "starting": lambda arguments, settings: startup.run(arguments.rounds, settings),
}


def format_line(work, threads: int, label: str, result: dict) -> str:
    """Format one line of the table."""
    own = result["bprop"]["seconds"]
    cells = [f"{format_title(work):48s} {threads}{label}  {format_time(own):>9s}"]
    for side in PLACES:
        if side in result and side != "bprop":
            time = result[side]["seconds"]
            share = f"{time / own:.2f} of limit" if side == "products" else f"{time / own:.2f}x"
            cells.append(f"{side} {format_time(time)} ({share})")
    spread = max(each["maximum"] / each["minimum"] for each in result.values())
    return "  ".join(cells) + f"  spread {spread:.2f}"


def format_time(seconds: float) -> str:
    """Format a time in s, ms or us."""
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.2f} {unit}"
    return f"{seconds * 1e6:.1f} us"


def find_processor_name() -> str:
    """Find the processor's name: Linux's, or what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def parse_group(name: str) -> str:
    """Check the name of a group; argparse's error if there is none."""
    if name not in (*GROUPS, *TABLES):
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join((*GROUPS, *TABLES))}")
    return name


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks", description="bprop beside PyTorch and JAX.")
    parser.add_argument("groups", nargs="*", default=["nets"], type=parse_group)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, os.cpu_count() or 1])
    parser.add_argument("--only", default="", help="workloads whose name contains this text")
    parser.add_argument(
        "--sides",
        nargs="+",
        default=[
            "bprop",
            "by hand",
            "custom",
            "torch",
            "torch channels_last",
            "torch DataLoader",
            "jax",
            "sklearn",
            "products",
        ],
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="time for a side in a round")
    chosen_set = parser.add_mutually_exclusive_group()
    chosen_set.add_argument("--isa", choices=INSTRUCTION_SETS, help="let every side use these instructions and no more")
    chosen_set.add_argument("--coretype", help="also with OPENBLAS_CORETYPE set to this, Haswell say")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    arguments = parser.parse_args()
    blas: dict[str, dict[str, str | None]] = {"": {}}
    if arguments.coretype:
        own: dict[str, str | None] = {"OPENBLAS_CORETYPE": None, "OPENBLAS_L2_SIZE": None}
        blas = {" own choice": own, f" {arguments.coretype}": own | {"OPENBLAS_CORETYPE": arguments.coretype}}
    if arguments.isa:
        blas = {f" {arguments.isa}": INSTRUCTION_SETS[arguments.isa]}
    settings = {name: os.environ.get(name, "not set") for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    print(f"{find_processor_name()}, {os.cpu_count()} cores, {settings}")
    print(
        "times of a call: bprop, then the others with their ratio to it; `products` is the time of its matrix products"
    )
    for label, variables in blas.items():
        for side, kernels in describe_kernels(arguments.sides, variables).items():
            print(f"kernels of {side}{label}: {kernels}")
    records: list[dict] = []
    for chosen in arguments.groups:
        if chosen in TABLES:
            for label, variables in blas.items():
                for name, row in TABLES[chosen](arguments, variables).items():
                    values = "  ".join(f"{side} {value:.3f}" for side, value in row.items())
                    print(f"{name:64s}{label} {values}", flush=True)
                    records.append({"group": chosen, "workload": name, "blas": label.strip(), "sides": row})
            continue
        for threads in dict.fromkeys(arguments.threads):
            for work in GROUPS[chosen]:
                if arguments.only not in work.name:
                    continue
                sides = list_available(arguments.sides, work)
                for label, variables in blas.items():
                    result = run(work, sides, threads, arguments.rounds, arguments.seconds, variables)
                    print(format_line(work, threads, label, result), flush=True)
                    labels = {
                        "group": chosen,
                        "workload": format_title(work),
                        "threads": threads,
                        "blas": label.strip(),
                    }
                    records.append({**labels, "sides": result})
    if arguments.json:
        arguments.json.write_text(json.dumps({"settings": settings, "records": records}, indent=2) + "\n")


if __name__ == "__main__":
    main()
