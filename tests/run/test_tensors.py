import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

from convolve.errors import UserError
from convolve.run.tensors import VERSION, read_card, read_tensors, write_tensors

TENSORS = {"w": torch.arange(6.0).view(2, 3), "n": torch.tensor(3), "half": torch.ones(2, dtype=torch.bfloat16)}


def test_what_was_written_is_read(tmp_path):
    shared = TENSORS | {"same": TENSORS["w"], "columns": TENSORS["w"].t()}
    write_tensors(tmp_path / "t", "model", shared, {"a": [1, {"b": None}]})
    tensors, card = read_tensors(tmp_path / "t", "model")
    assert card == read_card(tmp_path / "t", "model") == {"a": [1, {"b": None}]}
    assert tensors.keys() == shared.keys()
    assert all(torch.equal(tensors[n], shared[n]) and tensors[n].dtype == shared[n].dtype for n in shared)


def test_it_is_the_same_file_every_time(tmp_path):
    for name in "ab":
        write_tensors(tmp_path / name, "model", TENSORS, {"x": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_cut_short_anywhere_is_named(tmp_path):
    write_tensors(tmp_path / "t", "model", TENSORS, {})
    whole = (tmp_path / "t").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "t").write_bytes(whole[:length])
        with pytest.raises(UserError, match="cut short or damaged"):
            read_tensors(tmp_path / "t", "model")


GOOD = {"kind": "model", "version": VERSION, "card": {}}


def labelled(**changes):
    return {"convolve": json.dumps(GOOD | changes)}


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (None, "not a model of convolve"),
        ({"format": "pt"}, "not a model of convolve"),
        (labelled(kind="checkpoint"), "not a model"),
        (labelled(version=VERSION + 1), "newer convolve"),
        (labelled(version="one"), "damaged"),
        (labelled(card=[1]), "not a model"),
        ({"convolve": "{"}, "damaged"),
        ({"convolve": "[1]"}, "damaged"),
        ({"convolve": "[" * 100_000}, "damaged"),
        ({"convolve": json.dumps({"kind": "model"})}, "damaged"),
    ],
)
def test_foreign_and_hostile_files_are_named(tmp_path, metadata, words):
    save_file(TENSORS, tmp_path / "t", metadata=metadata)
    with pytest.raises(UserError, match=words):
        read_tensors(tmp_path / "t", "model")


def test_pickles_are_never_opened(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    (tmp_path / "t").write_bytes(pickle.dumps(Evil()))
    torch.save(TENSORS, tmp_path / "u")
    for name in "tu":
        with pytest.raises(UserError, match="cut short or damaged"):
            read_tensors(tmp_path / name, "model")
    assert not (tmp_path / "owned").exists()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="no such model file"):
        read_card(tmp_path / "none", "model")
