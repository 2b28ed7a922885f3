"""Functions of others: where they are found, what they may import, and who may load them."""

from pathlib import Path

import pytest

import tasks.retrieval
from rageval.config.file import read_settings
from rageval.errors import ConfigError
from rageval.functions import load_function


def write(folder: Path, **files: str) -> str:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return str(folder)


def test_a_function_is_found_by_its_path_and_by_its_module(tmp_path: Path) -> None:
    folder = write(tmp_path, mine__search="class Store:\n    @staticmethod\n    def find(q): return [q]")
    assert load_function("mine/search.py:Store.find", folder)("a") == ["a"]
    assert load_function("mine.search:Store.find", folder)("b") == ["b"]
    assert load_function("json:dumps")([1]) == "[1]"


def test_it_imports_its_own_modules_also_where_ours_have_the_same_name(tmp_path: Path) -> None:
    folder = write(tmp_path, search="from tasks.mine import word\ndef find(): return word", tasks__mine="word = 'mine'")
    assert load_function("search.py:find", folder)() == "mine"
    import tasks as ours

    assert ours.retrieval is tasks.retrieval
    assert not hasattr(ours, "mine")


def test_two_folders_may_have_modules_of_the_same_name(tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        code = "import settings_of_search\ndef find(): return settings_of_search.name"
        folder = write(tmp_path / name, search=code, settings_of_search=f"name = {name!r}")
        found.append(load_function("search.py:find", folder))
    assert [find() for find in found] == ["a", "b"]


@pytest.mark.parametrize(
    ("reference", "code", "message"),
    [
        ("other.py:find", "", r"there is no file .*other\.py; correct its path"),
        ("nosuchmodule:find", "", "there is no module nosuchmodule"),
        ("search.py:find", "x = 1", r"search\.py holds no function find"),
        ("search.py:find", "find = 1", "something else than a function find"),
        ("search.py:find", "1 / 0", "its code ends with ZeroDivisionError: division by zero"),
        ("search.py:find", "import nosuchlibrary", "it imports nosuchlibrary, which is not installed here"),
        ("search.py:find", "def find(:", "its code ends with SyntaxError"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_sentence(tmp_path: Path, reference: str, code: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_function(reference, write(tmp_path, search=code))


def test_a_run_of_prefects_api_loads_what_its_worker_names_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "00000000-0000-0000-0000-000000000000")
    folder = write(tmp_path, search="def find(): return 1")
    monkeypatch.setenv("RAGEVAL_ALLOW_FILES", folder)
    monkeypatch.setenv("RAGEVAL_ALLOW_MODULES", "search.py:find")
    with pytest.raises(ConfigError, match=r"RAGEVAL_ALLOW_MODULES"):  # its folder is not named
        load_function("search.py:find", folder)
    monkeypatch.setenv("RAGEVAL_ALLOW_MODULES", f"search.py:find {folder}")
    assert load_function("search.py:find", folder)() == 1
    with pytest.raises(ConfigError, match=r"the code os:system may not be used by a run that was started through"):
        load_function("os:system")


def test_a_function_begins_at_the_folder_of_the_file_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    path = tmp_path / "mine" / "rageval.yaml"
    path.write_text("retrievers: [{method: python, function: 'a.py:f'}, {function: 'b.py:f', function_folder: c}]")
    monkeypatch.chdir(tmp_path)
    settings = read_settings(Path("mine/rageval.yaml"))
    assert [one["function_folder"] for one in settings["retrievers"]] == ["mine", "c"]
    monkeypatch.chdir(tmp_path / "mine")
    assert "function_folder" not in read_settings(Path("rageval.yaml"))["retrievers"][0]
