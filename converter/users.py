"""Find and call a user's factory, and check that its result is a model.

Exceptions from the user's own code pass through unchanged. The classes here are for mistakes that raise nothing there;
each points at the line that defines the factory.
"""

import importlib
import importlib.util
import inspect
import os
import sys

from converter.failure import UsersMistake, source_folder


class FactoryNotFound(UsersMistake):
    pass


class ArgumentsDoNotFit(UsersMistake):
    pass


class NotAModule(UsersMistake):
    pass


class NotATensor(UsersMistake, TypeError):
    pass


def factory(reference, inbox):
    """Return the object named by "package.module:name" or "folder/file.py:name".

    The job's source/ comes first on the import path, and a file may import its neighbours. Raises FactoryNotFound if
    there is no such object.
    """
    place, _, name = reference.rpartition(":")
    source = source_folder(inbox)
    if source != os.path.abspath(inbox):
        _first_on_path(source)
    module = _file(place, source) if place.endswith(".py") else _module(place)
    try:
        return getattr(module, name)
    except AttributeError as problem:
        there = [key for key, value in sorted(vars(module).items()) if callable(value) and not key.startswith("_")]
        path = getattr(module, "__file__", None)
        raise FactoryNotFound("%s has no %r; it has %s" % (place, name, _listed(there))).at(
            (path, 1, "<module>") if path else None
        ) from problem


def _module(name):
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as problem:
        # A missing import inside that module is a different failure and passes through.
        if problem.name is not None and (name + ".").startswith(problem.name + "."):
            raise FactoryNotFound(
                "there is no module %r, neither in the source folder nor installed" % name
            ) from problem
        raise


def _file(place, source):
    path = os.path.join(source, place)
    if not os.path.isfile(path):
        there = sorted(name for name in os.listdir(source) if name.endswith(".py"))
        raise FactoryNotFound("the source folder has no file %s; it has %s" % (place, _listed(there)))
    folder, parts = os.path.dirname(path), [os.path.splitext(os.path.basename(path))[0]]
    while os.path.isfile(os.path.join(folder, "__init__.py")):  # part of a package: relative imports must work
        parts.insert(0, os.path.basename(folder))
        folder = os.path.dirname(folder)
    _first_on_path(folder)
    name = ".".join(parts)
    if len(parts) > 1:
        return importlib.import_module(name)
    if name in sys.modules:  # a file may be called torch.py or types.py
        name = "factory_of_the_job"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # as for every path that ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pickling and dataclasses look a class's module up there
    spec.loader.exec_module(module)
    return module


def _first_on_path(folder):
    if folder not in sys.path:
        sys.path.insert(0, folder)


def network(made_by, arguments, torch):
    """Return the torch module that a factory makes: a function, a class, or a finished module.

    Raises FactoryNotFound if it cannot be called, ArgumentsDoNotFit, or NotAModule.
    """
    if isinstance(made_by, torch.nn.Module):
        return made_by
    if not callable(made_by):
        raise FactoryNotFound("the factory is a %s, neither a function nor a class" % type(made_by).__name__)
    try:
        signature = inspect.signature(made_by)
    except (TypeError, ValueError):  # implemented in C
        signature = None
    if signature is not None:
        try:
            signature.bind(**arguments)
        except TypeError as problem:
            raise ArgumentsDoNotFit(
                "the factory takes %s, given are the arguments %s: %s" % (signature, arguments, problem)
            ).at(place_of(made_by)) from problem
    made = made_by(**arguments)
    if not isinstance(made, torch.nn.Module):
        raise NotAModule("the factory returned a %s, a torch.nn.Module was expected" % type(made).__name__).at(
            place_of(made_by)
        )
    return made


def place_of(thing):
    """Return (path, line, name) of the definition of a function or class, or None if it has no source."""
    try:
        return inspect.getsourcefile(thing), inspect.getsourcelines(thing)[1], thing.__name__
    except (OSError, TypeError, AttributeError):
        return None


def tensors(value, torch, made_by):
    """Return the tensors of an output in the order in which the exporter flattens it; like exporters, skip None.

    Raises NotATensor for anything else, pointing at the definition of `made_by`.
    """
    if isinstance(value, torch.Tensor):
        return [value]
    if value is None:
        return []
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in tensors(item, torch, made_by)]
    raise NotATensor("forward() returns a %s, which is no tensor" % type(value).__name__).at(place_of(made_by))


def _listed(names, most=8):
    shown = ", ".join(names[:most]) or "nothing"
    return shown + (" and %d more" % (len(names) - most) if len(names) > most else "")
