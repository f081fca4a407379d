"""Each derivative of a character model by hand, one operation at a time, and each checked against central differences.

The model is makemore's MLP with batch normalisation: three characters are embedded, a hidden layer of tanh units reads
them, a softmax predicts the next one. The forward pass stores every intermediate array under a name; the backward pass
is one line for each of them. At the end the same model of bprop's layers has the same gradients.

    python examples/sequences/backprop_ninja.py
"""

import numpy as np
from bprop.modules import BatchNorm1d, Embedding, Flatten, Linear, Sequential, SoftmaxCrossEntropy, Tanh

WORDS = ["emma", "olivia", "ava", "isabella", "sophia", "charlotte", "mia", "amelia", "harper", "evelyn", "abigail"]
WORDS += ["emily", "elizabeth", "mila", "ella"]
LETTERS = "." + "".join(sorted(set("".join(WORDS))))
CONTEXT, WIDTH, HIDDEN, EPS = 3, 4, 16, 1e-5


def make_examples() -> tuple[np.ndarray, np.ndarray]:
    """All contexts of three characters, (N, 3), and the characters after them, (N,)."""
    x, y = [], []
    for word in WORDS:
        codes = [0] * CONTEXT + [LETTERS.index(letter) for letter in word + "."]
        for i in range(len(word) + 1):
            x.append(codes[i : i + CONTEXT])
            y.append(codes[i + CONTEXT])
    return np.array(x), np.array(y)


X, Y = make_examples()
N, V = len(X), len(LETTERS)
ROWS = np.arange(N)
random = np.random.default_rng(0)
PARAMETERS = {
    "C": random.standard_normal((V, WIDTH)),
    "W1": random.standard_normal((HIDDEN, CONTEXT * WIDTH)) / 3,
    "gamma": 1 + random.standard_normal(HIDDEN) / 10,
    "beta": random.standard_normal(HIDDEN) / 10,
    "W2": random.standard_normal((V, HIDDEN)) / 4,
    "b2": random.standard_normal(V) / 10,
}

# v holds what is computed so far. Each line: the name of an array, and what it is.
FORWARD = {
    "emb": lambda v: v["C"][X],
    "flat": lambda v: v["emb"].reshape(N, -1),
    "pre": lambda v: v["flat"] @ v["W1"].T,
    "mean": lambda v: v["pre"].sum(axis=0) / N,
    "diff": lambda v: v["pre"] - v["mean"],
    "square": lambda v: v["diff"] ** 2,
    "var": lambda v: v["square"].sum(axis=0) / N,
    "inv_std": lambda v: (v["var"] + EPS) ** -0.5,
    "normal": lambda v: v["diff"] * v["inv_std"],
    "act": lambda v: v["gamma"] * v["normal"] + v["beta"],
    "h": lambda v: np.tanh(v["act"]),
    "logits": lambda v: v["h"] @ v["W2"].T + v["b2"],
    "largest": lambda v: v["logits"].max(axis=1, keepdims=True),
    "shifted": lambda v: v["logits"] - v["largest"],
    "counts": lambda v: np.exp(v["shifted"]),
    "total": lambda v: v["counts"].sum(axis=1, keepdims=True),
    "inv_total": lambda v: 1 / v["total"],
    "probs": lambda v: v["counts"] * v["inv_total"],
    "log_probs": lambda v: np.log(v["probs"]),
    "loss": lambda v: -v["log_probs"][ROWS, Y].mean(),
}


def one_hot(rows: int, columns: int, where) -> np.ndarray:
    """Zeros with a 1 at `where[row]` in each row."""
    out = np.zeros((rows, columns))
    out[np.arange(rows), where] = 1
    return out


def scatter_rows(grad: np.ndarray) -> np.ndarray:
    """Add the gradient of each embedded character to the row of C that it came from."""
    out = np.zeros((V, WIDTH))
    np.add.at(out, X, grad)
    return out


# d holds the gradients of what comes later. A name that is read twice has two terms.
BACKWARD = {
    "log_probs": lambda v, d: -one_hot(N, V, Y) / N,
    "probs": lambda v, d: d["log_probs"] / v["probs"],
    "inv_total": lambda v, d: (d["probs"] * v["counts"]).sum(axis=1, keepdims=True),
    "total": lambda v, d: -d["inv_total"] * v["inv_total"] ** 2,
    "counts": lambda v, d: d["probs"] * v["inv_total"] + d["total"],
    "shifted": lambda v, d: d["counts"] * v["counts"],
    "largest": lambda v, d: -d["shifted"].sum(axis=1, keepdims=True),  # 0 but for rounding: softmax does not see it
    "logits": lambda v, d: d["shifted"] + d["largest"] * one_hot(N, V, v["logits"].argmax(axis=1)),
    "b2": lambda v, d: d["logits"].sum(axis=0),
    "W2": lambda v, d: d["logits"].T @ v["h"],
    "h": lambda v, d: d["logits"] @ v["W2"],
    "act": lambda v, d: d["h"] * (1 - v["h"] ** 2),
    "beta": lambda v, d: d["act"].sum(axis=0),
    "gamma": lambda v, d: (d["act"] * v["normal"]).sum(axis=0),
    "normal": lambda v, d: d["act"] * v["gamma"],
    "inv_std": lambda v, d: (d["normal"] * v["diff"]).sum(axis=0),
    "var": lambda v, d: -0.5 * d["inv_std"] * (v["var"] + EPS) ** -1.5,
    "square": lambda v, d: np.ones((N, 1)) * d["var"] / N,
    "diff": lambda v, d: d["normal"] * v["inv_std"] + 2 * d["square"] * v["diff"],
    "mean": lambda v, d: -d["diff"].sum(axis=0),
    "pre": lambda v, d: d["diff"] + d["mean"] / N,
    "W1": lambda v, d: d["pre"].T @ v["flat"],
    "flat": lambda v, d: d["pre"] @ v["W1"],
    "emb": lambda v, d: d["flat"].reshape(v["emb"].shape),
    "C": lambda v, d: scatter_rows(d["emb"]),
}

