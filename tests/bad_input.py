"""Bad input, case by case: how it is made of a good small folder, and how it is met.

`python -m tests.bad_input` writes the tables of docs/bad_input.md from these cases and
the messages that they get.
"""

import copy
import functools
import gzip
import io
import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from poseseg_jax.coco.annotations import load
from poseseg_jax.coco.picture import parse_picture
from poseseg_jax.data.coco_persons.record import make_record
from poseseg_jax.skeleton import KEYPOINT_NAMES
from tests.coco_files import document, image, person

DOCS = Path(__file__).resolve().parents[1] / "docs" / "bad_input.md"
NAN, INFINITE = float("nan"), float("inf")


@dataclass(frozen=True)
class File:
    """A file that is wrong as a whole, and an error whatever `on_error` says.

    `make` returns the bytes of the annotation file; None: there is no file.
    """

    name: str
    make: Callable[[], bytes | None]
    suffix: str = ".json"


@dataclass(frozen=True)
class Labels:
    """Labels that are wrong: an error, or pictures left out, counted and listed.

    `change` spoils `good()` in place. Picture 1 is left out, unless said otherwise; if
    nothing says which picture is meant, none is.
    """

    name: str
    change: Callable[[dict], object]
    left_out: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class Accepted:
    """Labels that look odd and are taken as they are, for a reason."""

    name: str
    change: Callable[[dict], object]
    reason: str
    encode: Callable[[str], bytes] = str.encode


@dataclass(frozen=True)
class PictureFile:
    """A picture file that is wrong: an error, or that picture left out.

    `make` makes its bytes of those of a good JPEG; None: there is no such file.
    """

    name: str
    make: Callable[[bytes], bytes | None]


@dataclass(frozen=True)
class AcceptedFile:
    """A picture file that looks odd and is taken, for a reason."""

    name: str
    make: Callable[[bytes], bytes]
    reason: str


# The good folder ----------------------------------------------------------------------


def good() -> dict:
    """Pictures 1 ... 4; annotation 10 is a person in picture 1, 13 a crowd in 3."""
    people = [person(10, 1), person(11, 2), person(12, 3)]
    crowd = {"size": [48, 64], "counts": [0, 48, 3024]}
    people.append(
        person(13, 3, iscrowd=1, segmentation=crowd, bbox=[0, 0, 1, 48], area=48)
    )
    pictures = [{**image(i), "file_name": f"{i:012d}.jpg"} for i in (1, 2, 3, 4)]
    return document(pictures, people)


def good_pixels() -> np.ndarray:
    """Blurred noise of the annotated size, BGR."""
    rng = np.random.default_rng(0)
    return cv2.GaussianBlur(rng.integers(0, 256, (48, 64, 3), np.uint8), (5, 5), 2)


def good_jpeg() -> bytes:
    """The picture of every image."""
    return encode(".jpg")


def encode(suffix: str, pixels: np.ndarray | None = None) -> bytes:
    """The good picture, or another, as OpenCV writes it."""
    pixels = good_pixels() if pixels is None else pixels
    return cv2.imencode(suffix, pixels)[1].tobytes()


def pillow(kind: str, mode: str = "RGB", **options: object) -> bytes:
    """The good picture as Pillow writes it, which knows more formats."""
    file = io.BytesIO()
    Image.fromarray(good_pixels()[..., ::-1]).convert(mode).save(file, kind, **options)
    return file.getvalue()


def frames(kind: str) -> bytes:
    """An animation of two pictures."""
    second = Image.fromarray(255 - good_pixels())
    return pillow(kind, save_all=True, append_images=[second])


# Changes ------------------------------------------------------------------------------


def images(**fields: object) -> Callable[[dict], object]:
    """Changes fields of picture 1."""
    return lambda content: content["images"][0].update(fields)


def another(**fields: object) -> Callable[[dict], object]:
    """Adds a picture."""
    return lambda content: content["images"].append({**image(9), **fields})


def first(**fields: object) -> Callable[[dict], object]:
    """Changes fields of annotation 10."""
    return lambda content: content["annotations"][0].update(fields)


