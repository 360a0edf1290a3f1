import pytest
import torch
from torch import nn

from convolve.errors import UserError
from convolve.progress import silent
from convolve.training.compute import Compute, choose_engine
from convolve.training.engines import ENGINES, CannotRun
from convolve.training.engines.choice import checked_runner
from training.small_trainings import convolutional

OPENVINO = Compute(engine="openvino")


def images(number, side=8, channels=1):
    return torch.randn(number, channels, side, side, generator=torch.Generator().manual_seed(number))


def depthwise():
    """An inverted residual, as in MobileNet, with statistics that are not those of a fresh network."""

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(
                nn.Conv2d(8, 24, 1, bias=False),
                nn.BatchNorm2d(24),
                nn.ReLU6(inplace=True),
                nn.Conv2d(24, 24, 3, padding=1, groups=24, bias=False),
                nn.BatchNorm2d(24),
                nn.Hardswish(),
                nn.Conv2d(24, 8, 1),
            )

        def forward(self, maps):
            return maps + self.inner(maps)

    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), Residual(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        network(images(32, 16, 3))
    return network.eval()


@pytest.mark.parametrize("number", [1, 16, 37])
@pytest.mark.parametrize(("network", "shape"), [(convolutional().eval(), (1, 8, 8)), (depthwise(), (3, 16, 16))])
def test_openvino_computes_what_torch_does(network, shape, number):
    some = images(number, shape[1], shape[0])
    expected = ENGINES["torch"](network, shape, Compute())(some)
    outputs = ENGINES["openvino"](network, shape, OPENVINO)(some)
    assert outputs.dtype == torch.float32
    torch.testing.assert_close(outputs, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("at_once", [1, 3])
def test_any_number_of_images_a_run_gives_the_same(at_once):
    network, some = convolutional().eval(), images(7)
    run = checked_runner(
        network, some, OPENVINO, key=f"at once {at_once}", required=True, progress=silent, at_once=at_once
    )
    torch.testing.assert_close(run(some), network(some), rtol=1e-4, atol=1e-5)


def test_a_converted_network_does_not_follow_the_training_of_its_original():
    network = convolutional().eval()
    run = ENGINES["openvino"](network, (1, 8, 8), OPENVINO)
    before = run(images(3))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)
    assert torch.equal(run(images(3)), before)


class Stubborn(nn.Module):
    """A network whose code branches on the values of its inputs, which cannot be exported."""

    def forward(self, maps):
        return maps.flatten(1) if maps.sum() > 0 else -maps.flatten(1)


class Stateful(nn.Module):
    """A network that exports as something else than it computes."""

    def forward(self, maps):
        return maps.flatten(1) * (1 if torch.compiler.is_exporting() else 3)


@pytest.mark.parametrize(
    ("network", "words"), [(Stubborn(), "cannot run this network"), (Stateful(), "differ from torch's by 66.7%")]
)
def test_what_openvino_cannot_do_is_done_by_torch_and_told(network, words):
    told = []
    for _ in range(2):
        run = checked_runner(
            network.eval(), images(4), OPENVINO, key=words, required=False, progress=lambda what, *_: told.append(what)
        )
        assert torch.equal(run(images(4)), network(images(4)))
    assert len(told) == 1
    assert words in told[0]
    assert told[0].endswith("computing with torch")


def test_an_engine_that_the_recipe_names_must_work():
    with pytest.raises(UserError, match="openvino cannot run this network"):
        checked_runner(Stubborn().eval(), images(4), OPENVINO, key="named", required=True, progress=silent)
    with pytest.raises(CannotRun):
        ENGINES["openvino"](Stubborn().eval(), (1, 8, 8), OPENVINO)


def test_engines_by_name_and_device():
    assert choose_engine("auto", "cpu") == "openvino"
    assert choose_engine("auto", "cuda:1") == choose_engine("torch", "cpu") == "torch"
    with pytest.raises(UserError, match="used on CPUs"):
        choose_engine("openvino", "cuda")
