"""The two PowerShell scripts of a domain: one federates it, its twin undoes that. Pure.

Only the values differ from domain to domain: everything else of a script is the same text each time, so that it can be
reviewed once, and the stand-in for Entra knows it again (`deploy/standins/entra/powershell.py`).

What the scripts call: Microsoft.Graph.Authentication and Microsoft.Graph.Identity.DirectoryManagement, version 2.
Parameters: the modules' reference, and the table in `tests/admin/test_federation_scripts.py`.

Not verified, because no directory of Microsoft's answers here: that a signing certificate may stand as the next one,
too (`NextSigningCertificate`); that `Connect-MgGraph -TenantId` takes the domain; how long Entra takes to read back
what it was told. If the first fails, the script says so and exits with 2; for the second there is `-TenantId`.
"""

from collections.abc import Mapping

from services.admin.domain.federation import Federation
from services.admin.domain.powershell import literal

FEDERATE = "federate"
BACK_OUT = "back-out"


def script_name(domain: str, *, back_out: bool = False) -> str:
    """The name under which a script is saved. `domain`: as `check_domain` leaves it."""
    return f"{BACK_OUT if back_out else FEDERATE}-{domain}.ps1"


def federation_script(federation: Federation) -> str:
    """PowerShell that federates the domain, or brings the values up to date, and reads them back. Lines end with LF."""
    values = federation.values()
    settings = "\n".join(f"    {name} = {literal(value)}" for name, value in _parameters(values).items())
    return _script(_FEDERATE, federation, f"$Settings = [ordered]@{{\n{settings}\n}}\n")


def back_out_script(federation: Federation) -> str:
    """PowerShell that makes the domain managed again, if it is federated to us. Lines end with LF."""
    return _script(_BACK_OUT, federation, f"$IssuerUri = {literal(federation.issuer_uri)}\n")


def _parameters(values: Mapping[str, str]) -> dict[str, str]:
    """A parameter's name is the property's with a capital at its beginning."""
    return {f"{name[0].upper()}{name[1:]}": value for name, value in values.items()}


def _script(text: str, federation: Federation, values: str) -> str:
    own = (
        f"$Domain = {literal(federation.domain)}\n"
        f"$Environment = {literal(federation.where.graph_environment)}\n{values}"
    )
    return text.replace("<CONNECT>\n", _CONNECT).replace("<VALUES>\n", own)


_CONNECT = r"""
function Stop-Script {
    param([string] $Reason, [int] $Code)
    Write-Host $Reason -ForegroundColor Red
    exit $Code
}

function Test-SameText {
    # Character by character. -ceq compares by the rules of a language, in which different texts can be equal.
    param($Wanted, $Found)
    return [string]::Equals([string] $Wanted, [string] $Found, [System.StringComparison]::Ordinal)
}

# The module
$Module = 'Microsoft.Graph.Identity.DirectoryManagement'
try {
    Import-Module -Name $Module -MinimumVersion '2.0.0' -ErrorAction Stop
} catch {
    Write-Host $_.Exception.Message
    Stop-Script "Install the module first: Install-Module $Module -Scope CurrentUser" 1
}

# The directory. Who has connected as an application beforehand stays connected.
try {
    $context = Get-MgContext
    if (($null -eq $context) -or ($context.AuthType -ne 'AppOnly')) {
        if (-not $TenantId) { $TenantId = $Domain }
        $connection = @{
            Environment = $Environment
            TenantId = $TenantId
            Scopes = @('Domain.ReadWrite.All', 'Directory.AccessAsUser.All')
            NoWelcome = $true
        }
        Connect-MgGraph @connection -ErrorAction Stop
        $context = Get-MgContext
    }
} catch {
    Stop-Script "Signing in to Microsoft Graph failed, and nothing was changed: $($_.Exception.Message)" 1
}
if ($context.Environment -ne $Environment) {
    Write-Host "PowerShell is connected to the cloud $($context.Environment), and $Domain is in $Environment."
    Stop-Script 'Nothing was changed. Run Disconnect-MgGraph, then this script again.' 1
}
try {
    $found = Get-MgDomain -DomainId $Domain -ErrorAction Stop
} catch {
    Write-Host $_.Exception.Message
    Write-Host "The directory $($context.TenantId) does not show $Domain to $($context.Account)."
    Stop-Script 'Nothing was changed. If it is not the right directory, name that one with -TenantId.' 1
}

# What may not be: all of it is said before anything is changed
$blockers = @()
$before = $null
if ($found.AuthenticationType -eq 'Federated') {
    try {
        $configured = @(Get-MgDomainFederationConfiguration -DomainId $Domain -ErrorAction Stop)
    } catch {
        Stop-Script "The federation of $Domain cannot be read, and nothing was changed: $($_.Exception.Message)" 1
    }
    if ($configured.Count -ne 1) {
        Stop-Script "$Domain has $($configured.Count) federation configurations instead of one. Nothing was changed." 1
    }
    $before = $configured[0]
}
""".lstrip("\n")