def crowd(**fields: object) -> Callable[[dict], object]:
    """Changes fields of annotation 13."""
    return lambda content: content["annotations"][3].update(fields)


def without(key: str) -> Callable[[dict], object]:
    """Takes a field of annotation 10 away."""
    return lambda content: content["annotations"][0].pop(key)


def runs(counts: object, size: object = (48, 64)) -> Callable[[dict], object]:
    """Gives annotation 10 run lengths."""
    size = list(size) if isinstance(size, tuple) else size
    return first(segmentation={"size": size, "counts": counts})


def points(x: float, y: float, visibility: float = 2) -> list[float]:
    """17 keypoints in one place."""
    return [x, y, visibility] * 17


def replaced(**fields: object) -> Callable[[], bytes]:
    """A good file with other entries beside images and annotations."""
    return lambda: text({**good(), **fields})


def text(content: object) -> bytes:
    """As a file."""
    return json.dumps(content).encode()


def nested(depth: int) -> object:
    """Lists in lists."""
    return functools.reduce(lambda inner, _: [inner], range(depth), [])


def in_category(number: int) -> dict:
    """A good document, but its people are of that category."""
    content = good()
    for entry in content["annotations"]:
        entry["category_id"] = number
    return content


def zigzag() -> list[float]:
    """An outline that runs across the picture ten thousand times."""
    return [0, 0, 64, 48] * 5000


def resized(width: int, height: int) -> Callable[[bytes], bytes]:
    """A JPEG whose header says another size."""

    def change(data: bytes) -> bytes:
        place = data.index(b"\xff\xc0") + 5
        size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
        return data[:place] + size + data[place + 4 :]

    return change


def turned(data: bytes) -> bytes:
    """A JPEG with an EXIF orientation: shown on its side."""
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]


def _same(content: dict) -> None:
    """Changes nothing."""


def _with_mark(words: str) -> bytes:
    return b"\xef\xbb\xbf" + words.encode()


FILES = [
    File("no file", lambda: None),
    File("an empty file", lambda: b""),
    File("a file that is cut off", lambda: text(good())[:-40]),
    File("a web page", lambda: b"<!DOCTYPE html><title>Not Found</title>"),
    File("bytes that are no text", lambda: b'{"images": "\xff\xfe"}'),
    File("a `.gz` that is none", lambda: text(good()), ".json.gz"),
    File(
        "a `.gz` that is cut off", lambda: gzip.compress(text(good()))[:-20], ".json.gz"
    ),
    File(
        "a `.gz` with something behind it",
        lambda: gzip.compress(text(good())) + b"more",
        ".json.gz",
    ),
    File("lists in lists, 100,000 deep", lambda: b"[" * 100_000 + b"]" * 100_000),
    File(
        "an object with the same key twice",
        lambda: text(good())[:-1] + b', "annotations": []}',
    ),
    File(
        "an annotation with the same key twice",
        lambda: text(good()).replace(b'"bbox": ', b'"bbox": [], "bbox": ', 1),
    ),
    File("an integer of 5000 digits", lambda: b'{"images": [' + b"9" * 5000 + b"]}"),
    File("a result file", lambda: text([{"image_id": 1, "score": 0.5}])),
    File("another kind of COCO file", lambda: text({"images": [], "info": {}})),
    File("`images` is no list", replaced(images={"1": {}})),
    File("no pictures", replaced(images=[])),
    File("`categories` is no list", replaced(categories="person")),
    File("a category that is no object", replaced(categories=["person"])),
    File("category 1 twice", replaced(categories=[{"id": 1}, {"id": 1}])),
    File(
        "people are category 0",
        lambda: text({**in_category(0), "categories": [{"id": 0, "name": "person"}]}),
    ),
    File(
        "all annotations are of another category, and none is listed",
        lambda: text({**in_category(0), "categories": None}),
    ),
    File(
        "people are not category 1, which is something else",
        replaced(categories=[{"id": 1, "name": "cat"}, {"id": 2, "name": "person"}]),
    ),
    File(
        "16 keypoints",
        replaced(categories=[{"id": 1, "keypoints": list(KEYPOINT_NAMES[:16])}]),
    ),
    File(
        "COCO's keypoints in another order",
        replaced(categories=[{"id": 1, "keypoints": list(KEYPOINT_NAMES[::-1])}]),
    ),
]

