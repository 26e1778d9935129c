"""Jobs from admin's news to the directory, over a directory in memory."""

import pytest

from shared.contracts.admin import AccountStatus
from tests.provisioning.support import Provisioning


async def test_a_new_account_becomes_a_user(connected: Provisioning) -> None:
    await connected.account("ada")
    await connected.work()
    user = connected.directory.only
    assert user["userPrincipalName"] == "ada@contoso.example"
    assert user["onPremisesImmutableId"] == "fd8d0ec5c5004116ada"
    assert (user["givenName"], user["surname"], user["mailNickname"]) == ("Ada", "Lovelace", "ada")
    assert [each.state for each in connected.told] == ["waiting", "done"]
    assert connected.person().object_id == "object-1"
    assert connected.person().request_id == "r-create"
