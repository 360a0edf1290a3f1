import re
import shutil

import numpy as np
import pytest
from PIL import Image

from convolve.errors import UserError
from convolve.progress import silent
from convolve.workflow.explaining.explain import Wanted, explain
from convolve.workflow.explaining.explainer import Pointed

QUICK = ("grad-cam", "nearest-images", "filters")


def wanted(out, *, only=QUICK, pointed=None, **others):
    return Wanted(out=out, pointed=pointed or Pointed(), only=only, **others)


def test_what_is_told_and_written(classifier, squares, tmp_path):
    images = [squares / "red" / "01.png", squares / "blue" / "01.png"]
    told = explain(classifier, images, wanted(tmp_path / "out"), silent)
    assert [set(one["panels"]) for one in told["images"]] == [{"grad-cam", "nearest-images"}] * 2
    assert set(told["network"]["panels"]) == {"filters"}
    assert told["failed"] == []
    parts = [*told["images"], told["network"]]
    files = [file for part in parts for panel in part["panels"].values() for file in panel["files"]]
    assert len(files) == len(set(files)) > 4
    for file in files:
        with Image.open(file) as picture:
            picture.load()
    page = (tmp_path / "out" / "explained.html").read_text()
    assert told["page"] == str(tmp_path / "out" / "explained.html")
    # Nothing is asked of other places, and nothing is run.
    assert re.findall(r"""(?:src|href)=["']?(?!#|data:|["'])[^"'>]+""", page) == []
    assert "<script" not in page
    # The truth is known by the image's content.
    assert "<td>red</td>" in page


def test_all_instruments_say_something_or_why_not(classifier, squares, tmp_path):
    told = explain(classifier, [squares / "red" / "00.png"], wanted(tmp_path / "out", only=()), silent)
    seen = {**told["images"][0]["panels"], **told["network"]["panels"]}
    missing = {**told["images"][0]["left_out"], **told["network"]["left_out"]}
    assert {"grad-cam", "occlusion", "what-it-needed", "faithfulness", "sanity", "strongest-patches"} <= set(seen)
    assert all(reason for reason in missing.values())
    assert not set(seen) & set(missing)


def test_again_is_the_same_but_for_the_seconds(classifier, squares, tmp_path):
    only = ("grad-cam", "occlusion", "faithfulness", "sanity", "activation-maximisation", "embedding-map")
    pages, pictures = [], []
    for name in ("first", "second"):
        told = explain(classifier, [squares / "red" / "02.png"], wanted(tmp_path / name, only=only), silent)
        pages.append(re.sub(r"\d+\.\d s\.</p>", "", (tmp_path / name / "explained.html").read_text()))
        panels = [*told["images"][0]["panels"].values(), *told["network"]["panels"].values()]
        pictures.append([np.array(Image.open(file)).tobytes() for panel in panels for file in panel["files"]])
    assert pages[0] == pages[1]
    assert pictures[0] == pictures[1]
    assert len(pictures[0]) > 5


def test_a_run_whose_images_have_gone_is_explained_all_the_same(classifier, squares, tmp_path):
    shutil.copytree(classifier, tmp_path / "run")
    plan = tmp_path / "run" / "plan.json"
    gone = plan.read_text().replace(str(squares), str(tmp_path / "moved"))
    assert gone != plan.read_text()
    plan.write_text(gone)
    told = explain(tmp_path / "run", [squares / "red" / "01.png"], wanted(tmp_path / "out", only=()), silent)
    assert "there are no images" in told["images"][0]["left_out"]["nearest-images"]
    assert "grad-cam" in told["images"][0]["panels"]
    page = (tmp_path / "out" / "explained.html").read_text()
    assert re.search(r"images to compare with</th>\s*<td>none: .*moved", page)


def test_images_of_one_name_and_of_odd_names(classifier, squares, tmp_path):
    names = ["a/same.png", "b/same.png", "network.png", "<script>alert(1)<b> é 猫.png", "two words.png"]
    images = [tmp_path / "images" / name for name in names]
    for number, image in enumerate(images):
        image.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(squares / "red" / f"{number:02}.png", image)
    told = explain(classifier, images, wanted(tmp_path / "out", only=("grad-cam",)), silent)
    assert [one["image"] for one in told["images"]] == [str(image) for image in images]
    files = [file for one in told["images"] for file in one["panels"]["grad-cam"]["files"]]
    assert len(files) == len(set(files)) == 5 * 2
    page = (tmp_path / "out" / "explained.html").read_text()
    assert "<script>" not in page
    identifiers = re.findall(r' id="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))


def test_images_that_cannot_be_read_do_not_stop_the_others(classifier, squares, tmp_path):
    (tmp_path / "no.png").write_text("no")
    images = [tmp_path / "no.png", squares / "red" / "00.png", tmp_path / "gone.png"]
    told = explain(classifier, images, wanted(tmp_path / "out", only=("grad-cam",)), silent)
    assert [one["image"] for one in told["failed"]] == [str(images[0]), str(images[2])]
    assert len(told["images"]) == 1
    with pytest.raises(UserError, match=r"none of the images can be explained: .*no.png: it holds text"):
        explain(classifier, [tmp_path / "no.png"], wanted(tmp_path / "none", only=("grad-cam",)), silent)


def test_the_class_that_is_pointed_at_is_the_one_that_is_explained(classifier, squares, tmp_path):
    pointed = Pointed(wanted="blue", truth="red")
    explain(classifier, [squares / "red" / "00.png"], wanted(tmp_path, only=("grad-cam",), pointed=pointed), silent)
    page = (tmp_path / "explained.html").read_text()
    assert re.search(r"explained</th>\s*<td>blue</td>", page)
    assert re.search(r"truth</th>\s*<td>red</td>", page)


@pytest.mark.parametrize("run", ["faster", "onestage"])
def test_boxes_by_every_instrument(run, detectors, shapes, tmp_path):
    only = ("grad-cam", "activations", "integrated-gradients", "guided-backpropagation", "filters")
    told = explain(detectors / run, [shapes / "JPEGImages" / "20.png"], wanted(tmp_path, only=only), silent)
    assert [*told["images"][0]["panels"], *told["network"]["panels"]] == [
        "grad-cam",
        "activations",
        "guided-backpropagation",
        "integrated-gradients",
        "filters",
    ]


def test_a_region_of_a_mask(segmenter, scenes, tmp_path):
    asked = wanted(tmp_path, only=("grad-cam", "activations"), pointed=Pointed(region=(5, 5, 30, 30)))
    told = explain(segmenter, [scenes / "test" / "images" / "12.png"], asked, silent)
    assert told["images"][0]["asked_about"] == "the region from 5, 5 to 30, 30"
    assert "asked about (outlined)" in (tmp_path / "explained.html").read_text()