LABELS = [
    # The picture's entry
    Labels("a picture's entry is no object", lambda c: c["images"].append(7), ()),
    Labels("a picture without id", lambda c: c["images"].append({}), ()),
    Labels("a picture's id is text", another(id="9"), ()),
    Labels("a picture's id is a fraction", another(id=9.5), ()),
    Labels("a picture's id is negative", another(id=-9), ()),
    Labels("a picture's id does not fit 64 bits", another(id=2**63), ()),
    Labels("a picture's id is used twice", lambda c: c["images"].append(image(1))),
    Labels(
        "two pictures with the same file",
        lambda c: c["images"][0].update(file_name=c["images"][1]["file_name"]),
        (1, 2),
    ),
    Labels("a picture without file name", images(file_name=None)),
    Labels("a file name that leaves the folder", images(file_name="../1.jpg")),
    Labels("a file name from the root", images(file_name="/etc/passwd")),
    Labels("a file name with a zero byte", images(file_name="1.jpg\0.png")),
    Labels("a file name with a line break", images(file_name="1\n.jpg")),
    Labels("a file name with half a character", images(file_name="\ud800.jpg")),
    Labels("a picture without a size", lambda c: c["images"][0].pop("height")),
    Labels("a picture's size is text", images(width="64")),
    Labels("a picture's size is NaN", images(width=NAN)),
    Labels("a picture of no height", images(height=0)),
    Labels("a picture that no memory holds", images(height=10**6, width=10**6)),
    # The annotation's place
    Labels("an annotation is no object", lambda c: c["annotations"].append(7), ()),
    Labels("an annotation without id", without("id")),
    Labels("an annotation's id does not fit 64 bits", first(id=2**64)),
    Labels("an annotation's id is `true`", first(id=True)),
    Labels("an annotation id is used twice", first(id=11), (1, 2)),
    Labels("an annotation without picture", without("image_id"), ()),
    Labels("an annotation's picture as text", first(image_id="1")),
    Labels("an annotation's picture as a fraction", first(image_id=1.0)),
    Labels("an annotation of a missing picture", first(image_id=77), (77,)),
    Labels("an annotation without category", without("category_id")),
    Labels("an annotation's category as text", first(category_id="person")),
    # Box and area
    Labels("no box", without("bbox")),
    Labels("a box of 3 numbers", first(bbox=[10, 10, 20])),
    Labels("a box of lists", first(bbox=[[10, 10], [20, 30], [1], [2]])),
    Labels("a box with NaN", first(bbox=[10, NAN, 20, 30])),
    Labels("a box with an endless integer", first(bbox=[10, 10, 20, 10**400])),
    Labels("a box of negative height", first(bbox=[10, 10, 20, -30])),
    Labels("a box outside of the picture", first(bbox=[200, 10, 20, 30])),
    Labels("a box in other units", first(bbox=[10, 10, 20, 3000])),
    Labels("a box of huge numbers", first(bbox=[10, 10, 20, 1e300])),
    Labels("a box of endless integers", first(bbox=[10**299] * 4)),
    Labels("no area", without("area")),
    Labels("an area of null", first(area=None)),
    Labels("an area of null, of a crowd", crowd(area=None), (3,)),
    Labels("an infinite area", first(area=INFINITE)),
    Labels("a negative area", first(area=-600)),
    Labels("an area of 0, with labelled keypoints", first(area=0)),
    Labels("an area that is not of this box", first(area=60_000)),
    # Keypoints
    Labels("16 keypoints of a person", first(keypoints=[20, 20, 2] * 16)),
    Labels("keypoints as text", first(keypoints="20 20 2")),
    Labels("a keypoint with NaN", first(keypoints=points(20, NAN))),
    Labels("a keypoint with `true`", first(keypoints=points(20, True))),
    Labels(
        "an unlabelled keypoint of 31 digits",
        first(keypoints=[*points(20, 20)[:-3], 10**30, 0, 0]),
    ),
    Labels("keypoints of a crowd that are none", crowd(keypoints=[1, 2]), (3,)),
    Labels("visibility 3", first(keypoints=points(20, 20, 3))),
    Labels("visibility 1.5", first(keypoints=points(20, 20, 1.5))),
    Labels("labelled keypoints far outside", first(keypoints=points(20, 2000))),
    Labels("keypoints as shares of the picture", first(keypoints=points(0.3, 0.4))),
    Labels("all keypoints at (0, 0), labelled", first(keypoints=points(0, 0))),
    Labels("crowd flag 2", first(iscrowd=2)),
    # Masks
    Labels("no segmentation", without("segmentation")),
    Labels("a segmentation of null", first(segmentation=None)),
    Labels("a polygon of 2 corners", first(segmentation=[[1, 1, 9, 9]])),
    Labels("a polygon of 7 numbers", first(segmentation=[[1, 1, 9, 1, 9, 9, 1]])),
    Labels("an empty polygon", first(segmentation=[[]])),
    Labels("a polygon outside of a list", first(segmentation=[1, 1, 9, 1, 9, 9])),
    Labels("a polygon with text", first(segmentation=[[1, 1, 9, 1, 9, "9"]])),
    Labels("a polygon with NaN", first(segmentation=[[1, 1, 9, 1, 9, NAN]])),
    Labels(
        "an endless integer in a polygon", first(segmentation=[[1] * 5 + [10**400]])
    ),
    Labels("a polygon in other units", first(segmentation=[[1, 1, 9, 1, 9, 9000]])),
    Labels("a polygon without end", first(segmentation=[zigzag()])),
    Labels("run lengths of a turned picture", runs([3072], (64, 48))),
    Labels("run lengths of a size in fractions", runs([3072], [48.0, 64.0])),
    Labels("run lengths without counts", first(segmentation={"size": [48, 64]})),
    Labels("run lengths that are too short", runs([0, 48])),
    Labels("run lengths that go on forever", runs([10**18, 10**18])),
    Labels("run lengths below 0", runs([-1, 3073])),
    Labels("run lengths as fractions", runs([1536.0, 1536.0])),
    Labels("empty runs between others", runs([20, 0, 3052])),
    Labels("run lengths as text of other letters", runs("P`é0")),
    Labels("run lengths as text that is cut off", runs("PPo")),
    Labels("run lengths as text of too many digits", runs("PPPPPP000")),
    Labels("run lengths as text with endless numbers", runs("o" * 40 + "0")),
    Labels(
        "253 people in a picture",
        lambda c: c["annotations"].extend(person(100 + i, 1) for i in range(252)),
    ),
]

