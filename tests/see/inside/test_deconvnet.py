"""Signals carried back: against hand-worked numbers, torch's unpooling, plain derivatives, and Captum."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from captum.attr import Deconvolution, GuidedBackprop
from torch import nn

from convolve.errors import UserError
from convolve.networks.architectures.residual import residual
from convolve.randomness import torch_randomness
from convolve.see.inside.backward_rules import BackwardRule
from convolve.see.inside.deconvnet import late_middle_layer, project_logit, project_units
from convolve.see.inside.subject import Subject
from see.inside.subjects import small_question, small_subject

RULES = ("gradient", "deconvnet", "guided")
# Each row: what goes up, what comes back, and the slopes that the table of rules asks for.
UP = [-1.0, -1.0, 2.0, 2.0, 7.0]
BACK = [-3.0, 4.0, -5.0, 6.0, 8.0]
PASSED = {
    "gradient": [0.0, 0.0, -5.0, 6.0, 8.0],
    "deconvnet": [0.0, 4.0, 0.0, 6.0, 8.0],
    "guided": [0.0, 0.0, 0.0, 6.0, 8.0],
}


def in_place_by_statement(values):
    copy = values.clone()
    copy.relu_()
    return copy


RECTIFIERS = {
    "module": nn.ReLU(),
    "module in place": lambda values: nn.ReLU(inplace=True)(values.clone()),
    "function": F.relu,
    "function in place": lambda values: F.relu(values.clone(), inplace=True),
    "torch's": torch.relu,
    "method": lambda values: values.relu(),
    "method in place": in_place_by_statement,
    "hardtanh": lambda values: F.hardtanh(values, 0.0, 100.0),
}


def carried_back(rule, rectifier):
    values = torch.tensor(UP, requires_grad=True)
    with BackwardRule(rule) as mode:
        out = rectifier(values)
    (slopes,) = torch.autograd.grad(out, values, torch.tensor(BACK))
    return out.tolist(), slopes.tolist(), mode


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("rectifier", RECTIFIERS.values(), ids=RECTIFIERS)
def test_the_three_rules_at_a_rectifier(rule, rectifier):
    out, slopes, mode = carried_back(rule, rectifier)
    assert out == [0.0, 0.0, 2.0, 2.0, 7.0]
    assert slopes == PASSED[rule]
    assert mode.rectifiers == 1


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_above_six_relu6_has_no_gradient_but_is_active(rule, inplace):
    out, slopes, _ = carried_back(rule, lambda values: nn.ReLU6(inplace)(values.clone()))
    assert out == [0.0, 0.0, 2.0, 2.0, 6.0]
    assert slopes == [*PASSED[rule][:4], 0.0 if rule == "gradient" else 8.0]


@pytest.mark.parametrize("rule", RULES)
def test_other_activations_keep_their_derivative_and_are_named(rule):
    _, slopes, mode = carried_back(rule, nn.SiLU())
    values = torch.tensor(UP, requires_grad=True)
    (expected,) = torch.autograd.grad(F.silu(values), values, torch.tensor(BACK))
    assert slopes == expected.tolist()
    assert (mode.rectifiers, mode.others) == (0, {"silu"})


def subject_of(body, *, channels=1, side=8):
    with torch_randomness("body", 0):
        network = nn.Sequential(body, nn.Flatten(), nn.LazyLinear(2)).eval()
        network(torch.zeros(1, channels, side, side))
    return Subject(
        network=network,
        body=body,
        normalise=lambda images: images,
        classes=("a", "b"),
        channels=channels,
        image_hw=(side, side),
        fill=(0.0,) * channels,
    )


def random_images(*shape):
    with torch_randomness("images to carry back to", 0):
        return torch.rand(*shape)


@pytest.mark.parametrize("overlap", [0, 1])
def test_through_max_pooling_values_land_exactly_on_the_switches(overlap):
    pool = nn.MaxPool2d(2 + overlap, stride=2)
    subject = subject_of(nn.Sequential(pool, nn.ReLU()), side=9)
    image = random_images(1, 9, 9)
    (found,), passed = project_units(subject, image, "1")
    pooled, switches = F.max_pool2d(image[None], pool.kernel_size, 2, return_indices=True)
    alone = torch.where(pooled == pooled.max(), pooled, torch.zeros(()))
    # The unpooling of overlapping windows overwrites where it should add; with one value it cannot.
    expected = F.max_unpool2d(alone, switches, pool.kernel_size, 2, output_size=(9, 9))
    assert torch.equal(found.signal, expected[0])
    assert (found.signal != 0).sum() == 1
    assert found.signal.argmax() == switches.flatten()[pooled.argmax()]
    assert passed.switches == 1


def test_all_the_switches_of_a_network_with_convolution_are_kept():
    convolution = nn.Conv2d(1, 4, 3, bias=False)
    subject = subject_of(nn.Sequential(convolution, nn.MaxPool2d(2), nn.Conv2d(4, 3, 3), nn.ReLU()), side=10)
    image = random_images(1, 10, 10)
    (found,), _ = project_units(subject, image, "3", strongest=1)
    with torch.no_grad():
        _, switches = F.max_pool2d(convolution(image[None]), 2, return_indices=True)
        maps = subject.body(image[None])
        start = torch.zeros_like(maps)
        start.view(-1)[maps.argmax()] = maps.max()
        # The rectifier on top lets the start through; then kernels, switches, kernels.
        down = F.conv_transpose2d(start, subject.body[2].weight)
        down = F.conv_transpose2d(F.max_unpool2d(down, switches, 2), convolution.weight)
    torch.testing.assert_close(found.signal, down[0], rtol=0, atol=1e-6)
    assert found.activation == pytest.approx(float(maps.max()))


def test_without_rectifiers_the_projection_is_the_vector_jacobian_product():
    body = nn.Sequential(nn.Conv2d(3, 5, 3), nn.MaxPool2d(2), nn.Conv2d(5, 6, 3))
    subject = subject_of(body, channels=3, side=12)
    image = random_images(3, 12, 12)
    projections = {rule: project_units(subject, image, "2", (0, 3))[0] for rule in RULES}
    maps, pull = torch.func.vjp(body, image[None])
    for index, unit in enumerate((0, 3)):
        start = torch.zeros_like(maps)
        start[0, unit].view(-1)[maps[0, unit].argmax()] = maps[0, unit].max()
        expected = pull(start)[0][0] if maps[0, unit].max() > 0 else torch.zeros(3, 12, 12)
        assert all(torch.equal(found[index].signal, expected) for found in projections.values())


@pytest.mark.parametrize(("rule", "captums"), [("guided", GuidedBackprop), ("deconvnet", Deconvolution)])
def test_captum_agrees_on_a_logit(rule, captums):
    with torch_randomness("network for captum", 0):
        network = nn.Sequential(
            *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.ReLU()),
            *(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(72, 16), nn.ReLU(), nn.Linear(16, 4)),
        ).eval()
    subject = Subject(
        network=network,
        body=network,
        normalise=lambda images: images,
        classes=("a", "b", "c", "d"),
        channels=3,
        image_hw=(18, 18),
        fill=(0.0,) * 3,
    )
    image = random_images(3, 18, 18)
    found, passed = project_logit(subject, image, 2, rule=rule)
    with pytest.warns(UserWarning, match="Setting backward hooks on ReLU"):
        expected = captums(network).attribute(image[None].clone().requires_grad_(), target=2)
    torch.testing.assert_close(found, expected[0].detach(), rtol=1e-5, atol=1e-7)
    assert float(found.abs().max()) > 0
    assert passed.rectifiers == 3


def test_the_plain_rule_is_the_derivative_and_the_others_are_not():
    with torch_randomness("residual network", 0):
        network = residual(3, channels=3, image_hw=(16, 16), depth=8, width=4).eval()
    subject = Subject(
        network=network,
        body=network.backbone,
        normalise=lambda images: images,
        classes=("a", "b", "c"),
        channels=3,
        image_hw=(16, 16),
        fill=(0.5,) * 3,
    )
    image = random_images(3, 16, 16)
    found = {rule: project_logit(subject, image, 1, rule=rule) for rule in RULES}
    pixels = image[None].clone().requires_grad_()
    (slope,) = torch.autograd.grad(network(pixels)[0, 1], pixels)
    assert torch.equal(found["gradient"][0], slope[0])
    assert {passed.rectifiers for _, passed in found.values()} == {7}  # the stem's and two in each of three blocks
    signals = [signal for signal, _ in found.values()]
    assert not any(torch.equal(signals[one], signals[other]) for one, other in ((0, 1), (0, 2), (1, 2)))


def test_networks_with_rectifiers_in_place_are_left_as_they_were():
    subject, question = small_subject(), small_question()
    before = subject.logits(question.image[None])
    with torch.inference_mode():
        for rule in RULES:
            project_units(subject, question.image, "5", rule=rule)
    assert torch.equal(subject.logits(question.image[None]), before)


def test_a_unit_that_is_not_active_has_an_empty_signal():
    subject, question = small_subject(), small_question()
    with torch.no_grad():
        subject.body[4].weight[3] = 0
        subject.body[4].bias[3] = -1
    (idle, other), _ = project_units(subject, question.image, "5", (3, 0))
    assert (idle.active, idle.activation, int(idle.signal.count_nonzero())) == (False, 0.0, 0)
    assert other.active == (other.activation > 0)
    strongest, _ = project_units(subject, question.image, "5", strongest=8)
    assert 3 not in [projection.unit for projection in strongest]


def test_the_strongest_units_come_first():
    subject, question = small_subject(), small_question()
    found, _ = project_units(subject, question.image, "2", strongest=4)
    peaks = subject.body[:3](subject.normalise(question.image[None])).amax(dim=(0, 2, 3)).detach().numpy()
    assert [projection.unit for projection in found] == np.argsort(-peaks)[:4].tolist()


def test_a_layer_or_a_unit_that_is_not_there_is_an_error():
    subject, question = small_subject(), small_question()
    with pytest.raises(UserError, match="layer '5' has no unit 8"):
        project_units(subject, question.image, "5", (8,))
    with pytest.raises(UserError, match="unknown layer with maps 'relu'"):
        project_units(subject, question.image, "relu")


def test_activations_that_are_no_numbers_are_an_error():
    subject, question = small_subject(), small_question()
    with torch.no_grad():
        subject.body[4].bias[0] = float("nan")
    with pytest.raises(UserError, match="activations are no numbers"):
        project_units(subject, question.image, "4")
    with pytest.raises(UserError, match="activations are no numbers"):
        project_logit(subject, question.image, 0)


def test_by_default_a_layer_before_the_last_halving():
    assert late_middle_layer(small_subject()) == "2"
