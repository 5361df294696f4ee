"""The public names, and what importing them costs."""

import importlib
import subprocess
import sys

import pytest

import regard


def test_public_names_are_sorted_and_unique() -> None:
    assert regard.__all__ == sorted(set(regard.__all__))


@pytest.mark.parametrize("name", regard.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(regard, name)
    assert value.__doc__
    assert name in dir(regard)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'atention'"):
        regard.atention  # noqa: B018


def test_errors_are_builtins_too() -> None:
    errors = importlib.import_module("regard.errors")
    tree = [value for value in vars(errors).values() if isinstance(value, type)]
    assert len(tree) > 8
    for error in tree:
        assert issubclass(error, errors.RegardError)
        assert error.__name__ in str(errors.__doc__)
        own = error.__mro__[1:]
        assert error is errors.RegardError or any(
            base.__module__ == "builtins" and base not in (Exception, BaseException, object)
            for base in own
        )


def test_importing_regard_imports_neither_torch_nor_matplotlib() -> None:
    heavy = ("torch", "numpy", "matplotlib", "transformers", "PIL", "safetensors")
    code = f"import regard, sys; print([name for name in {heavy!r} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "[]"


def test_importing_the_core_imports_no_model_or_picture_library() -> None:
    heavy = ("matplotlib", "transformers", "PIL", "torchvision")
    code = (
        "import regard, sys; regard.record, regard.Recording, regard.layers;"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "[]"
