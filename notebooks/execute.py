"""Executes notebooks and writes them with their outputs.

    execute.py --out FOLDER NOTEBOOK...     copies with outputs, and their figures as PNG
    execute.py --in-place NOTEBOOK...       the notebooks themselves

The environment variables CETERIS_RESULTS and CETERIS, which the notebooks describe, are passed on. Nothing in an
executed notebook depends on when or where it was executed. Needs what requirements.txt pins.
"""

import argparse
import base64
import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

# A relative path is meant from here, not from the notebook's folder.
for name in ("CETERIS_RESULTS", "CETERIS"):
    value = os.environ.get(name)
    if value and Path(value).exists():
        os.environ[name] = str(Path(value).absolute())

parser = argparse.ArgumentParser()
where = parser.add_mutually_exclusive_group(required=True)
where.add_argument("--out", type=Path)
where.add_argument("--in-place", action="store_true")
parser.add_argument("notebooks", nargs="+", type=Path)
arguments = parser.parse_args()

for path in arguments.notebooks:
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as sockets:
        NotebookClient(
            notebook,
            timeout=300,
            kernel_name="python3",
            # Sockets in a folder of one's own: nobody can listen, and no two kernels want the same port.
            config=Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}}),
            record_timing=False,
            resources={"metadata": {"path": path.resolve().parent}},
        ).execute()
    # Without the version of Python.
    notebook.metadata["language_info"] = {"name": "python"}
    target = path if arguments.in_place else arguments.out / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    if arguments.in_place:
        continue
    figures = [
        output["data"]["image/png"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    for number, figure in enumerate(figures, start=1):
        arguments.out.joinpath(f"{path.stem}-{number}.png").write_bytes(base64.b64decode(figure))
