"""Locks that the system frees with the process that held them: no process number, clock or clean-up decides."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path, *, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Holds a lock file, which is removed afterwards, as soon as nobody else does.

    Args:
        path: The file; its folder exists.
        on_wait: Called if somebody else holds it.
    """
    with locked_if_free(path) as is_ours:
        if is_ours:
            yield
            return
    on_wait()
    descriptor = _acquire(path, wait=True)
    assert descriptor is not None
    try:
        yield
    finally:
        _release(path, descriptor)


@contextlib.contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Holds a lock file, which is removed afterwards, unless somebody else does; yields whether it does."""
    descriptor = _acquire(path, wait=False)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            _release(path, descriptor)


@contextlib.contextmanager
def occupied(folder: Path, alone: bool = False) -> Iterator[None]:
    """Is one of those who use a folder, or the only one.

    Raises:
        BlockingIOError: Another one uses it, and this one wants it alone; or the other way round.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Says whether a process that lives, this one or another, holds a lock file."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who ask at the same time do not take each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def remove_stale(path: Path) -> None:
    """Removes a lock file that nobody holds, such as that of a process that was killed."""
    descriptor = _acquire(path, wait=False)
    if descriptor is not None:
        _release(path, descriptor)


def _acquire(path: Path, wait: bool) -> int | None:
    """Returns an open, locked file; None if another one has it and `wait` is false."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if _is_still(path, descriptor):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the former holder has removed the file that we waited for: nobody else sees ours


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _release(path: Path, descriptor: int) -> None:
    path.unlink(missing_ok=True)  # while it is still held, so that nobody can hold what is no longer there
    os.close(descriptor)
