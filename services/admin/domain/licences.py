"""Microsoft's product names of licences, by the name that Graph gives them. Pure.

Graph's `subscribedSku` has no product name, only `skuPartNumber`, which keeps what a product was first called: `SPE_F1`
is Microsoft 365 F3 today. Source: "Product names and service plan identifiers for licensing" in Microsoft's
documentation of Entra ID. Only the products that organisations of this kind commonly have are listed; the names are
products', so they are the same in every language.
"""

from collections.abc import Mapping

PRODUCTS: Mapping[str, str] = {
    "AAD_PREMIUM": "Microsoft Entra ID P1",
    "AAD_PREMIUM_P2": "Microsoft Entra ID P2",
    "DESKLESSPACK": "Office 365 F3",
    "EMS": "Enterprise Mobility + Security E3",
    "EMSPREMIUM": "Enterprise Mobility + Security E5",
    "ENTERPRISEPACK": "Office 365 E3",
    "ENTERPRISEPREMIUM": "Office 365 E5",
    "EXCHANGEDESKLESS": "Exchange Online Kiosk",
    "EXCHANGEENTERPRISE": "Exchange Online (Plan 2)",
    "EXCHANGESTANDARD": "Exchange Online (Plan 1)",
    "FLOW_FREE": "Microsoft Power Automate Free",
    "INTUNE_A": "Microsoft Intune Plan 1",
    "M365_F1": "Microsoft 365 F1",
    "O365_BUSINESS": "Microsoft 365 Apps for business",
    "O365_BUSINESS_ESSENTIALS": "Microsoft 365 Business Basic",
    "O365_BUSINESS_PREMIUM": "Microsoft 365 Business Standard",
    "OFFICESUBSCRIPTION": "Microsoft 365 Apps for enterprise",
    "POWER_BI_PRO": "Power BI Pro",
    "POWER_BI_STANDARD": "Microsoft Fabric (Free)",
    "PROJECTPROFESSIONAL": "Project Plan 3",
    "SPB": "Microsoft 365 Business Premium",
    "SPE_E3": "Microsoft 365 E3",
    "SPE_E5": "Microsoft 365 E5",
    "SPE_F1": "Microsoft 365 F3",
    "STANDARDPACK": "Office 365 E1",
    "VISIOCLIENT": "Visio Plan 2",
}


def product_name(part_number: str) -> str:
    """The product's name, or the part number itself where it is not listed."""
    return PRODUCTS.get(part_number.upper(), part_number)
