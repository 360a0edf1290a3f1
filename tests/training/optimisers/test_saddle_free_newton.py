"""Steps on functions whose answers are known, and trainings of small networks."""

import pytest
import torch
from torch import nn
from torchvision.ops import roi_align

from convolve.errors import UserError
from convolve.randomness import torch_randomness
from convolve.training.compute import Compute
from convolve.training.curvature import saddle_free_newton_step
from convolve.training.fit import FitSettings
from convolve.training.optimisers import OPTIMISERS
from training.small_trainings import convolutional, loader, make_fit

BUILD = OPTIMISERS["saddle-free-newton"].build
EXACT = {"inner": 1, "damping": (0.0,)}


def stepped(function, place, *, steps=1, lr=1.0, **options):
    """Where the optimiser is after some steps on a function of one vector, in float64."""
    weight = nn.Parameter(torch.tensor(place, dtype=torch.float64))
    optimiser = BUILD([{"params": [weight]}], lr, **options)
    with torch_randomness(0):
        for _ in range(steps):
            optimiser.step(lambda: function(weight))
    return weight.detach()


def saddle(w):
    return w[0] ** 2 - w[1] ** 2


def random_loss(size, key):
    """A function of `size` numbers with curvature of both signs, that is no quadratic."""
    with torch_randomness(key):
        matrix, tilt = torch.randn(size, size, dtype=torch.float64), torch.randn(size, dtype=torch.float64)
    return lambda w: (matrix @ w).sin().sum() + (w @ tilt)


class TestOneStep:
    def test_leaves_a_saddle(self):
        assert stepped(saddle, [1.0, 0.5], **EXACT).tolist() == pytest.approx([0, 1], abs=1e-12)

    def test_on_a_monkey_saddle_halves_the_radius_against_the_slope(self):
        # At (2, 0): the gradient is (12, 0), |H| = 12 I.
        assert stepped(lambda w: w[0] ** 3 - 3 * w[0] * w[1] ** 2, [2.0, 0.0], **EXACT).tolist() == pytest.approx(
            [1, 0]
        )

    @pytest.mark.parametrize("size", [2, 5, 30])
    def test_with_as_many_vectors_as_dimensions_is_the_exact_one(self, size):
        function = random_loss(size, size)
        start = [0.1 * number for number in range(size)]
        place = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(function(place), place)
        matrix = torch.autograd.functional.hessian(function, place.detach())
        damping = 0.5 * float(torch.linalg.eigvalsh(matrix).abs().max())
        expected = place.detach() + saddle_free_newton_step(gradient, matrix, damping)
        found = stepped(function, start, krylov=size, inner=1, damping=(0.5,))
        assert function(expected) < function(place)
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)

    def test_reaches_the_minimum_of_a_bowl(self):
        with torch_randomness(1):
            root, low = torch.randn(8, 8, dtype=torch.float64), torch.randn(8, dtype=torch.float64)
        bowl = root @ root.T + torch.eye(8, dtype=torch.float64)
        found = stepped(lambda w: (w - low) @ bowl @ (w - low) / 2, [0.0] * 8)
        torch.testing.assert_close(found, low, rtol=1e-7, atol=1e-7)

    def test_learning_rate_is_a_share_of_the_step(self):
        assert stepped(saddle, [1.0, 0.5], lr=0.5, **EXACT).tolist() == pytest.approx([0.5, 0.75])

    def test_counts_the_curvature_of_the_penalty(self):
        # -w + 3/2 w^2 is lowest at 1/3; a decay beside the step would end elsewhere.
        weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        optimiser = BUILD([{"params": [weight], "weight_decay": 3.0}], 1.0, **EXACT)
        assert optimiser.step(lambda: -weight.sum()) == 0.0
        assert weight.item() == pytest.approx(1 / 3)

    def test_takes_the_damping_that_is_best(self):
        # From w = 1 on the fourth power, gradient 4 and curvature 12: shares 0, 1 and 3 go to 2/3, 5/6, 11/12.
        for damping, expected in (((0.0, 1.0, 3.0), 2 / 3), ((1.0, 3.0), 5 / 6), ((3.0,), 11 / 12)):
            found = stepped(lambda w: (w**4).sum(), [1.0], inner=1, damping=damping)
            assert found.item() == pytest.approx(expected)

    def test_inner_steps_keep_the_curvature(self):
        # A second step of w^4 with the curvature 12 of the first place: 2/3 - 4 (2/3)^3 / 12.
        found = stepped(lambda w: (w**4).sum(), [1.0], inner=2, damping=(0.0,))
        assert found.item() == pytest.approx(2 / 3 - 4 * (2 / 3) ** 3 / 12)

    def test_that_would_raise_the_loss_is_not_taken(self):
        # Newton's step on sqrt(1 + w^2) from 2 is to -8.
        assert stepped(lambda w: (1 + w**2).sqrt().sum(), [2.0], inner=1, damping=(0.0,)).item() == 2.0
        assert stepped(lambda w: (1 + w**2).sqrt().sum(), [2.0], inner=1, damping=(0.0, 10.0)).item() < 2.0

    def test_where_the_loss_is_no_number_is_not_taken(self):
        # Newton's step of w log w - 0.1 w from 0.2 is to below zero, where there is no logarithm.
        found = stepped(lambda w: (w * w.log() + 5 * w).sum(), [0.2], inner=1, damping=(0.0,))
        assert found.item() == 0.2

    def test_previous_direction_is_searched_too(self):
        # With one Lanczos vector, and so one dimension, the second step on a bowl needs the first's direction.
        curvature = torch.tensor([1.0, 10.0], dtype=torch.float64)

        def bowl(w):
            return (curvature * w * w).sum() / 2

        assert bowl(stepped(bowl, [10.0, 1.0], steps=2, krylov=1, **EXACT)) == pytest.approx(0, abs=1e-20)


