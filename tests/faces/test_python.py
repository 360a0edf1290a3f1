"""The Python verbs do what the commands of the same names do."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import convolve
from convolve.faces.python import assignments_of
from convolve.progress import silent
from convolve.recipe.file import make_recipe, write_recipe
from convolve.recipe.values import override
from faces.cli.terminal import succeeds

QUICK: dict[str, Any] = {
    "network": {"name": "mlp", "options": {"hidden": [32]}},
    "augment": "none",
    "compute": {"precision": "float32", "memory_format": "contiguous"},
    "epochs": 1,
    "folds": 0,
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    found = load_digits()
    for kind in (0, 1):
        folder = tmp_path / "photos" / f"digit-{kind}"
        folder.mkdir(parents=True)
        for number, image in enumerate(found.images[found.target == kind][:30]):
            Image.fromarray(np.rint(image * (255 / 16)).astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "photos"


def test_importing_the_package_imports_no_pytorch() -> None:
    code = "import sys, convolve; assert 'torch' not in sys.modules; print(*convolve.__all__); convolve.Recipe"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.split() == sorted(convolve.__all__)


def test_every_public_name_is_there_and_no_other() -> None:
    for name in convolve.__all__:
        assert getattr(convolve, name) is not None
        assert name in dir(convolve)
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        convolve.tarin  # noqa: B018


def test_train_then_load_predicts_as_the_trained_model(photos: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    run = convolve.train(photos, out=tmp_path / "run", progress=lambda *one: told.append(one), **QUICK)
    assert run.folder == tmp_path / "run"
    assert run.report.stat().st_size > 0
    assert run.results["epochs"] == 1
    # 20 % of 60 images, as stratified splits give them.
    assert run.results["test"]["n"] == 12
    assert any(total == 0 and what.startswith("forecast") for what, _, total in told)
    images = sorted(photos.rglob("*.png"))[::7]
    loaded = convolve.load(run.folder)
    assert loaded.classes == ("digit-0", "digit-1")
    np.testing.assert_array_equal(loaded.probabilities(images).numpy(), run.model.probabilities(images).numpy())


def test_a_folder_a_recipe_and_its_file_are_the_same_training(photos: Path, tmp_path: Path) -> None:
    recipe = make_recipe(override({"data": {"path": str(photos)}}, assignments_of({**QUICK, "epochs": 2})))
    file = tmp_path / "recipe.toml"
    file.write_text(write_recipe(recipe), encoding="utf-8")
    weights = []
    calls: list[tuple[Any, dict[str, Any]]] = [(photos, QUICK), (recipe, {"epochs": 1}), (file, {"epochs": 1})]
    for number, (source, settings) in enumerate(calls):
        run = convolve.train(source, out=tmp_path / str(number), progress=silent, **settings)
        weights.append(run.model.network.state_dict())
    for other in weights[1:]:
        assert other.keys() == weights[0].keys()
        assert all(torch.equal(other[name], weights[0][name]) for name in other)


def test_the_same_call_again_finds_the_finished_training(photos: Path, tmp_path: Path) -> None:
    first = convolve.train(photos, out=tmp_path / "run", progress=silent, **QUICK)
    written = first.report.stat().st_mtime_ns
    again = convolve.train(photos, out=tmp_path / "run", progress=silent, **QUICK)
    assert again == first
    assert again.report.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    "settings",
    [
        {"optimiser__lr": 0.01},
        {"optimiser.lr": 0.01},
        {"optimiser": {"lr": 0.01}},
        {"lr": 0.01},
        {"lr": np.float64(0.01)},
    ],
)
def test_every_notation_of_a_setting_means_the_same(settings: dict[str, object]) -> None:
    recipe = make_recipe(override({"data": {"path": "photos"}}, assignments_of(settings)))
    assert recipe.optimiser.lr == 0.01
    assert recipe.model_copy(update={"optimiser": recipe.optimiser.model_copy(update={"lr": "auto"})}) == make_recipe(
        {"data": {"path": "photos"}}
    )


@pytest.mark.parametrize("value", ["a = 'b'", "5", 'say "no"', True, 3, 1e-5, [1, 2], ["x"]])
def test_values_survive_being_written_as_a_setting(value: object) -> None:
    assert override({}, assignments_of({"key": value})) == {"key": value}
    assert type(override({}, assignments_of({"key": value}))["key"]) is type(value)


@pytest.mark.parametrize("value", [np.int64(5), np.float32(0.5), np.bool_(True), np.array([1, 2])])
def test_numpys_values_become_plain_ones(value: Any) -> None:
    assert override({}, assignments_of({"key": value})) == {"key": value.tolist()}


@pytest.mark.parametrize("value", [None, object(), 1j])
def test_values_that_no_recipe_holds_are_refused(value: object) -> None:
    with pytest.raises(convolve.UserError, match=r"key=.*no value that a recipe can hold"):
        assignments_of({"key": value})


def test_wrong_input_is_a_user_error(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(convolve.UserError, match=r"unknown key 'epohcs'\n.*'epochs'"):
        convolve.train(photos, out=tmp_path / "run", epohcs=3)
    with pytest.raises(convolve.UserError, match="nowhere"):
        convolve.train(tmp_path / "nowhere", progress=silent)
    with pytest.raises(convolve.UserError, match="no model"):
        convolve.load(photos)


def test_look_counts_the_images_of_each_class(photos: Path) -> None:
    inspection = convolve.look(photos)
    assert inspection.images == 60
    assert {name: sum(counts.values()) for name, counts in inspection.counts.items()} == {"digit-0": 30, "digit-1": 30}


@pytest.fixture
def trained(photos: Path, tmp_path: Path) -> Path:
    return convolve.train(photos, out=tmp_path / "run", progress=silent, **QUICK).folder


def without_seconds(told: Any) -> Any:
    if isinstance(told, dict):
        return {key: without_seconds(value) for key, value in told.items() if key != "seconds"}
    return [without_seconds(one) for one in told] if isinstance(told, list) else told


def test_explain_tells_what_the_command_prints(photos: Path, trained: Path, tmp_path: Path) -> None:
    image, out = photos / "digit-1" / "3.png", tmp_path / "explained"
    words = ["explain", str(trained), str(image), "--only", "nearest-images,integrated-gradients", "--out", str(out)]
    words += [
        "--set",
        "nearest-images.most=3",
        "--set",
        "integrated-gradients.steps=10",
        "--class",
        "digit-0",
        "--json",
    ]
    printed = succeeds(*words).json
    explanation = convolve.explain(
        str(trained),
        image,
        out=out,
        only=["nearest-images", "integrated-gradients"],
        options={"nearest-images": {"most": 3}, "integrated-gradients": {"steps": 10}},
        wanted="digit-0",
    )
    assert without_seconds(explanation.numbers) == without_seconds(printed)
    panels = explanation.numbers["images"][0]["panels"]
    assert len(panels["nearest-images"]["numbers"]["nearest"]) == 3
    assert panels["integrated-gradients"]["numbers"]["class"] == "digit-0"
    assert explanation.page == out / "explained.html"
    assert all(Path(file).is_file() for panel in panels.values() for file in panel["files"])


def test_explain_says_which_answers_it_explains(photos: Path, trained: Path, tmp_path: Path) -> None:
    images = [photos / "digit-0" / "1.png", photos / "digit-1" / "1.png"]
    explanation = convolve.explain(trained, images, out=tmp_path / "two", only="integrated-gradients")
    predicted = list(convolve.load(trained).predict(images))
    told = explanation.numbers["images"]
    assert [one["image"] for one in told] == [str(image) for image in images]
    assert [one["label"] for one in told] == [answer["label"] for answer in predicted]
    assert [one["probability"] for one in told] == pytest.approx([answer["probability"] for answer in predicted])


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"only": ["grad-cma"]}, "grad-cam"),
        ({"wanted": "digit-7"}, "digit-7"),
        ({"options": {"nearest-images": {"msot": 3}}}, "most"),
        ({"region": (5, 5, 5, 9)}, "LEFT,TOP,RIGHT,BOTTOM"),
        ({"box": 0}, "counted from 1"),
        ({"box": 1}, "says what an image shows, not where"),
    ],
)
def test_explain_refuses_what_is_not_there(
    asked: dict[str, Any], complaint: str, photos: Path, trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(convolve.UserError, match=complaint):
        convolve.explain(trained, photos / "digit-0" / "1.png", out=tmp_path / "explained", **asked)
    assert not (tmp_path / "explained").exists()


def test_explain_of_a_broken_image_alone_is_an_error(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"not an image")
    with pytest.raises(convolve.UserError, match="none of the images"):
        convolve.explain(trained, tmp_path / "broken.png", out=tmp_path / "explained", only="integrated-gradients")
