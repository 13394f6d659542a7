"""Who a credential of a socket or an API request stands for. It must not know where the credential was found.

Source: contract.md section 5, "Authentication".
"""

from __future__ import annotations

from tidewire.accounts import api_keys, tokens
from tidewire.accounts.api_keys import ApiKeys
from tidewire.accounts.credential import Credential
from tidewire.accounts.logins import Logins
from tidewire.accounts.model import Principal
from tidewire.accounts.service import Accounts
from tidewire.accounts.tokens import ConnectionTokens


class Authentication:
    """Checks cookies, connection tokens and API keys."""

    def __init__(self, accounts: Accounts, keys: ApiKeys, connection_tokens: ConnectionTokens, logins: Logins) -> None:
        self._accounts = accounts
        self._keys = keys
        self._tokens = connection_tokens
        self._logins = logins

    async def of_credential(self, credential: Credential) -> Principal | None:
        """Return who it is, None if nobody. Raises StoreError."""
        if credential.kind == "cookie":
            return await self._accounts.load_session(credential.secret)
        if credential.secret.startswith(tokens.PREFIX):
            login = self._tokens.redeem(credential.secret)
            return None if login is None else await self._logins.load(login)
        # A query string ends up in the logs of proxies; only what is worthless afterwards may stand in it.
        if credential.kind != "query" and credential.secret.startswith(api_keys.PREFIX):
            return await self._keys.load(credential.secret)
        return None
