from benchmarks import bias
from tests.coco_files import document, image, person, write_json


def test_every_stage_and_the_reference_are_measured(tmp_path, capsys):
    people = [person(i, i) for i in range(1, 9)] + [person(9, 8)]
    content = document([image(i) for i in range(1, 9)], people)
    path = write_json(tmp_path / "mine.json", content)
    rows = bias.main([f"--annotations={path}"])
    assert all(row.keys() == {"name", "value", "unit", "note"} for row in rows)
    assert all(row["value"] > 0 for row in rows)
    names = [row["name"] for row in rows]
    assert names[2:7] == ["read", "parse", "order", "serialise", "write"]
    printed = capsys.readouterr().out
    assert all(
        line.startswith(n) for line, n in zip(printed.splitlines(), names, strict=True)
    )
