"""Load a user's checkpoint into the network, as `net.load_state_dict(torch.load(path)[key])` does, and explain what is
wrong with it."""

import re

from converter.doubtful import disguise
from converter.failure import UsersMistake
from converter.zipped import Unreadable, is_zipped, read_zipped

# Keys under which training scripts store the weights beside other things.
_USUAL_KEYS = ("state_dict", "model_state_dict", "model", "net")

# Prefixes that wrappers add to every name: DataParallel, torch.compile.
_WRAPPERS = ("module.", "_orig_mod.")

_LISTED = 5


class CheckpointNotTrusted(UsersMistake):
    pass


class CheckpointRunsCode(UsersMistake):
    pass


class CheckpointUnreadable(UsersMistake):
    pass


class CheckpointKey(UsersMistake):
    pass


class CheckpointDoesNotFit(UsersMistake):
    pass


def read(path, trusted, torch):
    """Return the content of the file at `path`, on the CPU. Unless `trusted`, read weights only and run no code of it.

    torch's weights-only loading is safe from 2.6 on; before, it could be bypassed (CVE-2025-32434), so older releases
    read no untrusted file. Raises CheckpointNotTrusted, CheckpointRunsCode or CheckpointUnreadable.
    """
    release = _release(torch)
    if not trusted and release < (2, 6):
        raise CheckpointNotTrusted(
            "torch %s runs whatever code a checkpoint holds; with torch 2.6 or newer only weights are read, or say "
            "--trust if you know where the file comes from" % torch.__version__
        )
    try:
        if release < (1, 6) and is_zipped(path):
            return read_zipped(path, torch)
        if release >= (2, 6):
            return torch.load(path, map_location="cpu", weights_only=not trusted)
        return torch.load(path, map_location="cpu")
    except (MemoryError, ImportError, AttributeError):
        raise  # a trusted checkpoint may need the user's modules
    except Exception as problem:
        asked = re.search(r"[Uu]nsupported (?:global: )?GLOBAL ([\w.]+)", str(problem))
        if asked and not trusted:
            raise CheckpointRunsCode(
                "the checkpoint asks for %s when it is read, which is more than weights. Save model.state_dict() and "
                "not the model, or say --trust if you know where the file comes from" % asked.group(1)
            ) from problem
        raise CheckpointUnreadable("the checkpoint cannot be read: %s" % _why(path, problem)) from problem


def _why(path, problem):
    if isinstance(problem, Unreadable):
        return str(problem)
    return disguise(path) or "%s: %s" % (type(problem).__name__, (str(problem).splitlines() or [""])[0][:300])


def _release(torch):
    return tuple(int(number) for number in re.findall(r"\d+", torch.__version__)[:2])


def weights(loaded, key, torch):
    """Return the state dict of a loaded checkpoint: its entry `key`, or all of it. Raises CheckpointKey."""
    if key is not None:
        if not isinstance(loaded, dict) or key not in loaded:
            keys = _listed(loaded) if isinstance(loaded, dict) else "no keys: it is a %s" % type(loaded).__name__
            raise CheckpointKey("the checkpoint has no key %r; it has %s" % (key, keys))
        loaded = loaded[key]
    if isinstance(loaded, torch.nn.Module):  # possible in a trusted checkpoint only
        return loaded.state_dict()
    if not isinstance(loaded, dict):
        raise CheckpointKey("the checkpoint holds a %s, weights by name were expected" % type(loaded).__name__)
    if key is None and loaded and not any(isinstance(value, torch.Tensor) for value in loaded.values()):
        inside = [name for name in _USUAL_KEYS if isinstance(loaded.get(name), (dict, torch.nn.Module))]
        advice = "; say --checkpoint-key %s" % inside[0] if len(inside) == 1 else "; --checkpoint-key says which"
        raise CheckpointKey("the checkpoint holds no weights by name but %s%s" % (_listed(loaded), advice))
    return loaded


def put(state, network):
    """Load a state dict strictly and return the prefix that had to be stripped from every name, or None.

    Raises CheckpointDoesNotFit, listing entries that are missing, unexpected or of another shape.
    """
    try:
        network.load_state_dict(state)
        return None
    except RuntimeError as problem:
        # Check only after loading failed: modules may rename old entries while they load.
        wrapper = _wrapper(state)
        if wrapper is not None:
            bare = {name[len(wrapper) :]: value for name, value in state.items()}
            if not _differences(bare, network):
                network.load_state_dict(bare)
                return wrapper
        found = _differences(state, network) or [str(problem)]
        if wrapper is not None:
            found.append("all its names begin with %r" % wrapper)
        raise CheckpointDoesNotFit(
            "the checkpoint does not fit %s. %s" % (type(network).__name__, "; ".join(found))
        ) from problem


def _wrapper(state):
    for prefix in _WRAPPERS:
        if state and all(str(name).startswith(prefix) for name in state):
            return prefix
    return None


def _differences(state, network):
    own = network.state_dict()
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    other = [
        "%s (the model has %s, the checkpoint %s)" % (name, _shape(own[name]), _shape(state[name]))
        for name in own
        if name in state and _shape(own[name]) != _shape(state[name])
    ]
    kinds = (("missing", missing), ("unexpected", unexpected), ("other shape", other))
    return ["%s: %s" % (kind, _listed(names)) for kind, names in kinds if names]


def _shape(value):
    return list(value.shape) if hasattr(value, "shape") else "a " + type(value).__name__


def _listed(names):
    names = [str(name) for name in names]
    more = " and %d more" % (len(names) - _LISTED) if len(names) > _LISTED else ""
    return (", ".join(names[:_LISTED]) or "nothing") + more