_FEDERATE = r"""
# Federates a domain with Blok365: from then on Microsoft Entra ID sends the sign-ins of its people there.
#
#   -WhatIf      checks, and shows what would be changed
#   no option    checks, shows what will be changed, asks, changes it and reads it back; -Confirm:$false does not ask
#   -TenantId    the directory, where it is not the one that the domain leads to
#
# Run it again at any time, such as after a new signing certificate: it changes what differs, and nothing else.
#
# It runs in PowerShell 7 and in Windows PowerShell 5.1. Save it as a file and run that: Windows may want
# "Unblock-File -Path FILE" first. People of the domain who have nothing to sign in with yet are locked out once it has
# run: look at the readiness of the domain before. The back-out script undoes it.
#
# Exit code 0: Entra has exactly these values (with -WhatIf: the checks passed). 1: nothing was changed.
# 2: Entra was asked to change something, and what it has now differs from these values; the difference is shown.
#
# Everything here is ASCII. Another character of a value stands as a code, such as [char]0x00E9: no editor changes it.

[CmdletBinding(SupportsShouldProcess = $true, ConfirmImpact = 'High')]
param([string] $TenantId = '')

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'  # for our own lines; a module's functions are told one by one

<VALUES>

<CONNECT>
if (-not $found.IsVerified) { $blockers += 'It is not verified: verify it in Entra, by the TXT record named there.' }
if ($found.IsInitial) { $blockers += 'It is the initial domain of the directory, which is never federated.' }
if (-not $found.IsRoot) { $blockers += 'It is a sub-domain, which follows its root domain: federate that one.' }
if ($null -ne $before) {
    if (-not (Test-SameText $Settings['IssuerUri'] $before.IssuerUri)) {
        $blockers += "It is federated to another identity provider, $($before.IssuerUri): make it managed first."
    }
} else {
    if ($found.IsDefault) { $blockers += 'It is the default domain: make another one the default first.' }
    if ($found.AuthenticationType -ne 'Managed') {
        $blockers += "Its authentication type is $($found.AuthenticationType), not Managed."
    }
}
if (-not $Settings['SigningCertificate']) {
    $blockers += 'The script has no signing certificate: Entra would leave the domain unmanageable.'
}
if ($blockers.Count -gt 0) {
    Write-Host "$Domain cannot be federated:"
    foreach ($blocker in $blockers) { Write-Host "  - $blocker" }
    Stop-Script 'Nothing was changed.' 1
}

# What it will do
if (($null -ne $before) -and (-not $Settings.Contains('NextSigningCertificate'))) {
    # A next certificate in Entra is trusted, too. None of ours can take its place but the current one.
    if ($before.NextSigningCertificate) { $Settings['NextSigningCertificate'] = $Settings['SigningCertificate'] }
}
$changes = 0
Write-Host "$Domain in the directory $($context.TenantId), as $($context.Account):"
foreach ($name in @($Settings.Keys)) {
    $now = ''
    if ($null -ne $before) { $now = [string] $before.$name }
    if (Test-SameText $Settings[$name] $now) {
        Write-Host "    $name stays $now"
    } else {
        $changes += 1
        Write-Host "  * $name"
        Write-Host "        is       $now"
        Write-Host "        becomes  $($Settings[$name])"
    }
}
if ($changes -eq 0) {
    Write-Host "Entra has exactly these values already: nothing to do." -ForegroundColor Green
    exit 0
}
$action = "Federate with $($Settings['IssuerUri'])"
if ($null -ne $before) { $action = "Change $changes values of the federation" }
if (-not $PSCmdlet.ShouldProcess($Domain, $action)) {
    Write-Host 'Nothing was changed.'
    if ($WhatIfPreference) { exit 0 }
    exit 1
}

# Do it. An error does not say that nothing happened, so what follows is read back in any case.
try {
    if ($null -ne $before) {
        $which = @{ DomainId = $Domain; InternalDomainFederationId = $before.Id }
        Update-MgDomainFederationConfiguration @which @Settings -Confirm:$false -ErrorAction Stop | Out-Null
    } else {
        New-MgDomainFederationConfiguration -DomainId $Domain @Settings -Confirm:$false -ErrorAction Stop | Out-Null
    }
} catch {
    Write-Host "Entra answered: $($_.Exception.Message)" -ForegroundColor Red
}

# Read back
$differences = @()
foreach ($attempt in @(1, 2, 3, 4, 5, 6)) {
    if ($attempt -gt 1) { Start-Sleep -Seconds 5 }
    $differences = @()
    try {
        $configured = @(Get-MgDomainFederationConfiguration -DomainId $Domain -ErrorAction Stop)
        foreach ($name in @($Settings.Keys)) {
            $now = [string] $configured[0].$name
            if (-not (Test-SameText $Settings[$name] $now)) {
                $differences += "$name is '$now' and should be '$($Settings[$name])'"
            }
        }
    } catch {
        $differences += "The federation cannot be read: $($_.Exception.Message)"
    }
    if ($differences.Count -eq 0) { break }
}
if ($differences.Count -gt 0) {
    Write-Host "Entra does not have these values:"
    foreach ($difference in $differences) { Write-Host "  - $difference" }
    Stop-Script 'Run this script again. If that does not help, the back-out script makes the domain managed again.' 2
}
Write-Host "$Domain is federated, and Entra has exactly these values." -ForegroundColor Green
Write-Host 'It usually takes a minute until sign-ins change, and up to 24 hours until they do for everybody.'
exit 0
""".lstrip("\n")

