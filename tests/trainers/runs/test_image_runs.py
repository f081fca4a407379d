"""Folders of images from the first command to the last: what is trained, predicted, drawn, and what is refused."""

import csv
import io

import numpy as np
import pytest
from bprop.datasets import Digits
from bprop.trainers.cli import main
from bprop.trainers.configs import load_config
from bprop.trainers.runs.run_folder import train_config

Image = pytest.importorskip("PIL.Image")
CONFIG = """\
dataset:
  ImageFolder: {{root: {root}, size: 8, test_size: 0.2}}
augment: [Flip, Shift: {{pixels: 1}}]
model:
  - Flatten
  - Linear: {{in_features: 192, out_features: 2}}
loss: SoftmaxCrossEntropy
optimizer: {{SGD: {{lr: 0.05, momentum: 0.9}}}}
trainer: {{epochs: 8, batch_size: 8}}
"""


def flag(height, width, upper, random):
    """An image with a bright upper or lower half."""
    pixels = random.integers(0, 60, (height, width, 3))
    half = slice(0, height // 2) if upper else slice(height // 2, height)
    pixels[half] += 180
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A config beside its folder of images, of all sizes."""
    place, random = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for name in ("lower", "upper"):
        (place / "images" / name).mkdir(parents=True)
        for n in range(40):
            height, width = random.integers(8, 30, 2)
            flag(height, width, name == "upper", random).save(place / "images" / name / f"{n}.png")
    (place / "c.yaml").write_text(CONFIG.format(root=place / "images"))
    return place


@pytest.fixture(scope="module")
def run(folder):
    figures = train_config(load_config(folder / "c.yaml"), run=folder / "run", quiet=True)
    assert figures["test_accuracy"] == 1
    return folder / "run"


def predicted(capsys, *words):
    assert main(["predict", *map(str, words)]) == 0, capsys.readouterr().err
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def refused(capsys, *words):
    assert main([*map(str, words)]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("height", "width", "mode", "ending"), [(8, 8, None, "png"), (50, 31, "L", "jpg"), (9, 40, "P", "gif")]
)
def test_a_picture_of_any_size_is_classified_by_name(run, tmp_path, capsys, height, width, mode, ending):
    for upper, name in enumerate(("lower", "upper")):
        picture = flag(height, width, upper, np.random.default_rng(1))
        (picture if mode is None else picture.convert(mode)).save(tmp_path / f"new.{ending}")
        (row,) = predicted(capsys, run, tmp_path / f"new.{ending}")
        assert list(row) == ["class", "p_lower", "p_upper"]
        assert row["class"] == name
        assert float(row[f"p_{name}"]) > 0.9


def test_an_array_of_bytes_is_the_same(run, folder, tmp_path, capsys):
    picture = flag(8, 8, True, np.random.default_rng(2))
    picture.save(tmp_path / "new.png")
    np.save(tmp_path / "new.npy", np.asarray(picture).transpose(2, 0, 1)[None])
    assert predicted(capsys, run, tmp_path / "new.png") == predicted(capsys, run, tmp_path / "new.npy")


def test_a_folder_of_pictures(run, tmp_path, capsys):
    random = np.random.default_rng(3)
    (tmp_path / "more").mkdir()
    for name, upper in (("a.png", True), ("more/b.jpg", False), ("z.bmp", True)):
        flag(20, 30, upper, random).save(tmp_path / name)
    rows = predicted(capsys, run, tmp_path)
    assert [(row["file"], row["class"]) for row in rows] == [
        ("a.png", "upper"),
        ("more/b.jpg", "lower"),
        ("z.bmp", "upper"),
    ]
    (tmp_path / "notes.txt").write_text("x")
    assert "notes.txt is no image by its name, expected .png" in refused(capsys, "predict", run, tmp_path)


def test_figures_on_another_folder(run, folder, tmp_path, capsys):
    random = np.random.default_rng(4)
    for name in ("lower", "upper"):
        (tmp_path / name).mkdir()
        for n in range(5):
            flag(20, 30, name == "upper", random).save(tmp_path / name / f"{n}.png")
    words = ["evaluate", run, f"dataset.ImageFolder.root={tmp_path}", "dataset.ImageFolder.test_size=5"]
    assert main([*map(str, words)]) == 0
    assert "test_accuracy  1\n" in capsys.readouterr().out
    (tmp_path / "lower").rename(tmp_path / "below")
    expected = f"evaluate: {tmp_path} has the classes below, upper, expected lower, upper"
    assert expected in refused(capsys, *words)


def test_damaged_folders(folder, tmp_path, capsys):
    config, override = folder / "c.yaml", "dataset.ImageFolder.root="
    words = ["train", config, "--dry-run"]
    assert f"ImageFolder: there is no folder {tmp_path / 'x'}" in refused(capsys, *words, f"{override}{tmp_path / 'x'}")
    (tmp_path / "x" / "lower").mkdir(parents=True)
    assert "holds one folder alone, lower, expected at least two" in refused(
        capsys, *words, f"{override}{tmp_path / 'x'}"
    )
    (tmp_path / "x" / "upper").mkdir()
    assert "lower holds no image, expected at least one" in refused(capsys, *words, f"{override}{tmp_path / 'x'}")
    for name in ("lower", "upper"):
        flag(9, 9, True, np.random.default_rng(0)).save(tmp_path / "x" / name / "1.png")
        (tmp_path / "x" / name / "2.png").write_bytes(b"\x89PNG no more")
    message = refused(capsys, *words, f"{override}{tmp_path / 'x'}", "dataset.ImageFolder.test_size=0")
    assert "2.png: " in message
    assert "expected a whole image" in message
    conv = "model=[{Conv2d: {in_channels: 3, out_channels: 4, kernel_size: 9}}, Flatten]"
    message = refused(capsys, *words, conv)
    assert (
        "model.0.Conv2d: Conv2d(3 -> 4, kernel_size=9): x has shape (1, 3, 8, 8), expected at least 9 by 9" in message
    )
    message = refused(capsys, *words, "dataset.ImageFolder.size=2")
    assert "a sample of the data set has shape (3, 2, 2)" in message


def test_standardised_inputs_have_no_pictures(tmp_path, capsys):
    overrides = ["trainer.epochs=1", "dataset={Digits: {standardize: true}}"]
    train_config(load_config("digits_mlp", overrides), run=tmp_path / "run", quiet=True)
    Image.fromarray(Digits().test.x[0, 0]).save(tmp_path / "x.png")
    message = refused(capsys, "predict", tmp_path / "run", tmp_path / "x.png")
    assert message.endswith("x.png: an image, but the inputs of this run are standardised, expected an .npy array\n")


def test_pictures_of_a_run(run, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert main(["plot", str(run), "confusion", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'confusion.png'}\n"
