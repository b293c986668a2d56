"""The second look before a step that cannot be taken back: the tag's name is given again."""

from __future__ import annotations

import click

from conditions.errors import NotConfirmed

confirm_option = click.option(
    "--confirm", metavar="NAME", help="The tag's name again, instead of typing it when asked."
)


def confirm_name(name: str, step: str, answer: str | None) -> None:
    """Go on only when `answer`, or what the user types, is the tag's name."""
    if answer is None:
        question = f"Tag {name} is about to be {step}, which cannot be taken back. Type its name again"
        try:
            answer = click.prompt(question, err=True, default="", show_default=False)
        except click.Abort:  # no terminal, no answer
            click.echo(err=True)  # what follows begins on a line of its own
            raise NotConfirmed(name, step, None) from None
    if answer != name:
        raise NotConfirmed(name, step, answer)
