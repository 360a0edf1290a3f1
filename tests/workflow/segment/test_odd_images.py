"""Images that a training must take although they are small or have other bands, and keys that are not for masks."""

import pytest
from PIL import Image

from faces.cli.terminal import refused, succeeds
from workflow.segment.scenes import UNET, split_folders


@pytest.fixture
def tiny(tmp_path):
    """Images of 5 x 7 pixels, below the smallest side of any network."""
    root = split_folders(tmp_path / "tiny")
    for file in root.rglob("*.png"):
        with Image.open(file) as whole:
            part = whole.crop((20, 20, 27, 25))
        part.save(file)
    return root


def test_images_smaller_than_the_network_takes_are_filled_up(tiny, elsewhere):
    succeeds("train", tiny, *UNET, "masks.ignore=[]", "epochs=1", "--out", elsewhere / "run")


def test_two_bands_in_another_order_train(scenes, elsewhere):
    succeeds("train", scenes, *UNET, "data.bands=[3, 1]", "epochs=1", "--out", elsewhere / "run")


@pytest.mark.parametrize("setting", ["data.per_class=2", "data.image_size=64", "data.fit=pad"])
def test_keys_of_images_with_one_class_are_refused(setting, scenes, elsewhere):
    words = refused("train", scenes, *UNET, setting, "--out", elsewhere / "run")
    assert setting.partition("=")[0] in words
    assert "Leave it out" in words
    assert not (elsewhere / "run").exists()
