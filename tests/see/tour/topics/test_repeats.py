"""The same seed, the same section, to the last bit: of the topics that measure no time."""

import pytest

from convolve.see.tour.topic import TOPICS
from see.tour.topics.sections import section_of


@pytest.mark.parametrize(
    "name",
    [
        "neuron",
        "universal-approximation",
        "separating",
        "forward-pass",
        "softmax",
        "backpropagation",
        "dropout",
        "batch-norm",
    ],
)
def test_a_section_repeats_bit_for_bit(name):
    assert TOPICS[name].compute(0) == section_of(name)
