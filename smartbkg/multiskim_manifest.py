"""What travels inside a trained file of the multi-skim filter: how its inputs are made, and what its outputs mean.

A checkpoint carries it as the JSON string `manifest` beside its weights, an exported file as the metadata property
`smartbkg`. Nothing in it depends on time or place: the same training gives the same text.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from smartbkg.bridging import BRIDGED_SPEC, BridgedSpec
from smartbkg.errors import ModelMismatch, NotAModel
from smartbkg.events import EVENT_TYPES
from smartbkg.manifest import check_entries, json_object
from smartbkg.pdg import PdgTable

KIND: Final = "multiskim"
_FORMAT = 1
_TEXT_OR_NONE = (str, type(None))
# What an entry is in JSON.
_KINDS: dict[str, Any] = {
    "skims": list,
    "model_config": dict,
    "token_digest": str,
    "event_types": list,
    "feature_spec": dict,
    "data_digest": _TEXT_OR_NONE,
    "checkpoint_sha256": _TEXT_OR_NONE,
    "single_sha256": _TEXT_OR_NONE,
    "metrics": dict,
    "parent": (dict, type(None)),
}


@dataclass(frozen=True)
class MultiSkimManifest:
    """Inputs, outputs, configuration and origin of a trained file.

    Args:
        skims: code and name of each output, in their order.
        model_config: the network's configuration, plain values.
        token_digest: digest of the PDG table the embedding belongs to.
        event_types: name of each number `c`.
        feature_spec: how events become inputs.
        data_digest: sha256 of the training data's content.
        checkpoint_sha256: in an exported file, the digest of the checkpoint file it was made from; for an opened
            checkpoint, its own digest; None inside a checkpoint.
        single_sha256: in the export for batches, the digest of the export for one event of the same network.
        metrics: figures of merit on validation data.
        parent: of a fine-tuned network, what its first weights are from; None when it was trained from the beginning.
    """

    skims: tuple[tuple[int, str], ...]
    model_config: dict[str, Any]
    token_digest: str = field(default_factory=lambda: PdgTable.smartbackground().digest)
    event_types: tuple[str, ...] = EVENT_TYPES
    feature_spec: BridgedSpec = BRIDGED_SPEC
    data_digest: str | None = None
    checkpoint_sha256: str | None = None
    single_sha256: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    parent: dict[str, Any] | None = None

    @property
    def kind(self) -> str:
        """The architecture."""
        return KIND

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        skims = [{"code": code, "name": name} for code, name in self.skims]
        own = {"skims": skims, "event_types": list(self.event_types), "feature_spec": self.feature_spec.as_dict()}
        return {"format": _FORMAT, "kind": KIND, **values, **own}

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
            ModelMismatch: of another kind of network, or with features of another convention.
        """
        values = json_object(text, source)
        kind, version = values.pop("kind", None), values.pop("format", None)
        if kind != KIND:
            raise ModelMismatch(f"{source} is a {kind!r} model; a {KIND!r} one was asked for")
        if version != _FORMAT:
            raise NotAModel(source, f"its manifest is of format {version!r}, not {_FORMAT}; another release made it")
        check_entries(values, _KINDS, source)
        own = {
            "skims": _skims(values["skims"], source),
            "event_types": tuple(map(str, values["event_types"])),
            "feature_spec": BridgedSpec.from_dict(values["feature_spec"]),
        }
        return cls(**{**values, **own})

    def check_table(self, table: PdgTable, source: Path | str) -> None:
        """Refuse tokens of another PDG table than the embedding belongs to.

        Raises:
            ModelMismatch
        """
        if self.token_digest != table.digest:
            raise ModelMismatch(
                f"{source} was trained with another PDG table (digest {self.token_digest[:12]}…) than the one given "
                f"({table.digest[:12]}…): its tokens would mean other particles"
            )


def _skims(values: list[Any], source: Path | str) -> tuple[tuple[int, str], ...]:
    skims = []
    for value in values:
        code, name = (value.get("code"), value.get("name")) if isinstance(value, dict) else (None, None)
        if not isinstance(code, int) or not isinstance(name, str) or (code, name) in skims:
            raise NotAModel(source, "skims of its manifest are not codes and names, each once")
        skims.append((code, name))
    return tuple(skims)
