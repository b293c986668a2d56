"""What `/v1` takes, as its OpenAPI document says it, and requests are held to."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from conditions.tags import MAX_TAG_NAME

# A number of an experiment or run: up to 2³¹ - 2, where `conditions.iov` ends.
_N: Final = (
    "(?:[0-9]{1,9}|1[0-9]{9}|20[0-9]{8}|21[0-3][0-9]{7}|214[0-6][0-9]{6}|2147[0-3][0-9]{5}|21474[0-7][0-9]{4}"
    "|214748[0-2][0-9]{3}|2147483[0-5][0-9]{2}|21474836[0-3][0-9]|214748364[0-6])"
)
LARGEST: Final = 2**63 - 1
TagName: TypeAlias = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9+\-_:]+$", min_length=1, max_length=MAX_TAG_NAME, examples=["mc16"])
]
StackEntry: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9+\-_:]+(?:@[0-9]{1,18})?$",
        max_length=MAX_TAG_NAME + 19,
        examples=["mc16"],
        description="A tag, or `NAME@REVISION` for the content that it had at that content revision.",
    ),
]
# Neither `..` nor a path separator nor a control character; what Unicode has more of these is told by a 400.
_SIGN: Final = r"[^\x00-\x1f\x7f-\x9f/\\.]"
PayloadName: TypeAlias = Annotated[
    str, Field(pattern=rf"^(?:[.]?{_SIGN})+[.]?$", min_length=1, max_length=200, examples=["gains.json"])
]
Glob: TypeAlias = Annotated[
    str, Field(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=200, description="Whole name; `*` and `?` stand for others.")
]
Regex: TypeAlias = Annotated[
    str,
    Field(
        max_length=200,
        description="Matches the whole name. Without references, look-around and flags: it is searched in linear time.",
        examples=["GATGAP(gen)?[.](pth|onnx)"],
    ),
]
RunText: TypeAlias = Annotated[
    str, Field(pattern=f"^{_N}[,:]{_N}$", examples=["7,120"], description="`EXP,RUN` or `EXP:RUN`")
]
IovText: TypeAlias = Annotated[
    str,
    Field(
        pattern=f"^{_N},{_N},(?:{_N},{_N}|{_N},-1|-1,-1)$",
        examples=["5,0,7,-1"],
        description="`FIRST_EXP,FIRST_RUN,FINAL_EXP,FINAL_RUN`, the final run inside, -1 for an open end; "
        "a first run after the final one is a 400.",
    ),
]
LastText: TypeAlias = Annotated[
    str,
    Field(pattern=f"^(?:{_N},{_N}|{_N},-1|-1,-1)$", examples=["7,120"], description="The last run; -1: open."),
]
Moment: TypeAlias = Annotated[
    str,
    Field(
        max_length=40,
        json_schema_extra={"format": "date-time"},
        examples=["2026-01-31T12:00:00+00:00"],
        description="ISO 8601 with an offset.",
    ),
]
NumberMark: TypeAlias = Annotated[str, Field(pattern="^[0-9]{1,18}$")]
PayloadMark: TypeAlias = Annotated[str, Field(pattern=r"^[0-9]{1,18}:[^\x00-\x1f\x7f]+$", max_length=300)]
Number: TypeAlias = Annotated[int, Field(ge=0, le=LARGEST)]
Flag: TypeAlias = Literal["0", "1", "false", "true"]
State: TypeAlias = Literal["OPEN", "TESTING", "VALIDATED", "PUBLISHED", "RUNNING", "INVALID"]
TagType: TypeAlias = Literal["DEV", "RELEASE"]
Sha256: TypeAlias = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Md5: TypeAlias = Annotated[str, Field(pattern="^[0-9a-fA-F]{32}$")]
Description: TypeAlias = Annotated[
    str, Field(pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$", max_length=65_536, examples=["Sixteenth campaign"])
]
Expected: TypeAlias = Annotated[
    Number | None,
    Field(description="The content revision that the change was made for: when the tag has another one, 409."),
]


class In(BaseModel):
    """What a client sends: nothing else is taken, and no text for a number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NewTag(In):
    """A tag to make."""

    name: TagName
    description: Description = ""
    type: TagType = "DEV"


