"""The tree of errors is the one that is drawn, and nobody stands outside."""

from __future__ import annotations

import inspect
import pickle
import re

from conditions import errors


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    drawn = re.findall(r"^    ([│├└─ ]*)(\w+)", errors.__doc__ or "", re.MULTILINE)
    names = [name for _, name in drawn if name[0].isupper() and hasattr(errors, name)]
    depths = {name: len(bars) // 4 for bars, name in drawn if name in names}
    classes = {
        name: cls
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if cls.__module__.startswith(errors.__name__)
    }
    assert set(names) == set(classes)
    for name, cls in classes.items():
        assert depths[name] == cls.__mro__.index(errors.ConditionsError), name


def test_bases_end_in_error_and_leaves_say_what_happened() -> None:
    for name, cls in inspect.getmembers(errors, inspect.isclass):
        if cls.__module__.startswith(errors.__name__) and name not in ("StoreError", "PayloadFileError"):
            assert name.endswith("Error") == bool(cls.__subclasses__()), name


def test_several_missing_payloads_are_named_together() -> None:
    error = errors.NoPayloadForRun(["gat", "cnn"], "7:120", ["mc16", "online"])
    assert str(error) == "no payloads 'gat', 'cnn' for 7:120 in mc16, online"
    assert (error.names, error.name, error.stack) == (("gat", "cnn"), "gat", ("mc16", "online"))


def test_bad_input_is_a_value_error_too() -> None:
    assert issubclass(errors.BadInputError, ValueError)


def test_an_error_comes_back_whole_from_another_process() -> None:
    for error in (
        errors.TagExists("mc16"),
        errors.BadInterval((1, 2), "no"),
        errors.PayloadCorrupt("gat", 2, "/there", "has 3 bytes"),
        errors.NoPayloadForRun(["gat", "cnn"], "7:120", ["mc16"]),
    ):
        back = pickle.loads(pickle.dumps(error))
        assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))