ACCEPTED = [
    Accepted("no `categories`", lambda c: c.pop("categories"), "people are category 1"),
    Accepted("a byte order mark", _same, "editors write it", _with_mark),
    Accepted("UTF-16", _same, "JSON may be written so", lambda s: s.encode("utf-16")),
    Accepted(
        "category 1 with another name",
        lambda c: c["categories"][0].update(name="human"),
        "names are translated",
    ),
    Accepted(
        "annotations of other categories",
        lambda c: c["annotations"].append({"id": 99, "image_id": 1, "category_id": 18}),
        "they are counted, not read, whatever else they hold",
    ),
    Accepted(
        "NaN in a field that nobody reads",
        images(score=NAN),
        "it changes nothing",
    ),
    Accepted(
        "`num_keypoints` that disagrees",
        first(num_keypoints=0),
        "labelled keypoints are counted anew, also for pycocotools, which would leave "
        "the person out",
    ),
    Accepted("crowd flag `true` or `false`", first(iscrowd=False), "it means 1 or 0"),
    Accepted(
        "a crowd without keypoints and area",
        lambda c: [c["annotations"][3].pop(key) for key in ("keypoints", "area")],
        "a crowd is a region to ignore",
    ),
    Accepted(
        "`segmentation: []`",
        first(segmentation=[]),
        "the mask is unknown; its box is ignored where masks are asked for",
    ),
    Accepted(
        "run lengths for a single person",
        runs([0, 480, 2592]),
        "pycocotools takes both ways of writing for both",
    ),
    Accepted(
        "corners, keypoints and boxes a little outside",
        first(
            bbox=[-1, 10, 20, 39],
            segmentation=[[-1, 10, 9, 10, 9, 49]],
            keypoints=[*points(20, 20)[:-3], 20, 48.5, 2],
        ),
        "people are cut by the frame, and scaled annotations are rounded",
    ),
    Accepted(
        "a box without width, an area of 0",
        first(bbox=[10, 10, 0, 30], area=0),
        "COCO has such lines; the area counts as 1 px",
    ),
    Accepted(
        "an area of 0 and no labelled keypoints",
        first(area=0, keypoints=points(0, 0, 0)),
        "no score depends on it",
    ),
    Accepted(
        "coordinates of unlabelled keypoints",
        first(keypoints=[*points(20, 20)[:-3], 500, 500, 0]),
        "visibility 0 says that they mean nothing",
    ),
    Accepted(
        "a picture without annotations",
        lambda c: c["annotations"].pop(1),
        "nobody is there; it is scored",
    ),
    Accepted(
        "a file name with blanks, accents or folders",
        images(file_name="ordner 1/größe.jpg"),
        "file systems have them",
    ),
]

