"""aiohttp to handlers and back: the sign-in's addresses (`web`), what describes us to Entra (`describing`)."""

from services.wsfed.routes.web import Web

__all__ = ["Web"]
