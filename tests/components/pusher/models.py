"""Folders with the files of a SavedModel."""

from pathlib import Path

FILES = {
    "saved_model.pb": b"graph",
    "fingerprint.pb": b"fingerprint",
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": b"data",
    "assets/vocabulary.tsv": b"0\t\t<end>\n",
}


def write_model(folder: Path, weights: bytes = b"data") -> Path:
    """Writes one; `weights` tell models apart."""
    for name, raw in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(weights if ".data" in name else raw)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """Every file's bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
