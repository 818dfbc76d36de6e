"""Changes that make a failing job pass: the part of a remedy that is data. Standard library only, for images."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

ChangeKind = Literal[
    "ir_version", "opset", "convert_opset", "via", "simplify", "fix", "spell", "rename", "environ", "add"
]
ChangeValue = bool | str | tuple[tuple[str, str], ...]

NAMED = {
    "opset": "that of the file",
    "onnx_opset": "the newest of the converter's onnx",
    "tensorflow_minor": "minor version of TensorFlow",
    "tensorflow_probability_minor": "the one made for this TensorFlow",
}
"""Placeholders that are filled with facts of a toolchain, see `facts`; and how they read until then."""

_WORDS = {
    "ir_version": "ir_version {}",
    "opset": "export at opset {}",
    "convert_opset": "onnx.version_converter to opset {}",
    "via": "export by way of {}",
    "simplify": "the file simplified by onnxsim",
    "fix": "open axes fixed to the sizes tried, simplified by onnxsim",
    "spell": "operators spelled with plainer ones",
    "rename": "valid names for tensors and nodes",
}

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_COMPARISON = r"(?:~=|===?|!=|<=?|>=?) ?"
_NUMBER = re.compile(r"\d{1,3}")
_OPSETS = re.compile(rf"{_COMPARISON}\d{{1,3}}(?:, ?{_COMPARISON}\d{{1,3}})*")
_VERSIONS = re.compile(rf"(?:{_COMPARISON}\d+(?:\.\d+)*(?:\.\*)?(?:, ?(?!$)|$))*")
_PACKAGE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")

# The opset in which an operator first appeared, for those younger than opset 7, the oldest that torch writes.
# Source: the operator schemas of onnx 1.23.2 with their history.
_NEW_IN: Mapping[int, str] = {
    7: "Acos Asin Atan Cos Multinomial Sin Tan",
    8: "Expand Scan",
    9: "Acosh Asinh Atanh Compress ConstantOfShape Cosh Erf EyeLike IsNaN MaxUnpool MeanVarianceNormalization NonZero"
    " OneHot Scatter Shrink Sign Sinh TfIdfVectorizer Where",
    10: "ConvInteger DequantizeLinear IsInf MatMulInteger Mod NonMaxSuppression QLinearConv QLinearMatMul"
    " QuantizeLinear Resize ReverseSequence RoiAlign StringNormalizer ThresholdedRelu",
    11: "BitShift ConcatFromSequence CumSum Det DynamicQuantizeLinear GatherElements GatherND Range Round"
    " ScatterElements ScatterND SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert"
    " SequenceLength SplitToSequence Unique",
    12: "Celu Einsum GreaterOrEqual LessOrEqual NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss",
    14: "HardSwish Trilu",
    15: "Bernoulli CastLike Optional OptionalGetElement OptionalHasElement",
    16: "GridSample",
    17: "BlackmanWindow DFT HammingWindow HannWindow LayerNormalization MelWeightMatrix STFT SequenceMap",
    18: "BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CenterCropPad Col2Im GroupNormalization Mish",
    19: "DeformConv",
    20: "AffineGrid Gelu ImageDecoder RegexFullMatch StringConcat StringSplit",
    23: "Attention RMSNormalization RotaryEmbedding",
    24: "Swish TensorScatter",
    26: "BitCast CumProd",
    27: "CausalConvWithState LinearAttention",
    28: "SwiGLU",
}
_SINCE = {name: opset for opset, names in _NEW_IN.items() for name in names.split()}


@dataclass(frozen=True)
class Change:
    """One change of a job. The meaning of ``value`` depends on ``kind``:

    - `ir_version`: "table", the number in the table of onnx releases for the converter's onnx, or a number;
    - `opset`: a specifier ("<13"), export again at an opset that fits it;
    - `convert_opset`: the same, but the file is translated by onnx.version_converter;
    - `via`: "torchscript", export again by that exporter;
    - `simplify`, `fix`, `spell`, `rename`: True, pass the file through onnxsim, fix the sizes of its open axes and
      pass it through onnxsim, spell operators with plainer ones, or give tensors and nodes valid names;
    - `environ`: (variable, text) pairs for the process of the converter;
    - `add`: (package, specifier) pairs for the environment, an empty specifier meaning any version.

    Texts may hold placeholders: ``{2}`` is the second group of a pattern, ``{1.since}`` the opset that introduced the
    operator named by a group; others are in `NAMED`. Raises ValueError for a value that is not of its kind.
    """

    kind: ChangeKind
    value: ChangeValue

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _checked(self.kind, self.value))

    @classmethod
    def parse(cls, written: Mapping[str, Any]) -> Change:
        """Parse the form in YAML, ``{opset: "<13"}``. Raises ValueError where it is not a change."""
        if len(written) != 1:
            raise ValueError("a change has exactly one key; write several remedies instead")
        [(kind, value)] = written.items()
        return cls(cast("ChangeKind", kind), tuple(value.items()) if isinstance(value, Mapping) else value)

    @property
    def placeholders(self) -> tuple[str, ...]:
        return tuple(name for text in self._texts() for name in _PLACEHOLDER.findall(text))

    @property
    def data(self) -> tuple[str, Any]:
        """Kind and value, for a store: ``Change(*data)`` is the same change, even after being JSON."""
        return self.kind, self.value

    @property
    def written(self) -> dict[str, Any]:
        """The form that `parse` reads."""
        return {self.kind: dict(self.value) if isinstance(self.value, tuple) else self.value}

    @property
    def id(self) -> str:
        """A name without spaces: `opset<13`, `numpy<2`, `rename`."""
        match self.value:
            case bool():
                return self.kind
            case str() as text:
                return f"{self.kind}{'' if self.kind.endswith('opset') else '='}{text.replace(' ', '')}"
            case pairs:
                joint = "=" if self.kind == "environ" else ""
                return ",".join(f"{name}{joint}{text.replace(' ', '')}" for name, text in pairs)

    @property
    def words(self) -> str:
        """A short description: "export at opset <13"."""
        if isinstance(self.value, tuple):
            joint = "=" if self.kind == "environ" else ""
            said = " ".join(f"{name}{joint}{text}" for name, text in self.value)
        elif self.kind == "ir_version" and self.value == "table":
            said = "ir_version as the converter's onnx knows it"
        else:
            said = _WORDS[self.kind].format(self.value)
        return _PLACEHOLDER.sub(lambda found: f"({NAMED.get(found[1], found[1])})", said)

    def filled(self, groups: Sequence[str]) -> Change | None:
        """Fill in the groups of a match, ``groups[0]`` being all of it. None where a group does not make a valid
        change."""

        def value(name: str) -> str | None:
            number, _, asked = name.partition(".")
            if not number.isdigit():
                return f"{{{name}}}"
            said = groups[int(number)]
            since = _SINCE.get(said)
            return (str(since) if since else None) if asked else said

        return self._replaced(value)

    def concrete(self, facts: Mapping[str, str]) -> Change | None:
        """Fill in the placeholders of `NAMED` from `facts`. None where one of them is not known."""
        return self._replaced(facts.get)

    def _replaced(self, of: Callable[[str], str | None]) -> Change | None:
        if not self.placeholders:
            return self
        known = {name: of(name) for name in self.placeholders}
        if None in known.values():
            return None

        def replace(text: str) -> str:
            return _PLACEHOLDER.sub(lambda found: str(known[found[1]]), text)

        try:
            if isinstance(self.value, tuple):
                return Change(self.kind, tuple((name, replace(text)) for name, text in self.value))
            return Change(self.kind, replace(str(self.value)))
        except ValueError:
            # A group is not a number where one is needed, such as "unknown".
            return None

    def _texts(self) -> tuple[str, ...]:
        if isinstance(self.value, bool):
            return ()
        return (self.value,) if isinstance(self.value, str) else tuple(text for _, text in self.value)


def facts(of_family: Mapping[str, str], *, opset: int | None = None, onnx_opset: int | None = None) -> dict[str, str]:
    """Return the facts for `Change.concrete`: those of the family on its row (`Family.facts`), the opset of the file,
    and the newest opset of the converter's onnx."""
    opsets = {"opset": opset, "onnx_opset": onnx_opset}
    return {**of_family, **{name: str(number) for name, number in opsets.items() if number is not None}}


