"""`read_idx`: reads what was written, and names what is wrong in a file."""

import gzip
import re
import struct

import numpy as np
import pytest
from bprop.datasets import read_idx

ARRAY = np.arange(60, dtype=np.uint8).reshape(5, 4, 3)


@pytest.mark.parametrize("name", ["a", "a.gz"])
@pytest.mark.parametrize("array", [ARRAY, ARRAY[:, 0, 0], ARRAY[None]])
@pytest.mark.parametrize("checked", [False, True])
def test_reads_what_was_written(write_idx, name, array, checked):
    path = write_idx(name, array)
    result = read_idx(str(path), shape=array.shape) if checked else read_idx(path)
    np.testing.assert_array_equal(result, array)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    assert result.flags.writeable


def test_gzip_is_recognised_whatever_the_name(write_idx):
    path = write_idx("a.gz", ARRAY)
    np.testing.assert_array_equal(read_idx(path.rename(path.with_suffix(""))), ARRAY)


def refused(path, message, **options):
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path}: {message}')}"):
        read_idx(path, **options)


def test_refuses_labels_for_images_and_the_other_way_round(write_idx):
    labels, images = write_idx("labels", ARRAY[:, 0, 0]), write_idx("images", ARRAY)
    refused(labels, "magic number is 2049, expected 2051 (an IDX file of bytes)", shape=(5, 4, 3))
    refused(images, "magic number is 2051, expected 2049 (an IDX file of bytes)", shape=(5,))


def test_refuses_another_shape(write_idx):
    refused(write_idx("a", ARRAY), "holds shape (5, 4, 3), expected (6, 4, 3)", shape=(6, 4, 3))


@pytest.mark.parametrize("magic", [0x0D03, 0x0800, 0x12345678, 3])
def test_refuses_another_magic_number(write_idx, magic):
    path = write_idx("a", ARRAY, magic=magic)
    refused(path, f"magic number is {magic}, expected 2049 to 2303 (an IDX file of bytes)")


@pytest.mark.parametrize("shape", [None, (5, 4, 3)])
def test_refuses_missing_and_surplus_bytes(write_idx, shape):
    path = write_idx("a", ARRAY)
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    refused(path, "53 bytes follow the header, expected 60 for shape (5, 4, 3)", shape=shape)
    path.write_bytes(whole + b"!")
    refused(path, "61 bytes follow the header, expected 60 for shape (5, 4, 3)", shape=shape)
    path.write_bytes(whole[:10])
    refused(path, "holds 10 bytes, expected at least the 16 bytes of its header", shape=shape)
    path.write_bytes(b"")
    refused(path, "magic number is 0, expected", shape=shape)


def test_a_huge_shape_is_refused_without_reserving_memory(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(struct.pack(">4I", 2051, 2**32 - 1, 2**32 - 1, 2**32 - 1))
    refused(path, f"0 bytes follow the header, expected {(2**32 - 1) ** 3} for shape")


def test_refuses_a_damaged_gzip_file(write_idx):
    path = write_idx("a.gz", ARRAY)
    whole = path.read_bytes()
    spoilt = bytearray(gzip.compress(bytes(5000)))
    spoilt[len(spoilt) // 2] ^= 0xFF
    for content in (
        whole[:-9],
        whole[:12],
        whole[:-8] + bytes(8),
        bytes(spoilt),
        b"\x1f\x8b not gzip at all",
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.gz: damaged gzip file \(.+\), expected a whole one$"):
            read_idx(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.gz"):
        read_idx(tmp_path / "nowhere.gz")
