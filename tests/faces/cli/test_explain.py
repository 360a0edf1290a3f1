import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from convolve.deploy.model import load_model
from faces.cli.terminal import convolve, refused, succeeds
from workflow.pictures import class_folders

ODD = ("rgba", "16 bit", "cmyk", "one pixel", "long", "turned", "grey")


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """24 images of two classes."""
    return class_folders(tmp_path_factory.mktemp("data") / "pets", {"cat": 12, "dog": 12}, hw=(28, 28))


@pytest.fixture(scope="session")
def lenet(folders, tmp_path_factory):
    """A run of a network with maps; to be read only."""
    out = tmp_path_factory.mktemp("runs") / "lenet"
    succeeds("train", folders, "network=lenet5", "image_size=28", "epochs=1", "folds=0", "budget=none", "--out", out)
    return out


@pytest.fixture
def image(folders):
    return folders / "cat" / "00.png"


def explained(*words):
    return convolve("explain", *words, "--data", "none")


def test_instruments_are_listed_without_a_model():
    listed = succeeds("explain", "--list", "--json").json
    assert {"grad-cam", "occlusion", "deconvnet"} <= {one["name"] for one in listed}
    assert "no model" in refused("explain")


@pytest.mark.parametrize("kind", ODD)
def test_images_of_any_size_and_mode(kind, lenet, elsewhere):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    path = elsewhere / "odd.png"
    if kind == "rgba":
        Image.fromarray(np.dstack([pixels, pixels[:, :, 0]])).save(path)
    elif kind == "16 bit":
        Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257).save(path)
    elif kind == "cmyk":
        path = path.with_suffix(".jpg")
        Image.fromarray(pixels).convert("CMYK").save(path)
    elif kind == "one pixel":
        Image.fromarray(pixels[:1, :1]).save(path)
    elif kind == "long":
        Image.fromarray(np.tile(pixels[:20], (1, 60, 1))).save(path)
    elif kind == "turned":
        path, exif = path.with_suffix(".jpg"), Image.Exif()
        exif[0x112] = 6
        Image.fromarray(pixels).save(path, exif=exif)
    else:
        Image.fromarray(pixels[:, :, 0]).save(path)
    answer = explained(lenet, path, "--only", "grad-cam,integrated-gradients")
    assert answer.code == 0, answer.err
    assert "grad-cam, integrated-gradients" in answer.out
    assert (elsewhere / "explained" / "explained.html").is_file()


