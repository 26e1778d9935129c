"""The lines of PowerShell that tell Entra of a step of a key roll-over, for one domain. Pure.

They are short, to be pasted, and change a federation with us only; the domain's script (`federation_scripts`) does the
same with more checks before it, and reads everything back. What they call is in its table of parameters
(`tests/admin/test_federation_scripts.py`).

Not verified, because no directory of Microsoft's answers here: that a signing certificate may stand as the next one,
too.
"""

from services.admin.domain.federation import Federation
from services.admin.domain.powershell import literal
from services.admin.domain.signing_keys import KeyStep


def key_lines(federation: Federation, done: KeyStep) -> str:
    """What tells Entra that this step was done: after `next` the next certificate, after `switch` the one that signs.

    After the switch it stands as the next one, too: a next certificate in Entra is trusted, and it cannot be set to
    nothing. Lines end with LF. Raises ValueError where there is nothing to tell.
    """
    if done is KeyStep.NEXT and federation.next_signing_certificate is not None:
        certificate, names = federation.next_signing_certificate, ["NextSigningCertificate"]
    elif done is KeyStep.SWITCH:
        certificate, names = federation.signing_certificate, ["SigningCertificate", "NextSigningCertificate"]
    else:
        raise ValueError(f"Entra is told nothing after {done}")
    settings = " ".join(f"-{name} $Certificate" for name in names)
    checks = "\n".join(_same("$Certificate", name) for name in names)
    environment = literal(federation.where.graph_environment)
    return f"""\
$Domain = {literal(federation.domain)}
$IssuerUri = {literal(federation.issuer_uri)}
$Certificate = {literal(certificate)}
$Scopes = @('Domain.ReadWrite.All', 'Directory.AccessAsUser.All')
Connect-MgGraph -Environment {environment} -TenantId $Domain -Scopes $Scopes -NoWelcome
$Found = Get-MgDomainFederationConfiguration -DomainId $Domain
if ({_same("$IssuerUri", "IssuerUri")}) {{
    $Which = @{{ DomainId = $Domain; InternalDomainFederationId = $Found.Id }}
    Update-MgDomainFederationConfiguration @Which {settings}
}} else {{
    Write-Host "$Domain is federated to another identity provider, $($Found.IssuerUri): nothing was changed."
}}
$Found = Get-MgDomainFederationConfiguration -DomainId $Domain
{checks}
"""


def _same(wanted: str, name: str) -> str:
    """An expression: whether that property of what was found is the same, character by character."""
    return f"[string]::Equals({wanted}, $Found.{name}, [System.StringComparison]::Ordinal)"
