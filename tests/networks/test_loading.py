import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from convolve.errors import UserError
from convolve.networks.auxiliaries import Auxiliaries
from convolve.networks.loading import load_backbone
from convolve.networks.network import ARCHITECTURES


def small(outputs=2, **options):
    return ARCHITECTURES["mlp"].create(outputs, channels=1, image_hw=(4, 4), options={"hidden": [6, 5], **options})


def test_names_on_both_sides_are_loaded_and_the_rest_is_reported():
    network, other = small(), small()
    head = network.head.weight.clone()
    theirs = other.backbone.state_dict()
    given = {"1.weight": theirs["1.weight"], "1.bias": theirs["1.bias"], "fc.bias": torch.zeros(3)}
    report = load_backbone(network, given)
    assert report.loaded == ("1.weight", "1.bias")
    assert report.new == ("3.weight", "3.bias")
    assert report.sentence == (
        "2 of 4 tensors loaded from weights; new, with random values: 3.weight, 3.bias; "
        "left over, its classifier: fc.bias"
    )
    assert report.left_over == ("fc.bias",)
    assert torch.equal(network.backbone[1].weight, other.backbone[1].weight)
    assert not torch.equal(network.backbone[3].weight, other.backbone[3].weight)
    assert torch.equal(network.head.weight, head)


def test_a_file_of_a_whole_network_gives_its_backbone_to_one_of_other_classes(tmp_path):
    other, network = small(outputs=7), small(outputs=2)
    file = tmp_path / "model.safetensors"
    save_file(other.state_dict(), file)
    report = load_backbone(network, file)
    assert report.new == ()
    assert report.left_over == ("head.bias", "head.weight")
    assert torch.equal(network.backbone[3].weight, other.backbone[3].weight)


def test_a_name_with_another_shape_is_an_error_and_nothing_is_loaded():
    network = small()
    before = network.backbone[1].weight.clone()
    with pytest.raises(UserError, match=r"'3.weight' is 9 x 6, but 5 x 6 in this network"):
        load_backbone(network, small(hidden=[6, 9]).backbone.state_dict())
    assert torch.equal(network.backbone[1].weight, before)


def test_weights_with_too_few_of_the_names_are_refused():
    theirs = small().backbone.state_dict()
    with pytest.raises(UserError, match=r"only 1 of this network's 4 parameter tensors"):
        load_backbone(small(), {"1.weight": theirs["1.weight"]})


def test_values_that_are_not_finite_are_refused():
    theirs = small().backbone.state_dict()
    theirs["3.bias"] = torch.full((5,), torch.nan)
    with pytest.raises(UserError, match=r"'3.bias' has values that are not finite"):
        load_backbone(small(), theirs)


def test_weights_of_a_wholly_other_network_are_refused():
    with pytest.raises(UserError, match=r"not one of its 1 names .* \(theirs: layer1.weight; ours: 1.weight\)"):
        load_backbone(small(), {"layer1.weight": torch.zeros(1)})


@pytest.mark.parametrize("content", [None, b"", b"\xff" * 64])
def test_a_file_that_is_none_is_refused(tmp_path, content):
    file = tmp_path / "weights.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=r"weights.safetensors: (there is no such file|cut short, damaged)"):
        load_backbone(small(), file)


def test_whole_numbers_are_no_weights():
    network = small()
    tensors = {name: tensor.long() for name, tensor in network.backbone.state_dict().items()}
    with pytest.raises(UserError, match="int64, but float32"):
        load_backbone(network, tensors)


def test_a_backbone_that_was_trained_is_not_trained_on_with_random_auxiliary_classifiers():
    network = small()
    network.auxiliaries = Auxiliaries({"1": nn.Linear(6, 2)}, weight=0.3)
    load_backbone(network, small().backbone.state_dict())
    assert network.auxiliaries is None
