import pytest

from faces.cli.terminal import succeeds
from workflow.detect.shapes import FASTER, voc_folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Nothing here may read or fill the developer's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVOLVE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """24 images with two objects each, in given splits."""
    return voc_folder(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="session")
def finished(shapes, tmp_path_factory):
    """The folder of a training long enough to learn something; to be read only."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    succeeds("train", shapes, *FASTER, "epochs=6", "lr=0.003", "--out", folder)
    return folder


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
