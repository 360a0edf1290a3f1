"""Losses of maps against PyTorch's, against numbers worked out by hand, and against finite differences."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from torch.nn import functional as F

from convolve.data.dataset import IGNORE
from convolve.tasks.segment.losses import PIXEL_LOSSES
from convolve.tasks.segment.pixels import Pixels

K = 4
WEIGHTS = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64)
NAMES = ("softmax", "focal", "dice", "softmax+dice")


def maps(seed=0, *, images=3, hw=(5, 6), classes=K):
    """Logits and targets of which about a fifth is ignored, one whole image among them."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(images, classes, *hw, generator=generator, dtype=torch.float64)
    targets = torch.randint(classes, (images, *hw), generator=generator)
    targets[torch.rand(images, *hw, generator=generator) < 0.2] = IGNORE
    targets[1] = IGNORE
    return logits, targets


def losses(name, logits, targets, *, weighted=True, smoothing=0.1):
    kind = PIXEL_LOSSES[name]
    return kind.losses(
        logits,
        targets,
        class_weights=WEIGHTS.to(logits) if weighted and kind.weighs_classes else None,
        label_smoothing=smoothing if kind.smooths_labels else 0.0,
    )


def test_these_are_all():
    assert sorted(PIXEL_LOSSES) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
class TestEveryLoss:
    def test_states_its_source(self, name):
        assert "Source: " in PIXEL_LOSSES[name].losses.__doc__

    def test_its_gradient_is_that_of_finite_differences(self, name):
        logits, targets = maps(hw=(2, 3))
        logits.requires_grad_()
        assert torch.autograd.gradcheck(lambda x: losses(name, x, targets), logits)

    def test_ignored_pixels_change_nothing(self, name):
        logits, targets = maps()
        ignored = (targets == IGNORE)[:, None].expand_as(logits)
        assert ignored.any()
        other = torch.where(ignored, torch.full_like(logits, 30.0) - logits, logits)
        assert torch.equal(losses(name, logits, targets), losses(name, other, targets))
        logits.requires_grad_()
        losses(name, logits, targets).mean().backward()
        assert (logits.grad[ignored] == 0).all()
        assert (logits.grad[~ignored] != 0).all()

    def test_ignored_pixels_are_not_divided_by(self, name):
        logits, targets = maps()
        wider, framed = F.pad(logits, (3, 3, 2, 2)), F.pad(targets, (3, 3, 2, 2), value=IGNORE)
        assert torch.allclose(losses(name, wider, framed), losses(name, logits, targets))

    def test_a_batch_without_labels_costs_nothing_and_moves_nothing(self, name):
        logits, targets = maps()
        logits.requires_grad_()
        found = losses(name, logits, torch.full_like(targets, IGNORE))
        found.mean().backward()
        assert found.tolist() == [0.0] * 3
        assert (logits.grad == 0).all()

    def test_what_is_right_costs_nothing(self, name):
        _, targets = maps()
        truth = F.one_hot(targets.masked_fill(targets == IGNORE, 0), K).movedim(-1, 1)
        found = losses(name, 200.0 * truth - 100, targets, smoothing=0.0)
        assert found.max() < 1e-6

    def test_what_is_wrong_costs_more_than_a_guess_and_that_more_than_what_is_right(self, name):
        _, targets = maps()
        truth = F.one_hot(targets.masked_fill(targets == IGNORE, 0), K).movedim(-1, 1).double()
        right, guess, wrong = (losses(name, sign * 3 * truth, targets).mean() for sign in (1, 0, -1))
        assert right < guess < wrong

    def test_the_order_of_the_pixels_does_not_matter(self, name):
        logits, targets = maps()
        turned = losses(name, logits.flip(2).mT, targets.flip(1).mT)
        assert torch.allclose(turned, losses(name, logits, targets))

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_half_precision_is_computed_in_float32(self, name, dtype):
        logits, targets = maps()
        small = logits.to(dtype)
        found = Pixels("abcd", loss=name).losses(small, targets)
        assert (found.dtype, found.shape) == (torch.float32, (3,))
        assert torch.equal(found, Pixels("abcd", loss=name).losses(small.float(), targets))

    def test_huge_logits_stay_finite(self, name):
        _, targets = maps()
        logits = torch.full((3, K, 5, 6), 1e4).bfloat16()
        logits[:, 0] = -1e4
        logits.requires_grad_()
        found = Pixels("abcd", loss=name).losses(logits, targets)
        found.mean().backward()
        assert found.isfinite().all()
        assert logits.grad.isfinite().all()


