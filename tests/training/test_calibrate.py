import pytest
import torch
from torch import nn

from convolve.errors import UserError
from convolve.progress import silent
from convolve.training.calibrate import Calibration, calibrate, candidates
from convolve.training.compute import Compute
from training.small_trainings import TASK, convolutional

PLAIN, LAST, HALF = Compute(), Compute(channels_last=True), Compute(bfloat16=True)
IMAGES = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
TARGETS = torch.arange(8) % 3


class Told(nn.Module):
    """A network whose slowness, memory and outputs depend on how it is computed."""

    def __init__(self, *, slow_steps=0, wrong_in_half=False, room=10**9, no_room_for_plain=False):
        super().__init__()
        self.inner = convolutional()
        self.slow_steps, self.wrong_in_half, self.room = slow_steps, wrong_in_half, room
        self.no_room_for_plain = no_room_for_plain

    def forward(self, images):
        channels_last = self.inner[0].weight.shape[1] == 1 and images.stride()[1] == 1 and images.stride()[3] == 1
        plain = not torch.is_autocast_enabled("cpu") and not channels_last
        if len(images) > self.room or (self.no_room_for_plain and plain):
            raise torch.OutOfMemoryError("can't allocate memory")
        for _ in range(0 if torch.is_autocast_enabled("cpu") else self.slow_steps):
            torch.rand(500, 500) @ torch.rand(500, 500)
        outputs = self.inner(images)
        return outputs + 5 * torch.eye(3)[0] if self.wrong_in_half and torch.is_autocast_enabled("cpu") else outputs


def measured(network, ways, *, seconds=0.02, trained=True):
    return calibrate(network, TASK, IMAGES, TARGETS, ways, trained=trained, seconds=seconds, progress=silent)


def test_the_faster_way_is_chosen():
    result = measured(Told(slow_steps=20), [PLAIN, HALF])
    assert result.chosen == HALF
    assert [m.verdict for m in result.measurements] == ["slower", "chosen"]
    assert result.images_per_second == result.measurements[1].images_per_second > 0


def test_a_fast_way_with_another_loss_is_not():
    result = measured(Told(slow_steps=20, wrong_in_half=True), [PLAIN, HALF])
    assert result.chosen == PLAIN
    assert [m.verdict for m in result.measurements] == ["chosen", "loss differs"]


@pytest.mark.parametrize("trained", [True, False])
def test_the_network_and_the_random_state_are_left_as_they_were(trained):
    network = Told()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torch.get_rng_state()
    measured(network, [PLAIN, LAST, HALF], trained=trained)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert network.training


def test_dropout_is_not_taken_for_a_wrong_loss():
    losses = [m.loss for m in measured(Told(), [PLAIN, LAST, PLAIN]).measurements]
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-5)


def test_out_of_memory_in_one_way_leaves_the_others():
    result = measured(Told(no_room_for_plain=True), [PLAIN, HALF])
    assert result.chosen == HALF
    assert [m.verdict for m in result.measurements] == ["out of memory", "chosen"]
    assert Calibration.model_validate_json(result.model_dump_json()) == result


def test_out_of_memory_in_all_ways_measures_a_smaller_batch():
    result = measured(Told(room=3), [PLAIN])
    assert result.images_per_second > 0
    with pytest.raises(UserError, match="out of memory with a single image"):
        measured(Told(room=0), [PLAIN])


def test_other_errors_are_ours():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        measured(nn.Sequential(nn.Flatten(), nn.Linear(5, 3)), [PLAIN])


def test_settings_of_the_recipe_are_kept():
    ways = candidates("cpu", memory_format="channels_last", precision="bfloat16", compile_network="off")
    assert ways == [Compute(channels_last=True, bfloat16=True)]
    ways = candidates("cpu", memory_format="auto", precision="float32", compile_network="auto")
    assert ways == [PLAIN, LAST]