_BACK_OUT = r"""
# Undoes the federation of a domain with Blok365: Microsoft Entra ID signs its people in by itself again.
#
#   -WhatIf      checks, and shows what would be changed
#   no option    checks, asks, changes it and reads it back; -Confirm:$false does not ask
#   -TenantId    the directory, where it is not the one that the domain leads to
#
# People of the domain then need a password, a Temporary Access Pass or another method that is registered in Entra.
# It changes nothing where the domain is managed already, nor where it is federated to somebody else.
#
# It runs in PowerShell 7 and in Windows PowerShell 5.1. Save it as a file and run that: Windows may want
# "Unblock-File -Path FILE" first.
#
# Exit code 0: the domain is managed (with -WhatIf: the checks passed). 1: nothing was changed.
# 2: Entra was asked to make it managed, and does not say yet that it is.

[CmdletBinding(SupportsShouldProcess = $true, ConfirmImpact = 'High')]
param([string] $TenantId = '')

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'  # for our own lines; a module's functions are told one by one

<VALUES>

<CONNECT>
if (($null -eq $before) -and ($found.AuthenticationType -eq 'Managed')) {
    Write-Host "$Domain is managed already: nothing to do." -ForegroundColor Green
    exit 0
}
if ($null -eq $before) { $blockers += "Its authentication type is $($found.AuthenticationType), not Federated." }
if (($null -ne $before) -and (-not (Test-SameText $IssuerUri $before.IssuerUri))) {
    $blockers += "It is federated to another identity provider: $($before.IssuerUri)"
}
if ($blockers.Count -gt 0) {
    Write-Host "The federation of $Domain is not ours to undo:"
    foreach ($blocker in $blockers) { Write-Host "  - $blocker" }
    Stop-Script 'Nothing was changed.' 1
}

Write-Host "$Domain in the directory $($context.TenantId), as $($context.Account):"
Write-Host "  * AuthenticationType"
Write-Host "        is       Federated, to $($before.IssuerUri)"
Write-Host "        becomes  Managed: its people need a way to sign in to Entra itself"
if (-not $PSCmdlet.ShouldProcess($Domain, 'Make managed again')) {
    Write-Host 'Nothing was changed.'
    if ($WhatIfPreference) { exit 0 }
    exit 1
}

# Do it. An error does not say that nothing happened, so what follows is read back in any case.
try {
    Update-MgDomain -DomainId $Domain -AuthenticationType 'Managed' -Confirm:$false -ErrorAction Stop | Out-Null
} catch {
    Write-Host "Entra answered: $($_.Exception.Message)" -ForegroundColor Red
}

# Read back
$now = ''
foreach ($attempt in @(1, 2, 3, 4, 5, 6)) {
    if ($attempt -gt 1) { Start-Sleep -Seconds 5 }
    try {
        $now = [string] (Get-MgDomain -DomainId $Domain -ErrorAction Stop).AuthenticationType
    } catch {
        $now = "unknown: $($_.Exception.Message)"
    }
    if ($now -eq 'Managed') { break }
}
if ($now -ne 'Managed') {
    Stop-Script "The authentication type of $Domain is $now. Run this script again in some minutes." 2
}
Write-Host "$Domain is managed again." -ForegroundColor Green
Write-Host 'It can take up to two hours until that holds for everybody.'
exit 0
""".lstrip("\n")
