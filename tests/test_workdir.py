"""A workdir belongs to one config, and knows when its run is finished."""

import json

import pytest

from configs import base
from poseseg_jax.workdir import CONFIG_FILE, METRICS_FILE, claim, final_metrics


def config(**groups):
    changed = base.get_config("tiny")
    changed.update(groups)
    return changed.to_dict()


@pytest.fixture
def finished(tmp_path):
    claim(tmp_path, config())
    (tmp_path / "checkpoints" / "7000").mkdir(parents=True)
    (tmp_path / METRICS_FILE).write_text(json.dumps({"train/steps": 7000}))
    return tmp_path


def test_a_claimed_workdir_holds_the_config(tmp_path):
    claim(tmp_path / "new", config())
    written = json.loads((tmp_path / "new" / CONFIG_FILE).read_text())
    assert written == json.loads(json.dumps(config()))


def test_a_run_is_finished_with_its_last_step(finished):
    assert final_metrics(finished, 7000) == {"train/steps": 7000}
    assert final_metrics(finished, 7001) is None
    (finished / METRICS_FILE).unlink()
    assert final_metrics(finished, 7000) is None


@pytest.mark.parametrize(
    "groups",
    [{"decode": {"peak_threshold": 0.1}}, {"eval": {"zoom": 1.5}}],
    ids=["another decoder", "a larger picture"],
)
def test_what_is_scored_differently_has_no_scores_yet(finished, groups):
    claim(finished, config(**groups))
    assert final_metrics(finished, 7000) is None


@pytest.mark.parametrize(
    "groups",
    [{"train": {"log_every": 7}}, {"checkpoint": {"keep": 5}}],
    ids=["another log", "more checkpoints"],
)
def test_what_changes_no_score_keeps_them(finished, groups):
    claim(finished, config(**groups))
    assert final_metrics(finished, 7000)


def test_another_config_is_refused_by_field_and_changes_nothing(finished):
    before = (finished / CONFIG_FILE).read_text()
    with pytest.raises(ValueError, match=r"optim\.learning_rate: 0\.003 -> 0\.5"):
        claim(finished, config(optim={"learning_rate": 0.5}))
    assert (finished / CONFIG_FILE).read_text() == before
    assert final_metrics(finished, 7000)
