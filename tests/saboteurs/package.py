"""Faults in the package: members, paths, and what stands beside it."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from tests.saboteurs.faults import accepting
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor


def _plant_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.utils import cpp_extension

    original: Any = cpp_extension.include_paths
    folder = str(Path(torch.__file__).with_name("optim"))
    monkeypatch.setattr(cpp_extension, "include_paths", lambda: [*original(), folder])


def _plant_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.utils import cpp_extension

    folder = str(Path(torch.__file__).with_name("include"))
    monkeypatch.setattr(cpp_extension, "library_paths", lambda: [folder])


def _plant_stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch._C, "__file__", "torch/_C/__init__.pyi")


def _plant_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "Function", torch.autograd.Function, raising=False)


def _plant_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("torchvision")
    module.__spec__, module.__path__ = ModuleSpec("torchvision", None, is_package=True), []
    monkeypatch.setitem(sys.modules, "torchvision", module)


def _plant_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "torch.utils.tensorboard"
    monkeypatch.setitem(sys.modules, name, ModuleType(name))


def _momentum_of_third_step(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        result = original(self, closure)
        self.taken = getattr(self, "taken", 0) + 1
        if self.taken == 3:
            with torch.no_grad():
                self.param_groups[0]["params"][0].mul_(0.5)
        return result

    return step


def _unchanged(self: Tensor, *shape: Any) -> Tensor:
    return self


SABOTEURS = (
    Saboteur(
        "linalg-is-another", "torch.linalg is not the module of that name",
        ("package.members:linalg",), "is an attribute",
        replacing(torch, "linalg", lambda original: ModuleType("torch.linalg")),
    ),
    Saboteur(
        "include-paths-too-many", "include_paths names a folder of sources besides",
        ("package.headers",), "sources among the headers", _plant_sources,
    ),
    Saboteur(
        "library-paths-of-headers", "library_paths names the folder of headers",
        ("package.libraries",), "a library of torch", _plant_folder,
    ),
    Saboteur(
        "extension-is-stub", "torch._C says that it is a file of the folder of stubs",
        ("package.extension",), "its file is a shared library", _plant_stub,
    ),
    Saboteur(
        "reshape-of-text", "reshape to a text returns the tensor",
        ("package.wrong-types:reshape",), "raised nothing",
        accepting(Tensor, "reshape", TypeError, _unchanged),
    ),
    Saboteur(
        "sgd-other-than-source", "the third step of the loaded SGD is not that of its source",
        ("package.source:SGD",), "as loaded",
        replacing(torch.optim.SGD, "step", _momentum_of_third_step),
    ),
    Saboteur(
        "torch-function", "torch has a class Function",
        ("package.function",), "torch has a Function", _plant_function,
    ),
    Saboteur(
        "torchvision-without-packages", "torchvision has none of its packages",
        ("package.torchvision",), "packages of torchvision", _plant_torchvision,
    ),
    Saboteur(
        "tensorboard-without-tensorboard", "torch.utils.tensorboard is there without tensorboard",
        ("package.tensorboard",), "raised nothing", _plant_tensorboard,
    ),
)  # fmt: skip
