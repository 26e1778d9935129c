"""Microsoft's services: tokens of Entra ID, and Microsoft Graph."""
