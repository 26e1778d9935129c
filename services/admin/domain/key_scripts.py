"""The lines of PowerShell that tell Entra of a step of a key roll-over, for one domain. Pure.

They are short, to be pasted; the domain's script (`federation_scripts`) does the same with checks before it, and reads
everything back. What they call is in its table of parameters (`tests/admin/test_federation_scripts.py`).

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
    checks = "\n".join(
        f"[string]::Equals($Certificate, $Found.{name}, [System.StringComparison]::Ordinal)" for name in names
    )
    environment = literal(federation.where.graph_environment)
    return f"""\
$Domain = {literal(federation.domain)}
$Certificate = {literal(certificate)}
$Scopes = @('Domain.ReadWrite.All', 'Directory.AccessAsUser.All')
Connect-MgGraph -Environment {environment} -TenantId $Domain -Scopes $Scopes -NoWelcome
$Found = Get-MgDomainFederationConfiguration -DomainId $Domain
$Which = @{{ DomainId = $Domain; InternalDomainFederationId = $Found.Id }}
Update-MgDomainFederationConfiguration @Which {settings}
$Found = Get-MgDomainFederationConfiguration -DomainId $Domain
{checks}
"""
