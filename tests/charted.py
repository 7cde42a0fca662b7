"""Charts as their readers get them: the pixels of a PNG file, the words on it."""

import itertools

import cv2
import numpy as np
from matplotlib.text import Text

from poseseg_jax.charts import style


def decode(png):
    """RGB."""
    return cv2.cvtColor(
        cv2.imdecode(np.frombuffer(png, np.uint8), 1), cv2.COLOR_BGR2RGB
    )


def area(picture, color):
    """Pixels of a colour: #RRGGBB."""
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return int((picture == wanted).all(-1).sum())


def figure_of(monkeypatch, draw, *args, **kwargs):
    """What a chart lays out before it becomes a PNG."""
    kept = []
    monkeypatch.setattr(style, "png", lambda figure: kept.append(figure) or b"")
    draw(*args, **kwargs)
    return kept[0]


def texts(figure):
    """All words that a reader sees."""
    figure.draw_without_rendering()  # which writes the ticks' numbers
    found = list(figure.texts)
    for legend in figure.legends:
        found += legend.get_texts()
    for axes in figure.axes:
        if not axes.get_visible():
            continue
        found += [*axes.texts, axes._left_title, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if low <= tick.get_loc() <= high:
                    found += [tick.label1, tick.label2]
    return [text for text in found if text and text.get_visible() and text.get_text()]


def words(figure):
    """The same as strings."""
    return [text.get_text() for text in texts(figure)]


def assert_words_are_legible(figure):
    """No words are cut off, small or on top of others.

    Widths are of GitHub, which shows a picture about 900 pixels wide.
    """
    every = texts(figure)
    width, height = figure.get_size_inches() * figure.dpi
    boxes = []
    for text in every:
        box = Text.get_window_extent(text)  # of an annotation without its line
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text
        assert text.get_fontsize() / 72 * 900 / figure.get_figwidth() > 10.5, text
        boxes.append((text.get_text(), box.shrunk(0.98, 0.9)))
    pairs = itertools.combinations(boxes, 2)
    touching = [(one, two) for (one, a), (two, b) in pairs if a.overlaps(b)]
    assert not touching, touching
