"""A bias reduction drawn: bars are as long as the numbers say."""

import matplotlib as mpl
import numpy as np
import pytest

from poseseg_jax.charts import bias
from poseseg_jax.charts.bias import Shares
from tests.charted import area, decode

NAMES = [*map(str, range(1, 14)), "14+"]


def shares(reduction, *values):
    rest = [0.0] * (len(NAMES) - len(values))
    return Shares(reduction, 1000, dict(zip(NAMES, [*values, *rest], strict=True)))


BEFORE = shares(0, 0.5, 0.25, 0.25)
AFTER = shares(50, 0.2, 0.4, 0.4)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: bias.head_counts(BEFORE, AFTER),
        lambda: bias.bias_reduction([BEFORE, AFTER]),
    ],
    ids=["head_counts", "bias_reduction"],
)
def test_bars_have_the_areas_of_their_shares(draw):
    picture = decode(draw())
    kept = area(picture, bias._OTHERS.kept) / 2  # 0.5 before, and again after
    assert area(picture, bias._OTHERS.gained) == pytest.approx(0.6 * kept, rel=0.05)
    lost = area(picture, bias._SINGLE.lost)  # a number may lie on it
    assert lost == pytest.approx(0.6 * kept, rel=0.1)
    # The numbers are written in the same colour.
    single = area(picture, bias._SINGLE.kept)
    assert 1.38 * kept < single < 1.8 * kept


def test_the_same_numbers_give_the_same_bytes():
    assert bias.head_counts(BEFORE, AFTER) == bias.head_counts(BEFORE, AFTER)


@pytest.mark.parametrize("number", [1, 2, 7, 8])
def test_any_number_of_iterations_fits(number):
    picture = decode(bias.bias_reduction([BEFORE, *[AFTER] * number]))
    rows, columns = divmod(number + 7, 7)[0], min(number + 1, 7)
    assert picture.shape[1] < 400 * max(columns, 3)
    assert (picture.shape[0] > 1000) == (rows > 1)
    edge = np.concatenate([picture[[0, -1]].reshape(-1, 3), picture[:, -1]])
    assert (edge == 255).all(), "nothing is cut off"


def test_matplotlibs_own_state_is_left_alone():
    before = dict(mpl.rcParams)
    bias.bias_reduction([BEFORE, AFTER])
    assert dict(mpl.rcParams) == before


def test_nobody_alone_is_no_trouble():
    assert decode(bias.head_counts(shares(0, 0.0, 1.0), shares(30, 0.0, 1.0))).any()
