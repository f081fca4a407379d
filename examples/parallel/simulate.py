"""How long a step takes on N ranks: a formula, and a simulation of each message of the exchange. NumPy only.

    python examples/parallel/simulate.py                        # a table of efficiencies
    python examples/parallel/simulate.py efficiency.svg         # a picture of them
    python examples/parallel/simulate.py --table loss           # what limits 1,000 ranks, and what would help

A rank computes its share of a minibatch, sends each other rank its slice of the gradient, adds up what it receives,
updates its slice of the parameters, and sends that to all. The simulation has four queues: the sender's processor, the
link out of its node, the link into the other node, the receiver's processor. Each serves one message at a time, in the
order of arrival; so a rank that is late holds up the others exactly as far as they need its slice.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

GBIT = 1e9 / 8  # bytes a second


@dataclass(frozen=True)
class Network:
    """What ranks exchange gradients by; times in seconds, bandwidths in bytes a second.

    Args: bandwidth: of the link of a node, each way; latency: between nodes; message: what a rank spends on a message
        that it sends, or receives; copy: through the memory of a node; add: of the sums of gradients; per_node: ranks
        that share the link of a node. If all ranks are on one, they read each other's sums in memory that they share.
    """

    bandwidth: float
    latency: float = 30e-6
    message: float = 3e-6
    copy: float = 5e9
    add: float = 8e9
    per_node: int = 1


@dataclass(frozen=True)
class Work:
    """A step of training; times in seconds on one core.

    Args: parameters: numbers of 4 bytes; compute: of all samples; samples: of a minibatch; update: of all parameters;
        shard: of a shard besides its samples; jitter: standard deviation of a rank's time of computation over its mean;
        local: steps between two exchanges (local SGD); compression: by what the bytes of an exchange are divided;
        early: share of the bytes that are sent before the computation ends; hidden: share of it that is left by then.
    """

    parameters: int
    compute: float
    samples: int
    update: float
    shard: float = 10e-6
    jitter: float = 0.05
    local: int = 1
    compression: float = 1.0
    early: float = 0.0
    hidden: float = 0.0

    @property
    def bytes(self) -> float:
        """Of a gradient, as it is sent."""
        return 4 * self.parameters / self.compression


WORKS = {
    "MLP 784-256-256-10, 128 samples": Work(269_322, 1.5e-3, 128, 0.06e-3),
    "CNN of 1.2 M, 64 samples": Work(1_199_882, 42e-3, 64, 0.3e-3, early=0.98, hidden=0.55),
    "GPT of 10.6 M, 64 x 256 tokens": Work(10_646_784, 13.3, 64, 8e-3, early=0.66, hidden=0.2),
}


def share_update(work: Work, ranks: int) -> float:
    """The seconds of an update that so many ranks share by slices; not between local steps."""
    return work.update if work.local > 1 else work.update / ranks


def predict(work: Work, net: Network, ranks: int) -> float:
    """The seconds of a step by the formula of docs/parallel_model.md."""
    if ranks == 1:
        return work.compute + work.update
    slowest = 1 + work.jitter * np.sqrt(2 * np.log(ranks) / work.local)
    alone = work.compute / ranks * slowest + work.shard
    if net.per_node >= ranks:
        exchange = 2 * (net.latency + 2 * (ranks - 2) * net.message) + work.bytes * (1 / net.add + 1 / net.copy)
        return alone + share_update(work, ranks) + exchange / work.local
    whole = ranks == 2
    near, far = net.per_node - 1, ranks - net.per_node

    def send(size: float) -> float:
        processor = 2 * (ranks - 1) * net.message + 2 * near * size / net.copy
        link = net.latency + (near + 1) * far * size / net.bandwidth
        return max(processor, link + net.message)

    size = work.bytes if whole else work.bytes / ranks
    first = send((1 - work.early) * size)
    if work.early:
        first += max(0.0, send(work.early * size) - work.hidden * work.compute / ranks)
    exchange = first + (0 if whole else send(size)) + ranks * size / net.add
    return alone + share_update(work, 1 if whole else ranks) + exchange / work.local


def serve(arrivals: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """When a server that takes one job at a time, in the order of arrival, is done with each; (..., jobs) all."""
    order = np.argsort(arrivals, axis=-1, kind="stable")
    arrived, lasting = np.take_along_axis(arrivals, order, -1), np.take_along_axis(seconds, order, -1)
    before = np.cumsum(lasting, axis=-1) - lasting
    done = np.empty_like(arrivals)
    np.put_along_axis(done, order, np.maximum.accumulate(arrived - before, axis=-1) + before + lasting, -1)
    return done


def send_to_all(ready: np.ndarray, size: float, net: Network) -> np.ndarray:
    """When each rank has the messages of all others, which begin to send as soon as they are ready; (ranks,) both."""
    ranks = len(ready)
    group = min(net.per_node, ranks)
    sender, k = np.arange(ranks)[:, None], np.arange(1, ranks)[None]
    receiver = (sender + k) % ranks  # each begins with the next one, so that none is sent to by all at once
    near = sender // group == receiver // group
    work = net.message + near * (size / net.copy)
    sent = ready[:, None] + np.cumsum(work, axis=1)
    if group == ranks:  # notes only
        sent = sent + net.latency
    free, on_link = sent[:, -1], np.full((ranks, ranks - 1), size / net.bandwidth)
    out = serve(np.where(near, np.inf, sent).reshape(ranks // group, -1), on_link.reshape(ranks // group, -1))
    begun = out.reshape(ranks, -1) - on_link + net.latency  # the first byte at the other node

    def by_receiver(values: np.ndarray) -> np.ndarray:
        table = np.empty((ranks, ranks - 1))
        table[receiver, k - 1] = values
        return table

    here, local, work = by_receiver(begun), by_receiver(np.where(near, sent, np.inf)), by_receiver(work)
    into = serve(here.reshape(ranks // group, -1), on_link.reshape(ranks // group, -1)).reshape(ranks, -1)
    come = np.maximum(np.minimum(into, local), free[:, None])  # a rank receives when it has sent
    return serve(come, work).max(axis=1)


def simulate(work: Work, net: Network, ranks: int, steps: int = 0, seed: int = 0) -> float:
    """The seconds of a step on so many ranks, averaged over exchanges, each after times of computation of its own."""
    steps = steps or (4 if ranks > 100 else 20)
    random, ready = np.random.default_rng(seed), np.zeros(ranks)
    shape = work.local / work.jitter**2 if work.jitter else 0.0
    whole, shared = ranks == 2 and net.per_node < 2, net.per_node >= ranks
    size = 0.0 if shared else work.bytes if whole else work.bytes / ranks
    for _ in range(steps):
        lasting = work.compute / ranks * (random.gamma(shape, 1 / shape, ranks) if shape else np.ones(ranks))
        ready = ready + work.local * (lasting + work.shard * (ranks > 1))
        if ranks > 1:
            early = work.early * (not shared)
            if early:  # what comes later waits for it
                ready = np.maximum(ready, send_to_all(ready - work.hidden * lasting, early * size, net))
            ready = send_to_all(ready, (1 - early) * size, net) + (2 if whole else 1) * work.bytes / net.add
        ready = ready + work.local * share_update(work, 1 if whole else ranks)
        if ranks > 1 and not whole:
            ready = send_to_all(ready, size, net) + shared * work.bytes / net.copy
    return float(ready.max()) / (steps * work.local)


def scale(work: Work, ranks: int) -> Work:
    """The same work with a minibatch that grows with the ranks (weak scaling)."""
    return replace(work, compute=work.compute * ranks, samples=work.samples * ranks)


def compute_efficiency(work: Work, net: Network, ranks: int, how=simulate) -> float:
    """The time of one rank over that of all ranks together."""
    return (work.compute + work.update) / (ranks * how(work, net, ranks))


def find_limit(work: Work, net: Network, efficiency: float = 0.5, most: int = 1024) -> int:
    """The largest power of two of ranks, each with a sample at least, that has such an efficiency by the formula."""
    ranks = 1
    while 2 * ranks <= min(most, work.samples) and compute_efficiency(work, net, 2 * ranks, predict) >= efficiency:
        ranks *= 2
    return ranks


# -- what is printed and drawn -----------------------------------------------------------------------------------------

COUNTS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)
SPEEDS = (1, 10, 100)


def print_scaling() -> None:
    """Efficiencies of strong scaling, up to one sample a rank, and of weak scaling."""
    print(f"{'':34}Gbit/s  " + "".join(f"{count:>6}" for count in COUNTS))
    for name, work in WORKS.items():
        for kind in ("strong", "weak"):
            for speed in SPEEDS:
                cells = []
                for count in COUNTS:
                    part = work if kind == "strong" else scale(work, count)
                    fits = count <= part.samples
                    value = compute_efficiency(part, Network(speed * GBIT), count) if fits else None
                    cells.append(f"{value:6.2f}" if fits else f"{'':6}")
                print(f"{name:34}{speed:>6}  {''.join(cells)}  {kind}", flush=True)


def print_loss(ranks: int = 1000) -> None:
    """Where the time of a step goes on many ranks with a minibatch for each, and what would help."""
    changes = {
        "as it is": {},
        "no jitter": {"jitter": 0.0},
        "8 local steps": {"local": 8},
        "gradients of 8 bits": {"compression": 4.0},
        "a hundredth of the bytes": {"compression": 100.0},
        "8 local steps of 8 bits": {"local": 8, "compression": 4.0},
    }
    for name, work in WORKS.items():
        for speed in SPEEDS[:2]:
            weak = scale(work, ranks)
            cells = [
                f"{title} {compute_efficiency(replace(weak, **change), Network(speed * GBIT), ranks):.2f}"
                for title, change in changes.items()
            ]
            print(f"{name}, {speed} Gbit/s: " + ", ".join(cells), flush=True)
    work = scale(WORKS["CNN of 1.2 M, 64 samples"], 1024)
    shared = [
        f"{group}: {compute_efficiency(work, Network(100 * GBIT, per_node=group), 1024):.2f}"
        for group in (1, 4, 16, 64)
    ]
    print("CNN on 1,024 ranks, 100 Gbit/s a node, ranks a node " + ", ".join(shared))


def draw(path: Path, width: int = 250, height: int = 190) -> None:
    """Draw the efficiencies over the ranks: a panel for each net, a line for each network, dashed for weak scaling."""
    colors = dict(zip(SPEEDS, ("#c0392b", "#2471a3", "#1e8449"), strict=True))
    parts = []
    for column, (name, work) in enumerate(WORKS.items()):
        left, top = column * (width + 20) + 45, 30

        def place(count: int, value: float, left: int = left, top: int = top) -> str:
            return f"{left + width * np.log2(count) / 10:.1f},{top + height * (1 - value):.1f}"

        parts.append(f'<text x="{left + width / 2}" y="18" text-anchor="middle">{name}</text>')
        for value in (0, 0.5, 1):
            y = top + height * (1 - value)
            parts.append(f'<path d="M{left} {y}h{width}" stroke="#ccc"/>')
            if not column:
                parts.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{value:.0%}</text>')
        for count in (1, 8, 64, 1024):
            x = left + width * np.log2(count) / 10
            parts.append(f'<text x="{x:.0f}" y="{top + height + 16}" text-anchor="middle">{count:,}</text>')
        for speed, color in colors.items():
            for dash, grows in (("none", False), ("4 3", True)):
                counts = [1] + [count for count in COUNTS if grows or count <= work.samples]
                values = [
                    compute_efficiency(scale(work, count) if grows else work, Network(speed * GBIT), count)
                    for count in counts
                ]
                line = " ".join(place(*each) for each in zip(counts, values, strict=True))
                parts.append(
                    f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="1.6" '
                    f'stroke-dasharray="{dash}"/>'
                )
    bottom = height + 68
    for k, (speed, color) in enumerate(colors.items()):
        parts.append(f'<path d="M{45 + 110 * k} {bottom}h20" stroke="{color}" stroke-width="2"/>')
        parts.append(f'<text x="{70 + 110 * k}" y="{bottom + 4}">{speed} Gbit/s</text>')
    parts.append(f'<text x="400" y="{bottom + 4}">ranks; solid: the same minibatch, dashed: one for each rank</text>')
    whole = f"{3 * (width + 20) + 40} {height + 80}"
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole}" font-family="sans-serif" font-size="12" '
        f'fill="#333"><rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n',
        encoding="utf-8",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", nargs="?", type=Path, help="an SVG file to draw")
    parser.add_argument("--table", choices=("scaling", "loss"), default="scaling")
    arguments = parser.parse_args()
    if arguments.picture is not None and arguments.picture.suffix.lower() != ".svg":
        parser.error(f"{arguments.picture}: expected a file that ends in .svg")
    if arguments.picture:
        draw(arguments.picture)
    elif arguments.table == "scaling":
        print_scaling()
    else:
        print_loss()


if __name__ == "__main__":
    main()
