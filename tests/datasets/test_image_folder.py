"""`ImageFolder`: what becomes of files, which file is in which part, the cache, and what is refused."""

import sys

import numpy as np
import pytest
from bprop.datasets import ImageFolder, k_folds
from bprop.datasets.files.image_files import read_image

Image = pytest.importorskip("PIL.Image")
COUNTS = {"cat": 20, "dog": 10, "owl": 5}


def picture(path, pixels, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    (image if mode is None else image.convert(mode)).save(path)
    return path


@pytest.fixture
def root(tmp_path):
    """Images of 4 x 5 pixels: the first is its number, the second its class."""
    random = np.random.default_rng(0)
    for label, (name, count) in enumerate(COUNTS.items()):
        for n in range(count):
            pixels = random.integers(0, 256, (4, 5, 3))
            pixels[0, 0], pixels[0, 1] = n, label
            picture(tmp_path / "images" / name / f"{n:02}.png", pixels)
    return tmp_path / "images"


def load(data):
    """Read all parts."""
    return data.train, data.valid, data.test


def everything(data):
    parts = [part for part in load(data) if part is not None]
    return np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts])


def test_pictures_and_their_classes(root):
    data = ImageFolder(root)
    assert (data.input_shape, data.classes, data.class_names) == ((3, 4, 5), 3, ("cat", "dog", "owl"))
    x, y = everything(data)
    assert x.shape == (35, 3, 4, 5)
    assert x.dtype == np.uint8
    assert np.array_equal(x[:, 0, 0, 1], y)
    assert sorted(zip(y, x[:, 0, 0, 0], strict=True)) == [
        (k, n) for k, c in enumerate(COUNTS.values()) for n in range(c)
    ]
    pixels = np.asarray(Image.open(root / "dog" / "03.png")).transpose(2, 0, 1)
    (row,) = np.flatnonzero((data.train.y == 1) & (data.train.x[:, 0, 0, 0] == 3))
    assert np.array_equal(data.train.x[row], pixels)
    np.testing.assert_allclose(data.train[[row]][0][0], pixels / 255, rtol=1e-6)
    assert repr(data) == "ImageFolder((3, 4, 5) -> 3 classes)"


def test_parts_are_stratified_and_a_function_of_the_seed(root):
    data = ImageFolder(root, valid_size=0.2, test_size=7)
    assert [np.bincount(part.y).tolist() for part in (data.train, data.valid, data.test)] == [
        [12, 6, 3],
        [4, 2, 1],
        [4, 2, 1],
    ]
    again, other = (
        ImageFolder(root, valid_size=0.2, test_size=7),
        ImageFolder(root, valid_size=0.2, test_size=7, seed=1),
    )
    assert np.array_equal(again.train.x, data.train.x)
    assert not np.array_equal(other.train.x, data.train.x)
    assert ImageFolder(root, valid_size=0).valid is None
    assert ImageFolder(root).test is None
    folds = list(k_folds(data, 4))
    assert all(np.bincount(fold.valid.y).tolist() in ([4, 2, 1], [4, 2]) or len(fold.valid) == 7 for fold in folds)
    assert sum(len(fold.valid) for fold in folds) == 28


def test_grey_and_scaled(root, tmp_path):
    grey = ImageFolder(root, channels=1, valid_size=0)
    expected = np.asarray(Image.open(root / "cat" / "00.png").convert("L"))
    assert any(np.array_equal(x[0], expected) for x in grey.train.x)
    assert grey.input_shape == (1, 4, 5)
    flag = np.zeros((40, 80, 3))
    flag[:, :20] = flag[:, 60:] = 255  # what juts out of a square
    flag[:20, 20:60, 0] = 255
    for name in ("a", "b"):
        picture(tmp_path / "flags" / name / "1.png", flag)
    data = ImageFolder(tmp_path / "flags", size=8, valid_size=0)
    assert data.input_shape == (3, 8, 8)
    middle = np.zeros((3, 8, 8))
    middle[0, :4] = 255
    assert np.abs(data.train.x[0, :, [0, 1, 2, 5, 6, 7]] - middle[:, [0, 1, 2, 5, 6, 7]].transpose(1, 0, 2)).max() < 60
    assert ImageFolder(tmp_path / "flags", size=(4, 9)).input_shape == (3, 4, 9)


