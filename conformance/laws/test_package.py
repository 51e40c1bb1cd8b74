"""The package: what importing torch brings along, what is compiled, what stands beside it."""

import importlib
import importlib.machinery
import importlib.util
import tempfile
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from strategies import tensors

MEMBERS = {
    "autograd": "autograd.html",
    "nn": "nn.html",
    "nn.functional": "nn.functional.html",
    "nn.init": "nn.init.html",
    "optim": "optim.html",
    "optim.lr_scheduler": "optim.html#how-to-adjust-learning-rate",
    "utils": "utils.html",
    "utils.data": "data.html",
    "utils.checkpoint": "checkpoint.html",
    "linalg": "linalg.html",
    "fft": "fft.html",
    "special": "special.html",
    "sparse": "sparse.html",
    "random": "random.html",
    "func": "func.html",
    "distributions": "distributions.html",
    "cuda": "cuda.html",
    "jit": "jit.html",
}
PATHS = {name.replace(".", "-"): (f"torch.{name}", page) for name, page in MEMBERS.items()}
SOURCES = (".c", ".cc", ".cpp", ".cu", ".py")
WRONG_TYPES = {
    "add": ("torch.add(x, x)", "torch.add(x, 'one')"),
    "matmul": ("torch.matmul(x, x)", "torch.matmul(x, [[1.0]])"),
    "sum": ("torch.sum(x, 0)", "torch.sum(x, 'rows')"),
    "reshape": ("x.reshape(4)", "x.reshape('four')"),
    "zeros": ("torch.zeros(2)", "torch.zeros('2')"),
    "cat": ("torch.cat([x, x])", "torch.cat(x)"),
    "relu": ("torch.relu(x)", "torch.relu(1.0)"),
}
OPTIMIZERS = {
    "SGD": ("torch.optim.sgd", {"lr": 0.5, "momentum": 0.5}),
    "Adam": ("torch.optim.adam", {"lr": 0.5}),
    "RMSprop": ("torch.optim.rmsprop", {"lr": 0.5}),
    "Adagrad": ("torch.optim.adagrad", {"lr": 0.5}),
}
BY_NAME = {name: (name, *found) for name, found in OPTIMIZERS.items()}


def compiled_anew(name):
    """A module of that name, compiled from its source whatever byte code there is."""
    path = str(importlib.import_module(name).__file__)
    loader = importlib.machinery.SourceFileLoader(name, path)
    module = ModuleType(name)
    module.__file__, module.__package__ = path, name.rpartition(".")[0]
    exec(loader.source_to_code(loader.get_data(path), path), module.__dict__)
    return module


@law("package.members", docs=lambda case: case[1], over=PATHS)
def test_members(target, case):
    """Importing torch imports the packages of its documentation, as attributes of theirs."""
    name, _ = case
    found: object = torch
    for part in name.split(".")[1:]:
        found = getattr(found, part, None)
    compare.fact(found is importlib.import_module(name), True, f"{name} is an attribute")
    compare.fact(getattr(found, "__name__", None), name, "its name")


@law("package.headers", docs="cpp_extension.html", level="should")
def test_headers(target):
    """include_paths names folders of headers, torch/extension.h among them, without sources.

    "Get the include paths required to build a C++ or CUDA extension."
    """
    from torch.utils import cpp_extension

    folders = [Path(path) for path in cpp_extension.include_paths()]
    held = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    found = any((folder / "torch" / "extension.h").is_file() for folder in folders)
    compare.fact(found, True, "torch/extension.h in a folder that is named")
    sources = [path.name for path in held if path.suffix in SOURCES]
    compare.fact(sources, [], "sources among the headers")


@law("package.libraries", docs="cpp_extension.html", level="should")
def test_libraries(target):
    """library_paths names a folder of shared libraries, torch's own among them."""
    from torch.utils import cpp_extension

    folders = [Path(path) for path in cpp_extension.library_paths()]
    held = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    libraries = [path for path in held if set(path.suffixes) & {".so", ".dylib", ".dll"}]
    compare.fact(any("torch" in path.name for path in libraries), True, "a library of torch")


@law("package.extension", docs="torch.html", level="should")
def test_extension(target):
    """torch._C is a compiled module, a shared library, not the folder of stubs of that name."""
    path = torch._C.__file__
    ends = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    compare.fact(path.endswith(ends), True, "its file is a shared library")
    compare.fact(isinstance(torch._C.__spec__.origin, str), True, "origin")
    kind = type(torch._C._get_tracing_state)
    compare.fact(kind.__name__, "builtin_function_or_method", "its functions are compiled")


