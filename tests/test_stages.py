"""Every parameter of every backbone has its stage."""

import jax
import pytest

from configs import base
from poseseg_jax import config as config_lib
from poseseg_jax import inference
from poseseg_jax.models.stages import stage_of


def parts_by_stage(backbone, output_stride):
    """The backbone's direct children, stage by stage."""
    config = base.get_config("tiny").to_dict()
    config["model"] |= {"backbone": backbone, "output_stride": output_stride}
    params = inference.abstract_variables(config_lib.parse(config))["params"]
    found = {}
    for path, _ in jax.tree.leaves_with_path(params):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        stage = stage_of(name)
        assert (stage is None) == (not name.startswith("backbone/"))
        if stage is not None:
            found.setdefault(stage, set()).add(name.split("/")[1])
    return found


def test_a_resnet_has_a_stem_and_four_stages():
    found = parts_by_stage("resnet18", 32)
    assert found == {
        0: {"conv1", "bn1"},
        **{n: {f"layer{n}_0", f"layer{n}_1"} for n in (1, 2, 3, 4)},
    }


@pytest.mark.parametrize(("output_stride", "stages"), [(16, 4), (32, 5)])
def test_tiny_has_a_stage_for_each_stride(output_stride, stages):
    found = parts_by_stage("tiny", output_stride)
    assert found.keys() == set(range(stages))
    assert found[2] == {"down2", "down2_bn", "layer2_0", "layer2_1"}


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("backbone/layer3_22/bn2/scale", 3),
        ("backbone/conv1/kernel", 0),
        ("neck/lateral4/kernel", None),
        ("heads/layer1_0/kernel", None),
    ],
)
def test_a_stage_is_told_by_the_name(name, stage):
    assert stage_of(name) == stage
