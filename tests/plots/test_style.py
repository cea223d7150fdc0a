"""What all pictures share: no style is set, files are written, matplotlib waits until it is needed."""

import subprocess
import sys

import matplotlib as mpl

from lenetscope import plots


def test_no_style_is_set_and_files_are_written(tmp_path) -> None:
    before = dict(mpl.rcParams)
    figure = plots.lr_range({"lr": [0.1, 1], "loss": [2, 1]}, "exp")
    assert plots.save(figure, tmp_path / "a" / "x.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in plots.save(figure, tmp_path / "x.svg").read_bytes()
    assert dict(mpl.rcParams) == before


def test_matplotlib_is_imported_by_drawing_not_by_importing() -> None:
    code = (
        "import sys; from lenetscope import plots\n"
        "print('matplotlib' in sys.modules); plots.curves([]); print('matplotlib' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False", "True"]


def test_a_figure_shows_itself_where_pyplot_was_never_imported() -> None:
    code = (
        "import sys; from lenetscope import plots\n"
        "png = plots.curves([])._repr_png_(); print(png[:4], 'matplotlib.pyplot' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "b'\\x89PNG' False\n"
