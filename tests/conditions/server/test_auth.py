"""What a token must be to be believed, and what keys are."""

from __future__ import annotations

import base64
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from conditions.errors import BadInputError, TokenRefused
from conditions.rights import ADMIN, CREATE_IOV, Caller
from conditions.server import auth


def now() -> datetime:
    """The present; a session is longer than a token of these tests lives."""
    return datetime.now(UTC)


SECRET = auth.secret_key(b"s" * 32)
ADA = Caller("ada", ("mc.*",), ("online",), ("GAT.*",))


def check(key: auth.TokenKey = SECRET, **settings: str) -> auth.TokenCheck:
    return auth.TokenCheck(key, settings.get("issuer"), settings.get("audience"))


def forged(head: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(head).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def pem(private: Any) -> tuple[bytes, bytes]:
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    public = private.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain), public


def test_a_token_says_who_and_what() -> None:
    assert check().caller(auth.issue(SECRET, ADA, now(), 60)) == ADA


def test_a_user_without_rights_has_none() -> None:
    assert check().caller(auth.issue(SECRET, Caller("bob"), now(), 60)) == Caller("bob")


@pytest.mark.parametrize("made", ["ed25519", "rsa", "ec"])
def test_a_public_key_believes_its_private_key(made: str, tmp_path: Path) -> None:
    if made == "ed25519":
        private, public = auth.make_pair()
    else:
        key = rsa.generate_private_key(65537, 2048) if made == "rsa" else ec.generate_private_key(ec.SECP256R1())
        private, public = pem(key)
    (tmp_path / "private").write_bytes(private)
    (tmp_path / "public").write_bytes(public)
    signing, checking = auth.read_key(tmp_path / "private"), auth.read_key(tmp_path / "public")
    token = auth.issue(signing, ADA, now(), 60)
    assert check(checking).caller(token) == check(signing).caller(token) == ADA
    with pytest.raises(BadInputError, match="private"):
        auth.issue(checking, ADA, now(), 60)
    other = auth.issue(SECRET, ADA, now(), 60)
    with pytest.raises(TokenRefused, match="does not go with"):
        check(checking).caller(other)
    # The public key is known to everybody: a token signed with it as a secret must not pass.
    head = {"alg": "HS256", "typ": "JWT"}
    signed = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    claims = {"sub": "eve", "exp": int(now().timestamp()) + 60, ADMIN: [".*"]}
    body = forged(head, claims).rsplit(".", 1)[0]
    mac = signed.sign(body.encode(), public)
    swapped = body + "." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    with pytest.raises(TokenRefused, match="does not go with"):
        check(checking).caller(swapped)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS512", "RS256", "", "unknown"])
def test_a_token_cannot_choose_its_algorithm(algorithm: str) -> None:
    claims = {"sub": "eve", "exp": int(now().timestamp()) + 60, ADMIN: [".*"]}
    with pytest.raises(TokenRefused):
        check().caller(forged({"alg": algorithm, "typ": "JWT"}, claims))


def test_tokens_expire_and_begin() -> None:
    late = auth.issue(SECRET, ADA, now() - timedelta(hours=2), 3600)
    with pytest.raises(TokenRefused, match="expired"):
        check().caller(late)
    early = jwt.encode({"sub": "ada", "exp": now() + timedelta(hours=2), "nbf": now() + timedelta(hours=1)}, SECRET.key)
    with pytest.raises(TokenRefused, match="not good yet"):
        check().caller(early)
    almost = auth.issue(SECRET, ADA, datetime.now(UTC) - timedelta(seconds=70), 60)
    assert check().caller(almost) == ADA  # clocks differ a little


def test_a_token_that_never_expires_is_refused() -> None:
    with pytest.raises(TokenRefused, match="claim exp"):
        check().caller(jwt.encode({"sub": "ada"}, SECRET.key))


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sub": ""},
        {"sub": "a/b"},
        {"sub": "a b"},
        {"sub": "a\0b"},
        {"sub": "ada", ADMIN: 7},
        {"sub": "ada", ADMIN: [7]},
        {"sub": "ada", ADMIN: {"a": "b"}},
        {"sub": "ada", CREATE_IOV: ["("]},
        {"sub": "ada", CREATE_IOV: "*"},
    ],
)
def test_claims_that_cannot_be_meant_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused):
        check().caller(jwt.encode({"exp": now() + timedelta(hours=1)} | claims, SECRET.key))


def test_one_pattern_may_stand_without_a_list() -> None:
    token = jwt.encode({"sub": "ada", "exp": now() + timedelta(hours=1), ADMIN: "mc.*"}, SECRET.key)
    assert check().caller(token).admin == ("mc.*",)


def test_issuer_and_audience_are_asked_for_when_set() -> None:
    token = auth.issue(SECRET, ADA, now(), 60, iss="desk", aud="conditions")
    plain = auth.issue(SECRET, ADA, now(), 60)
    assert check(issuer="desk", audience="conditions").caller(token) == ADA
    assert check().caller(token) == check().caller(plain) == ADA
    for settings in ({"issuer": "other"}, {"audience": "other"}):
        with pytest.raises(TokenRefused):
            check(**settings).caller(token)
        with pytest.raises(TokenRefused, match="lacks the claim"):
            check(**settings).caller(plain)


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "..", "a" * 20_000, "ä.ö.ü", "\0"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(TokenRefused):
        check().caller(token)


def test_weak_and_unreadable_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="32"):
        auth.secret_key(b"short")
    path = tmp_path / "key"
    for content in (
        b"",
        b"short",
        b"-----BEGIN PUBLIC KEY-----\nnone\n",
        pem(rsa.generate_private_key(65537, 1024))[1],  # noqa: S505
    ):
        path.write_bytes(content)
        with pytest.raises(BadInputError):
            auth.read_key(path)
    with pytest.raises(BadInputError, match="cannot be read"):
        auth.read_key(tmp_path / "missing")


def test_keys_are_for_their_owner_only_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    auth.write_private(path, auth.make_secret())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert auth.read_key(path).algorithm == "HS256"
    with pytest.raises(BadInputError, match="exists"):
        auth.write_private(path, b"other")


def test_a_key_is_not_in_what_is_printed_of_it() -> None:
    assert "sss" not in repr(SECRET) + repr(check())


def test_rights_that_are_no_regular_expressions_are_not_issued() -> None:
    with pytest.raises(BadInputError, match="no regular expression"):
        auth.issue(SECRET, Caller("ada", ("(",)), now(), 60)
    with pytest.raises(BadInputError, match="name a user"):
        auth.issue(SECRET, Caller("a/b"), now(), 60)
