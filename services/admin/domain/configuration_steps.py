"""What an administrator runs to look at an item of the checklist, and to put it right: lines of PowerShell. Pure.

Lines to be copied into a terminal, not files: each begins by connecting to the directory with the least permissions,
and can be run twice. What changes a domain's federation looks first whether the domain is federated to us, so that
nobody else's is touched. Values are written by `literal`.

Commands and parameters: the reference of Microsoft.Graph.Authentication, Microsoft.Graph.Identity.SignIns and
Microsoft.Graph.Identity.DirectoryManagement, version 2, and the table in `tests/admin/test_configuration.py`.
Permissions: Microsoft Graph v1.0. `federatedTokenValidationPolicy`: Microsoft Graph v1.0, which takes a PUT.

Not verified, because no directory of Microsoft's answers here: that any of these lines does what it says; that
`Connect-MgGraph -TenantId` takes a domain; how `systemBrowserEnabledOn` is written back (the libraries of some
languages call its third value `mac`), which is why it is read back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from services.admin.domain.configuration import RULES, Item
from services.admin.domain.federation import MFA_BEHAVIOR, PROMPT_BEHAVIOR
from services.admin.domain.powershell import literal
from services.admin.domain.tenants import Tenant
from shared.clouds import CLOUDS, CloudName

PORTALS: Mapping[CloudName, str] = {
    "worldwide": "https://entra.microsoft.com/",
    "usgov": "https://entra.microsoft.us/",
    "china": "https://entra.microsoftonline.cn/",
}
"""Microsoft Entra admin centre of each cloud. Not verified: the one of China."""
INITIAL: Mapping[CloudName, str] = {
    "worldwide": "onmicrosoft.com",
    "usgov": "onmicrosoft.us",
    "china": "partner.onmschina.cn",
}
"""What the initial domain of a directory ends with, where emergency administrators have their accounts."""
GLOBAL_ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"
"""Template of that role, the same in every directory ("Microsoft Entra built-in roles")."""
BLOCK_LEGACY = "Block legacy authentication"
SYSTEM_BROWSERS = "Android,Ios,Macos"

_READ_DOMAIN = ("Domain-InternalFederation.Read.All",)
_WRITE_DOMAIN = ("Domain-InternalFederation.ReadWrite.All",)
_READ_POLICY = ("Policy.Read.All",)


@dataclass(frozen=True, slots=True)
class Steps:
    """Lines that show how it is, and lines that put it right. Empty: there are none."""

    look: str = ""
    put_right: str = ""


def steps(item: Item, tenant: Tenant) -> Steps:
    """The lines for that item, with the tenant's values in them. Printable ASCII; lines end with LF."""
    found = _STEPS.get(item)
    return Steps() if found is None else found(tenant)


def _connect(tenant: Tenant, scopes: Sequence[str]) -> str:
    """`tenant`: one without a domain connects to the directory of whoever signs in."""
    where = f" -TenantId {literal(tenant.domains[0].name)}" if tenant.domains else ""
    named = ", ".join(literal(scope) for scope in scopes)
    environment = literal(CLOUDS[tenant.cloud].graph_environment)
    return f"Connect-MgGraph -Environment {environment}{where} -Scopes {named} -NoWelcome\n"


def _domains(tenant: Tenant, line: Callable[[str, str], str], scopes: Sequence[str]) -> str:
    """Lines for each domain: `line` makes them of its name and its issuer, as literals."""
    if not tenant.domains:
        return ""
    lines = (line(literal(each.name), literal(each.issuer)) for each in tenant.domains)
    return _connect(tenant, scopes) + "".join(lines)


def _domain_property(name: str, value: str) -> Callable[[Tenant], Steps]:
    """A property of each domain's federation. `name`: as a parameter, with a capital at its beginning."""

    def look(domain: str, _: str) -> str:
        return (
            f"Get-MgDomainFederationConfiguration -DomainId {domain} | "
            f"Format-List -Property @('IssuerUri', '{name}')\n"
        )

    def put_right(domain: str, issuer: str) -> str:
        return (
            f"$Federation = Get-MgDomainFederationConfiguration -DomainId {domain}\n"
            f"if ($Federation.IssuerUri -ceq {issuer}) {{\n"
            f"    Update-MgDomainFederationConfiguration -DomainId {domain} "
            f"-InternalDomainFederationId $Federation.Id -{name} {literal(value)}\n"
            "}\n"
        )

    def made(tenant: Tenant) -> Steps:
        return Steps(
            _domains(tenant, look, _READ_DOMAIN),
            _domains(tenant, put_right, _WRITE_DOMAIN),
        )

    return made


