"""The pictures that ``lenetscope inspect`` writes.

In: a `Study`, the names of questions. Out: files, one or more a question.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from lenetscope import plots
from lenetscope.inspection.choice import Choice
from lenetscope.inspection.questions import DEFAULT_QUESTIONS, LAYER_QUESTIONS, QUESTIONS
from lenetscope.inspection.study import Study
from lenetscope.tracking import Track, untracked


def draw(
    study: Study,
    choice: Choice,
    *,
    what: Sequence[str] | None = None,
    out: Path | None = None,
    form: str = "png",
    tracker: Callable[[str], Track] = lambda _label: untracked,
) -> list[Path]:
    """Answer questions by pictures.

    Args:
        study: of the run.
        choice: of images and layers.
        what: names of questions, see `QUESTIONS`, or ``"all"``; by default the quick ones, of those
            only what is about layers if layers were chosen.
        out: folder; by default ``figures`` in the run's folder.
        form: ``"png"`` or ``"svg"``.
        tracker: given the name of a question, returns what shows how far it has come.

    Returns:
        The files written.

    Raises:
        RecipeError: if a question is unknown; nothing is drawn then.
        LayerError: if a layer is unknown, or cannot answer.
        RunError: if the run has not kept what a question needs.
        StorageError: if a file cannot be written.
    """
    wanted = what or (LAYER_QUESTIONS if choice.layers else DEFAULT_QUESTIONS)
    names = QUESTIONS.names() if "all" in wanted else list(dict.fromkeys(wanted))
    asked = [QUESTIONS.get(name) for name in names]
    folder = out or study.run.figures
    written = []
    for name, ask in zip(names, asked, strict=True):
        study.track = tracker(name)
        for file, figure in ask(study, choice):
            written.append(plots.save(figure, folder / f"{file}.{form}"))
    return written
