"""Endpoints are whatever somebody wants them to be: server-side request forgery, by name."""

import pytest
from pydantic import ValidationError

from services.notify.config import NotifySettings
from services.notify.domain.endpoint import NotAllowed, check_endpoint, is_public

HOSTS = NotifySettings().push_hosts


@pytest.mark.parametrize(
    "url",
    [
        "https://fcm.googleapis.com/fcm/send/dGVzdA:APA91bH-x_y",
        "https://fcm.googleapis.com:443/fcm/send/x",
        "https://updates.push.services.mozilla.com/wpush/v2/gAAAAABk",
        "https://web.push.apple.com/QOz4-Fg",
        "https://wns2-par02p.notify.windows.com/w/?token=BQYAAAD%2fx%3d",
    ],
)
def test_known_push_services_are_spoken_to(url: str) -> None:
    allowed = check_endpoint(url, HOSTS, ())
    assert allowed.url == url
    assert allowed.origin == "https://" + allowed.host


@pytest.mark.parametrize(
    "url",
    [
        "http://fcm.googleapis.com/x",  # not https
        "https://127.0.0.1/x",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://2130706433/x",  # 127.0.0.1 in decimal
        "https://0x7f000001/x",
        "https://0177.0.0.1/x",
        "https://127.1/x",
        "https://localhost/x",
        "https://fcm.googleapis.com.evil.example/x",
        "https://evilfcm.googleapis.com/x",
        "https://fcm.googleapis.com.",  # no path
        "https://fcm.googleapis.com./x",
        "https://push.apple.com/x",  # the name itself is not below itself
        "https://evilpush.apple.com/x",
        "https://.push.apple.com/x",
        "https://a..push.apple.com/x",
        "https://web.push.apple.com.evil.example/x",
        "https://fcm.googleapis.com@evil.example/x",
        "https://evil.example\\@fcm.googleapis.com/x",
        "https://user:password@fcm.googleapis.com/x",
        "https://evil.example#@fcm.googleapis.com/x",
        "https://evil.example?@fcm.googleapis.com/x",
        "https://fcm.googleapis.com:8443/x",
        "https://fcm.googleapis.com:443@evil.example/x",
        "https://FCM.googleapis.com/x",
        "https://fcm。googleapis。com/x",
        "https://ⓕcm.googleapis.com/x",
        "https://fcm.googleapis.com/x\r\nHost: evil.example",
        "https://fcm.googleapis.com/x y",
        "https://fcm.googleapis.com/x#fragment",
        " https://fcm.googleapis.com/x",
        "https://fcm.googleapis.com/x\n",
        "//fcm.googleapis.com/x",
        "file:///etc/passwd",
        "gopher://fcm.googleapis.com/x",
        "",
    ],
)
def test_refuses_every_other_endpoint(url: str) -> None:
    with pytest.raises(NotAllowed):
        check_endpoint(url, HOSTS, ())


def test_a_stand_in_is_spoken_to_only_where_a_setting_names_it() -> None:
    url = "http://127.0.0.1:8367/push/x"
    with pytest.raises(NotAllowed):
        check_endpoint(url, HOSTS, ())
    with pytest.raises(NotAllowed):
        check_endpoint(url, HOSTS, ("127.0.0.1:8368",))
    assert check_endpoint(url, HOSTS, ("127.0.0.1:8367",)).origin == "http://127.0.0.1:8367"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1",
     "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
     "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "fd00:ec2::254", "", "localhost", "1"],
)  # fmt: skip
def test_no_connection_to_an_address_that_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["142.250.74.10", "2a00:1450:4007:80e::200a", "::ffff:142.250.74.10"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "pattern", ["127.0.0.1", "*", "*.com.", "https://x.example", "X.example", "a b.example", ""]
)
def test_a_setting_that_names_no_host_is_refused_at_start(pattern: str) -> None:
    with pytest.raises(ValidationError):
        NotifySettings(push_hosts=(pattern,))


def test_mail_without_tls_leaves_this_machine_under_no_setting() -> None:
    with pytest.raises(ValidationError, match="only for a server on this machine"):
        NotifySettings(smtp_host="mail.example", smtp_security="none")
    assert NotifySettings(smtp_host="127.0.0.1", smtp_security="none").smtp_host


def test_a_user_without_a_password_file_is_refused_at_start() -> None:
    with pytest.raises(ValidationError, match="go together"):
        NotifySettings(smtp_host="mail.example", smtp_user="blok365")