def _system_browser(tenant: Tenant) -> Steps:
    # The module's commands do not have the property yet, so the request is written out.
    def look(domain: str, _: str) -> str:
        return (
            "(Invoke-MgGraphRequest -Method GET "
            f"-Uri ('/v1.0/domains/' + {domain} + '/federationConfiguration') -OutputType PSObject).value | "
            "Format-List -Property @('issuerUri', 'systemBrowserEnabledOn')\n"
        )

    def put_right(domain: str, issuer: str) -> str:
        return (
            f"$Federation = Get-MgDomainFederationConfiguration -DomainId {domain}\n"
            f"if ($Federation.IssuerUri -ceq {issuer}) {{\n"
            "    Invoke-MgGraphRequest -Method PATCH "
            f"-Uri ('/v1.0/domains/' + {domain} + '/federationConfiguration/' + $Federation.Id) "
            f"-Body @{{ systemBrowserEnabledOn = {literal(SYSTEM_BROWSERS)} }}\n"
            "}\n"
        )

    return Steps(
        _domains(tenant, look, _READ_DOMAIN),
        _domains(tenant, put_right, _WRITE_DOMAIN),
    )


def _certificate(tenant: Tenant) -> Steps:
    def look(domain: str, _: str) -> str:
        return (
            f"Get-MgDomainFederationConfiguration -DomainId {domain} | "
            "Format-List -Property @('IssuerUri', 'SigningCertificate', 'NextSigningCertificate')\n"
        )

    return Steps(_domains(tenant, look, _READ_DOMAIN))


def _domain_itself(tenant: Tenant) -> Steps:
    def look(domain: str, _: str) -> str:
        return (
            f"Get-MgDomain -DomainId {domain} | "
            "Format-List -Property @('Id', 'AuthenticationType', 'IsVerified', 'IsDefault')\n"
        )

    return Steps(_domains(tenant, look, ("Domain.Read.All",)))


def _token_validation(tenant: Tenant) -> Steps:
    uri = literal("/v1.0/policies/federatedTokenValidationPolicy")
    return Steps(
        _connect(tenant, _READ_POLICY)
        + f"(Invoke-MgGraphRequest -Method GET -Uri {uri} -OutputType PSObject).validatingDomains | Format-List\n",
        _connect(tenant, ("Policy.ReadWrite.FedTokenValidation",))
        + f"Invoke-MgGraphRequest -Method PUT -Uri {uri} -Body @{{\n"
        "    validatingDomains = @{\n"
        "        '@odata.type' = '#microsoft.graph.allDomains'\n"
        "        rootDomains   = 'all'\n"
        "    }\n"
        "}\n",
    )


def _policies(condition: str, shown: str = "'DisplayName', 'State'") -> Callable[[Tenant], Steps]:
    """The Conditional Access policies that fit."""

    def made(tenant: Tenant) -> Steps:
        return Steps(
            _connect(tenant, _READ_POLICY) + "Get-MgIdentityConditionalAccessPolicy -All |\n"
            f"    Where-Object -FilterScript {{ {condition} }} |\n"
            f"    Format-List -Property @({shown})\n"
        )

    return made


def _legacy(tenant: Tenant) -> Steps:
    """A policy that only reports, so that nobody is locked out by a line that was copied."""
    looking = _policies(
        "$_.Conditions.ClientAppTypes -contains 'other'",
        "'DisplayName', 'State', { $_.GrantControls.BuiltInControls }",
    )
    return Steps(
        looking(tenant).look,
        _connect(tenant, ("Policy.Read.All", "Policy.ReadWrite.ConditionalAccess", "Application.Read.All"))
        + f"$Name = {literal(BLOCK_LEGACY)}\n"
        "$Found = Get-MgIdentityConditionalAccessPolicy -All | "
        "Where-Object -FilterScript { $_.DisplayName -eq $Name }\n"
        "if (-not $Found) {\n"
        "    New-MgIdentityConditionalAccessPolicy -BodyParameter @{\n"
        "        displayName   = $Name\n"
        "        state         = 'enabledForReportingButNotEnforced'\n"
        "        conditions    = @{\n"
        "            clientAppTypes = @('exchangeActiveSync', 'other')\n"
        "            applications   = @{ includeApplications = @('All') }\n"
        "            users          = @{ includeUsers = @('All') }\n"
        "        }\n"
        "        grantControls = @{ operator = 'OR'; builtInControls = @('block') }\n"
        "    }\n"
        "}\n",
    )


