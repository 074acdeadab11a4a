"""Which versions are served, when folders come and go; loading is a fake."""

import threading

import pytest

from components.server.errors import RequestError
from components.server.versions import Versions
from tests.processes import wait_until


class FakeVersion:
    """Counts who uses it, as a loaded version does."""

    writing = None

    def __init__(self, number, folder):
        if "broken" in (folder / "saved_model.pb").read_text("utf-8"):
            raise OSError("its variables are missing")
        self.number = number
        self.uses = 0
        self.closed = False
        self.idle = threading.Event()

    def acquire(self):
        assert not self.closed
        self.uses += 1

    def release(self):
        self.uses -= 1
        self.idle.set()

    def close(self):
        while self.uses:
            assert self.idle.wait(60)
        self.closed = True


def push(folder, number, content="good"):
    (folder / str(number)).mkdir()
    (folder / str(number) / "saved_model.pb").write_text(content, "utf-8")


def remove(folder, number):
    (folder / str(number) / "saved_model.pb").unlink()
    (folder / str(number)).rmdir()


def served(versions):
    return [version.number for version in versions.loaded]


def states(versions):
    return {status.number: status.state for status in versions.statuses("m")}


def make(folder, keep=2):
    return Versions("m", folder, keep, FakeVersion)


def test_newest_versions_are_served_and_older_ones_are_not(tmp_path):
    for number in (1, 2, 10):
        push(tmp_path, number)
    (tmp_path / "notes").mkdir()
    (tmp_path / "11").mkdir()  # not whole
    versions = make(tmp_path)
    assert not versions.is_ready

    versions.refresh()

    assert versions.is_ready
    assert served(versions) == [10, 2]
    assert states(versions) == {10: "AVAILABLE", 2: "AVAILABLE"}
    with versions.use("m") as newest, versions.use("m", 2) as other:
        assert (newest.number, other.number) == (10, 2)


@pytest.mark.parametrize("keep", [1, 2])
def test_broken_version_takes_no_place(tmp_path, keep):
    push(tmp_path, 1)
    push(tmp_path, 2)
    versions = make(tmp_path, keep)
    versions.refresh()
    before = served(versions)

    push(tmp_path, 3, "broken")
    versions.refresh()
    versions.refresh()

    assert served(versions) == before
    assert states(versions)[3] == "END"
    assert versions.statuses("m", 3)[0].error == "OSError: its variables are missing"


def test_broken_newest_version_at_the_start_is_passed_over(tmp_path):
    push(tmp_path, 1)
    push(tmp_path, 2, "broken")
    push(tmp_path, 3, "broken")
    versions = make(tmp_path, keep=1)

    versions.refresh()

    assert served(versions) == [1]


def test_version_that_was_unloaded_comes_back_when_newer_ones_are_removed(tmp_path):
    push(tmp_path, 1)
    versions = make(tmp_path, keep=1)
    versions.refresh()
    push(tmp_path, 2)
    versions.refresh()
    assert (served(versions), states(versions)[1]) == ([2], "END")

    remove(tmp_path, 2)
    versions.refresh()

    assert served(versions) == [1]
    versions.refresh()
    assert 2 not in states(versions)


def test_replaced_broken_version_is_tried_again(tmp_path):
    push(tmp_path, 1, "broken")
    versions = make(tmp_path)
    versions.refresh()
    assert served(versions) == []

    remove(tmp_path, 1)
    versions.refresh()
    push(tmp_path, 1)
    versions.refresh()

    assert served(versions) == [1]


def test_version_that_was_not_whole_is_tried_again_when_its_files_change(tmp_path):
    tries = []

    def load(number, folder):
        tries.append(number)
        if not (folder / "variables" / "data").exists():
            raise OSError("its variables are missing")
        return FakeVersion(number, folder)

    push(tmp_path, 1)
    versions = Versions("m", tmp_path, 2, load)
    versions.refresh()
    versions.refresh()
    assert (served(versions), tries) == ([], [1])  # nothing has changed: no second try

    (tmp_path / "1" / "variables").mkdir()
    (tmp_path / "1" / "variables" / "data").write_text("all of it", "utf-8")
    versions.refresh()

    assert (served(versions), states(versions), tries) == ([1], {1: "AVAILABLE"}, [1, 1])


def test_last_version_stays_while_all_that_is_there_is_broken(tmp_path):
    push(tmp_path, 1)
    versions = make(tmp_path)
    versions.refresh()
    remove(tmp_path, 1)
    push(tmp_path, 2, "broken")

    versions.refresh()

    assert served(versions) == [1]


def test_version_in_use_is_unloaded_when_it_is_let_go(tmp_path):
    push(tmp_path, 1)
    versions = make(tmp_path, keep=1)
    versions.refresh()
    push(tmp_path, 2)

    with versions.use("m") as old:
        refreshing = threading.Thread(target=versions.refresh)
        refreshing.start()
        wait_until(lambda: served(versions) == [2])
        assert not old.closed
        assert states(versions)[1] == "UNLOADING"
        with versions.use("m") as new:
            assert new.number == 2
    refreshing.join(60)

    assert old.closed
    assert states(versions) == {2: "AVAILABLE", 1: "END"}


def test_unknown_models_and_versions_are_not_found(tmp_path):
    versions = make(tmp_path)
    with pytest.raises(RequestError) as none, versions.use("m"):
        pass
    assert none.value.status == 503
    push(tmp_path, 1)
    versions.refresh()
    for name, number in (("x", None), ("m", 2), ("x", 1), ("../m", None)):
        with pytest.raises(RequestError) as error, versions.use(name, number):
            pass
        assert error.value.status == 404
        with pytest.raises(RequestError) as error:
            versions.statuses(name, number)
        assert error.value.status == 404
    with pytest.raises(RequestError, match=r"^Could not find version 2 of model m\.$"):
        versions.statuses("m", 2)
    with pytest.raises(RequestError, match=r"^Could not find any version of model x\.$"):
        versions.statuses("x")


def test_folder_of_one_saved_model_is_one_version(tmp_path):
    push(tmp_path, 7)

    numbered = make(tmp_path / "7")
    numbered.refresh()
    (tmp_path / "7").rename(tmp_path / "model")
    named = make(tmp_path / "model")
    named.refresh()

    assert (served(numbered), served(named)) == ([7], [1])


def test_watching_finds_new_versions_until_it_is_closed(tmp_path):
    push(tmp_path, 1)
    versions = make(tmp_path)
    versions.refresh()
    versions.watch(0.01)

    push(tmp_path, 2)
    wait_until(lambda: served(versions) == [2, 1])
    loaded = versions.loaded
    versions.close()

    assert all(version.closed for version in loaded)
    assert served(versions) == []
