"""Names that mean the same image although they are written in different ways, and names that could mean two."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualiclip.bench.data.names import AmbiguousName, match

FILES = ["one/a.png", "one/b.JPG", "two/c.png", "Zoë.png", "deep/er/d.tif"]


@pytest.mark.parametrize(
    ("written", "images"),
    [
        (lambda f: f.rpartition("/")[2], FILES),  # without folders
        (lambda f: f"/home/me/photos/{f}", FILES),  # with the folders of another machine
        (lambda f: f"photos/{f}", [f"folder/{f}" for f in FILES]),  # both sides in a folder of their own
        (str.upper, FILES),
        (lambda f: unicodedata.normalize("NFD", f), FILES),
        (lambda f: "C:\\data\\" + f.replace("/", "\\"), FILES),
        (lambda f: f"./{f}", FILES),
        (lambda f: f.rpartition(".")[0], FILES),  # without the suffix
        (lambda f: f.replace(".JPG", ".jpeg").replace(".tif", ".tiff"), FILES),
        (lambda f: f, [f.replace("/", "\\") for f in FILES]),  # unpacked from an archive of Windows
    ],
)
def test_what_is_written_differently_means_the_same(written, images):
    assert match([written(f) for f in FILES], images) == images


def test_names_of_mixed_depth():
    assert match(["a.png", "x/b.png", "/y/x/c.png"], ["a.png", "b.png", "x/c.png"]) == ["a.png", "b.png", "x/c.png"]


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("a.png", ["x/a.png", "y/a.png"]),
        ("a", ["a.png", "a.jpg"]),
        ("A.PNG", ["a.png", "a.PNG"]),
        ("x/a.png", ["one/x/a.png", "two/x/a.png"]),
    ],
)
def test_what_could_mean_two_images_is_refused_with_both(name, images):
    with pytest.raises(AmbiguousName, match=f"^{name} could mean .*, "):
        match([name], images)


def test_the_closer_name_wins():
    assert match(["a.png", "A.png"], ["a.png", "sub/a.png"]) == ["a.png", "a.png"]
    assert match(["sub/a.png"], ["a.png", "sub/a.png"]) == ["sub/a.png"]
    assert match(["/data/sub/a.png", "/data/a.png"], ["a.png", "sub/a.png"]) == ["sub/a.png", "a.png"]


def test_another_image_is_not_meant():
    assert match(["b.png", "a.bmp", "in/a.png"], ["a.png", "in/a.png"]) == [None, None, "in/a.png"]
    assert match(["x/1.png", "y/2.png"], ["y/1.png", "y/2.png"]) == [None, "y/2.png"]
    assert match(["", "/"], ["a.png"]) == [None, None]


PART = st.text("abcäß ÅΩ-_.[]%&'", min_size=1, max_size=6).filter(lambda t: t.strip(".") != "")
PATHS = st.lists(st.lists(PART, min_size=1, max_size=4).map(lambda p: "/".join(p) + ".png"), min_size=1, max_size=8)


@given(PATHS, st.sampled_from(["NFC", "NFD"]), st.sampled_from(["", "/root/", "photos/"]))
def test_a_name_finds_its_image_or_is_refused(paths, form, front):
    """Whatever else is in the set: the same path in another form never means another image."""
    images = list({unicodedata.normalize("NFC", p).lower(): p for p in paths}.values())
    try:
        found = match([front + unicodedata.normalize(form, p) for p in images], images)
    except AmbiguousName:
        return
    assert found == images


@given(PATHS)
def test_names_without_folders_are_found_where_they_are_unambiguous(paths):
    images = list({p.rpartition("/")[2].lower(): p for p in paths}.values())
    bare = [p.rpartition("/")[2] for p in images]
    if len({unicodedata.normalize("NFC", b).lower() for b in bare}) == len(images):
        assert match(bare, images) == images
