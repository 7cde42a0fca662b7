"""Of which code, packages and device runs are."""

import subprocess

import pytest

from experiments import provenance


def git(folder, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_a_commit_is_exact_until_a_file_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_REPOSITORY", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    unknown = provenance.commit()
    assert unknown == "unknown: not a git repository"
    git(tmp_path, "init")
    (tmp_path / "code").write_text("one")
    git(tmp_path, "add", "code")
    git(tmp_path, "commit", "-m", "first")
    exact = provenance.commit()
    assert len(exact) == 10
    (tmp_path / "code").write_text("two")
    changed = provenance.commit()
    assert changed == f"{exact}, with changes"
    assert [provenance.is_exact(one) for one in (unknown, exact, changed)] == [
        False,
        True,
        False,
    ]


def test_a_device_is_what_jax_finds_there():
    assert provenance.device((("JAX_PLATFORMS", "cpu"),)).startswith("a CPU with ")


def test_where_jax_does_not_start_its_last_words_are_told():
    nowhere = (("JAX_PLATFORMS", "abacus"),)
    with pytest.raises(ValueError, match=r"JAX_PLATFORMS=abacus: .*'?abacus") as told:
        provenance.device(nowhere)
    assert "\n" not in str(told.value)
