"""Parts travel one by one and are again what they were, or it is said which is not."""

import hashlib

import pytest

from experiments.coco_mini import parts
from tests import commands

MIB = 2**20


@pytest.fixture
def luggage(tmp_path):
    """A folder of 2.5 MiB with a link out of it, and a file."""
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "large").write_bytes(bytes(range(256)) * (10 * MIB // 1024))
    (folder / "empty").touch()
    (tmp_path / "elsewhere").write_text("what a link leads to")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "weights").write_bytes(b"w" * 1000)
    return [folder, tmp_path / "weights"]


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_what_was_packed_comes_out(luggage, tmp_path):
    names = parts.pack(luggage, tmp_path / "d", size_mib=1)
    assert names == ["part000", "part001", "part002"]
    sizes = [(tmp_path / "d" / name).stat().st_size for name in names]
    assert max(sizes) == MIB
    (tmp_path / "elsewhere").unlink()
    assert parts.join(tmp_path / "d", tmp_path / "o") == ["data", "weights"]
    found = contents(tmp_path / "o")
    assert found.keys() == {"data/deep/large", "data/empty", "data/link", "weights"}
    assert found["data/deep/large"] == (luggage[0] / "deep" / "large").read_bytes()
    assert found["data/link"] == b"what a link leads to"


def test_the_same_content_gives_the_same_parts(luggage, tmp_path):
    for name in ("one", "other"):
        parts.pack(luggage, tmp_path / name, size_mib=1)
        (luggage[0] / "deep" / "large").touch()  # on another day
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_the_list_is_one_of_sha256sum(luggage, tmp_path):
    parts.pack(luggage[1:], tmp_path / "d")
    digest = hashlib.sha256((tmp_path / "d" / "part000").read_bytes()).hexdigest()
    assert (tmp_path / "d" / parts.LIST).read_text() == f"{digest}  part000\n"


def test_every_part_that_is_missing_or_broken_is_named(luggage, tmp_path):
    folder = tmp_path / "d"
    parts.pack(luggage, folder, size_mib=1)
    (folder / "part000").unlink()
    data = bytearray((folder / "part002").read_bytes())
    data[100] ^= 1
    (folder / "part002").write_bytes(data)
    with pytest.raises(
        ValueError, match=r"part000 is missing, part002 is broken.*of 3"
    ):
        parts.join(folder, tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_nothing_is_overwritten(luggage, tmp_path):
    parts.pack(luggage, tmp_path / "d")
    output = tmp_path / "o"
    (output / "data").mkdir(parents=True)
    with pytest.raises(ValueError, match="data is there already"):
        parts.join(tmp_path / "d", output)
    assert [path.name for path in output.iterdir()] == ["data"]
    with pytest.raises(ValueError, match="is not empty"):
        parts.pack(luggage, tmp_path / "d")


def test_parts_of_several_packings_can_be_joined_in_one_place(luggage, tmp_path):
    for name, path in zip(("one", "other"), luggage, strict=True):
        parts.pack([path], tmp_path / name)
        parts.join(tmp_path / name, tmp_path / "o")
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"data", "weights"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda d: [d / "none"], "none: there is nothing to pack"),
        (
            lambda d: [d / "data", d / "data" / "deep" / ".." / "." / ".." / "data"],
            "too",
        ),
    ],
)
def test_what_cannot_be_packed_is_named(luggage, tmp_path, make, said):
    with pytest.raises(ValueError, match=said):
        parts.pack(make(tmp_path), tmp_path / "d")
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("text", ["", "no list", "aa  ../part000"])
def test_a_list_that_is_none_is_refused(tmp_path, text):
    (tmp_path / parts.LIST).write_text(text)
    with pytest.raises(ValueError, match=r"parts\.sha256: no list of parts"):
        parts.join(tmp_path, tmp_path / "o")
    (tmp_path / parts.LIST).unlink()
    with pytest.raises(ValueError, match="`pack` writes it"):
        parts.join(tmp_path, tmp_path / "o")


def test_the_command_packs_and_joins(luggage, tmp_path, capsys):
    module, packed = "experiments.coco_mini.parts", tmp_path / "d"
    words = ["pack", *map(str, luggage), f"--output={packed}", "--size_mib=1"]
    assert commands.run(module, *words) == (0, "")
    assert "3 parts, 2.5 MiB" in capsys.readouterr().out
    joined = f"--output={tmp_path / 'o'}"
    assert commands.run(module, "join", str(packed), joined) == (0, "")
    assert "data, weights in" in capsys.readouterr().out
    for words in ([], ["pack"], ["join", "a", "b"], ["unpack", "a"]):
        status, said = commands.run(module, *words, joined)
        assert (status, "Say `pack PATH...` or `join D`" in said) == (1, True)
