import pytest

from convolve.errors import UserError
from convolve.recipe.file import make_recipe
from convolve.recipe.values import override
from convolve.workflow.detect.build import check_box_names
from convolve.workflow.segment.build import check_map_names


@pytest.mark.parametrize(
    "setting", ["segment.crop=64", "masks.coding=binary", "loss=focal", "loss.label_smoothing=0.1"]
)
def test_keys_of_other_tasks_are_refused(setting: str) -> None:
    recipe = make_recipe(override({"data": {"path": "photos"}}, [setting]))
    with pytest.raises(UserError, match="no meaning for images with boxes"):
        check_box_names(recipe)


def test_keys_of_boxes_are_refused_with_masks() -> None:
    recipe = make_recipe(override({"data": {"path": "photos"}}, ["detect.side=640"]))
    with pytest.raises(UserError, match=r"detect\.side has no meaning for images with masks"):
        check_map_names(recipe)


def test_vector_machines_need_regions() -> None:
    recipe = make_recipe(override({"data": {"path": "photos"}}, ["detect=onestage", "detect.classifier=svm"]))
    with pytest.raises(UserError, match="does not look at regions"):
        check_box_names(recipe)


@pytest.mark.parametrize(
    "setting", ["detect.anchor_sizes=[]", "detect.anchor_sizes=[1e30]", "detect.anchor_ratios=[0]"]
)
def test_anchors_have_bounds(setting: str) -> None:
    with pytest.raises(UserError, match="anchor"):
        make_recipe(override({"data": {"path": "photos"}}, [setting]))


@pytest.mark.parametrize("share", ["abc", "3", "-0.1"])
def test_a_mosaic_is_a_share(share: str) -> None:
    recipe = make_recipe(override({"data": {"path": "photos"}}, [f"augment.mosaic={share}"]))
    with pytest.raises(UserError, match=r"augment\.mosaic"):
        check_box_names(recipe)
