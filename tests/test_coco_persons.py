import functools
import http.server
import pickle
import subprocess
import sys
import threading
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.checksums import compute_url_info

from poseseg_jax.coco.annotations import load, people_map
from poseseg_jax.coco.picture import parse_picture
from poseseg_jax.data.coco_persons import coco_persons_dataset_builder as module
from poseseg_jax.data.coco_persons.coco_persons_dataset_builder import (
    Builder,
    CocoPersonsConfig,
    Source,
    make_record,
)
from poseseg_jax.data.run_lengths import decode_runs
from tests.coco_files import document, image, person, real_data, write_folder


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


@pytest.mark.parametrize("count", [1, 3, 118_287])
def test_keys_keep_the_order_and_spread_over_tfds_buckets(count):
    keys = [module._key(index, count) for index in range(count)]
    assert keys == sorted(set(keys))
    assert keys[-1] < 2**128
    buckets = {key * 1000 // 2**128 for key in keys}
    assert len(buckets) == min(count, 1000)


def test_tfds_finds_what_it_expects_beside_a_builder():
    metadata = Builder.get_metadata()
    assert "train[:n]" in metadata.description
    assert "lin2014microsoft" in metadata.citation
    assert set(metadata.tags) <= set(tfds.core.dataset_metadata.valid_tags())
    assert set(module.COCO_URLS.values()) == set(Builder.url_infos)
    assert Builder.name == "coco_persons"


def test_without_a_folder_the_archives_are_downloaded(tmp_path, monkeypatch):
    root = write_folder(tmp_path / "coco", splits())
    web = tmp_path / "web"
    web.mkdir()
    names = {"annotations": "annotations", "train": "train2017", "val": "val2017"}
    for name in names.values():
        with zipfile.ZipFile(web / f"{name}.zip", "w") as archive:
            for file in (root / name).iterdir():
                archive.write(file, f"{name}/{file.name}")
    with _serve(web) as address:
        urls = {key: f"{address}/{name}.zip" for key, name in names.items()}
        monkeypatch.setattr(module, "COCO_URLS", urls)
        infos = {
            urls[key]: compute_url_info(web / f"{name}.zip")
            for key, name in names.items()
        }
        monkeypatch.setattr(Builder, "url_infos", infos)
        config = CocoPersonsConfig(name="downloaded")
        builder = Builder(config=config, data_dir=str(tmp_path / "tfds"))
        builder.download_and_prepare()
    train = builder.as_data_source("train")
    assert [record["image_id"] for record in train] == [1, 2]


class _serve:
    """A web server for a folder, as long as it is needed."""

    def __init__(self, folder):
        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *args):
                pass

        handler = functools.partial(Quiet, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *args):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


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
