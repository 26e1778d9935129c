"""What may be written, and what may become of an account."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.admin.domain.accounts import (
    TRANSITIONS,
    Account,
    AccountAction,
    apply_action,
    check_email,
    check_upn,
    immutable_id,
    rename,
)
from services.admin.domain.authenticators import Reason
from services.admin.domain.invitations import Invitation
from services.admin.domain.names import check_name, check_slug
from services.admin.domain.tenants import Tenant, check_domain, check_issuer
from shared.contracts.admin import AccountStatus, Domain
from shared.errors import BadInput, Conflict
from shared.ids import b64u

INVITED, ACTIVE, SUSPENDED, REMOVED = AccountStatus
CONTOSO = Tenant("contoso", "Contoso", domains=(Domain(name="contoso.example", issuer="urn:contoso"),))

# (status, phone was enrolled, action) -> (status, phone was enrolled); what is not here is refused
ALLOWED = {
    (INVITED, False, AccountAction.ENROL): (ACTIVE, True),
    (INVITED, False, AccountAction.SUSPEND): (SUSPENDED, False),
    (INVITED, False, AccountAction.REMOVE): (REMOVED, False),
    (INVITED, False, AccountAction.SIGN_OUT_EVERYWHERE): (INVITED, False),
    (ACTIVE, True, AccountAction.ENROL): (ACTIVE, True),
    (ACTIVE, True, AccountAction.SUSPEND): (SUSPENDED, True),
    (ACTIVE, True, AccountAction.REMOVE): (REMOVED, True),
    (ACTIVE, True, AccountAction.SIGN_OUT_EVERYWHERE): (ACTIVE, True),
    (SUSPENDED, False, AccountAction.ENROL): (SUSPENDED, True),
    (SUSPENDED, True, AccountAction.ENROL): (SUSPENDED, True),
    (SUSPENDED, False, AccountAction.RESUME): (INVITED, False),
    (SUSPENDED, True, AccountAction.RESUME): (ACTIVE, True),
    (SUSPENDED, False, AccountAction.REMOVE): (REMOVED, False),
    (SUSPENDED, True, AccountAction.REMOVE): (REMOVED, True),
    (SUSPENDED, False, AccountAction.SIGN_OUT_EVERYWHERE): (SUSPENDED, False),
    (SUSPENDED, True, AccountAction.SIGN_OUT_EVERYWHERE): (SUSPENDED, True),
}
REACHABLE = [(INVITED, False), (ACTIVE, True), (SUSPENDED, False), (SUSPENDED, True)] + [
    (REMOVED, enrolled) for enrolled in (False, True)
]


def account(status: AccountStatus = INVITED, enrolled: bool = False) -> Account:
    return Account(
        id=b64u(bytes(16)),
        tenant="contoso",
        upn="ada@contoso.example",
        first_name="Ada",
        last_name="Lovelace",
        display_name="Ada Lovelace",
        email="ada@home.example",
        immutable_id="0" * 32,
        status=status,
        enrolled=enrolled,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("state", "action"),
    list(product(REACHABLE, AccountAction)),
    ids=lambda v: v.value if isinstance(v, AccountAction) else f"{v[0]}-{v[1]}",
)
def test_account_actions_are_exactly_the_allowed_ones(
    state: tuple[AccountStatus, bool], action: AccountAction
) -> None:
    before = account(*state)
    expected = ALLOWED.get((*state, action))
    if expected is None:
        with pytest.raises(Conflict):
            apply_action(before, action)
    else:
        after = apply_action(before, action)
        assert (after.status, after.enrolled) == expected
        assert after.version == before.version + 1
        assert after.immutable_id == before.immutable_id
        ends = action in (AccountAction.SUSPEND, AccountAction.REMOVE, AccountAction.SIGN_OUT_EVERYWHERE)
        assert after.session_epoch == before.session_epoch + ends


def test_a_rename_keeps_everything_but_the_user_name() -> None:
    before = account(ACTIVE, enrolled=True)
    after = rename(before, "ada.king@contoso.example")
    assert after == replace(before, upn="ada.king@contoso.example", version=before.version + 1)
    with pytest.raises(Conflict):
        rename(account(REMOVED), "ada.king@contoso.example")


def test_every_path_of_actions_stays_within_the_known_states() -> None:
    seen = {(INVITED, False)}
    todo = [account()]
    while todo:
        before = todo.pop()
        for action in AccountAction:
            if (before.status, action) in TRANSITIONS:
                after = apply_action(before, action)
                if (after.status, after.enrolled) not in seen:
                    seen.add((after.status, after.enrolled))
                    todo.append(after)
    assert seen == set(REACHABLE)


@given(st.binary(min_size=16, max_size=16))
def test_immutable_id_is_what_entra_takes_and_tells_accounts_apart(octets: bytes) -> None:
    made = immutable_id(b64u(octets))
    assert len(made) <= 64
    assert made.isalnum()
    assert made == made.lower()  # survives a directory that changes its case
    assert bytes.fromhex(made) == octets


@pytest.mark.parametrize(
    "slug", ["", "Contoso", "a" * 41, "a/b", "a b", "à", "a.b", "contoso\n", "..", "a_b"]
)
def test_refuses_slugs_that_would_not_stand_in_a_url(slug: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_slug(slug)
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Ada@Contoso.Example", "ada@contoso.example"),
        (" o'neil@contoso.example ", "o'neil@contoso.example"),
        ("a.b-c_d!e#f^g~h@contoso.example", "a.b-c_d!e#f^g~h@contoso.example"),
        ("Ada@EMEA.Contoso.Example", "ada@emea.contoso.example"),
        ("ada@a.b.contoso.example", "ada@a.b.contoso.example"),
    ],
)
def test_user_names_are_kept_in_lower_case(written: str, kept: str) -> None:
    assert check_upn(written, CONTOSO) == kept


@pytest.mark.parametrize(
    "written",
    [
        "",
        "ada",
        "@contoso.example",
        "ada@",
        "ada@contoso.example@",
        "ada@b@contoso.example",
        "$ada@contoso.example",
        "a da@contoso.example",
        "ädа@contoso.example",
        ".ada@contoso.example",
        "ada.@contoso.example",
        "a..da@contoso.example",
        "ada\n@contoso.example",
        "<script>@contoso.example",
        "a" * 65 + "@contoso.example",
        "ada@fabrikam.example",
        "ada@subcontoso.example",
        "ada@.contoso.example",
        "ada@example",
        "ada@contoso.example.evil.example",
        "\u212aim@contoso.example",
    ],
)
def test_refuses_user_names_that_entra_would_refuse_or_that_are_of_another_domain(written: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_upn(written, CONTOSO)
    assert refused.value.remedy


@given(st.text(max_size=80))
def test_a_user_name_is_refused_or_wholly_of_the_characters_entra_takes(local: str) -> None:
    try:
        upn = check_upn(f"{local}@contoso.example", CONTOSO)
    except BadInput:
        return
    name, _, host = upn.rpartition("@")
    assert host == "contoso.example"
    assert 1 <= len(name) <= 64
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789'.-_!#^~")


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Contoso.Example", "contoso.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        (" a-1.b.example", "a-1.b.example"),
        ("notonmicrosoft.com", "notonmicrosoft.com"),
    ],
)
def test_domains_are_kept_as_a_labels_in_lower_case(written: str, kept: str) -> None:
    assert check_domain(written) == kept


@pytest.mark.parametrize(
    "written",
    [
        "",
        "localhost",
        "contoso.onmicrosoft.com",
        "CONTOSO.OnMicrosoft.com",
        "onmicrosoft.com",
        "a_b.example",
        "-a.example",
        "a..example",
        "contoso.example.",
        "10.0.0.1",
        "a" * 64 + ".example",
        ".".join(["a" * 60] * 5),
        "contoso.example/x",
        "contoso.example:443",
        "user@contoso.example",
        "xn--a.example",
        "a b.example",
        "con\u202etoso.example",
        "con\ud800toso.example",
    ],
)
def test_refuses_domains_that_cannot_be_federated(written: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_domain(written)
    assert refused.value.remedy


ORIGIN = "https://signin.blok.example"


def issuer(written: str) -> str:
    return check_issuer(written, origin=ORIGIN, tenant="contoso", domain="contoso.example")


@pytest.mark.parametrize(
    "written",
    ["http://contoso.example/adfs/services/trust", "urn:contoso:idp", f"{ORIGIN}/t/contoso/contoso.example"],
)
def test_takes_an_issuer_of_the_administrators_own(written: str) -> None:
    assert issuer(written) == written


@pytest.mark.parametrize(
    "written",
    [
        "",
        "contoso",
        "ftp://contoso.example",
        "http://",
        "urn:",
        "javascript:alert(1)",
        "http://contoso.example/<script>",
        "http://contoso.example/\n",
        "http://[bad",
        "http://contoso.example/" + "a" * 256,
    ],
)
def test_refuses_issuers_that_are_no_uri(written: str) -> None:
    with pytest.raises(BadInput):
        issuer(written)


@pytest.mark.parametrize(
    "written",
    [
        f"{ORIGIN}/t/fabrikam/fabrikam.example",
        f"{ORIGIN}/t/contoso/other.example",
        "HTTPS://SIGNIN.blok.example/t/fabrikam/fabrikam.example",
        "http://signin.blok.example/t/fabrikam/fabrikam.example",
    ],
)
def test_issuer_confusion_a_tenant_cannot_take_the_issuer_another_would_get(written: str) -> None:
    with pytest.raises(BadInput):
        issuer(written)


@pytest.mark.parametrize(
    "written", ["", "  ", "a" * 65, "Ada\x00", "Ada\nLovelace", "\u202eadA", "\u200b", "\ud800"]
)
def test_refuses_names_that_are_empty_long_or_deceive(written: str) -> None:
    with pytest.raises(BadInput):
        check_name(written, "first name")


def test_names_are_kept_composed() -> None:
    assert check_name(" Zoe\u0308 ", "first name") == "Zo\u00eb"


@pytest.mark.parametrize(
    "written",
    ["", "ada", "@home.example", "ada@", "ada@localhost", "a da@home.example", "ada@home.example\nBcc: x@evil.example",
     "<ada@home.example>", "ada,bob@home.example", "a" * 65 + "@home.example", "a@b@home.example"],
)  # fmt: skip
def test_refuses_addresses_that_mail_could_misread(written: str) -> None:
    with pytest.raises(BadInput):
        check_email(written)


def test_a_refusal_shows_nothing_that_a_terminal_would_obey() -> None:
    with pytest.raises(BadInput) as refused:
        check_slug("\x1b[2J" + "a" * 1000)
    assert "\x1b" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_an_invitation_that_has_ended_cannot_be_used_or_withdrawn_again() -> None:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    made = Invitation("i", "contoso", "ada", "key", issued_at=when, expires_at=when)
    used, withdrawn, expired = made.used_by("phone-1", "credential", "hash"), made.withdrawn(), made.expired()
    assert (used.status, used.device, used.version) == ("used", "phone-1", 2)
    assert (withdrawn.status, withdrawn.device, withdrawn.version) == ("withdrawn", None, 2)
    assert (used.credential_id, used.key_sha256) == ("credential", "hash")
    assert (expired.status, expired.device, expired.version) == ("expired", None, 2)
    for ended in (used, withdrawn, expired):
        with pytest.raises(ValueError, match="cannot become"):
            ended.used_by("phone-2", "credential", "hash")
        with pytest.raises(ValueError, match="cannot become"):
            ended.withdrawn()
        with pytest.raises(ValueError, match="cannot become"):
            ended.expired()


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_console_has_words_for_every_reason(language: str) -> None:
    pages = Path(__file__).parents[2] / "services" / "admin" / "pages"
    words = json.loads((pages / f"{language}.json").read_text("utf-8"))
    assert {f"reason.{reason.value}" for reason in Reason} <= words.keys()
