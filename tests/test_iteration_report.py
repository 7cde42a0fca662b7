"""The summary, as a file for programs and as tables for people."""

import json

import pytest

from poseseg_jax.data.iteration_report import (
    describe,
    shown_heads,
    to_json,
    to_markdown,
)
from poseseg_jax.data.iterations import plan

HEADS = {**dict.fromkeys(range(1, 11), 1), 11: 2, 12: 2, 13: 3}


@pytest.fixture
def summary():
    whole, *iterations = plan(HEADS, seed=0, reductions=[30, 80])
    return {
        "source": "somewhere/mine.json",
        "source_sha256": "ab" * 32,
        "seed": 4,
        "count": "labelled",
        "without_heads": 1200,
        "left_out": [],
        "whole": describe(whole),
        "iterations": [
            {
                "file": f"{part.name}.json",
                "sha256": "cd" * 32,
                **describe(part),
                "removed": list(part.removed),
            }
            for part in iterations
        ],
        "random": [],
        "reweight": [],
    }


def rows(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_tables_say_what_the_summary_says(summary):
    text = to_markdown(summary)
    table = rows(text)
    assert ["(whole)", "0 %", "13", "17", "76.9 %", ""] in table
    assert ["`bias80.json`", "80 %", "5", "9", "40.0 %", "`" + "cd" * 6 + "`"] in table
    assert ["persons", "0 %", "30 %", "80 %"] in table
    assert ["2", "15.4", "20.0", "40.0"] in table
    for said in ("mine.json", "76.9 %", "1,200 pictures", "Seed 4", "ab" * 32):
        assert said in text
    assert "Controls" not in text
    assert "Left out" not in text


def test_all_rows_of_a_table_have_as_many_cells(summary):
    for block in to_markdown(summary).split("\n\n"):
        assert len({len(row) for row in rows(block)}) <= 1


def test_controls_have_tables_of_their_own(summary):
    part = summary["iterations"][0]
    weights = {"file": "reweight30.json", "reduction": 30, "weight_of_single": 0.7}
    controls = {"random": [{**part, "file": "random30.json"}], "reweight": [weights]}
    table = rows(to_markdown({**summary, **controls}))
    assert ["`reweight30.json`", "30 %", "0.7000"] in table
    assert any(row[0] == "`random30.json`" for row in table)


@pytest.mark.parametrize(("number", "said"), [(3, ""), (25, "and 5 more")])
def test_what_was_left_out_is_listed_as_far_as_it_is_readable(summary, number, said):
    left_out = [{"image_id": i, "reason": f"bad {i}"} for i in range(number)]
    text = to_markdown({**summary, "left_out": left_out})
    assert "picture 2: bad 2" in text
    assert text.rstrip().endswith(said or "bad 2")


def test_lists_of_ids_take_one_line(summary):
    text = to_json(summary)
    assert json.loads(text) == summary
    removed = summary["iterations"][0]["removed"]
    assert f'"removed": [ {", ".join(map(str, removed))} ]' in text


def test_the_last_head_count_is_shown_where_there_is_any(summary):
    assert shown_heads(summary["whole"])[-1] == "13"
    crowded, _ = plan({**HEADS, 14: 20}, seed=0, reductions=[30])
    assert shown_heads(describe(crowded))[-1] == "14+"