PICTURES = [
    PictureFile("no file", lambda jpeg: None),
    PictureFile("an empty file", lambda jpeg: b""),
    PictureFile("a web page", lambda jpeg: b"<html><title>Not Found</title></html>"),
    PictureFile(
        "a Git LFS pointer",
        lambda jpeg: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    ),
    PictureFile("other bytes", lambda jpeg: b"\0" * 100),
    PictureFile("a JPEG that is cut off", lambda jpeg: jpeg[: len(jpeg) // 2]),
    PictureFile("a JPEG without its last 2 bytes", lambda jpeg: jpeg[:-2]),
    PictureFile(
        "a JPEG that is cut off and ended, as some downloaders do",
        lambda jpeg: jpeg[: len(jpeg) // 2] + b"\xff\xd9",
    ),
    PictureFile(
        "a JPEG whose second half is zeros",
        lambda jpeg: jpeg[: len(jpeg) // 2] + b"\0" * (len(jpeg) // 2),
    ),
    PictureFile("a JPEG without a picture", lambda jpeg: jpeg[:2] + jpeg[-2:] * 2),
    PictureFile("a JPEG header of 60000 x 60000 px", resized(60000, 60000)),
    PictureFile("a JPEG header of no height", resized(64, 0)),
    PictureFile("a JPEG header of 6000 x 6000 px", resized(6000, 6000)),
    PictureFile("a PNG that is cut off", lambda jpeg: encode(".png")[:-100]),
    PictureFile(
        "a PNG with a damaged byte",
        lambda jpeg: encode(".png")[:99] + b"\0" + encode(".png")[100:],
    ),
    PictureFile("an animated PNG", lambda jpeg: frames("PNG")),
    PictureFile("an animated GIF", lambda jpeg: frames("GIF")),
    PictureFile("an animated WebP", lambda jpeg: frames("WEBP")),
    PictureFile("a TIFF", lambda jpeg: pillow("TIFF")),
    PictureFile(
        "another picture than the annotated one",
        lambda jpeg: encode(".jpg", good_pixels()[:, :50]),
    ),
    PictureFile(
        "a picture turned by EXIF, annotated as it is shown",
        lambda jpeg: turned(encode(".jpg", np.rot90(good_pixels()).copy())),
    ),
]

ACCEPTED_PICTURES = [
    AcceptedFile(
        "grayscale", lambda _: pillow("JPEG", "L"), "COCO has some; R = G = B"
    ),
    AcceptedFile("CMYK JPEG", lambda _: pillow("JPEG", "CMYK"), "converted to RGB"),
    AcceptedFile("palette PNG", lambda _: pillow("PNG", "P"), "converted to RGB"),
    AcceptedFile(
        "PNG of 16 bits",
        lambda _: encode(".png", good_pixels().astype(np.uint16) * 257),
        "the upper 8 count, as in every viewer",
    ),
    AcceptedFile("PNG with alpha", lambda _: pillow("PNG", "RGBA"), "alpha is dropped"),
    AcceptedFile("PNG named `.jpg`", lambda _: encode(".png"), "COCO has one"),
    AcceptedFile(
        "progressive JPEG",
        lambda _: pillow("JPEG", progressive=True),
        "it is whole",
    ),
    AcceptedFile(
        "a JPEG with something behind it",
        lambda jpeg: jpeg + b"more",
        "cameras append data; the picture is whole",
    ),
    AcceptedFile(
        "a JPEG with an EXIF orientation",
        turned,
        "labels are of the stored pixels, as COCO's are",
    ),
    AcceptedFile(
        "a gray JPEG",
        lambda _: encode(".jpg", np.full((48, 64, 3), 128, np.uint8)),
        "gray is what decoders put where data are missing; here nothing is",
    ),
]


def spoiled(case: Labels | Accepted) -> dict:
    """The case's document."""
    content = copy.deepcopy(good())
    case.change(content)
    return content


def write_file(case: File, folder: Path) -> Path:
    """The case's annotation file."""
    path = folder / f"person_keypoints_train2017{case.suffix}"
    data = case.make()
    if data is not None:
        path.write_bytes(data)
    return path


def message_of(call: Callable[..., object], *args: object) -> str:
    """What the case gets."""
    try:
        call(*args)
    except ValueError as error:
        return str(error)
    raise AssertionError("It is accepted.")


def picture_message(case: PictureFile, folder: Path) -> str:
    """What the builder says of picture 1."""
    picture = parse_picture(good()["images"][0], good()["annotations"][:1])
    path = folder / picture.file_name
    path.unlink(missing_ok=True)
    data = case.make(good_jpeg())
    if data is not None:
        path.write_bytes(data)
    return message_of(make_record, picture, folder)


def labels_message(case: Labels, folder: Path) -> str:
    """What `load` says, without what comes before and after every problem."""
    path = folder / "person_keypoints_train2017.json"
    path.write_bytes(text(spoiled(case)))
    lines = message_of(load, path).splitlines()
    return "\n".join(line.strip() for line in lines[1:-1])


def tables() -> dict[str, str]:
    """The tables of the document, by name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def short(message: str) -> str:
            # How many bytes a picture takes depends on who encodes it.
            return re.sub(r"\d\d+ bytes", "N bytes", message.replace(f"{folder}/", ""))

        files = [
            (c.name, short(message_of(load, write_file(c, folder)))) for c in FILES
        ]
        labels = [(c.name, short(labels_message(c, folder))) for c in LABELS]
        pictures = [(c.name, short(picture_message(c, folder))) for c in PICTURES]
    accepted = [(c.name, c.reason) for c in (*ACCEPTED, *ACCEPTED_PICTURES)]
    return {
        "files": _table(("The annotation file is", "Error"), files, is_code=True),
        "labels": _table(("In the annotations", "Problem"), labels, is_code=True),
        "pictures": _table(("The picture file is", "Problem"), pictures, is_code=True),
        "accepted": _table(("What", "Why"), accepted, is_code=False),
    }


def _table(header: tuple[str, str], rows: list, *, is_code: bool) -> str:
    lines = [header, ("---", "---")]
    for name, words in rows:
        parts = words.replace("|", r"\|").splitlines()
        parts = [f"`{part}`" for part in parts] if is_code else parts
        lines.append((name, "<br>".join(parts)))
    return "\n".join(f"| {left} | {right} |" for left, right in lines)


def with_tables(words: str) -> str:
    """A document with its tables, each between a pair of comments, as they are now."""
    for name, table in tables().items():
        before, begin, rest = words.partition(f"<!-- {name} -->")
        _, end, after = rest.partition(f"<!-- end of {name} -->")
        assert end, f"no place for the table {name!r}"
        words = f"{before}{begin}\n\n{table}\n\n{end}{after}"
    return words


def main() -> None:
    """The command."""
    DOCS.write_text(with_tables(DOCS.read_text()))


if __name__ == "__main__":
    main()