# Two stretches in one line each, worked out on paper.
SHORTER = {
    "logits": lambda v, d: (v["probs"] - one_hot(N, V, Y)) / N,
    "pre": lambda v, d: (
        (v["gamma"] * v["inv_std"] / N)
        * (N * d["act"] - d["act"].sum(axis=0) - v["normal"] * (d["act"] * v["normal"]).sum(axis=0))
    ),
}


def run_forward(values: dict, after: str | None = None) -> dict:
    """Compute all arrays, or those that come after a name, whose own value stays."""
    values, names = dict(values), list(FORWARD)
    for name in names[names.index(after) + 1 if after in FORWARD else 0 :]:
        values[name] = FORWARD[name](values)
    return values


def run_backward(values: dict) -> dict:
    """Compute all gradients, from the loss to the parameters."""
    gradients: dict = {}
    for name, line in BACKWARD.items():
        gradients[name] = line(values, gradients)
    return gradients


def choose_places(gradient: np.ndarray, count: int = 6) -> list[tuple]:
    """The places of the largest numbers of a gradient, and as many at random."""
    chosen = [*np.argsort(-abs(gradient), axis=None)[:count], *random.permutation(gradient.size)[:count]]
    return [np.unravel_index(k, gradient.shape) for k in chosen]


def compute_differences(values: dict, name: str, places: list[tuple], step: float = 1e-6) -> np.ndarray:
    """Central differences of the loss along some numbers of an array."""
    array, slopes = values[name], []
    for place in places:
        losses = []
        for sign in (1, -1):
            moved = array.copy()
            moved[place] += sign * step
            losses.append(run_forward(values | {name: moved}, after=name)["loss"])
        slopes.append((losses[0] - losses[1]) / (2 * step))
    return np.array(slopes)


def check_each(values: dict, gradients: dict) -> float:
    """Print each gradient beside its central differences; returns the largest error, relative to the gradient."""
    worst = 0.0
    for name in BACKWARD:
        places = choose_places(gradients[name])
        slopes = compute_differences(values, name, places)
        by_hand = np.array([gradients[name][place] for place in places])
        error = abs(by_hand - slopes).max() / max(1e-3, abs(slopes).max())
        worst = max(worst, error)
        print(f"d{name:10s} {values[name].shape!s:12s} error {error:.1e}")
    return worst


def compare_with_layers(values: dict, gradients: dict) -> float:
    """Compare loss and gradients with those of the same model of layers; returns the largest difference."""
    net = Sequential(
        Embedding(V, WIDTH),
        Flatten(),
        Linear(CONTEXT * WIDTH, HIDDEN, bias=False),
        BatchNorm1d(HIDDEN, eps=EPS),
        Tanh(),
        Linear(HIDDEN, V),
    ).to("float64")
    loss = SoftmaxCrossEntropy().to("float64")
    names = ["C", "W1", "gamma", "beta", "W2", "b2"]
    for (_, own), name in zip(net.named_parameters(), names, strict=True):
        own[...] = PARAMETERS[name]
    value = loss.fprop(net.fprop(X), Y)
    net.bprop(loss.bprop())
    pairs = zip(net.named_gradients(), names, strict=True)
    differences = [abs(own - gradients[name]).max() for (_, own), name in pairs]
    return max(abs(value - values["loss"]), *differences)


def main() -> None:
    values = run_forward(PARAMETERS)
    gradients = run_backward(values)
    print(f"loss {values['loss']:.6f} of {N} examples")
    worst = check_each(values, gradients)
    shorter = {name: abs(line(values, gradients) - gradients[name]).max() for name, line in SHORTER.items()}
    print("in one line: " + ", ".join(f"d{name} differs by {error:.0e}" for name, error in shorter.items()))
    difference = compare_with_layers(values, gradients)
    print(f"layers: loss and gradients differ by {difference:.0e}")
    assert max(worst * 1e-7, difference, *shorter.values()) < 1e-12


if __name__ == "__main__":
    main()
