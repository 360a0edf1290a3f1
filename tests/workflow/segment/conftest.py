import pytest

from faces.cli.terminal import succeeds
from workflow.segment.scenes import UNET, split_folders, tile_folders


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Nothing here may read or fill the developer's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVOLVE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """15 images with masks in given splits."""
    return split_folders(tmp_path_factory.mktemp("data") / "scenes")


@pytest.fixture(scope="session")
def tiles(tmp_path_factory):
    """12 images with masks of four places."""
    return tile_folders(tmp_path_factory.mktemp("data") / "tiles")


@pytest.fixture(scope="session")
def finished(scenes, tmp_path_factory):
    """The folder of a training long enough to learn something; to be read only."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    succeeds("train", scenes, *UNET, "epochs=25", "lr=0.01", "--out", folder)
    return folder


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
