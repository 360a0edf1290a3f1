import pytest

from faces.cli.terminal import succeeds
from workflow.detect.shapes import FASTER, SETTINGS, SMALL_HEADS, voc_folder
from workflow.explaining.squares import CLASSIFIER, square_folders
from workflow.segment.scenes import UNET, split_folders


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Nothing here may read or fill the developer's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVOLVE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def squares(tmp_path_factory):
    """60 images with one square, of a colour of its class, at a place of its own."""
    return square_folders(tmp_path_factory.mktemp("data") / "squares", each=30)


@pytest.fixture(scope="session")
def classifier(squares, tmp_path_factory):
    """A run that has learned to tell the squares apart; to be read only."""
    folder = tmp_path_factory.mktemp("runs") / "classifier"
    succeeds("train", squares, *CLASSIFIER, "epochs=25", "--out", folder)
    return folder


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """15 images with masks in given splits."""
    return split_folders(tmp_path_factory.mktemp("data") / "scenes")


@pytest.fixture(scope="session")
def segmenter(scenes, tmp_path_factory):
    """A run that knows a little; to be read only."""
    folder = tmp_path_factory.mktemp("runs") / "segmenter"
    succeeds("train", scenes, *UNET, "epochs=6", "lr=0.01", "--out", folder)
    return folder


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """24 images with two objects each, in given splits."""
    return voc_folder(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="session")
def detectors(shapes, tmp_path_factory):
    """Runs of detectors of three kinds that know little; to be read only."""
    folder = tmp_path_factory.mktemp("runs")
    succeeds("train", shapes, *FASTER, "epochs=2", "lr=0.003", "--out", folder / "faster")
    succeeds("train", shapes, *SETTINGS, "detect=onestage", *SMALL_HEADS[:1], "epochs=1", "--out", folder / "onestage")
    succeeds("train", shapes, *SETTINGS, "detect=fast", *SMALL_HEADS, "epochs=1", "--out", folder / "fast")
    return folder


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