class TagChange(In):
    """What of a tag is to change; what is absent stays."""

    name: TagName | None = None
    description: Description | None = None
    type: TagType | None = None
    expected_revision: Expected = None


class StateChange(In):
    """The next state."""

    state: State
    expected_revision: Expected = None


class Clone(In):
    """The name of the new tag."""

    name: TagName


class Publication(In):
    """Nothing, or the content revision that is to be published."""

    expected_revision: Expected = None


class NewRow(In):
    """A payload for an interval of runs."""

    name: PayloadName
    iov: IovText
    revision: Annotated[int, Field(ge=1, le=LARGEST)] | None = None


class NewRows(In):
    """Rows to add to a tag, all of them or none."""

    iovs: list[NewRow]
    expected_revision: Expected = None


class RowChange(In):
    """Another interval of a row, or an earlier last run."""

    iov: IovText | None = None
    last: LastText | None = None
    expected_revision: Expected = None


class Wanted(In):
    """A payload by its bytes."""

    name: PayloadName
    md5: Md5


class WantedPayloads(In):
    """Payloads to look for."""

    payloads: Annotated[list[Wanted], Field(max_length=10_000)]


class WantedNames(In):
    """Names of payloads."""

    names: Annotated[list[PayloadName], Field(max_length=10_000)]


class ManyRuns(In):
    """What to resolve."""

    tags: Annotated[list[StackEntry], Field(min_length=1, max_length=100)]
    runs: Annotated[list[RunText], Field(max_length=10_000)]
    names: Annotated[list[PayloadName], Field(max_length=10_000)] | None = None
    allow_open: bool = False
    as_of: Moment | None = None


class Merge(In):
    """Tags to fill a tag with; earlier ones win."""

    sources: Annotated[list[TagName], Field(min_length=1, max_length=100)]
    within: IovText | None = None
    dry_run: bool = False
    expected_revision: Expected = None


class Mode(In):
    """What a running update lets pass."""

    allow_closed: bool = False
    full_replacement: bool = False
    fix_closed: bool = False
    simple: bool = False


class RunningUpdate(In):
    """How a RUNNING tag goes on with a VALIDATED one."""

    staging: TagName
    first_run: RunText
    mode: Mode = Mode()
    dry_run: bool = False
    expected_revision: Expected = None


class NewPayload(In):
    """A payload to keep; its bytes come beside the batch."""

    name: PayloadName
    md5: Md5 | None = None
    sha256: Sha256 | None = None
    metadata: dict[str, Any] | None = None


class BatchRow(NewRow):
    """A row to add: `revision`, else `md5`, else the payload of the batch, else the latest there is."""

    md5: Md5 | None = None


class NewBatch(In):
    """What to do in one transaction."""

    tag: TagName | None = None
    create: bool | None = None
    description: Description | None = None
    type: TagType | None = None
    state: State | None = None
    expected_revision: Expected = None
    payloads: list[NewPayload] | None = None
    iovs: list[BatchRow] | None = None


class RowFilter(In):
    """Which rows are meant: those that every given part fits; all, when none is given."""

    name: Glob | None = None
    regex: Regex | None = None
    within: IovText | None = None
    contained: Annotated[bool, Field(description="With `within`: all runs of the row lie in it.")] = False
    cut: Annotated[bool, Field(description="With `within`: of a row that reaches out, the part inside.")] = False
    revision: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    ids: Annotated[list[Number], Field(max_length=10_000)] | None = None


class Copy(In):
    """Rows to copy into another tag."""

    target: TagName
    rows: RowFilter = RowFilter()
    to: Annotated[IovText | None, Field(description="The interval of every copy, instead of its own.")] = None
    dry_run: bool = False
    expected_revision: Expected = None


class Edit(In):
    """Rows to change, and what they become."""

    rows: RowFilter = RowFilter()
    iov: IovText | None = None
    first: RunText | None = None
    last: LastText | None = None
    revision: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    dry_run: bool = False
    expected_revision: Expected = None


class Deletion(In):
    """Rows to take away."""

    rows: RowFilter = RowFilter()
    dry_run: bool = False
    expected_revision: Expected = None
