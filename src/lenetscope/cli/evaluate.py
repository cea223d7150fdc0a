"""``lenetscope evaluate``: the scores of a run on the test images."""

from lenetscope.cli import app


def evaluate(
    run: app.RunFolder = None,
    /,
    *,
    data_dir: app.DataOfRun = None,
    device: app.Device = None,
    as_json: app.Json = False,
) -> None:
    """Count correct and wrong predictions on the test images."""
    from lenetscope.architecture import Architecture
    from lenetscope.table import text_table

    folder = app.open_run(run)
    arch = Architecture.from_run(folder, device=device)
    folder.require_same_data(arch.load_data(data_dir or folder.data_dir()))
    if arch.state.is_main:
        app.note_unfinished(folder)
    scores = arch.evaluate()
    if not arch.state.is_main:
        return
    names = scores.classes
    counts = [[str(count or ".") for count in row] for row in scores.confusion.tolist()]
    rows = [[name, *row] for name, row in zip(names, counts, strict=True)]
    app.show(
        as_json,
        {"run": str(folder.path), **scores.as_dict()},
        f"images    {scores.n:,}\n"
        f"errors    {scores.errors:,}\n"
        f"accuracy  {app.accuracy_of(scores)}\n"
        f"loss      {scores.loss:.4f}\n\n"
        f"{scores.per_class()}\n\n"
        + text_table(["true \\ predicted", *names], rows, [False] + [True] * len(names)),
    )
