"""Errors of the rules: a state, a change or a missing right forbids it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from conditions.errors.base import ConditionsError


class RefusedError(ConditionsError):
    """It is there, and a rule forbids the change or the use."""


class TagExists(RefusedError):
    """A tag of that name is there already, perhaps INVALID and hidden."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"a tag {name!r} exists already (INVALID ones, which lists hide, keep their names)")


class TransitionRefused(RefusedError):
    """A state that cannot follow the present one."""

    def __init__(self, tag: str, state: str, wanted: str, allowed: Sequence[str]) -> None:
        self.tag, self.state, self.wanted, self.allowed = tag, state, wanted, tuple(allowed)
        after = f"only {' or '.join(allowed)} can follow" if allowed else "nothing can follow"
        super().__init__(f"tag {tag!r} is {state} and cannot become {wanted}: {after} {state}")


class ChangeRefused(RefusedError):
    """The tag's state forbids the change."""

    def __init__(self, tag: str, state: str, action: str, advice: str) -> None:
        self.tag, self.state, self.action, self.advice = tag, state, action, advice
        super().__init__(f"cannot {action} tag {tag!r}, which is {state}: {advice}")


class TagChanged(RefusedError):
    """Somebody changed the tag since it was looked at."""

    def __init__(self, tag: str, found: int, expected: int) -> None:
        self.tag, self.found, self.expected = tag, found, expected
        super().__init__(
            f"tag {tag!r} has content revision {found} and no longer {expected}: look at it again, then repeat"
        )


class UpdateRefused(RefusedError):
    """A running update that would change what was given out, or whose staging tag is not fit for it."""

    def __init__(self, tag: str, staging: str, first_run: str, faults: Sequence[str]) -> None:
        self.tag, self.staging, self.first_run, self.faults = tag, staging, first_run, tuple(faults)
        source = f" with {staging!r} from {first_run}" if staging else ""
        super().__init__(f"tag {tag!r} cannot be updated{source}: {'; '.join(faults)}")


class TagNotUsable(RefusedError):
    """An INVALID tag, or an OPEN one nobody asked for."""

    def __init__(self, tag: str, state: str, advice: str) -> None:
        self.tag, self.state, self.advice = tag, state, advice
        super().__init__(f"tag {tag!r} is {state}: {advice}")


class NotConfirmed(RefusedError):
    """A step that cannot be taken back, and the tag's name was not given again."""

    def __init__(self, tag: str, step: str, answer: str | None) -> None:
        self.tag, self.step, self.answer = tag, step, answer
        given = "nothing was given" if answer is None else f"{answer!r} was given"
        super().__init__(f"tag {tag!r} is not {step}: asked for its name again, {given}; try --confirm {tag}")


class OtherOrigin(RefusedError):
    """A snapshot that was made from another database: its numbers mean other things."""

    def __init__(self, path: object, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} was made from another database: {reason}; nothing was changed, write a new file")


class NotSaved(RefusedError):
    """A download's place that is taken or cannot be written."""

    def __init__(self, path: object, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} is not written: {reason}")


class ReplayDiffers(RefusedError):
    """A place gives other payloads than a job's record says."""

    def __init__(self, where: object, differences: Iterable[str]) -> None:
        self.where, self.differences = where, tuple(differences)
        super().__init__(f"{where} gives other payloads than the record says: {'; '.join(self.differences)}")


class RightsError(ConditionsError):
    """Who asks may not do that."""


class TokenRefused(RightsError):
    """No token where one is needed, or one that proves nothing; `advice` is for who can mend it."""

    def __init__(
        self, reason: str, advice: str = "send 'Authorization: Bearer TOKEN' with a token of this server"
    ) -> None:
        self.reason, self.advice = reason, advice
        super().__init__(f"{reason}; {advice}")


class RightMissing(RightsError):
    """The token is good, and gives no right to this."""

    def __init__(self, user: str, action: str, claim: str, subject: str) -> None:
        self.user, self.action, self.claim, self.subject = user, action, claim, subject
        super().__init__(
            f"{user} may not {action} {subject!r}: this needs a token whose claim {claim} has a regular expression "
            f"that matches it, from who issues tokens here; only names user_{user}_* and temp_{user}_* need no claim"
        )


class ReadOnly(RightsError):
    """A server that has no key for tokens changes nothing."""

    def __init__(self) -> None:
        super().__init__("this server is read-only: it was started without a key for tokens (serve --token-key FILE)")
