"""What a function's variables say of its layers, with a place of their own and without."""

from __future__ import annotations

from functory.sandbox import layering

LAYERS = ("/l/a", "/l/b")


def made(given: dict[str, str], places: tuple[str, ...], *, program: bool = False, there: str = "") -> dict[str, str]:
    """`there`: the paths that exist; empty = all."""
    return layering.environment(given, places, program=program, exists=lambda path: not there or path in there.split())


def test_without_layers_nothing_changes() -> None:
    given = {"PATH": "/usr/bin", "X": "/opt/x"}
    assert made(given, ()) == given


def test_merged_layers_are_named_by_their_place() -> None:
    assert made({"PATH": "/usr/bin", "X": "/opt/x"}, ("/opt",)) == {
        "PATH": "/opt/bin:/usr/bin",
        "X": "/opt/x",
        "LD_LIBRARY_PATH": "/opt/lib",
    }


def test_layers_that_cannot_be_merged_are_named_in_their_order() -> None:
    found = made({"LD_LIBRARY_PATH": "/own"}, LAYERS)
    assert found["PATH"] == "/l/a/bin:/l/b/bin:/usr/local/bin:/usr/bin:/bin"
    assert found["LD_LIBRARY_PATH"] == "/own:/l/a/lib:/l/b/lib"
    assert "PYTHONPATH" not in found


def test_programs_find_modules_too_after_their_own() -> None:
    found = made({"NODE_PATH": "/own"}, LAYERS, program=True)
    assert found["PYTHONPATH"] == "/l/a/python:/l/b/python"
    assert found["NODE_PATH"] == "/own:/l/a/nodejs/node_modules:/l/b/nodejs/node_modules"


def test_folders_that_no_layer_has_are_not_named() -> None:
    assert made({}, LAYERS, program=True, there="/l/b/bin") == {"PATH": "/l/b/bin:/usr/local/bin:/usr/bin:/bin"}


def test_opt_in_the_functions_own_variables_means_its_layers() -> None:
    given = {
        "PATH": "/opt/jdk/bin:/usr/bin",
        "MODEL": "/opt/model.bin",
        "NONE": "/opt/none",
        "OTHER": "/optional/x",
        "TEXT": "see /opt",
    }
    found = made(given, LAYERS, there="/l/b/model.bin")
    assert found["PATH"] == "/l/a/jdk/bin:/l/b/jdk/bin:/usr/bin"
    assert (found["MODEL"], found["NONE"]) == ("/l/b/model.bin", "/opt/none")
    assert (found["OTHER"], found["TEXT"]) == ("/optional/x", "see /opt")
