"""Which keys tell the runs of a sweep apart, and what they are called."""

from bprop.trainers.runs.sweep import SweepRun, format_results
from bprop.trainers.runs.sweep_keys import find_varying_keys, shorten_keys


def test_keys_that_differ():
    runs = [{"a": 1, "b": 2, "c": 5, "d": True}, {"a": 2, "b": 3, "c": 5, "d": 1}, {"a": 2, "b": 3, "c": 5, "d": 1}]
    assert find_varying_keys(runs) == ["a", "b", "d"]
    runs = [{"in": n, "out": n, "lr": 0.1} for n in (1, 2)]
    assert find_varying_keys(runs) == ["in"]  # out says the same
    assert find_varying_keys([{"a": [1]}, {}]) == ["a"]
    assert find_varying_keys([]) == []


def test_the_shortest_names_that_are_clear():
    assert shorten_keys(["optimizer.SGD.lr", "seed"]) == {"optimizer.SGD.lr": "lr", "seed": "seed"}
    keys = ["model.0.Linear.out_features", "model.2.Linear.out_features", "model.1", "dataset.Digits.seed", "seed"]
    assert list(shorten_keys(keys).values()) == [
        *("model.0.Linear.out_features", "model.2.Linear.out_features", "model.1", "Digits.seed", "seed")
    ]
    assert shorten_keys(["a.Adam.lr", "b.SGD.lr"]) == {"a.Adam.lr": "Adam.lr", "b.SGD.lr": "SGD.lr"}


def test_a_table_names_what_differs_alone(tmp_path):
    runs = [
        SweepRun({"optimizer.SGD.lr": lr, "trainer.epochs": 3}, [], "", tmp_path / f"{k:03}", "done", {"test_loss": lr})
        for k, lr in enumerate((0.1, 0.2))
    ]
    head, *rows = [line.split() for line in format_results(runs).splitlines()]
    assert head == ["run", "status", "lr", "test_loss"]
    assert rows == [["000", "done", "0.1", "0.1"], ["001", "done", "0.2", "0.2"]]
    assert runs[0].row()["trainer.epochs"] == 3  # of results.csv
    runs[0].names = {"optimizer.SGD.lr": "lr"}
    assert str(runs[0]) == "000 lr=0.1"
