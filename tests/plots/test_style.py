"""What all figures share: no style is set, files are written, matplotlib waits until it is needed."""

import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from lenetscope.plots import style


def draw() -> Figure:
    with style.new_figure({"dpi": 50}, (3, 2)) as figure:
        figure.subplots().plot([1, 2])
    return figure


def test_no_style_is_set_and_files_are_written(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    figure = draw()
    assert figure.get_size_inches().tolist() == [3, 2]
    assert style.save(figure, tmp_path / "a" / "x.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in style.save(figure, tmp_path / "x.svg").read_bytes()
    assert dict(mpl.rcParams) == before


def test_matplotlib_waits_and_a_figure_shows_itself_without_pyplot() -> None:
    code = (
        "import sys; from lenetscope.questions import curves; print('matplotlib' in sys.modules)\n"
        "png = curves.plot_curves([])._repr_png_(); print(png[:4], 'matplotlib.pyplot' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\nb'\\x89PNG' False\n"


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [([0.0, 1.0, np.nan], 1 / 10**0.5, 10**0.5), ([2.0, 400.0], 2 / 1.3, 400 * 1.3)],
)
def test_a_logarithmic_axis_has_room_for_a_decade(values: list, low: float, high: float) -> None:
    ax = Figure().subplots()
    ax.plot(values)
    style.logarithmic(ax)
    assert ax.get_yscale() == "log"
    assert ax.get_ylim() == pytest.approx((low, high))


def test_colour_scales_start_at_zero_or_are_symmetric() -> None:
    values = np.array([-3.0, 2.0, np.nan])
    scales = style.colour_scale(values, signed=True), style.colour_scale(values, signed=False)
    assert [(s.vmin, s.vmax) for s in scales] == [(-3, 3), (0, 2)]
    nothing = style.colour_scale(np.array([np.nan]), signed=False)
    assert (nothing.vmin, nothing.vmax) == (0, 1)
