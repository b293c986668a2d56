"""Tokens: who asks, and with which rights. The kind of key decides the one algorithm that is believed.

A secret (32 bytes or more) goes with HS256, a public key in PEM form with RS256, ES256 or EdDSA. What the token's own
head says of an algorithm is never followed.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from conditions.errors import BadInputError, ConditionsError, TokenRefused
from conditions.payload import check_text
from conditions.rights import ADMIN, CLAIMS, CREATE_IOV, CREATE_PAYLOAD, Caller, bad_regex
from conditions.server.settings import ServerSettings

LEEWAY_S: Final = 30  # clocks of two well-kept machines differ by less
SHORTEST_SECRET: Final = 32  # bytes; what HMAC-SHA256 is strong with
MAX_TOKEN_BYTES: Final = 16 * 1024
_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key and the algorithm that goes with it; `signing` says whether tokens can be made with it, too."""

    key: Any = field(repr=False)
    algorithm: str
    signing: bool

    @property
    def is_private(self) -> bool:
        """Whether it is the private one of a pair, of which those who only check tokens need the public one."""
        return self.signing and not isinstance(self.key, bytes)


@dataclass(frozen=True, slots=True)
class TokenCheck:
    """What a server believes: one key, perhaps one issuer and one audience."""

    key: TokenKey
    issuer: str | None = None
    audience: str | None = None

    def caller(self, token: str) -> Caller:
        """Who a token says is asking.

        Raises:
            TokenRefused: with the reason: expired, signed by somebody else, a claim that is missing or no regex.
        """
        return caller_from(self.claims(token))

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of a token after everything about it was checked."""
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenRefused("the token is too long")
        key = self.key.key
        if self.key.is_private:
            key = key.public_key()
        required = ["exp", *(["iss"] if self.issuer else []), *(["aud"] if self.audience else [])]
        try:
            found: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[self.key.algorithm],
                leeway=LEEWAY_S,
                issuer=self.issuer,
                audience=self.audience,
                # A server that expects no audience takes the tokens that were made for several services, too.
                options={"require": required, "verify_aud": self.audience is not None},
            )
        except jwt.PyJWTError as error:
            raise TokenRefused(_reason(error)) from error
        except (ValueError, TypeError, UnicodeError, RecursionError) as error:
            raise TokenRefused(f"the token cannot be read ({error})") from error
        return found


def caller_from(claims: Mapping[str, Any]) -> Caller:
    """The caller that claims describe.

    Raises:
        TokenRefused: no user's name, or rights that are not lists of regular expressions.
    """
    name = claims.get("sub") or claims.get("preferred_username") or claims.get("name")
    if not isinstance(name, str):
        raise TokenRefused("the token names nobody: it needs the claim sub")
    try:
        check_user(name)
    except ConditionsError as error:
        raise TokenRefused(f"the token's user is refused ({error})") from error
    admin, create_iov, create_payload = (_patterns(claims, claim) for claim in CLAIMS)
    return Caller(name, admin, create_iov, create_payload)


def check_user(name: str) -> str:
    """The name itself, when it can name a user in tags and in the history."""
    check_text("user", name)
    if not name or len(name) > 100 or _USER.fullmatch(name) is None:
        raise BadInputError(f"{name!r} cannot name a user: letters, digits and . _ - @ + are allowed")
    return name


def token_check(settings: ServerSettings) -> TokenCheck | None:
    """How a server checks tokens; None when it has no key, and changes nothing.

    Raises:
        BadInputError: the key is unreadable or too weak.
    """
    if settings.token_key is not None:
        key = read_key(Path(settings.token_key))
    elif settings.token_secret is not None:
        key = secret_key(settings.token_secret.encode())
    else:
        return None
    return TokenCheck(key, settings.token_issuer, settings.token_audience)


def read_key(path: Path) -> TokenKey:
    """A secret, or a public or private key in PEM form, from a file.

    Raises:
        BadInputError: there is no such file, or nothing in it that can be a key.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"the token key {path} cannot be read: {error.strerror or error}") from error
    if b"-----BEGIN" not in content:
        return secret_key(content.strip())
    try:
        if b"PRIVATE KEY-----" in content:
            private = serialization.load_pem_private_key(content, password=None)
            return TokenKey(private, _algorithm_of(private.public_key()), signing=True)
        public = serialization.load_pem_public_key(content)
        return TokenKey(public, _algorithm_of(public), signing=False)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadInputError(f"the token key {path} cannot be read: {error}") from error


