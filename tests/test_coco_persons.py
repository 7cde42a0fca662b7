import hashlib
import io
import pickle
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.checksums import UrlInfo
from tensorflow_datasets.core.units import Size

from configs import base
from poseseg_jax.coco.annotations import load, people_map
from poseseg_jax.coco.picture import parse_picture
from poseseg_jax.data.coco_persons import coco2017
from poseseg_jax.data.coco_persons import coco_persons_dataset_builder as module
from poseseg_jax.data.coco_persons.coco_persons_dataset_builder import (
    Builder,
    CocoPersonsConfig,
    Source,
    make_record,
)
from poseseg_jax.data.prepared import prepare
from poseseg_jax.data.run_lengths import decode_runs
from poseseg_jax.data.settings import DataSettings
from tests.coco_files import document, image, person, real_data, write_folder
from tests.web import Web


def splits() -> dict[str, dict]:
    people = [
        person(1, 1, box=(3, 4, 10, 20)),
        person(2, 1, box=(8, 4, 30, 30), segmentation=[]),
        person(3, 2, box=(1, 1, 5, 5), labelled=3),
    ]
    train = document([image(1), image(2)], people)
    return {"train": train, "val": document([image(3)], [])}


def build(root, data_dir) -> Builder:
    source = {
        split: Source(
            root / "annotations" / f"person_keypoints_{split}2017.json",
            root / f"{split}2017",
        )
        for split in ("train", "val")
    }
    config = CocoPersonsConfig(name="test", **source)
    builder = Builder(config=config, data_dir=str(data_dir))
    builder.download_and_prepare()
    return builder


def test_a_record_holds_the_picture_and_its_people(tmp_path):
    root = write_folder(tmp_path / "coco", splits())
    train = build(root, tmp_path / "tfds").as_data_source("train")
    record = train[0]
    content = splits()["train"]
    picture = parse_picture(content["images"][0], content["annotations"][:2])
    file = root / "train2017" / picture.file_name
    assert record["image"] == file.read_bytes()
    assert record["file_name"].decode() == picture.file_name
    assert (record["image_id"], record["size"].tolist()) == (1, [48, 64])
    people = decode_runs(record["people"], height=48, width=64, name="")
    np.testing.assert_array_equal(people, people_map(picture))
    rows = picture.people
    assert record["annotation_id"].tolist() == [2, 1]  # by decreasing area
    assert record["has_mask"].tolist() == [False, True]
    for row, somebody in enumerate(rows):
        np.testing.assert_allclose(record["keypoints"][row], somebody.keypoints)
        np.testing.assert_array_equal(record["visibility"][row], somebody.visibility)
        np.testing.assert_array_equal(record["box"][row], somebody.box)
        assert record["area"][row] == somebody.area
    dtypes = {key: record[key].dtype.name for key in ("keypoints", "box", "area")}
    assert set(dtypes.values()) == {"float32"}
    assert record["visibility"].dtype == np.uint8
    assert record["has_mask"].dtype == bool


def test_a_picture_without_people_has_no_rows(tmp_path):
    root = write_folder(tmp_path / "coco", splits())
    (record,) = build(root, tmp_path / "tfds").as_data_source("val")
    shapes = {key: record[key].shape for key in ("keypoints", "visibility", "box")}
    assert shapes == {"keypoints": (0, 17, 2), "visibility": (0, 17), "box": (0, 4)}
    assert record["area"].shape == record["has_mask"].shape == (0,)


def test_splits_travel_to_worker_processes(tmp_path):
    root = write_folder(tmp_path / "coco", splits())
    train = build(root, tmp_path / "tfds").as_data_source("train[:1]")
    copy = pickle.loads(pickle.dumps(train))
    assert (len(copy), copy[0]["image_id"]) == (1, train[0]["image_id"])


def test_real_pictures_make_records():
    root = real_data("coco_original_sample")
    labels = load(root / "annotations" / "person_keypoints_val2017.json")
    for picture in labels.pictures:
        record = make_record(picture, root / "val2017")
        assert len(record["area"]) == len(picture.people)


