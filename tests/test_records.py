"""The records' parser says what TFDS says."""

import numpy as np

from poseseg_jax.data.records import Records
from tests.coco_files import write_folder
from tests.test_coco_persons import build, splits


def test_records_are_what_tfds_makes_of_them(tmp_path):
    builder = build(write_folder(tmp_path / "coco", splits()), tmp_path / "tfds")
    for split, number in (("train", 2), ("train[:1]", 1), ("val", 1)):
        records, expected = Records.of(builder, split), builder.as_data_source(split)
        assert len(records) == len(expected) == number
        for index in range(number):
            record = records[index]
            assert record.keys() == expected[index].keys()
            for field, value in expected[index].items():
                np.testing.assert_array_equal(record[field], value)
                assert np.asarray(record[field]).dtype == np.asarray(value).dtype
                assert np.shape(record[field]) == np.shape(value)