def secret_key(secret: bytes) -> TokenKey:
    """The key that a secret is; too short a one could be guessed."""
    if len(secret) < SHORTEST_SECRET:
        raise BadInputError(
            f"the token secret has {len(secret)} bytes, {SHORTEST_SECRET} are needed: make one with "
            "'conditions token key -o FILE'"
        )
    return TokenKey(secret, "HS256", signing=True)


def make_secret() -> bytes:
    """A new secret, as text of one line."""
    return base64.urlsafe_b64encode(os.urandom(48)) + b"\n"


def make_pair() -> tuple[bytes, bytes]:
    """A new private key and its public key (Ed25519), both in PEM form."""
    private = ed25519.Ed25519PrivateKey.generate()
    plain = serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    public = private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.private_bytes(pem, pkcs8, plain), public


def write_private(path: Path, content: bytes) -> None:
    """A new file that only its owner can read.

    Raises:
        BadInputError: it is there already, or cannot be written.
    """
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb") as target:
            target.write(content)
    except OSError as error:
        raise BadInputError(f"{path} is not written: {error.strerror or error}") from error


def issue(key: TokenKey, caller: Caller, issued_at: datetime, lifetime_s: int, **claims: str | None) -> str:
    """A token that says who its bearer is and what he may do, until it expires.

    Raises:
        BadInputError: the key only checks, the user has no usable name, or a right is no regular expression.
    """
    if not key.signing:
        raise BadInputError("this is a public key, which checks tokens; issuing them needs the private one")
    check_user(caller.name)
    rights = {ADMIN: caller.admin, CREATE_IOV: caller.create_iov, CREATE_PAYLOAD: caller.create_payload}
    for claim, patterns in rights.items():
        for pattern in patterns:
            fault = bad_regex(pattern)
            if fault is not None:
                raise BadInputError(f"{pattern!r} for {claim} is no regular expression: {fault}")
    at = int(issued_at.timestamp())
    content: dict[str, Any] = {"sub": caller.name, "iat": at, "exp": at + lifetime_s}
    content |= {claim: list(patterns) for claim, patterns in rights.items() if patterns}
    content |= {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(content, key.key, algorithm=key.algorithm)


def read_claims(token: str) -> dict[str, Any]:
    """What a token says, believed or not.

    Raises:
        BadInputError: it is no token.
    """
    try:
        found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise BadInputError(f"this is no token: {error}") from error
    return found


def expires_at(claims: Mapping[str, Any]) -> datetime | None:
    """When a token stops to be good, None when it does not say."""
    moment = claims.get("exp")
    try:
        return None if moment is None else datetime.fromtimestamp(int(moment), UTC)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadInputError(f"the token's exp {moment!r} is no time") from error


def _patterns(claims: Mapping[str, Any], claim: str) -> tuple[str, ...]:
    """The regular expressions of a claim; one alone may stand without a list."""
    given = claims.get(claim, [])
    given = [given] if isinstance(given, str) else given
    if not isinstance(given, list) or any(not isinstance(pattern, str) for pattern in given):
        raise TokenRefused(f"the token's claim {claim} is no list of regular expressions")
    for pattern in given:
        fault = bad_regex(pattern)
        if fault is not None:
            raise TokenRefused(f"the token's claim {claim} holds {pattern!r}, which is no regular expression ({fault})")
    return tuple(given)


def _algorithm_of(public: object) -> str:
    """The one algorithm for a kind of key."""
    match public:
        case rsa.RSAPublicKey():
            if public.key_size < 2048:
                raise ValueError(f"an RSA key of {public.key_size} bits is too weak, 2048 are needed")
            return "RS256"
        case ec.EllipticCurvePublicKey():
            if public.curve.name != "secp256r1":
                raise ValueError(f"the curve {public.curve.name} is not known here, secp256r1 is")
            return "ES256"
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return "EdDSA"
        case _:
            raise ValueError("use an RSA, EC (secp256r1) or Ed25519 key")


def _reason(error: jwt.PyJWTError) -> str:
    """What is wrong with a token, in a sentence."""
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"the token lacks the claim {error.claim}"
    return next((text for kind, text in _REASONS if isinstance(error, kind)), f"the token cannot be read ({error})")


_REASONS: Final = (
    (jwt.ExpiredSignatureError, "the token has expired"),
    (jwt.ImmatureSignatureError, "the token is not good yet"),
    (jwt.InvalidAlgorithmError, "the token is signed in a way that does not go with this server's key"),
    (jwt.InvalidSignatureError, "the token was not signed with this server's key"),
    (jwt.InvalidAudienceError, "the token was made for another service (claim aud)"),
    (jwt.InvalidIssuerError, "the token was issued by somebody else (claim iss)"),
)
_USER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+\-]*")
