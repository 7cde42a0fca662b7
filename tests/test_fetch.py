import logging
import threading
import time
from pathlib import Path

import pytest

from poseseg_jax.data import progress
from poseseg_jax.data.fetch import ATTEMPTS, fetch, remaining
from tests.web import Web

DATA = bytes(range(256)) * 40
SIZE = len(DATA)


class Pause:
    """Remembers how long would have been waited."""

    def __init__(self):
        self.seconds = []

    def __call__(self, seconds):
        self.seconds.append(seconds)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "downloads" / "a.zip"


def part_of(path):
    return path.with_name("a.zip.part")


def get(path, web, *, size=SIZE, pause=None):
    with web as address:
        fetch(f"{address}/a.zip", path, size=size, pause=pause or Pause())


def served(**behaviour):
    return Web({"/a.zip": DATA}, **behaviour)


def test_a_file_arrives_whole_and_is_not_asked_for_again(path):
    web = served()
    get(path, web)
    assert path.read_bytes() == DATA
    assert sorted(f.name for f in path.parent.iterdir()) == ["a.zip", "a.zip.lock"]
    get(path, web)
    assert web.asked == [("/a.zip", None)]


def test_a_broken_connection_goes_on_where_it_broke(path):
    web, pause = served(drops=[1000, 1000, 0, 1000]), Pause()
    get(path, web, pause=pause)
    assert path.read_bytes() == DATA
    ranges = [asked for _, asked in web.asked]
    assert ranges == [None, "bytes=1000-", *["bytes=2000-"] * 2, "bytes=3000-"]
    assert pause.seconds == [1, 1, 2, 1]  # longer only where nothing came at all


def test_a_stopped_download_goes_on_in_the_next_process(path):
    web = served(drops=[4000])
    with pytest.raises(KeyboardInterrupt):
        get(path, web, pause=_interrupt)
    assert not path.exists()
    assert remaining(path, SIZE) == SIZE - 4000
    get(path, web)
    assert path.read_bytes() == DATA
    assert web.asked[-1] == ("/a.zip", "bytes=4000-")


def _interrupt(seconds):
    raise KeyboardInterrupt


def test_a_server_without_ranges_starts_anew(path):
    web = served(knows_ranges=False, drops=[3000, 1000])
    get(path, web)
    assert path.read_bytes() == DATA


def test_a_server_without_ranges_that_always_breaks_is_given_up(path):
    web = served(knows_ranges=False, drops=[3000] * 20)
    with pytest.raises(ValueError, match=f"{ATTEMPTS} times in a row"):
        get(path, web)
    assert len(web.asked) == ATTEMPTS + 1


def test_parts_of_two_versions_are_never_put_together(path):
    web = served(drops=[4000])
    with pytest.raises(KeyboardInterrupt):
        get(path, web, pause=_interrupt)
    web.files["/a.zip"], web.tag = DATA[::-1], '"2"'
    get(path, web)
    assert path.read_bytes() == DATA[::-1]


def test_a_server_that_says_no_length_will_do(path):
    get(path, served(says_length=False, drops=[5000]))
    assert path.read_bytes() == DATA


def test_trouble_that_passes_is_waited_for(path):
    pause = Pause()
    get(path, served(statuses=[503, 429, 500]), pause=pause)
    assert path.read_bytes() == DATA
    assert pause.seconds == [2, 4, 8]


def test_an_absent_server_is_named_and_given_up(path):
    with served() as address:
        pass
    pause = Pause()
    with pytest.raises(ValueError, match="Connection refused") as caught:
        fetch(f"{address}/a.zip", path, size=SIZE, pause=pause)
    assert f"{ATTEMPTS} times" in str(caught.value)
    assert max(pause.seconds) <= 60


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_final_and_says_where_to_put_the_file(path, status):
    web = served(statuses=[status])
    with pytest.raises(ValueError, match=f"{status}.*put it into.*as a.zip"):
        get(path, web)
    assert len(web.asked) == 1


@pytest.mark.parametrize("size", [SIZE + 1, SIZE - 1])
def test_a_file_of_another_size_is_refused_before_it_comes(path, size):
    with pytest.raises(ValueError, match=f"has {SIZE} bytes; expected {size}"):
        get(path, served(), size=size)
    assert not path.exists()


def test_a_part_that_is_too_long_is_thrown_away(path):
    path.parent.mkdir()
    part_of(path).write_bytes(DATA + b"more")
    get(path, served())
    assert path.read_bytes() == DATA


def test_a_file_of_the_user_is_used_continued_or_set_aside(path):
    path.parent.mkdir()
    path.write_bytes(DATA)
    web = served()
    get(path, web)
    assert web.asked == []
    path.write_bytes(DATA[:700])
    get(path, web)
    assert (web.asked, path.read_bytes()) == ([("/a.zip", "bytes=700-")], DATA)
    path.write_bytes(DATA + b"more")
    get(path, web)
    assert path.read_bytes() == DATA
    assert path.with_name("a.zip.wrong").read_bytes() == DATA + b"more"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_says_what_is_missing(path):
    path.parent.mkdir()
    part_of(path).symlink_to("/dev/full")
    with pytest.raises(ValueError, match="No space left") as caught:
        get(path, served())
    assert str(part_of(path)) in str(caught.value)
    assert "goes on" in str(caught.value)


def test_two_processes_do_not_write_into_one_file(path):
    web = served(drops=[100] * 5)
    with web as address:
        threads = [
            threading.Thread(
                target=fetch,
                args=(f"{address}/a.zip", path),
                kwargs={"size": SIZE, "pause": lambda _: time.sleep(0.01)},
            )
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert path.read_bytes() == DATA
    assert len(web.asked) == 6


def test_without_a_terminal_lines_say_how_far_it_is(path, monkeypatch, caplog):
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0)
    with caplog.at_level(logging.INFO, logger="poseseg_jax"):
        get(path, served(drops=[SIZE // 2]))
    said = [r.message for r in caplog.records if "per second" in r.message]
    assert all(line.startswith("a.zip: 0.0 MB of 0.0 MB, ") for line in said)
    assert said[-1].endswith("0 min left")
