"""Every constant of reading a picture, with its unit and its reason."""

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True)
class Settings:
    """What finding lines and cutting strips depends on."""

    note: str = ""
    """What is added to the names of views."""
    look: int = 448
    """Pixels: longest side of the picture on which lines are found; a digit of 1/40 of it has 11."""
    least: int = 96
    """Pixels: longest side that a smaller picture is enlarged to, so that a stroke has an inside."""
    doubt: float = -0.7
    """Log-likelihood of the best text, ln 1/2, below which a picture is looked at again."""
    sure: float = -0.05
    """Log-likelihood of the best text, ln 0.95, from which the other kind of ink is not tried."""
    sketch: int = 112
    """Pixels: longest side of the picture on which windows and polarities are compared."""
    windows: tuple[float, ...] = (0.06, 0.12, 0.24, 0.48)
    """Fractions of the shorter side: strokes are narrower than the window, shadows wider."""
    most: float = 0.7
    """Fraction of the edges found by the best window that a narrower one must find."""
    darkest: float = 0.08
    """Lower bound of the paper's brightness, below which a division would amplify noise."""
    faintest: float = 0.05
    """Ink of the faintest stroke: pale pencil on grey paper."""
    noise: float = 4.0
    """Standard deviations of the paper's noise that ink exceeds; 1 in 30,000 pixels by chance."""
    faint: float = 0.02
    """Difference between the darkest and the lightest grey, of 1, below which a picture is blank."""
    fewest: int = 6
    """Pixels of ink below which a picture is blank."""
    rule: float = 0.55
    """Fraction of a side that a straight run of ink must have to be a ruled line or a frame."""
    shortest_rule: int = 40
    """Pixels that such a run must have at least."""
    most_pieces: int = 80
    """The heaviest pieces that are looked at: more are never a number, and grouping is quadratic."""
    most_lines: int = 12
    """The heaviest lines that are read: more are a page, and take time."""
    smallest: int = 6
    """Pixels: height or width of the largest piece, below which all is grain of the paper."""
    part: float = 0.45
    """Fraction of the tallest digit's height below which a piece is a part of a digit or a mark."""
    spacing: float = 1.4
    """Widest gap between two digits of a line, in heights of a digit."""
    drift: float = 0.9
    """Highest step from one digit to the next, in heights of a digit."""
    lightest: float = 0.06
    """Fraction of the heaviest line's ink below which a line is dirt."""
    level: float = 0.05
    """Slope up to which a line is level enough for the network."""
    steepest: float = 1.2
    """Slope, rows per column, beyond which digits stand in a column."""
    digit: float = 19.5
    """Pixels: height of a digit in a strip, the middle of those that the network is trained on."""
    highest: float = 26.0
    """Pixels: height of all ink of a line in a strip of 28."""
    margin: float = 8.0
    """Pixels of paper beside the ink of a strip."""
    longest: int = 840
    """Pixels: longest strip, some 45 digits; more are squeezed."""
    narrowest: int = 4
    """Pixels: shorter side below which a picture cannot show a digit."""
    oblong: float = 60.0
    """Ratio of the sides beyond which a picture cannot show a number."""
    reach: int = 8
    """Positions beside a digit's own that may show ink of it: 16 pixels, more than half its width."""
    inked: int = 90
    """Grey, of 255, above which a pixel of a strip counts as ink of a digit's box."""
    tiny: int = 40
    """Pixels: longest side up to which a picture is read as a whole, too."""
    cutting: float = 0.7
    """Cost in nats of cutting a line out of a tiny picture: an even chance that its margins count."""
    filling: float = 0.42
    """Fraction of the picture's height from which digits fill it: it is read as a whole, too."""
    upright: float = 2.5
    """Ratio of height to width up to which the whole picture may be one digit."""
    clean: float = 0.02
    """Ink beside the lines, as a fraction of that of their digits, up to which there is none."""
    sizes: tuple[tuple[str, float], ...] = ((", smaller", 0.84), (", larger", 1.17))
    """Other sizes of the digits: the network is trained on twice that range."""
    erasing: float = 0.7
    """Cost in nats of leaving other ink out: an even chance that it belongs to a digit."""
    resizing: float = 0.3
    """Cost in nats of another size."""
    unruling: float = 0.4
    """Cost in nats of a finding in which long straight runs do not count as digits."""
    worst: float = 2.0
    """Highest cost in nats of ink that is in none of the lines; else it is its fraction."""
    finest: int = 30_000
    """Pixels that a strip is sampled with, at most, before it is reduced: they cost time."""
    hairline: float = 1.0
    """Pixels of a strip: strokes that are narrower are widened."""
    stroke: float = 1.5
    """Pixels of a strip: width to which they are widened."""
    flat: float = 0.55
    """Window of the paper's brightness in a strip, as a fraction of 28 pixels: wider than strokes."""

    def for_hairlines(self) -> Self:
        """Return what a second, closer look uses: strokes that a reduced picture loses are found."""
        return replace(self, look=1000, sketch=250, windows=(0.06,), note=", closer look")


SETTINGS = Settings()
