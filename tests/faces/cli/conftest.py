import pytest

from faces.cli.terminal import succeeds
from workflow.pictures import QUICK, class_folders


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Nothing here may read or fill the developer's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVOLVE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def animals(tmp_path_factory, _own_cache):
    """40 images of two classes."""
    return class_folders(tmp_path_factory.mktemp("data") / "animals", {"cat": 20, "dog": 20})


@pytest.fixture(scope="session")
def run(animals, tmp_path_factory):
    """A finished training on a single split; to be read only."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    succeeds("train", animals, *QUICK, "folds=0", "--out", folder)
    return folder


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