def _checked(kind: str, value: Any) -> ChangeValue:
    if kind not in get_args(ChangeKind):
        raise ValueError(f"no such change: {kind!r} (there are {', '.join(get_args(ChangeKind))})")
    match kind, value:
        case "ir_version", str() if value == "table" or _fits(_NUMBER, value):
            return value
        case "via", "torchscript":
            return "torchscript"
        case (("simplify" | "fix" | "spell" | "rename"), True):
            return True
        case (("opset" | "convert_opset"), str()) if _fits(_OPSETS, value):
            return value
        case "environ", [_, *_] if all(_pair(pair, _VARIABLE, None) for pair in value):
            return tuple((name, text) for name, text in value)
        case "add", [_, *_] if all(_pair(pair, _PACKAGE, _VERSIONS) for pair in value):
            return tuple((name, text) for name, text in value)
    raise ValueError(f"{kind}: {value!r} is not a change of this kind")


def _pair(pair: Any, name: re.Pattern[str], text: re.Pattern[str] | None) -> bool:
    match pair:
        case [str(left), str(right)]:
            return name.fullmatch(left) is not None and (text is None or _fits(text, right))
    return False


def _fits(form: re.Pattern[str], text: str) -> bool:
    # Every placeholder stands for a number.
    return form.fullmatch(_PLACEHOLDER.sub("1", text)) is not None
