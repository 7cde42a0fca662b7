"""The settings of the data, as the config gives them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataSettings:
    """Which data, and how they are read; see `data` in configs/base.py."""

    root: str
    train_annotations: str
    train_images: str
    val_annotations: str
    val_images: str
    download: bool
    reduction: int
    reduction_by: str
    head_count: str
    order_seed: int
    prepared_dir: str
    on_error: str
    max_people: int
    num_workers: int
    labels: str
    embedded_train: int
    embedded_val: int
