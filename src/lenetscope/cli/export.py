"""``lenetscope export``: a run's network as a file that works elsewhere."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lenetscope.cli import app
from lenetscope.export import FORMATS

Name = Annotated[str, Parameter(name="--format", help=f"format: {', '.join(FORMATS.names())}")]


def export(
    run: app.RunFolder = None,
    /,
    *,
    name: Name = "onnx",
    out: Path | None = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    data_dir: app.DataOfRun = None,
    as_json: app.Json = False,
) -> None:
    """Export a run's network to a file that works without this program, and prove the file.

    Parameters
    ----------
    out
        folder of the file and its card (default: export/FORMAT in the run's folder)
    overwrite
        replace the folder of an earlier export
    """
    from lenetscope.data.splits import load
    from lenetscope.export.exportable import Exportable
    from lenetscope.export.write import export as write
    from lenetscope.export.write import require_free

    FORMATS.get(name)
    folder = app.open_run(run)
    target = out or folder.path / "export" / name
    require_free(target, overwrite)
    exportable = Exportable.of_run(folder)
    splits = load(folder.recipe(), data_dir or folder.data_dir())
    folder.require_same_data(splits)
    made = write(exportable, splits, name, target, overwrite=overwrite)
    size = made.file.stat().st_size
    facts = made.facts | {"run": str(folder.path), "file": str(made.file)}
    app.show(
        as_json,
        facts,
        f"{made.file}  ({size / 1e6:.2f} MB)\n\n"
        f"accuracy  {made.proof.accuracy}\n"
        f"card      {made.file.parent / 'README.md'}\n\n"
        f"compared with PyTorch:\n{made.proof.agreements}",
    )