def test_many_records_keep_their_order_over_several_files(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PER_FILE", 3)
    monkeypatch.setattr(module, "_AT_ONCE", 2)
    images = [image(i) for i in range(1, 12)]
    train = document(images, [person(i, i) for i in range(1, 12)])
    content = {"train": train, "val": splits()["val"]}
    builder = build(write_folder(tmp_path / "coco", content), tmp_path / "tfds")
    assert builder.info.splits["train"].shard_lengths == [3, 3, 3, 2]
    order = [int(record["image_id"]) for record in builder.as_data_source("train")]
    labels = load(tmp_path / "coco" / "annotations" / "person_keypoints_train2017.json")
    assert order == [
        picture.image_id
        for picture in module._order("train", labels, CocoPersonsConfig(name="test"))
    ]
    some = builder.as_data_source("train[:7]")
    assert [int(some[i]["image_id"]) for i in range(7)] == order[:7]


def test_a_large_split_needs_no_tensorflow(tmp_path, monkeypatch):
    """TFDS' own writer sorts on disk, by means of TensorFlow, what exceeds this."""
    monkeypatch.setattr("tensorflow_datasets.core.shuffle.MAX_MEM_BUFFER_SIZE", 1)
    root = write_folder(tmp_path / "coco", splits())
    assert len(build(root, tmp_path / "tfds").as_data_source("train")) == 2


def test_tfds_finds_what_it_expects_beside_a_builder():
    metadata = Builder.get_metadata()
    assert "train[:n]" in metadata.description
    assert "lin2014microsoft" in metadata.citation
    assert set(metadata.tags) <= set(tfds.core.dataset_metadata.valid_tags())
    assert set(coco2017.URLS.values()) == set(Builder.url_infos)
    assert Builder.name == "coco_persons"


def test_broken_annotations_of_val_are_said_before_a_record_is_made(
    tmp_path, monkeypatch
):
    root = write_folder(tmp_path / "coco", splits())
    file = root / "annotations" / "person_keypoints_val2017.json"
    file.write_bytes(file.read_bytes()[:-20])

    def make_none(*args):
        raise AssertionError("a record was made")

    monkeypatch.setattr(module, "make_record", make_none)
    with pytest.raises(ValueError, match=r"val2017\.json: no JSON, or cut off"):
        build(root, tmp_path / "tfds")


def test_the_document_of_train_is_not_kept(tmp_path):
    root = write_folder(tmp_path / "coco", splits())
    config = CocoPersonsConfig(name="test")
    for split in ("train", "val"):
        file = root / "annotations" / f"person_keypoints_{split}2017.json"
        plan = module._plan(split, Source(file, root), config)
        assert (plan.document is None) == (split == "train")


NAMES = {"annotations": "annotations", "train": "train2017", "val": "val2017"}


@pytest.fixture
def archives(tmp_path, monkeypatch):
    """A web server with archives as COCO's, and the builder that downloads them."""
    root = write_folder(tmp_path / "coco", splits())
    web = Web({f"/{name}.zip": _zip(root / name, name) for name in NAMES.values()})
    with web as address:
        urls = {key: f"{address}/{name}.zip" for key, name in NAMES.items()}
        monkeypatch.setattr(coco2017, "URLS", urls)
        infos = {
            f"{address}{path}": UrlInfo(
                size=Size(len(data)),
                checksum=hashlib.sha256(data).hexdigest(),
                filename=path.removeprefix("/"),
            )
            for path, data in web.files.items()
        }
        monkeypatch.setattr(Builder, "url_infos", infos)
        yield web


def _zip(folder, name) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"{name}/{file.name}")
    return buffer.getvalue()


def download(tmp_path):
    config = CocoPersonsConfig(name="downloaded")
    builder = Builder(config=config, data_dir=str(tmp_path / "tfds"))
    builder.download_and_prepare()
    return [record["image_id"] for record in builder.as_data_source("train")]


def test_without_a_folder_the_archives_are_downloaded(archives, tmp_path, caplog):
    with caplog.at_level("INFO", logger="poseseg_jax"):
        assert download(tmp_path) == [1, 2]
    assert len(archives.asked) == 3
    said = next(r.message for r in caplog.records if "downloading" in r.message)
    assert "MB more for the prepared records" in said
    assert "train2017.zip" in said


def test_downloading_is_a_setting_and_archives_may_go_afterwards(archives, tmp_path):
    place = tmp_path / "tfds"
    fields = base.get_config().data.to_dict()
    fields |= {"root": "", "download": True, "prepared_dir": str(place)}
    data = prepare(DataSettings(**fields))
    assert (len(data.train), len(data.val)) == (2, 1)
    shutil.rmtree(place / "downloads")
    assert len(prepare(DataSettings(**fields)).train) == 2
    assert len(archives.asked) == 3


def test_archives_that_are_there_are_not_downloaded(archives, tmp_path):
    folder = tmp_path / "tfds" / "downloads" / "manual"
    folder.mkdir(parents=True)
    for path, data in archives.files.items():
        (folder / path.removeprefix("/")).write_bytes(data)
    assert download(tmp_path) == [1, 2]
    assert not archives.asked


def test_a_wrong_archive_is_named_and_the_next_try_is_clean(archives, tmp_path):
    right = archives.files["/val2017.zip"]
    archives.files["/val2017.zip"] = bytes(len(right))
    with pytest.raises(ValueError, match=r"val2017\.zip.*SHA-256") as caught:
        download(tmp_path)
    for data in (right, bytes(len(right))):
        assert hashlib.sha256(data).hexdigest() in str(caught.value)
    archives.files["/val2017.zip"] = right
    archives.asked.clear()
    assert download(tmp_path) == [1, 2]
    assert [path for path, _ in archives.asked] == ["/val2017.zip"]


def test_too_little_room_is_said_before_anything_is_downloaded(
    archives, tmp_path, monkeypatch
):
    usage = shutil._ntuple_diskusage(10**12, 10**12, 1000)
    monkeypatch.setattr(coco2017.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ValueError, match=r"0\.0 MB are free\.") as caught:
        download(tmp_path)
    assert "data.prepared_dir" in str(caught.value)
    assert not archives.asked


def test_building_and_reading_need_no_tensorflow(tmp_path):
    root = write_folder(tmp_path / "coco", splits())
    code = (
        "import sys; from pathlib import Path\n"
        "from poseseg_jax.data.prepared import prepare_val\n"
        f"root = Path({str(root)!r})\n"
        "data = prepare_val(root / 'annotations/person_keypoints_val2017.json',"
        f" root / 'val2017', prepared_dir={str(tmp_path / 'tfds')!r})\n"
        "assert data.val[0]['image_id'] == 3\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
