"""Letters of 6 x 6 pixels."""

import numpy as np
import pytest
from bprop.datasets import Characters
from bprop.datasets.patterns import LETTERS
from bprop.modules import Hopfield


def test_every_letter_has_36_pixels_and_is_like_no_other():
    data = Characters(letters="".join(LETTERS))
    assert data.train.x.shape == (len(LETTERS), 36)
    assert data.class_names == tuple(LETTERS)
    assert set(np.unique(data.train.x)) == {-1, 1}
    assert len(np.unique(data.train.x, axis=0)) == data.classes == len(LETTERS)
    assert set(np.unique(Characters(states="binary").train.x)) == {0, 1}


def test_a_network_of_36_neurons_keeps_five_letters():
    data = Characters()
    net = Hopfield(36)
    net.store(data.train.x)
    found = net.recall(data.train.x, seed=0)
    np.testing.assert_array_equal(found.states, data.train.x)
    assert found.stable.all()
    assert len(data.train) / net.units == pytest.approx(0.14, abs=0.002)


@pytest.mark.parametrize("letters", ["", "AA", "AZ"])
def test_letters_it_does_not_have(letters):
    with pytest.raises(ValueError, match=f"letters is '{letters}', expected some of ACEFHIJLOTUX, each once"):
        Characters(letters=letters)


def test_states_it_does_not_have():
    with pytest.raises(ValueError, match="states is 'grey', expected 'bipolar' or 'binary'"):
        Characters(states="grey")
