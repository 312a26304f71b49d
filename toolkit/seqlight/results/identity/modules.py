"""What an nn.Module computes, apart from its weights: the code of its classes, its attributes and hooks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.results.identity.byproducts import names_looked_up, unread_attributes
from seqlight.results.identity.origins import AROUND, Origin, library_version, name_of, origin_of, root_of

Visit = Callable[..., str]
ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
# What every module has (parameters, buffers and hooks are described separately), and what torch.compile and Lightning
# leave on one.
PLAIN = frozenset((*vars(nn.Module()), "_compiled_call_impl", "_is_torch_compile", "_compile_kwargs"))
HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
COMPILED = "_orig_mod."


def uncompiled(model: nn.Module) -> nn.Module:
    """Return a model as it was before ``torch.compile``."""
    inner = getattr(model, "_orig_mod", model)
    return inner if isinstance(inner, nn.Module) else model


def modules_of(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules of a model by name, without metrics; whether they are compiled makes no difference."""
    for path, module in model.named_modules():
        compiled = type(module).__name__ == "OptimizedModule"
        if not compiled and root_of(type(module).__module__) != "torchmetrics":
            yield (path + ".").replace(COMPILED, "").rstrip("."), module


def tensors_of(model: nn.Module) -> dict[str, Any]:
    """Return the parameters and buffers of a model by name, including those that its state dict leaves out."""
    found: dict[str, Any] = {name.replace(COMPILED, ""): one for name, one in model.state_dict().items()}
    for all_of in (model.named_parameters, model.named_buffers):
        for name, one in all_of():
            found.setdefault(name.replace(COMPILED, ""), one)
    return found


def structure_of(model: nn.Module) -> list[tuple[str, str, str]]:
    """Return the path, class and ``extra_repr`` of each module."""
    return [(path, name_of(type(module)), ADDRESS.sub("", module.extra_repr())) for path, module in modules_of(model)]


def code_of_classes(model: nn.Module, visit: Visit) -> dict[str, list[str]]:
    """Return descriptions of the classes of a model's modules, by name, without PyTorch's own."""
    found: dict[str, list[str]] = {}
    for _, module in modules_of(model):
        cls = type(module)
        if isinstance(module, torch.jit.ScriptModule):
            name, does = str(module.original_name), visit(_scripted(module))
        elif isinstance(module, torch.fx.GraphModule):
            name, does = name_of(cls), visit(module.code)
        elif any(_says_more(one) for one in cls.__mro__):
            name, does = name_of(cls), visit(cls, made=True)
        else:
            continue
        if does not in found.setdefault(name, []):  # two classes may have the same name
            found[name].append(does)
    return found


def _says_more(cls: type) -> bool:
    """Return whether the name of a class is not enough to tell what it does."""
    if origin_of(cls.__module__) is not Origin.KNOWN:
        return True
    functions = [one for one in vars(cls).values() if hasattr(one, "__globals__")]
    return any(library_version(one.__globals__.get("__name__")) is None for one in functions)


def names_read_in(model: nn.Module) -> frozenset[str]:
    """Return the names that the code of any class of a model looks up."""
    return frozenset[str]().union(*(names_looked_up(cls) for cls in {type(module) for _, module in modules_of(model)}))


def attributes_of(module: nn.Module, read: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the attributes that may affect what a module computes; `read` are the names that its model looks up."""
    if isinstance(module, torch.jit.ScriptModule):
        return {}
    left = PLAIN | _of_lightning(module) | _made_by_hooks(module)
    if isinstance(module, torch.fx.GraphModule):
        left |= {name for name in vars(module) if name.startswith("_")} | {"meta", "shape_env"}
    hung = {name: one for name, one in vars(module).items() if name not in left}
    by_forward = unread_attributes(type(module)) - read if hung else frozenset[str]()
    return {name: one for name, one in hung.items() if name not in by_forward}


def hooks_of(module: nn.Module) -> list[tuple[str, Any]]:
    """Return the hooks of a module, in order."""
    return [(name, hook) for name in HOOKS for hook in getattr(module, name).values()]


def hooks_of_all() -> list[tuple[str, Any]]:
    """Return the user's own hooks that are registered for every module."""
    kinds = {name: getattr(torch.nn.modules.module, f"_global{name}") for name in HOOKS[:2]}
    hooks = [(name, hook) for name, found in kinds.items() for hook in found.values()]
    return [(name, hook) for name, hook in hooks if origin_of(getattr(hook, "__module__", None)) is Origin.OWN]


def _scripted(module: torch.jit.ScriptModule) -> list[Any]:
    """Return the code of a scripted or traced module, with its constants and the attributes that it reads."""
    found: list[Any] = []
    for name in sorted(module._c._method_names()):
        code, constants = module._c._get_method(name).code_with_constants
        looked_up = sorted(set(re.findall(r"\.(\w+)", code)))
        values = [(one, module._c.getattr(one)) for one in looked_up if module._c.hasattr(one)]
        plain = [(one, value) for one, value in values if not isinstance(value, Tensor | torch._C.ScriptModule)]
        found.append([name, code, sorted(constants.items()), plain])
    return found


def _of_lightning(module: nn.Module) -> set[str]:
    """Return the names of what Lightning keeps on a module for its Trainer."""
    makers = [vars(one)["__init__"] for one in type(module).__mro__
              if root_of(one.__module__) in AROUND and "__init__" in vars(one)]  # fmt: skip
    names = {name for make in makers if hasattr(make, "__code__") for name in make.__code__.co_names}
    private = {name for name in names if name.startswith("_")}
    more = {"prepare_data_per_node", "allow_zero_length_dataloader_with_multiple_devices", "_hparams_initial",
            "_hparams_name", "_fabric", "_fabric_optimizers", "_device_mesh", "_compiler_ctx"}  # fmt: skip
    return private | more if makers else set()


def _made_by_hooks(module: nn.Module) -> set[str]:
    """Return the names of weights that hooks of PyTorch compute from others before each forward."""
    hooks = [one for one in module._forward_pre_hooks.values() if root_of(type(one).__module__) == "torch"]
    names = (getattr(one, "name", getattr(one, "_tensor_name", None)) for one in hooks)
    return {name for name in names if isinstance(name, str) and isinstance(vars(module).get(name), Tensor)}
