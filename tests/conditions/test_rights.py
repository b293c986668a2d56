"""Who may change what."""

from __future__ import annotations

import pytest

from conditions.errors import RightMissing, TokenRefused
from conditions.rights import (
    ANONYMOUS,
    Caller,
    bad_regex,
    check_add_iovs,
    check_manage,
    check_rename,
    check_upload,
    may_add_iovs,
    may_manage,
    may_upload,
)

BOB = Caller("bob")
ADA = Caller("ada", ("mc.*",), ("online",), ("GAT.*",))


@pytest.mark.parametrize("name", ["user_bob_x", "temp_bob_", "user_bob_a:b"])
def test_everybody_has_names_for_himself(name: str) -> None:
    assert may_manage(BOB, name)
    assert may_add_iovs(BOB, name)
    assert may_upload(BOB, name)


@pytest.mark.parametrize("name", ["user_bo", "user_bob", "user_bobby_x", "user_ada_x", "xuser_bob_x", "mc16", ""])
def test_and_nothing_else(name: str) -> None:
    assert not may_manage(BOB, name)
    assert not may_add_iovs(BOB, name)
    assert not may_upload(BOB, name)


def test_nobody_without_a_token_has_any() -> None:
    for name in ("user__x", "temp__x", "mc16"):
        assert not may_manage(ANONYMOUS, name)
        assert not may_add_iovs(ANONYMOUS, name)
        assert not may_upload(ANONYMOUS, name)


def test_claims_match_the_whole_name() -> None:
    assert may_manage(ADA, "mc16")
    assert not may_manage(ADA, "a_mc16")
    assert may_add_iovs(ADA, "online")
    assert not may_add_iovs(ADA, "online2")
    assert may_upload(ADA, "GATGAP.pth")
    assert not may_upload(ADA, "a_GATGAP.pth")


def test_who_manages_a_tag_fills_it_and_not_the_other_way_round() -> None:
    assert may_add_iovs(ADA, "mc16")
    assert not may_manage(ADA, "online")


def test_refusals_name_the_claim_that_is_missing() -> None:
    for check, claim in ((check_manage, "admin"), (check_add_iovs, "createiov"), (check_upload, "createpayload")):
        with pytest.raises(RightMissing, match=f"b2cdb:{claim}.*user_bob_"):
            check(BOB, "other")
        with pytest.raises(TokenRefused, match="without a token"):
            check(ANONYMOUS, "other")


def test_a_clone_gets_a_name_from_who_made_it() -> None:
    check_rename(BOB, "7_copy_of_mc16", "user_bob_mc16", is_own_clone=True)
    check_rename(ADA, "mc16", "mc17")
    for caller, old, new, own in (
        (BOB, "7_copy_of_mc16", "mc16_b", True),
        (BOB, "7_copy_of_mc16", "user_bob_mc16", False),
        (ADA, "mc16", "other", False),
        (ADA, "other", "mc17", False),
    ):
        with pytest.raises(RightMissing):
            check_rename(caller, old, new, is_own_clone=own)


def test_a_regular_expression_is_looked_at() -> None:
    assert bad_regex("a.*") is None
    assert bad_regex("(") is not None
    assert bad_regex("*") is not None
