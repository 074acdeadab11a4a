"""The history of a training: JSON lines that a resumed training goes on with, as if it had never stopped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from components.json_values import json_value


class History:
    """Appends entries to `history.jsonl`; can be cut back to what it was when a checkpoint was written.

    Args:
        path: The file; made when missing.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        self._file = self.path.open("ab")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, **entry: Any) -> None:
        """Adds an entry; numbers that are not finite, which JSON has not, become null."""
        self._file.write(json.dumps(json_value(entry), ensure_ascii=False).encode() + b"\n")
        self._file.flush()

    def position(self) -> int:
        """Bytes so far, after making sure that they are on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.seek(0, os.SEEK_END)

    def cut(self, position: int) -> None:
        """Removes what was written after `position`.

        Raises:
            ValueError: There is less than that.
        """
        self._file.flush()
        size = self._file.seek(0, os.SEEK_END)
        if size < position:
            raise ValueError(
                f"Trainer: the history must be as long as its checkpoint says, {position} bytes. Received: {self.path} "
                f"of {size} bytes. Restore it, or begin anew: --force trainer."
            )
        self._file.truncate(position)
        self._file.seek(position)


def read(path: Path) -> list[dict[str, Any]]:
    """The entries of a history, oldest first."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
