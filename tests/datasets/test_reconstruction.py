"""Inputs as targets: as minibatches have them, in every part."""

import numpy as np
import pytest
from bprop.datasets import Dataset, Digits, InverseProblem, Reconstruction


def test_targets_are_the_inputs_of_minibatches():
    data = Reconstruction(Digits())
    assert (data.input_shape, data.target_shape, data.classes) == ((1, 8, 8), (1, 8, 8), None)
    for part, other in ((data.train, Digits().train), (data.valid, Digits().valid), (data.test, Digits().test)):
        x, y = part[:5]
        np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(x, other[:5][0])
        assert (len(part), part.x.dtype, y.dtype) == (len(other), np.uint8, np.float32)


def test_parts_that_are_not_there():
    data = Reconstruction(InverseProblem(train_size=5, valid_size=0, test_size=0))
    assert isinstance(data, Dataset)
    assert (data.valid, data.test, len(data.train)) == (None, None, 5)


def test_what_is_no_data_set_is_refused():
    with pytest.raises(TypeError, match=r"^Reconstruction: dataset is 3, expected a Dataset$"):
        Reconstruction(3)
