import pytest

from convolve.data.dataset import ClassLabel, Dataset, Sample
from convolve.errors import UserError
from convolve.workflow.testing import rows_of_other


def data(*splits):
    samples = tuple(
        Sample(name=str(row), image=None, target=ClassLabel(0), split=one) for row, one in enumerate(splits)
    )
    return Dataset(name="other", form="test", classes=("cat",), samples=samples)


@pytest.mark.parametrize(
    ("splits", "rows", "told"),
    [(("train", "test", "test"), [1, 2], "test"), ((None, None), [0, 1], "all")],
)
def test_other_data_is_judged_by_its_split_or_whole(splits, rows, told):
    found, name = rows_of_other(data(*splits), "folder", "test")
    assert (found.tolist(), name) == (rows, told)


def test_other_data_that_is_divided_otherwise_says_how():
    with pytest.raises(UserError, match="folder: it has no split 'test'") as told:
        rows_of_other(data("train", "validation"), "folder", "test")
    assert "train, validation" in told.value.remedy
