"""Custom domains in SQLite, their private keys sealed."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from functory.model import errors
from functory.model.domain import Domain
from functory.store import bindings, queries, rules
from functory.store.cipher import Cipher
from functory.store.sqlite.readers import Readers
from functory.store.sqlite.writer import Writer

SQL = queries.load("domains")


class SqliteDomains:
    """`store.base.Domains`."""

    def __init__(self, writer: Writer, readers: Readers, cipher: Cipher) -> None:
        self._writer = writer
        self._readers = readers
        self._cipher = cipher

    async def create(self, domain: Domain) -> None:
        """Adds it; `DomainNameAlreadyExists`."""
        row = self._row(domain)

        def insert(connection: apsw.Connection) -> None:
            connection.execute(SQL["insert"], row)
            if not connection.changes():
                raise bindings.domain_taken(domain.name)

        await self._writer.submit(insert)

    async def replace(self, domain: Domain) -> None:
        """Writes it over the revision before; `DomainNameNotFound`, `ConcurrentUpdate`."""
        row = self._row(domain)

        def update(connection: apsw.Connection) -> None:
            connection.execute(SQL["replace"], row)
            if connection.changes():
                return
            if connection.execute(SQL["get"], row).fetchone() is None:
                raise bindings.domain_missing(domain.name)
            raise errors.ConcurrentUpdate(f"custom domain '{domain.name}' was changed by somebody else meanwhile")

        await self._writer.submit(update)

    async def delete(self, account_id: str, name: str, *, epoch: int = 0) -> Domain:
        """Removes it and answers what it was; `DomainNameNotFound`, `ConcurrentUpdate` if not at `epoch` (0 = any)."""
        key = _key(account_id, name)

        def delete(connection: apsw.Connection) -> Domain:
            rules.check_epoch(self._one(connection, "get", key).epoch, epoch, f"custom domain '{name}'")
            return self._one(connection, "delete", key)

        return await self._writer.submit(delete)

    async def get(self, account_id: str, name: str) -> Domain:
        """The current revision, with its private key; `DomainNameNotFound`."""
        key = _key(account_id, name)
        return await self._readers.run(lambda connection: self._one(connection, "get", key))

    async def list(self, account_id: str, *, prefix: str = "", after: str = "", limit: int = 100) -> Sequence[Domain]:
        """A page in order of name, without private keys."""
        rules.check_page(account_id, after, limit)
        values = {"account_id": account_id, "prefix": prefix, "after": after, "limit": limit}

        def read(connection: apsw.Connection) -> list[Domain]:
            return [bindings.to_domain(body, None) for body, _ in connection.execute(SQL["list"], values)]

        return await self._readers.run(read) if prefix.isascii() else []

    async def all(self) -> Sequence[Domain]:
        """All domains of all accounts, with their private keys."""

        def read(connection: apsw.Connection) -> list[Domain]:
            return [self._opened(body, sealed) for body, sealed in connection.execute(SQL["all"])]

        return await self._readers.run(read)

    def _row(self, domain: Domain) -> dict[str, str | int | bytes | None]:
        bindings.check_domain(domain)
        certificate = domain.certificate
        sealed = (
            self._cipher.seal(certificate.private_key.encode(), _context(domain.name))
            if certificate is not None and certificate.private_key
            else None
        )
        body = bindings.domain_body(domain).decode()
        return {
            "name": domain.name,
            "account_id": domain.account_id,
            "epoch": domain.epoch,
            "body": body,
            "sealed": sealed,
        }

    def _one(self, connection: apsw.Connection, query: str, key: dict[str, str]) -> Domain:
        row = connection.execute(SQL[query], key).fetchone()
        if row is None:
            raise bindings.domain_missing(key["name"])
        return self._opened(*row)

    def _opened(self, body: str, sealed: bytes | None) -> Domain:
        found = bindings.to_domain(body, None)
        if sealed is None:
            return found
        return bindings.to_domain(body, self._cipher.open(sealed, _context(found.name)))


def _key(account_id: str, name: str) -> dict[str, str]:
    rules.check_text("accountId", account_id)
    if not name.isascii() or "\0" in name:
        raise bindings.domain_missing(ascii(name))
    return {"account_id": account_id, "name": name}


def _context(name: str) -> str:
    return f"private key of {name}"
