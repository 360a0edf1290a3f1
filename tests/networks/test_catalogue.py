import subprocess
import sys

import pytest

from convolve.errors import UserError
from convolve.networks.catalogue import all_names, find_architecture, published_weights


def test_plain_and_prefixed_names_are_found():
    for name in ("residual", "timm:resnet18", "torchvision:resnet18"):
        assert find_architecture(name).name == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lenet", "Did you mean 'lenet5'"),
        ("resnet18", "Did you mean 'timm:resnet18' or 'torchvision:resnet18'"),
        ("timm:resnet81", "Did you mean 'timm:resnet18'"),
        ("timm:resnet18.mine", "Known: .*resnet18.a1_in1k"),
        ("torchvision:resnt18", "Did you mean 'torchvision:resnet18'"),
        ("tim:resnet18", "Did you mean 'timm'"),
        ("torchvision:fcn_resnet50", "torchvision has no network 'fcn_resnet50'"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(name, words):
    with pytest.raises(UserError, match=words):
        find_architecture(name)


def test_our_own_networks_have_no_published_weights():
    with pytest.raises(UserError, match="nobody publishes weights for network 'residual'"):
        published_weights("residual")


def test_all_names_are_of_ours_and_of_both_libraries():
    names = all_names()
    assert len(names) == len(set(names))
    assert {"lenet5", "timm:tf_efficientnet_lite0", "torchvision:vgg16"} <= set(names)


def test_libraries_are_imported_only_when_needed():
    code = (
        "import sys; from convolve.networks import catalogue, choice, cost, loading, zoo;"
        "catalogue.find_architecture('residual');"
        "choice.choose_network(median_hw=(99, 99), channels=3, train_images=9);"
        "print([name for name in ('timm', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"