REFUSED = {
    ("--layer", "backbone9"): "unknown layer with maps 'backbone9'\n  ",
    ("--class", "catt"): "unknown class of the model 'catt'\n  Did you mean 'cat'",
    ("--truth", "dgo"): "unknown class of the model 'dgo'\n  Did you mean 'dog'",
    ("--only", "gradcam"): "unknown instrument 'gradcam'\n  Did you mean 'grad-cam'",
    ("--only", "occlusion", "--set", "occlusion.sid=3"): "unknown option 'sid'\n  Did you mean 'side'",
    ("--only", "occlusion", "--set", "occlusion.side=abc"): "occlusion.side='abc'",
    ("--only", "occlusion", "--set", "occlusion.side=300"): "side=300: a square to cover has 1 to 28 pixels",
    ("--set", "occlusion=3"): "--set occlusion=3: not INSTRUMENT.OPTION=VALUE",
    ("--only", "grad-cam", "--set", "occlusion.side=3"): "'occlusion' is not among --only",
    ("--unit", "3"): "--unit says which map, and of which layer is not told\n  Give --layer",
    ("--layer", "0", "--unit", "999"): "layer '0' has no unit 999\n  Its units are 0 to 5",
    ("--pixel", "3,3"): "--pixel, --region and --box",
    ("--pixel", "a,b"): "--pixel a,b: not X,Y",
    ("--region", "5,5,5,9"): "--region 5,5,5,9: not LEFT,TOP,RIGHT,BOTTOM",
    ("--box", "1"): "--pixel, --region and --box",
    ("--data", "gone"): "gone: no such file or folder",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_not_there_is_refused_and_nothing_written(words, lenet, image, elsewhere):
    more = [] if "--data" in words else ["--data", "none"]
    assert REFUSED[words] in refused("explain", lenet, image, *words, *more)
    assert not list(elsewhere.rglob("*.html"))


def test_a_unit_of_a_layer(lenet, image, elsewhere):
    assert explained(lenet, image, "--layer", "0", "--unit", "2", "--only", "grad-cam,deconvnet").code == 0


def test_no_run_and_no_model(image, elsewhere):
    assert "gone: there is no such" in refused("explain", "gone", image)
    assert "cut short or damaged" in refused("explain", image, image)


def test_other_data_with_other_classes(lenet, image, elsewhere):
    class_folders(elsewhere / "other", {"bird": 3, "fish": 3})
    words = refused("explain", lenet, image, "--data", elsewhere / "other", "--only", "nearest-images")
    assert "the model does not know the labels bird, fish" in words


def test_a_network_without_convolution(run, image, elsewhere):
    words = refused("explain", run, image, "--only", "grad-cam", "--data", "none")
    assert "the network has no convolution, so it has no maps to look at\n  Occlusion" in words
    told = succeeds("explain", run, image, "--data", "none", "--json").json
    assert {"occlusion", "integrated-gradients"} <= told["images"][0]["panels"].keys()
    assert "no convolution" in told["images"][0]["left_out"]["grad-cam"]


def test_weights_that_are_no_numbers(lenet, image, elsewhere):
    model = load_model(lenet / "model.safetensors")
    with torch.no_grad():
        next(model.network.parameters()).fill_(torch.nan)
    model.save(elsewhere / "nan.safetensors")
    words = refused("explain", elsewhere / "nan.safetensors", image, "--only", "grad-cam")
    assert "the network's answer is no number" in words


def test_a_file_where_the_page_is_to_be(lenet, image, elsewhere):
    (elsewhere / "file").write_text("mine")
    assert "file: cannot be made" in refused("explain", lenet, image, "--out", elsewhere / "file")
    assert "cannot be made" in refused("explain", lenet, image, "--out", elsewhere / "file" / "below")
    assert (elsewhere / "file").read_text() == "mine"


def test_images_that_fail(lenet, image, elsewhere):
    (elsewhere / "no.png").write_text("no")
    answer = explained(lenet, elsewhere / "no.png", image, elsewhere / "gone.png", "--only", "grad-cam")
    assert answer.code == 1
    assert answer.err.count("no.png: it holds text, not an image") == 1
    assert "gone.png" in answer.err
    assert "00.png: grad-cam" in answer.out
    words = refused("explain", lenet, elsewhere / "no.png", "--only", "grad-cam", "--data", "none")
    assert "none of the images can be explained" in words
    assert "it holds text, not an image" in words


def test_the_network_alone(lenet, elsewhere):
    told = succeeds("explain", lenet, "--only", "filters", "--data", "none", "--json").json
    assert told["images"] == []
    assert set(told["network"]["panels"]) == {"filters"}


def test_a_model_file_moved_away_from_its_run(lenet, image, elsewhere):
    shutil.copy(lenet / "model.safetensors", elsewhere / "m.safetensors")
    told = succeeds("explain", elsewhere / "m.safetensors", image, "--only", "grad-cam", "--json").json
    assert list(told["images"][0]["panels"]) == ["grad-cam"]


def test_the_list_of_instruments(elsewhere):
    told = json.loads(succeeds("explain", "none", "--list", "--json").out)
    assert {"grad-cam", "occlusion", "nearest-images"} <= {one["name"] for one in told}
    assert all(one["of"] in ("image", "network") and one["about"] for one in told)
