"""What travels inside a trained file: how its inputs are made, and what it was trained on.

A checkpoint carries it as the JSON string `manifest` beside its weights, an exported file as the metadata property
`smartbkg`. Nothing in it depends on time or place: the same training gives the same text.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from smartbkg.errors import ModelMismatch, NotAModel
from smartbkg.features import FeatureSpec

METADATA_PROPERTY = "smartbkg"
_FORMAT = 1
_TEXT_OR_NONE = (str, type(None))
# What an entry is in JSON.
_KINDS: dict[str, Any] = {
    "kind": str,
    "feature_spec": dict,
    "token_digest": str,
    "model_config": dict,
    "skim": _TEXT_OR_NONE,
    "data_digest": _TEXT_OR_NONE,
    "checkpoint_sha256": _TEXT_OR_NONE,
    "metrics": dict,
    "parent": dict | None,
}
# Entries that are only there when they say something, so that files without them are what they were before.
_OPTIONAL = frozenset({"parent"})


@dataclass(frozen=True)
class Manifest:
    """Inputs, configuration and origin of a trained file.

    Args:
        kind: the architecture, `gatgap`.
        feature_spec: how events become inputs.
        token_digest: digest of the PDG table the embedding belongs to.
        model_config: the network's configuration, plain values.
        skim: which skim the score is for; None when nobody knows.
        data_digest: sha256 of the training data's content.
        checkpoint_sha256: in an exported file, the digest of the checkpoint file it was made from; for an opened
            checkpoint, its own digest; None inside a checkpoint.
        metrics: figures of merit on validation data.
        parent: of a fine-tuned network, what its first weights are from: `sha256` and `skim` of that checkpoint, and
            `name` and `revision` where it was a payload; None for a network that was trained from the beginning.
    """

    kind: str
    feature_spec: FeatureSpec
    token_digest: str
    model_config: dict[str, Any] = field(default_factory=dict)
    skim: str | None = None
    data_digest: str | None = None
    checkpoint_sha256: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    parent: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values = {name: value for name, value in values.items() if value is not None or name not in _OPTIONAL}
        return {"format": _FORMAT, **values, "feature_spec": self.feature_spec.as_dict()}

    def to_json(self) -> str:
        """One line of JSON, keys sorted."""
        return json.dumps(self.as_dict(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, source: Path | str) -> Self:
        """The manifest in a trained file.

        Args:
            text: JSON.
            source: the file, for messages.

        Raises:
            NotAModel: no JSON object, or not with the entries of a manifest.
            ModelMismatch: its tokens or features are not those of this release.
        """
        values = json_object(text, source)
        if values.pop("format", None) != _FORMAT:
            raise NotAModel(source, f"its manifest is not of format {_FORMAT}; it was made by another release")
        check_entries(values, _KINDS, source, optional=_OPTIONAL)
        manifest = cls(**{**values, "feature_spec": FeatureSpec.from_dict(values["feature_spec"])})
        manifest.check_tokens(source)
        return manifest

    def check_tokens(self, source: Path | str) -> None:
        """Refuse a file whose embedding belongs to another PDG table.

        Raises:
            ModelMismatch
        """
        table = self.feature_spec.token_table
        here = self.feature_spec.token_digest
        if self.token_digest != here:
            raise ModelMismatch(
                f"{source} was trained with another PDG table {table!r} (digest {self.token_digest[:12]}…) than the "
                f"installed one ({here[:12]}…): its tokens would mean other particles"
            )


def json_object(text: str, source: Path | str) -> dict[str, Any]:
    """The entries of a manifest's text.

    Raises:
        NotAModel: it is no JSON object.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotAModel(source, f"its manifest is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise NotAModel(source, "its manifest is no JSON object")
    return values


def check_entries(
    values: Mapping[str, Any],
    kinds: Mapping[str, type | tuple[type, ...]],
    source: Path | str,
    *,
    optional: frozenset[str] = frozenset(),
) -> None:
    """Refuse entries that are missing, unknown or of the wrong kind.

    Raises:
        NotAModel
    """
    if set(values) | optional != set(kinds):
        wrong = ", ".join(sorted((set(values) ^ set(kinds)) - optional))
        raise NotAModel(source, f"its manifest has missing or unknown entries: {wrong}")
    for name, value in values.items():
        if not isinstance(value, kinds[name]):
            raise NotAModel(source, f"{name} of its manifest is a {type(value).__name__}")
