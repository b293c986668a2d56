"""`conditions token`: make keys, issue tokens, and read what a token says."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from conditions.cli.options import Noun, Settings
from conditions.cli.output import echo_record

_LIFETIME: Final = re.compile(r"([0-9]{1,6})\s*([smhdwy])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}


@click.group(cls=Noun, example="conditions token issue --user ada --key secret --expires 30d")
def token() -> None:
    """Make keys, issue tokens, and read what a token says."""


@token.command(example="conditions token key -o secret")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to make.")
@click.option("--pair", is_flag=True, help="A private key, and its public key beside it for servers.")
@click.pass_obj
def key(settings: Settings, output: Path, pair: bool) -> None:
    """Make a key that tokens are signed with.

    A plain key is a secret that the server has, too. With --pair the server gets the public key (FILE.pub) only, so
    that who breaks into it cannot issue tokens. The file can be read by its owner only.
    """
    from conditions.server import auth

    record: dict[str, Any] = {"file": str(output), "algorithm": "HS256"}
    if pair:
        private, public = auth.make_pair()
        beside = output.with_name(output.name + ".pub")
        auth.write_private(output, private)
        auth.write_private(beside, public)
        record |= {"algorithm": "EdDSA", "public": str(beside)}
    else:
        auth.write_private(output, auth.make_secret())
    echo_record(record, as_json=settings.as_json)


@token.command(example="conditions token issue --user ada --admin 'mc.*' --expires 30d --key secret -o token.txt")
@click.option("--admin", multiple=True, metavar="REGEX", help="Tags that may be made, changed, published. Repeatable.")
@click.option("--create-iov", multiple=True, metavar="REGEX", help="Tags that IoVs may be added to. Repeatable.")
@click.option("--create-payload", multiple=True, metavar="REGEX", help="Payload names to upload. Repeatable.")
@click.option("--expires", default="30d", show_default=True, metavar="TIME", help="How long it is good: 12h, 30d, 1y.")
@click.option("--key", "key_file", type=click.Path(path_type=Path), required=True, help="The secret or private key.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write it to this new file instead.")
@click.option("--issuer", metavar="NAME", help="Who issues it, for servers that ask (iss).")
@click.option("--audience", metavar="NAME", help="The service it is for, for servers that ask (aud).")
@click.pass_obj
def issue(settings: Settings, /, expires: str, key_file: Path, output: Path | None, **given: Any) -> None:
    """Print a token for the user that --user names, or write it to a file that its owner only can read.

    Everybody with a token may do all with tags and payloads named user_NAME_* and temp_NAME_*; the regular expressions,
    which match a name as a whole, give wider rights. --create-payload allows `payload upload`, --create-iov `iov add`
    and `iov copy` into a tag, --admin these and all else that changes a tag: create, clone to that name, modify, state,
    publish, merge, running-update, `iov modify|close|delete`. `smartbkg publish` needs --create-payload 'GATGAPgen.*'
    and --create-iov for the tag, or --admin where it makes the tag or sets its state.
    """
    from conditions.rights import Caller
    from conditions.server import auth

    who = settings.user
    if who is None:
        raise click.UsageError("whose token? give --user NAME")
    caller = Caller(who, given["admin"], given["create_iov"], given["create_payload"])
    signing = auth.read_key(key_file)
    lifetime_s, now = _seconds(expires), datetime.now(UTC)
    text = auth.issue(signing, caller, now, lifetime_s, iss=given["issuer"], aud=given["audience"])
    record = {"user": who, "expires_at": auth.expires_at(auth.read_claims(text))}
    if output is not None:
        auth.write_private(output, text.encode() + b"\n")
        echo_record(record | {"file": str(output)}, as_json=settings.as_json)
    elif settings.as_json:
        echo_record(record | {"token": text}, as_json=True)
    else:
        click.echo(text)


@token.command(example="conditions token show token.txt --key secret")
@click.argument("text", metavar="[TOKEN|FILE]", required=False)
@click.option("--key", "key_file", type=click.Path(path_type=Path), help="Check the signature with this key, too.")
@click.pass_obj
def show(settings: Settings, text: str | None, key_file: Path | None) -> None:
    """Say whose token it is, what it allows, and whether it is good; without TOKEN or FILE it is read from stdin.

    Exit code 1 when it has expired, or was not signed with the key. Only with --key can it be called good.
    """
    from conditions.errors import TokenRefused
    from conditions.rights import ADMIN, CREATE_IOV, CREATE_PAYLOAD
    from conditions.server import auth

    text = _token(text)
    claims = auth.read_claims(text)
    expires_at = auth.expires_at(claims)
    fault = "" if expires_at is None or expires_at > datetime.now(UTC) else "the token has expired"
    if key_file is not None:
        try:
            auth.TokenCheck(auth.read_key(key_file), claims.get("iss"), _audience(claims)).caller(text)
        except TokenRefused as error:
            fault = error.reason
    record = {
        "user": claims.get("sub"),
        "expires_at": expires_at,
        "issuer": claims.get("iss"),
        "audience": claims.get("aud"),
        "admin": claims.get(ADMIN, []),
        "create_iov": claims.get(CREATE_IOV, []),
        "create_payload": claims.get(CREATE_PAYLOAD, []),
        "signature": "not checked" if key_file is None else ("refused" if fault else "good"),
        "good": False if fault else None if key_file is None else True,
        "reason": fault
        or ("anybody could have written it: check its signature with --key" if key_file is None else None),
    }
    echo_record(record, as_json=settings.as_json)
    if fault:
        sys.exit(1)


def _token(given: str | None) -> str:
    """The token itself, from the command line, a file or stdin."""
    if given is None:
        given = sys.stdin.read()
    elif given.count(".") < 2 or len(given) < 255:  # no token, or short enough to name a file
        path = Path(given)
        given = path.read_text(encoding="utf-8") if path.is_file() else given
    return given.strip().removeprefix("Bearer ").strip()


def _audience(claims: dict[str, Any]) -> str | None:
    """One service that a token is for."""
    found = claims.get("aud")
    if isinstance(found, list):
        found = found[0] if found else None
    return None if found is None else str(found)


def _seconds(text: str) -> int:
    """A lifetime from 90s, 30m, 12h, 30d, 4w or 1y."""
    found = _LIFETIME.fullmatch(text.strip())
    if found is None or int(found[1]) == 0:
        raise click.BadParameter(f"{text!r} is no time: write 12h, 30d or 1y", param_hint="--expires")
    return int(found[1]) * _SECONDS[found[2]]
