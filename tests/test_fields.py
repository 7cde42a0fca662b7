"""Fields have whole names, and two configs differ in some of them."""

import pytest

from poseseg_jax.fields import check_names, differences, flat, hint

CONFIG = {"data": {"root": "", "order_seed": 0}, "train": {"seed": 0}, "profile": False}


def test_a_field_of_a_group_is_named_with_it_and_another_alone():
    assert flat(CONFIG) == {
        "data.root": "",
        "data.order_seed": 0,
        "train.seed": 0,
        "profile": False,
    }


def test_differences_are_named_with_both_values():
    other = {"data": {"root": "x", "order_seed": 0}, "train": {"seed": 3}}
    assert differences(CONFIG, {**other, "profile": True}) == {
        "data.root": ("", "x"),
        "profile": (False, True),
        "train.seed": (0, 3),
    }
    assert differences(CONFIG, CONFIG) == {}


def test_a_change_says_both_values():
    (change,) = differences({"root": ""}, {"root": "a -> b"}).values()
    assert f"{change}" == "'' -> 'a -> b'"


def test_fields_that_only_one_config_has_are_differences():
    other = {**CONFIG, "train": {"seed": 0, "steps": 12}}
    assert differences(CONFIG, other) == {"train.steps": (None, 12)}
    assert differences(other, CONFIG) == {"train.steps": (12, None)}


def test_a_near_name_is_hinted_at_and_else_all_there_are():
    assert hint("raduis", ["stride", "radius"]) == "did you mean 'radius'?"
    assert hint("zzz", ["stride", "radius"]) == "known: ['stride', 'radius']"


def test_names_are_refused_by_name():
    check_names("eval", {"zoom": 1}, ["zoom"])
    with pytest.raises(ValueError, match=r"no field 'zom' in eval; did you mean 'zoom"):
        check_names("eval", {"zom": 1}, ["zoom"])
    with pytest.raises(ValueError, match=r"eval lacks \['flip'\]"):
        check_names("eval", {"zoom": 1}, ["zoom", "flip"])