def first_release(case):
    """Before torch 2.13 a text was the name of a dimension."""
    return "2.13" if "'rows'" in case[1] else ""


@law("package.wrong-types", docs="torch.html", level="should", over=WRONG_TYPES,
     since=first_release)  # fmt: skip
@given(x=tensors(dtype=torch.float64, shape=(2, 2)))
def test_wrong_types(target, case, x):
    """A function that is given an argument of a wrong type raises TypeError and names the type."""
    legal, wrong = case
    before = compare.to_numpy(x)
    names = {"torch": torch, "x": x}
    compare.fact(isinstance(eval(legal, names), torch.Tensor), True, "result of the right types")
    with compare.raises(TypeError, "must be|invalid combination of arguments|can't be interpreted"):
        eval(wrong, names)
    compare.unchanged(x, before, "argument")


@law("package.source", docs=lambda case: f"torch.optim.{case[0]}", level="should", over=BY_NAME)
@given(
    start=tensors(dtype=torch.float64, shape=(3,)),
    gradients=st.lists(st.integers(1, 8), min_size=1, max_size=4),
)
def test_source(target, case, start, gradients):
    """A module of torch does what its source says: compiled anew, without byte code, the same."""
    name, module, options = case
    made = []
    for home in (compiled_anew(module), importlib.import_module(module)):
        parameter = start.detach().clone().requires_grad_()
        optimizer = getattr(home, name)([parameter], **options)
        for gradient in gradients:
            parameter.grad = torch.full_like(parameter, gradient / 4)
            optimizer.step()
        made.append(parameter)
    compare.fact(bool((made[0] < start).all()), True, "it moved down")
    compare.equal(made[1], compare.to_numpy(made[0]), dtype=torch.float64, what="as loaded")


@law("package.function", docs="torch.autograd.Function", level="should")
@given(x=tensors(dtype="floating", requires_grad=True))
def test_function(target, x):
    """Function, the base of custom operations, is a class of torch.autograd, and not of torch."""

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return x * 2

        @staticmethod
        def backward(context, gradient):
            return gradient * 2

    result = target.run(Double.apply, x)
    compare.equal(result, compare.to_numpy(x) * 2, dtype=x.dtype)
    result.sum().backward()
    twos = np.full(tuple(x.shape), 2.0)
    compare.close(x.grad, twos, bound=0.0, dtype=x.dtype, what="gradient")
    compare.fact(hasattr(torch, "Function"), False, "torch has a Function")


@law("package.torchvision", docs="../../vision/stable/index.html", level="should")
def test_torchvision(target):
    """torchvision is a package of its own: it has datasets, models, ops and transforms.

    torch contains none of it, and where it is not installed importing it raises.
    """
    if importlib.util.find_spec("torchvision") is None:
        with compare.raises(ModuleNotFoundError, "torchvision"):
            importlib.import_module("torchvision")
        return
    found = {
        name: importlib.util.find_spec(f"torchvision.{name}") is not None
        for name in ("datasets", "models", "ops", "transforms")
    }
    compare.fact(found, dict.fromkeys(found, True), "packages of torchvision")


@law("package.tensorboard", docs="tensorboard.html", level="should")
@given(values=st.lists(st.integers(-64, 64), min_size=1, max_size=4))
def test_tensorboard(target, values):
    """SummaryWriter writes numbers to an event file, if the package tensorboard is installed.

    Where it is not, importing torch.utils.tensorboard raises, and torch does without.
    """
    if importlib.util.find_spec("tensorboard") is None:
        with compare.raises(ModuleNotFoundError, "tensorboard"):
            importlib.import_module("torch.utils.tensorboard")
        return
    writers = importlib.import_module("torch.utils.tensorboard")
    readers = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    with tempfile.TemporaryDirectory() as folder:
        with writers.SummaryWriter(folder) as writer:
            for step, value in enumerate(values):
                loss = torch.tensor(value / 8, device=target.device, requires_grad=True)
                writer.add_scalar("loss", loss, step)
        reader = readers.EventAccumulator(folder)
        reader.Reload()
        found = [(event.step, event.value) for event in reader.Scalars("loss")]
    compare.fact(found, [(n, value / 8) for n, value in enumerate(values)], "what was written")
