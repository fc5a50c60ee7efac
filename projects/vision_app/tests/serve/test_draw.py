import numpy as np

from vision_app.serve.api import draw, reduced

WHITE = np.full((200, 300, 3), 255, np.uint8)


def changed(picture):
    return (picture != WHITE).any(axis=2)


def test_draw_marks_edges_of_box_and_leaves_original():
    edges = changed(draw(WHITE, [((50, 60, 120, 90), "")]))
    assert edges[60, 50:121].all() and edges[90, 50:121].all()
    assert edges[60:91, 50].all() and edges[60:91, 120].all()
    assert not edges[70:80, 60:110].any() and not edges[:58].any()
    assert (WHITE == 255).all()


def test_draw_writes_label_above_box_or_inside_at_the_top():
    above = changed(draw(WHITE, [((50, 60, 120, 90), "total")]))
    assert above[45:58, 52:70].any()
    inside = changed(draw(WHITE, [((50, 0, 120, 90), "total")]))
    assert inside[2:12, 52:70].any()


def test_draw_gives_each_label_one_color():
    marks = [((10, 60, 20, 70), "a"), ((40, 60, 50, 70), "a"), ((70, 60, 80, 70), "b")]
    drawing = draw(WHITE, marks)
    assert (drawing[70, 20] == drawing[70, 50]).all()
    assert (drawing[70, 20] != drawing[70, 80]).any()


def test_draw_keeps_boxes_and_labels_inside_the_picture():
    marks = [((-50, -20, 900, 700), "long label " * 20), ((290, 190, 250, 150), "x")]
    assert draw(WHITE, marks).shape == WHITE.shape
    tiny = np.zeros((1, 1, 3), np.uint8)
    assert draw(tiny, [((0, 0, 5, 5), "x")]).shape == tiny.shape


def test_reduced_averages_large_pictures_only():
    assert reduced(WHITE) is WHITE
    stripes = np.zeros((2000, 4000, 3), np.uint8)
    stripes[::2] = 200
    small = reduced(stripes)
    assert small.shape == (1000, 2000, 3) and (small == 100).all()