def test_the_shape_is_known_without_the_data(root, monkeypatch):
    monkeypatch.setattr("bprop.datasets.image_folder.ImageFolder._read", None)
    data = ImageFolder(root, size=(6, 7))
    assert (data.input_shape, data.classes) == ((3, 6, 7), 3)


def test_what_files_may_be(tmp_path):
    deep = Image.fromarray(np.array([[0, 65535], [256, 32768]], np.uint16))
    deep.save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png", "it").tolist() == [[[0, 255], [1, 128]]]
    turned = Image.fromarray(np.array([[0, 0, 0], [255, 255, 255]], np.uint8))
    exif = turned.getexif()
    exif[0x0112] = 6  # a quarter turn clockwise
    turned.save(tmp_path / "turned.png", exif=exif)
    assert read_image(tmp_path / "turned.png", "it").tolist() == [[[255, 0]] * 3]
    colours = np.zeros((2, 2, 3), np.uint8)
    colours[0, 0, 0] = 255
    picture(tmp_path / "palette.gif", colours, "P")
    assert read_image(tmp_path / "palette.gif", "it")[:, 0, 0].tolist() == [255, 0, 0]
    assert read_image((tmp_path / "palette.gif").read_bytes(), "it", channels=1).shape == (1, 2, 2)
    assert read_image(tmp_path / "deep.png", "it", channels=3).shape == (3, 2, 2)


def test_hidden_files_and_folders_within_folders(root):
    (root / ".git").mkdir()
    (root / "cat" / ".DS_Store").write_bytes(b"x")
    (root / "notes.txt").write_text("where they come from")
    picture(root / "cat" / "more" / "99.png", np.zeros((4, 5, 3)))
    data = ImageFolder(root, valid_size=0)
    assert np.bincount(data.train.y).tolist() == [21, 10, 5]