@given(seed=st.integers(0, 10_000), weighted=st.booleans(), smoothing=st.sampled_from([0.0, 0.1, 0.4]))
@settings(max_examples=25, deadline=None)
def test_the_mean_of_softmax_is_pytorchs_cross_entropy(seed, weighted, smoothing):
    logits, targets = maps(seed)
    expected = F.cross_entropy(
        logits, targets, weight=WEIGHTS if weighted else None, ignore_index=IGNORE, label_smoothing=smoothing
    )
    found = losses("softmax", logits, targets, weighted=weighted, smoothing=smoothing)
    assert found.mean().item() == pytest.approx(expected.item(), rel=1e-12)
    assert found[1] == 0, "nothing of that image has a class"


def test_focal_loss_of_the_papers_numbers():
    """Lin et al., section 3.2: with gamma 2, p = 0.9 loses 100 times less than by likelihood, p = 0.968 1000 times."""
    for probability, reduction in ((0.9, 100), (0.968, 1000)):
        logits = torch.tensor([probability, 1 - probability]).double().log().view(1, 2, 1, 1)
        found = losses("focal", logits, torch.zeros(1, 1, 1, dtype=torch.int64), weighted=False).item()
        assert found == pytest.approx(-math.log(probability) * (1 - probability) ** 2)
        assert -math.log(probability) / found == pytest.approx(reduction, rel=0.03)


def test_focal_weights_divide_as_those_of_softmax_do():
    """Two pixels, p = 1/2 each, weights 1 and 3: both lose ln 2 / 4, and so does their weighted mean."""
    logits = torch.zeros(1, 2, 1, 2, dtype=torch.float64)
    found = PIXEL_LOSSES["focal"].losses(
        logits,
        torch.tensor([[[0, 1]]]),
        class_weights=torch.tensor([1.0, 3.0], dtype=torch.float64),
        label_smoothing=0.0,
    )
    assert found.tolist() == pytest.approx([math.log(2) / 4])


def test_dice_loss_by_hand():
    """Four pixels, the last ignored; P of class 0 is 0.7, 0.4, 0.1 and T is 1, 1, 0.

    Class 0: overlap 1.1, sizes 1.2 + 2; class 1: overlap 0.8, sizes 1.5 + 1; class 2 does not occur.
    """
    probabilities = torch.tensor([[0.7, 0.4, 0.1, 0.3], [0.2, 0.5, 0.8, 0.3], [0.1, 0.1, 0.1, 0.4]]).double()
    targets = torch.tensor([[[0, 0, 1, IGNORE]]])
    expected = ((1 - (2.2 + 1) / (3.2 + 1)) + (1 - (1.6 + 1) / (2.5 + 1))) / 2
    found = losses("dice", probabilities.log().view(1, 3, 1, 4), targets)
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_dice_loss_of_hard_maps_is_one_minus_the_mean_f1():
    generator = np.random.default_rng(0)
    truth, called = generator.integers(0, K, (2, 2, 200, 300))
    hard = 200.0 * F.one_hot(torch.from_numpy(called), K).movedim(-1, 1).double()
    found = losses("dice", hard, torch.from_numpy(truth)).mean().item()
    assert found == pytest.approx(1 - f1_score(truth.ravel(), called.ravel(), average="macro"), abs=1e-4)


def test_dice_counts_over_the_batch_whatever_images_it_is_cut_into():
    logits, targets = maps(images=4)
    joined = torch.cat(list(logits), dim=-1)[None], torch.cat(list(targets), dim=-1)[None]
    assert losses("dice", logits, targets).mean().item() == pytest.approx(losses("dice", *joined).item())


def test_softmax_and_dice_add_up():
    logits, targets = maps()
    expected = losses("softmax", logits, targets) + losses("dice", logits, targets)
    assert torch.allclose(losses("softmax+dice", logits, targets), expected)
