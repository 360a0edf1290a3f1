from pathlib import Path

import pytest

from convolve.data.masks.class_tables import TableRow, read_table, tables_beside
from convolve.errors import UserError

NAMED = [TableRow("sky"), TableRow("street light")]
VALUED = [TableRow("sky", 3), TableRow("street light", 7)]
COLOURED = [TableRow("sky", None, (64, 128, 64)), TableRow("street light", None, (192, 0, 128))]
BOTH = [TableRow("sky", 3, (64, 128, 64)), TableRow("street light", 7, (192, 0, 128))]
JSON = '{"classes": [{"title": "sky", "color": "#408040"}, {"name": "street light", "color": "#C00080"}]}'


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("classes.txt", "sky\nstreet light\n\n", NAMED),
        ("classes.csv", "name\nsky\nstreet light", NAMED),
        ("classes.txt", "3 sky\n7 street light", VALUED),
        ("classes.txt", "3: sky\n7: street light", VALUED),
        ("classes.csv", "class_name,value\nsky,3\nstreet light,7", VALUED),
        ("label_colors.txt", "64 128 64\tsky\n192 0 128\tstreet light", COLOURED),
        ("colors.txt", "sky 64 128 64\nstreet light 192 0 128", COLOURED),
        ("class_dict.csv", "\ufeffname,r,g,b\r\nsky,64,128,64\r\nstreet light,192,0,128\r\n", COLOURED),
        ("class_dict.csv", "r;g;b;name\n64;128;64;sky\n192;0;128;street light", COLOURED),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nsky:64,128,64::\nstreet light:192,0,128::", COLOURED),
        ("colors.txt", "#408040,sky\n#C00080,street light", COLOURED),
        ("classes.json", JSON, COLOURED),
        ("classes.csv", "id,name,red,green,blue\n3,sky,64,128,64\n7,street light,192,0,128", BOTH),
    ],
)
def test_forms_that_circulate(name: str, text: str, rows: list[TableRow], tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert list(read_table(tmp_path / name).rows) == rows


def test_names_may_end_in_numbers(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("class 0\nclass 1")
    assert [row.name for row in read_table(tmp_path / "classes.txt").rows] == ["class 0", "class 1"]


@pytest.mark.parametrize("text", ["", "only one", "a\nb\na", '{"classes": 3}', "[" * 100_000])
@pytest.mark.parametrize("name", ["classes.txt", "classes.json"])
def test_what_is_no_table_is_said(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=r"masks\.classes: .*(no table of two or more classes|twice)"):
        read_table(tmp_path / name)


def test_hostile_files_are_answered(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not UTF-8"):
        read_table(tmp_path / "a.txt")
    with pytest.raises(UserError, match="cannot be read"):
        read_table(tmp_path / "missing.txt")


def test_tables_made_for_the_masks_come_before_a_tools_export(tmp_path: Path) -> None:
    for name in ("classes.json", "class_colors.csv", "notes.txt", "labels.txt"):
        (tmp_path / name).write_text("a,1,2,3\nb,4,5,6" if name != "classes.json" else '[{"name": "a"}, {"name": "b"}]')
    (tmp_path / "train").mkdir()
    found = [table.source for table in tables_beside([tmp_path / "train" / "1.png", tmp_path / "train" / "2.png"])]
    assert found == ["class_colors.csv", "classes.json", "labels.txt"]
    (tmp_path / "site").mkdir()
    assert tables_beside([tmp_path / "site" / "1.png"]) == []