def test_the_cache(root, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    plain, data = ImageFolder(root), ImageFolder(root, cache=cache)
    assert np.array_equal(data.train.x, plain.train.x)
    assert np.array_equal(data.valid.x, plain.valid.x)
    assert isinstance(base_of(data.train.x), np.memmap), "nothing is copied"
    (file,) = cache.iterdir()
    monkeypatch.setattr(ImageFolder, "_decoded", None)
    assert np.array_equal(ImageFolder(root, cache=cache, valid_size=3).train.x[-20:], plain.train.x[-20:])
    monkeypatch.undo()
    picture(root / "dog" / "00.png", np.full((4, 5, 3), 7))
    changed = ImageFolder(root, cache=cache)
    assert (everything(changed)[0] == 7).all(axis=(1, 2, 3)).sum() == 1
    assert len(list(cache.iterdir())) == 2
    file.write_bytes(file.read_bytes()[:-9])
    (root / "owl" / "00.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"00\.png: is no image that Pillow knows"):
        load(ImageFolder(root, cache=cache))
    assert all(path.suffix == ".npy" for path in cache.iterdir()), "no part of a file is left"


def base_of(array):
    while not isinstance(array, np.memmap) and array.base is not None:
        array = array.base
    return array


def test_a_folder_of_the_test_part(root, tmp_path):
    for name in COUNTS:
        picture(tmp_path / "test" / name / "1.png", np.full((4, 5, 3), 9))
    data = ImageFolder(root, test_root=tmp_path / "test")
    assert data.test.y.tolist() == [0, 1, 2]
    assert (data.test.x == 9).all()
    (tmp_path / "test" / "cat").rename(tmp_path / "test" / "lion")
    with pytest.raises(ValueError, match=r"test has the classes dog, lion, owl, expected those of .*, cat, dog, owl$"):
        load(ImageFolder(root, test_root=tmp_path / "test"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 4}, "ImageFolder: channels is 4, expected 1 or 3"),
        ({"size": 0}, "ImageFolder: size is 0, expected a height and a width of at least 1"),
        ({"size": (3, 4, 5)}, "ImageFolder: size is (3, 4, 5), expected a height and a width of at least 1"),
        ({"size": (3, 1.5)}, "ImageFolder: size is (3, 1.5), expected a height and a width of at least 1"),
        (
            {"test_root": "x", "test_size": 2},
            "ImageFolder: both test_root and test_size are given, expected one of them",
        ),
        ({"seed": -1}, "ImageFolder: seed is -1, expected a whole number of at least 0"),
        ({"valid_size": 35}, "ImageFolder: valid_size is 35, expected a fraction"),
    ],
)
def test_wrong_settings(root, settings, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        load(ImageFolder(root, **settings))
    assert str(caught.value).startswith(message)


def test_folders_that_are_none(root, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^ImageFolder: there is no folder .*missing$"):
        load(ImageFolder(tmp_path / "missing"))
    picture(tmp_path / "one" / "cat" / "1.png", np.zeros((4, 5)))
    with pytest.raises(
        ValueError, match=r"one holds one folder alone, cat, expected at least two, one for each class$"
    ):
        load(ImageFolder(tmp_path / "one"))
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match=r"none holds no folders, expected at least two, one for each class$"):
        load(ImageFolder(tmp_path / "none"))
    (tmp_path / "one" / "dog").mkdir()
    with pytest.raises(ValueError, match=r"dog holds no image, expected at least one$"):
        load(ImageFolder(tmp_path / "one"))
    picture(root / "stray.png", np.zeros((4, 5)))
    with pytest.raises(ValueError, match=r"stray\.png lies in no class's folder, expected .*/CLASS/stray\.png$"):
        load(ImageFolder(root))


def test_files_that_are_none(root):
    path = root / "dog" / "05.png"
    whole = path.read_bytes()
    for content, message in (
        (b"GIF89a", "expected a whole image$"),
        (b"", "is no image that Pillow knows, expected a whole image$"),
        (whole[: len(whole) // 2], "expected a whole image$"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"dog/05\.png: .*{message}"):
            load(ImageFolder(root))
    picture(path, np.zeros((4, 6)))
    expected = r"05\.png: 4 x 6 pixels, expected 4 x 5 as in .*\.png; 'size: \[4, 5\]' would scale all to that$"
    with pytest.raises(ValueError, match=expected):
        load(ImageFolder(root))
    assert ImageFolder(root, size=(4, 5)).train.input_shape == (3, 4, 5)
    (root / "dog" / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"notes\.txt is no image by its name, expected \.png, \.jpg"):
        load(ImageFolder(root))


def test_without_pillow(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"png: images need Pillow: pip install 'bprop\[image\]'$"):
        load(ImageFolder(root))


HALF = np.array([[0, 128, 255, 255]], np.uint8)  # how opaque four pixels are


def rgba():
    colours = np.zeros((1, 4, 4), np.uint8)
    colours[0, :, 3], colours[0, 3, 0] = HALF, 200
    return Image.fromarray(colours)


def transparent(mode):
    """Four pixels: one to look through, one half so, one black, one of its own colour; as far as the mode has these."""
    image = rgba()
    if mode in ("P", "RGB"):
        key_image = Image.fromarray(np.array([[[0, 0, 0], [9, 9, 9], [0, 0, 1], [200, 0, 0]]], np.uint8))
        if mode == "P":
            key_image = key_image.quantize(4)
            key_image.info["transparency"] = key_image.getpixel((0, 0))
        else:
            key_image.info["transparency"] = (0, 0, 0)
        return key_image
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_transparent_pictures_stand_on_a_background(tmp_path, mode):
    image = transparent(mode)
    image.save(path := tmp_path / "x.png", **{k: v for k, v in image.info.items() if k == "transparency"})
    white, grey = read_image(path, "x", 3), read_image(path, "x", 3, None, "#804020")
    assert white[:, 0, 0].tolist() == [255, 255, 255]
    assert grey[:, 0, 0].tolist() == [0x80, 0x40, 0x20]
    assert white[:, 0, 2].max() <= 1
    if mode in ("RGBA", "LA"):
        assert white[0, 0, 1] == pytest.approx(127, abs=1)
    assert read_image(path, "x", 1)[0, 0, 0] == 255


def test_a_background_is_a_colour(root, tmp_path):
    with pytest.raises(ValueError, match=r"^ImageFolder: background is 'whit', expected the name of a colour such as"):
        ImageFolder(root, background="whit")
    for name in ("a", "b"):
        for k in range(3):
            (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
            rgba().save(tmp_path / "set" / name / f"{k}.png")
    data = ImageFolder(tmp_path / "set", background="black", cache=tmp_path / "cache")
    assert data.train.x[:, :, 0, 0].max() == 0
    assert ImageFolder(tmp_path / "set", cache=tmp_path / "cache").train.x[:, :, 0, 0].min() == 255


@pytest.mark.parametrize(
    ("pixels", "suffix", "expected"),
    [
        (np.array([[0, 0x1234, 65535]], np.uint16), ".png", [0, 0x12, 255]),
        (np.array([[0, 0x1234, 65535]], np.uint16), ".tif", [0, 0x12, 255]),
        (np.array([[0, 0.5, 1]], np.float32), ".tif", [0, 128, 255]),
    ],
)
def test_more_than_8_bits(tmp_path, pixels, suffix, expected):
    Image.fromarray(pixels).save(path := tmp_path / f"x{suffix}")
    assert read_image(path, "x")[0, 0].tolist() == expected


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (
            np.array([[0, 2**20]], np.int32),
            r"^x: (signed )?whole numbers of 32 bits from 0 to 1048576, of which no",
        ),
        (
            np.array([[0, 7]], np.int32),
            r"^x: (signed )?whole numbers of 32 bits from 0 to 7, of which no range",
        ),
        (np.array([[0, 255]], np.float32), r"^x: floating point numbers from 0 to 255, expected 0 to 1, or bytes$"),
        (np.array([[-1, 1]], np.float32), r"^x: floating point numbers from -1 to 1, expected 0 to 1, or bytes$"),
        (
            np.array([[0, np.nan]], np.float32),
            r"^x: floating point numbers from nan to nan, expected 0 to 1, or bytes",
        ),
    ],
)
def test_numbers_of_no_known_range(tmp_path, pixels, message):
    Image.fromarray(pixels).save(path := tmp_path / "x.tif")
    with pytest.raises(ValueError, match=message):
        read_image(path, "x")


def test_links_are_followed_once(root, tmp_path):
    x, _ = everything(ImageFolder(root))
    (root / "cat").rename(tmp_path / "elsewhere")
    (root / "cat").symlink_to(tmp_path / "elsewhere")
    moved = tmp_path / "more"
    moved.mkdir()
    for path in sorted((root / "dog").iterdir())[:5]:
        path.rename(moved / path.name)
    (root / "dog" / "more").symlink_to(moved)
    (root / "dog" / "again").symlink_to(root)  # a loop
    (moved / "up").symlink_to(root / "dog")
    images, _ = everything(ImageFolder(root))
    assert len(images) == len(x)


@pytest.mark.parametrize("place", ["dog/x.png", "bird"])
def test_links_to_nothing_are_refused(root, place):
    (root / place).symlink_to(root / "gone")
    with pytest.raises(ValueError, match=rf"{place} is a link to .*gone, which is not there, expected an image or"):
        ImageFolder(root).train  # noqa: B018