class TestWithoutASlope:
    def test_a_saddle_itself_is_left(self):
        found = stepped(saddle, [0.0, 0.0], steps=4)
        assert abs(found[0]) < 1e-9
        assert abs(found[1]) > 1

    def test_the_bottom_of_a_bowl_is_not(self):
        assert stepped(lambda w: (w**2).sum(), [0.0, 0.0], steps=3).tolist() == [0, 0]

    def test_flat_ground_is_not(self):
        assert stepped(lambda w: (0 * w).sum(), [1.0, 2.0], steps=2).tolist() == [1, 2]

    def test_random_start_is_the_keys(self):
        def bumps(w):
            return (w.cos() * torch.arange(1, 6)).sum()

        first, again = (stepped(bumps, [0.0] * 5, krylov=2) for _ in range(2))
        assert first.tolist() == again.tolist()
        assert first.abs().max() > 0.01


class TestTraining:
    SETTINGS = FitSettings(epochs=3, lr=0.5, checkpoint_seconds=0.0, seed=3, average=0.9, accumulate=2)

    def fit(self, folder, **changes):
        network = convolutional()
        arguments = {"settings": self.SETTINGS, "optimiser": "saddle-free-newton", "krylov": 5} | changes
        return make_fit(folder, network, **arguments), network

    def test_stopped_again_and_again_ends_with_the_same_bits(self, tmp_path):
        class Stopped(Exception):  # noqa: N818
            pass

        def stop_at(number):
            def progress(what, done, total):
                if what == "training" and done >= number:
                    raise Stopped

            return progress

        alone, parted = tmp_path / "alone", tmp_path / "parted"
        alone.mkdir()
        parted.mkdir()
        compute = Compute(channels_last=True)
        undisturbed, expected = self.fit(alone, compute=compute)
        undisturbed.run()
        for step in (2, 6, 10):
            with pytest.raises(Stopped):
                self.fit(parted, compute=compute, progress=stop_at(step))[0].run()
        resumed, network = self.fit(parted, compute=compute)
        resumed.run()
        for name, tensor in expected.state_dict().items():
            assert torch.equal(network.state_dict()[name], tensor), name
        assert (parted / "history.jsonl").read_bytes() == (alone / "history.jsonl").read_bytes()

    def test_learns(self, tmp_path):
        fit, _ = self.fit(tmp_path, settings=FitSettings(epochs=4, lr=0.5))
        assert fit.run().best["accuracy"] > 0.9

    def test_running_statistics_see_each_batch_once(self, tmp_path):
        settings = FitSettings(epochs=3, lr=1e-9, keep="last")
        fit, network = self.fit(tmp_path, settings=settings, train=loader(range(32), shuffle=False))
        norm = network[1]
        fit.run()
        # 4 batches an epoch; the weights hardly move, so SGD's running mean over as many passes is the same.
        assert norm.num_batches_tracked == 12
        plain = convolutional()
        sgd = tmp_path / "sgd"
        sgd.mkdir()
        make_fit(sgd, plain, settings=settings, train=loader(range(32), shuffle=False)).run()
        torch.testing.assert_close(norm.running_mean, plain[1].running_mean, rtol=1e-4, atol=1e-6)
        assert norm.track_running_stats

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"compute": Compute(bfloat16=True)}, "bfloat16"),
            ({"settings": FitSettings(epochs=1, lr=1.0, clip_norm=1.0)}, "clip_norm"),
        ],
    )
    def test_what_it_cannot_honour_is_refused(self, tmp_path, changes, words):
        with pytest.raises(UserError, match=words):
            self.fit(tmp_path, **changes)

    @pytest.mark.parametrize("calls", [1, 2])
    def test_too_little_memory_is_said_at_the_first_pass_and_at_a_later_one(self, tmp_path, calls):
        class Small(nn.Module):
            """A machine without room for the graph of eight images from some pass on."""

            def __init__(self):
                super().__init__()
                self.inner, self.passes = convolutional(), 0

            def forward(self, images):
                self.passes += torch.is_grad_enabled()
                if torch.is_grad_enabled() and self.passes >= calls:
                    raise torch.OutOfMemoryError("DefaultCPUAllocator: can't allocate memory")
                return self.inner(images)

        settings = FitSettings(epochs=1, lr=0.5)
        fit = make_fit(tmp_path, Small(), settings=settings, optimiser="saddle-free-newton", krylov=2)
        with pytest.raises(UserError, match="keeps the graph of a whole batch") as caught:
            fit.run()
        assert "train.batch_size" in caught.value.remedy

    def test_a_loss_that_is_no_number_stops_it(self, tmp_path):
        fit, network = self.fit(tmp_path)
        with torch.no_grad():
            network[-1].weight.fill_(float("nan"))
        with pytest.raises(UserError, match="no finite number"):
            fit.run()


class TestRefusals:
    def test_a_large_network(self):
        weight = nn.Parameter(torch.zeros(500_001))
        with pytest.raises(UserError, match=r"500,001 parameters are too many") as caught:
            BUILD([{"params": [weight]}], 1.0)
        assert "adamw" in caught.value.remedy
        BUILD([{"params": [nn.Parameter(torch.zeros(500_000))]}], 1.0)

    def test_a_layer_without_second_derivatives(self):
        box = torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]], dtype=torch.float64)

        def pooled(w):
            return roi_align(w.view(1, 1, 4, 4), box, 2).square().sum()

        with pytest.raises(UserError, match="cannot be differentiated twice"):
            stepped(pooled, [1.0] * 16)