def _home_realm(tenant: Tenant) -> Steps:
    return Steps(
        _connect(tenant, _READ_POLICY) + "Get-MgPolicyHomeRealmDiscoveryPolicy -All | "
        "Format-List -Property @('DisplayName', 'IsOrganizationDefault', 'Definition')\n"
    )


def _security_defaults(tenant: Tenant) -> Steps:
    return Steps(
        _connect(tenant, _READ_POLICY)
        + "Get-MgPolicyIdentitySecurityDefaultEnforcementPolicy | Format-List -Property IsEnabled\n"
    )


def _passkey_campaign(tenant: Tenant) -> Steps:
    return Steps(
        _connect(tenant, _READ_POLICY) + "$Methods = Get-MgPolicyAuthenticationMethodPolicy\n"
        "$Methods.RegistrationEnforcement.AuthenticationMethodsRegistrationCampaign | Format-List -Property State\n"
        "$Methods.AuthenticationMethodConfigurations | Format-List -Property @('Id', 'State')\n"
    )


def _break_glass(tenant: Tenant) -> Steps:
    scopes = RULES[Item.BREAK_GLASS].permissions
    chosen = literal(f"roleTemplateId eq '{GLOBAL_ADMINISTRATOR}'")
    return Steps(
        _connect(tenant, scopes) + f"$Role = Get-MgDirectoryRole -Filter {chosen}\n"
        "$Found = Get-MgDirectoryRoleMemberAsUser -DirectoryRoleId $Role.Id -All |\n"
        f"    Where-Object -FilterScript {{ $_.UserPrincipalName -like {literal('*.' + INITIAL[tenant.cloud])} }}\n"
        "foreach ($Administrator in $Found) {\n"
        "    $Administrator.UserPrincipalName\n"
        "    Get-MgUserAuthenticationMethod -UserId $Administrator.Id | "
        "ForEach-Object -Process { $_.AdditionalProperties['@odata.type'] }\n"
        "}\n"
    )


_STEPS: Mapping[Item, Callable[[Tenant], Steps]] = {
    Item.BREAK_GLASS: _break_glass,
    Item.SECURITY_DEFAULTS: _security_defaults,
    Item.VERIFIED_DOMAINS: _domain_itself,
    Item.FEDERATION: _domain_itself,
    Item.CERTIFICATE: _certificate,
    Item.MFA_BEHAVIOR: _domain_property("FederatedIdpMfaBehavior", MFA_BEHAVIOR),
    Item.PROMPT_BEHAVIOR: _domain_property("PromptLoginBehavior", PROMPT_BEHAVIOR),
    Item.TOKEN_VALIDATION: _token_validation,
    Item.HOME_REALM: _home_realm,
    Item.LEGACY_AUTHENTICATION: _legacy,
    Item.AUTHENTICATION_STRENGTH: _policies(
        "$_.GrantControls.AuthenticationStrength.Id",
        "'DisplayName', 'State', { $_.GrantControls.AuthenticationStrength.DisplayName }",
    ),
    Item.SIGN_IN_FREQUENCY: _policies(
        "$_.SessionControls.SignInFrequency.IsEnabled",
        "'DisplayName', 'State', { $_.SessionControls.SignInFrequency.Value }, "
        "{ $_.SessionControls.SignInFrequency.Type }, { $_.SessionControls.SignInFrequency.FrequencyInterval }",
    ),
    Item.STAY_SIGNED_IN: _policies(
        "$_.SessionControls.PersistentBrowser.IsEnabled",
        "'DisplayName', 'State', { $_.SessionControls.PersistentBrowser.Mode }",
    ),
    Item.PASSKEY_CAMPAIGN: _passkey_campaign,
    Item.SYSTEM_BROWSER: _system_browser,
}
"""Items without an entry have no lines: those of people, and our own policy."""
