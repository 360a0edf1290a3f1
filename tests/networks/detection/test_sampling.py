import torch
from hypothesis import given
from hypothesis import strategies as st

from convolve.networks.detection.matching import Matched
from convolve.networks.detection.sampling import sample


def matched(positives: int, negatives: int, others: int) -> Matched:
    kinds = torch.tensor([1] * positives + [0] * negatives + [2] * others)
    kinds = kinds[torch.randperm(len(kinds), generator=torch.Generator().manual_seed(1))]
    return Matched(torch.zeros(len(kinds), dtype=torch.int64), kinds == 1, kinds == 0)


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 9), st.integers(1, 64), st.sampled_from([0.25, 0.5]))
def test_as_many_as_the_papers_say_each_once_and_of_its_kind(positives, negatives, others, count, share):
    whole = matched(positives, negatives, others)
    some, rest = sample(whole, count=count, positive_share=share)
    assert len(some) == min(positives, int(count * share))
    assert len(rest) == min(negatives, count - len(some))
    assert len(set(some.tolist())) == len(some)
    assert len(set(rest.tolist())) == len(rest)
    assert whole.positive[some].all()
    assert whole.negative[rest].all()


def test_every_one_is_drawn_as_often_and_a_seed_repeats_the_draw():
    whole = matched(40, 0, 0)
    torch.manual_seed(0)
    draws = torch.stack([sample(whole, count=20, positive_share=0.5)[0] for _ in range(2000)])
    counts = draws.flatten().bincount(minlength=40)
    # 500 expected, standard deviation sqrt(2000 * .25 * .75) = 19.
    assert (counts - 500).abs().max() < 5 * 19.4
    torch.manual_seed(0)
    assert sample(whole, count=20, positive_share=0.5)[0].tolist() == draws[0].tolist()
