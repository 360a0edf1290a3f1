"""What every start promises."""

import inspect

import pytest

from convolve.registry import checked_options
from convolve.training.starts import STARTS


def test_the_ladder_has_its_rungs():
    assert {"scratch", "unsupervised", "features", "finetune"} <= set(STARTS)


@pytest.mark.parametrize("name", list(STARTS))
class TestEveryStart:
    def test_says_what_it_is(self, name):
        assert inspect.getdoc(STARTS[name])

    def test_its_options_have_defaults_that_pass_their_own_check(self, name):
        parameters = inspect.signature(STARTS[name]).parameters.values()
        defaults = {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
        assert checked_options(STARTS[name], defaults, where="start.options") == defaults

    def test_fills_the_protocol(self, name):
        assert list(inspect.signature(STARTS[name]().train).parameters) == ["job"]
