from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convolve.data.boxes.voc_xml import is_voc_xml, read_voc_xml
from convolve.errors import UserError

BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3.5</xmax><ymax>4</ymax></bndbox>"

# Example annotation of the VOC2012 development kit, section 8.1, its parts shortened.
OF_THE_KIT = """<annotation>
  <folder>VOC2012</folder>
  <filename>2007_000027.jpg</filename>
  <source><database>The VOC2007 Database</database></source>
  <size><width>486</width><height>500</height><depth>3</depth></size>
  <segmented>0</segmented>
  <object>
    <name>person</name>
    <part><name>head</name><bndbox><xmin>209</xmin><ymin>108</ymin><xmax>290</xmax><ymax>187</ymax></bndbox></part>
    <bndbox><xmax>349</xmax><xmin>174</xmin><ymax>351</ymax><ymin>101</ymin></bndbox>
    <difficult>1</difficult>
  </object>
</annotation>
"""


def tell(folder: Path, text: str | bytes) -> Path:
    file = folder / "a.xml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def read(folder: Path, text: str | bytes):
    return read_voc_xml(tell(folder, text), called="a.xml")


def test_an_object_is_read_with_its_own_box_and_not_its_parts(tmp_path: Path) -> None:
    found = read(tmp_path, OF_THE_KIT)
    (person,) = found.objects
    assert (person.label, person.corners, person.difficult, person.line) == ("person", (174, 101, 349, 351), True, 7)
    assert (found.image_name, found.wh) == ("2007_000027.jpg", (486, 500))


@given(name=st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=20))
def test_any_name_of_a_class_comes_back(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    text = f"<annotation><object><name>{escape(name)}</name>{BOX}</object></annotation>"
    (found,) = read(tmp_path_factory.mktemp("xml"), text).objects
    assert found.label == name.strip()


@pytest.mark.parametrize("told", ["../../etc/passwd.jpg", "C:\\data\\passwd.jpg", "/etc/passwd.jpg", "passwd.jpg"])
def test_of_the_images_path_only_the_name_counts(told: str, tmp_path: Path) -> None:
    assert read(tmp_path, f"<annotation><filename>{told}</filename></annotation>").image_name == "passwd.jpg"


LAUGHS = "<!DOCTYPE a [<!ENTITY l0 'lol'>" + "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))
HOSTILE = {
    "bomb": f"{LAUGHS}]><annotation><object><name>&l9;</name></object></annotation>",
    "file": "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><annotation><filename>&x;</filename></annotation>",
    "dtd": "<!DOCTYPE annotation SYSTEM 'http://127.0.0.1/a.dtd'><annotation></annotation>",
    "parameter": "<!DOCTYPE a [<!ENTITY % x SYSTEM 'file:///etc/passwd'>%x;]><annotation></annotation>",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_document_types_are_refused_with_the_file_and_the_line(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.xml, line 1: it has a document type"):
        read(tmp_path, HOSTILE[kind])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<annotation>\n<object>\n</annotation>", r"a\.xml, line 3: not XML: mismatched tag"),
        ("", r"a\.xml, line 1: not XML: no element found"),
        ("<annotation>\n\x00</annotation>", r"a\.xml, line 2: not XML"),
        ("<annotation>&nbsp;</annotation>", r"a\.xml, line 1: not XML: undefined entity"),
        ("<?xml version='1.0' encoding='klingon'?><annotation/>", r"a\.xml, line 1: not XML"),
        ("<annotations></annotations>", r"line 1: <annotations> is no VOC annotation"),
        (f"<annotation>\n<object>{BOX}</object></annotation>", "line 2: an object without a name"),
        ("<annotation>\n\n<object><name>a</name></object></annotation>", "line 3: the object 'a' has no <bndbox>"),
        (f"<annotation><object><name>a</name>{BOX.replace('3.5', 'x')}</object></annotation>", "'x' in <xmax> is no"),
        ("<annotation><object><name>a</name><bndbox/></object></annotation>", "line 1: there is no <xmin>"),
        ("<annotation><size><width>w</width></size></annotation>", "'w' in <width> is no number"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        read(tmp_path, text)


def test_a_file_beyond_the_bound_is_not_parsed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="17 MiB of XML; at most 16"):
        read(tmp_path, b"<annotation>" + b" " * (17 << 20))


def test_many_thousand_levels_are_read_without_overflow(tmp_path: Path) -> None:
    deep = "<a>" * 100_000
    assert read(tmp_path, f"<annotation>{deep}{deep.replace('<', '</')}</annotation>").objects == ()


def test_it_is_known_by_its_root(tmp_path: Path) -> None:
    assert is_voc_xml(tell(tmp_path, OF_THE_KIT))
    assert not is_voc_xml(tell(tmp_path, "<annotations><image/></annotations>"))
    assert not is_voc_xml(tell(tmp_path, "<svg/>"))
