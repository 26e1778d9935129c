"""The stand-in's requests have the shapes of Entra's, and what they ask for is remembered."""

import re
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from deploy.standins.entra.requests import (
    CCS_REPLY,
    MULTIPLEAUTHN,
    VARIANTS,
    WAUTH_PASSWORD,
    make_wctx,
    passive_fields,
    passive_request,
    prompt_fields,
    remember,
    sign_out_request,
    variant_request,
    with_field,
)
from shared.ids import SeededIds
from tests.standins.entra_attempts import CONTOSO, federation
from tests.standins.entra_tokens import NOW

ADA = "ada+x@contoso.example"
IDS = SeededIds("requests")


def fields_of(url: str) -> dict[str, str]:
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_the_usual_request() -> None:
    url = passive_request(CONTOSO, ADA, ids=SeededIds("x"))
    assert url.startswith("https://idp.example/t/contoso/wsfed?client-request-id=")
    fields = fields_of(url)
    assert fields["wa"] == "wsignin1.0"
    assert fields["wtrealm"] == "urn:federation:MicrosoftOnline"
    assert fields["username"] == ADA
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", fields["client-request-id"]
    )
    assert {name for name, value in fields.items() if value == ""} == {"cbcxt", "popupui", "mkt", "lc"}
    assert not {"wreply", "wfresh", "wauth", "prompt", "wct", "mfa_max_age"} & set(fields)


def test_escapes_are_those_of_entra() -> None:
    url = passive_request(CONTOSO, ADA, ids=SeededIds("x"))
    assert "wtrealm=urn%3afederation%3aMicrosoftOnline&" in url
    assert "username=ada%2bx%40contoso.example&" in url
    assert "wctx=LoginOptions%3D3%26estsredirect%3d2%26estsrequest%3drQQIARAA" in url


def test_a_query_of_its_own_is_kept() -> None:
    settings = federation(passive_sign_in_uri="https://idp.example/wsfed?tenant=1")
    assert passive_request(settings, ADA, ids=IDS).startswith(
        "https://idp.example/wsfed?tenant=1&client-request-id="
    )


@pytest.mark.parametrize("size", [64, 65, 66, 67, 2048, 8000])
def test_wctx_has_the_size_asked_for(size: int) -> None:
    wctx = make_wctx(IDS, size)
    assert len(wctx) == size
    assert re.fullmatch(r"LoginOptions=3&estsredirect=2&estsrequest=[A-Za-z0-9_-]+", wctx)
    assert fields_of(passive_request(CONTOSO, ADA, ids=IDS, wctx=wctx))["wctx"] == wctx


def test_wctx_is_never_the_same_twice() -> None:
    assert make_wctx(IDS) != make_wctx(IDS)


def test_every_option_is_sent() -> None:
    fields = dict(
        passive_fields(
            ADA,
            ids=IDS,
            wctx="c",
            client_request_id="7d5cbe3a-0000-4000-8000-000000000000",
            wct=NOW,
            wfresh="5",
            wauth=MULTIPLEAUTHN,
            mfa_max_age=60,
            prompt="login",
            wreply=CCS_REPLY,
            mkt="de-DE",
            lc="1031",
            extra=[("whr", "contoso.example")],
        )
    )
    assert fields == {
        "client-request-id": "7d5cbe3a-0000-4000-8000-000000000000",
        "username": ADA,
        "wa": "wsignin1.0",
        "wtrealm": "urn:federation:MicrosoftOnline",
        "wctx": "c",
        "cbcxt": "",
        "popupui": "",
        "mkt": "de-DE",
        "lc": "1031",
        "wct": "2026-11-21T20:49:00.000Z",
        "wauth": MULTIPLEAUTHN,
        "mfa_max_age": "60",
        "wfresh": "5",
        "prompt": "login",
        "wreply": CCS_REPLY,
        "whr": "contoso.example",
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_are_requests(variant: str) -> None:
    fields = fields_of(variant_request(CONTOSO, variant, ADA, ids=IDS))
    assert fields["wa"] == "wsignin1.0"
    assert fields["wtrealm"] == "urn:federation:MicrosoftOnline"
    assert fields["username"] == ("" if variant == "desktop_browser_without_hint" else ADA)
    assert "LoginOptions=3" in fields["wctx"]
    assert remember("contoso.example", list(fields.items()), NOW).wctx == fields["wctx"]


def test_remembers_what_was_asked() -> None:
    def asked(variant: str) -> tuple[bool, int | None, int | None]:
        request = remember("contoso.example", VARIANTS[variant](ADA, IDS), NOW)
        return request.mfa_wanted, request.max_age_seconds, request.mfa_max_age_seconds

    assert asked("desktop_browser") == (False, None, None)
    assert asked("forced_password") == (False, 0, None)
    assert asked("forced_prompt") == (False, 0, None)
    assert asked("windows_setup") == (False, 0, None)
    assert asked("old_portal") == (False, None, None)
    assert asked("mfa") == (True, None, 3600)
    fresh = remember("contoso.example", passive_fields(ADA, ids=IDS, wfresh="5"), NOW)
    assert fresh.max_age_seconds == timedelta(minutes=5).total_seconds()


def test_prompt_becomes_what_the_domain_is_set_to() -> None:
    def sent(behavior: str) -> list[tuple[str, str]]:
        return prompt_fields(federation(prompt_login_behavior=behavior))

    assert sent("nativeSupport") == [("prompt", "login")]
    assert sent("translateToFreshPasswordAuthentication") == [("wauth", WAUTH_PASSWORD), ("wfresh", "0")]
    assert sent("disabled") == []


def test_setting_a_field_keeps_its_place() -> None:
    assert with_field([("a", "1"), ("b", "2")], "a", "3") == [("a", "3"), ("b", "2")]
    assert with_field([("a", "1")], "b", "2") == [("a", "1"), ("b", "2")]


def test_sign_out() -> None:
    settings = federation(sign_out_uri="https://idp.example/out")
    assert fields_of(sign_out_request(settings, wreply="http://127.0.0.1/signedout")) == {
        "wa": "wsignout1.0",
        "wtrealm": "urn:federation:MicrosoftOnline",
        "wreply": "http://127.0.0.1/signedout",
    }
    assert fields_of(sign_out_request(settings, cleanup=True))["wa"] == "wsignoutcleanup1.0"
    with pytest.raises(ValueError, match="signOutUri"):
        sign_out_request(CONTOSO)
