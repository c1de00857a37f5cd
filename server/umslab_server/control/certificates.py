# SPDX-License-Identifier: Apache-2.0
"""`ctl certs`: the certificates of the running server, the rotation of its web root, its EST client CAs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from umslab_certs.keys import KeyType
from umslab_server.control.dispatch import ACTOR, Command, NoArgs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umslab_server.certificates import Certificates
    from umslab_server.client_cas import ClientCas
    from umslab_server.rotation import Rotation


class _AnnounceRoot(Struct, forbid_unknown_fields=True):
    root_key: KeyType | None = None
    web_key: KeyType | None = None


class _Chain(Struct, forbid_unknown_fields=True):
    chain: str
    key: str


class _SwitchRoot(Struct, forbid_unknown_fields=True):
    force: bool = False


class _NewClientCa(Struct, forbid_unknown_fields=True):
    key_type: KeyType | None = None


class _RetireClientCa(Struct, forbid_unknown_fields=True):
    fingerprint: str
    force: bool = False


class CertificateCommands:
    """The commands about the certificates themselves."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    def table(self) -> dict[str, Command]:
        """Name -> command."""
        return {
            "certs.show": Command.plain(NoArgs, self._show),
            "certs.renew": Command.plain(NoArgs, self._renew),
        }

    async def _show(self, args: NoArgs) -> Any:
        del args
        return self._certificates.describe()

    async def _renew(self, args: NoArgs) -> Any:
        del args
        await self._certificates.renew(actor=ACTOR)
        return self._certificates.describe()


class RotationCommands:
    """The commands that exchange what devices trust, or what is trusted of them."""

    def __init__(self, rotation: Rotation, client_cas: ClientCas, *, names: Sequence[str]) -> None:
        """`names` are what a chain from elsewhere must cover: those that devices use."""
        self._rotation = rotation
        self._client_cas = client_cas
        self._names = names

    def table(self) -> dict[str, Command]:
        """Name -> command."""
        return {
            "certs.rotation": Command.plain(NoArgs, self._show),
            "certs.announce-root": Command.plain(_AnnounceRoot, self._announce),
            "certs.announce-chain": Command.plain(_Chain, self._announce_chain),
            "certs.switch-root": Command.plain(_SwitchRoot, self._switch),
            "certs.cancel-rotation": Command.plain(NoArgs, self._cancel),
            "certs.client-cas": Command.plain(NoArgs, self._list_client_cas),
            "certs.new-client-ca": Command.plain(_NewClientCa, self._renew_client_ca),
            "certs.import-client-ca": Command.plain(_Chain, self._import_client_ca),
            "certs.retire-client-ca": Command.plain(_RetireClientCa, self._retire_client_ca),
        }

    async def _show(self, args: NoArgs) -> Any:
        del args
        return await self._rotation.view()

    async def _announce(self, args: _AnnounceRoot) -> Any:
        return await self._rotation.announce(root_key=args.root_key, web_key=args.web_key, actor=ACTOR)

    async def _announce_chain(self, args: _Chain) -> Any:
        chain, key = args.chain.encode(), args.key.encode()
        return await self._rotation.announce_chain(chain, key, names=self._names, actor=ACTOR)

    async def _switch(self, args: _SwitchRoot) -> Any:
        lost = await self._rotation.switch(force=args.force, actor=ACTOR)
        return {"lost": lost, "rotation": await self._rotation.view()}

    async def _cancel(self, args: NoArgs) -> Any:
        del args
        return await self._rotation.cancel(actor=ACTOR)

    async def _list_client_cas(self, args: NoArgs) -> Any:
        del args
        return await self._client_cas.view()

    async def _renew_client_ca(self, args: _NewClientCa) -> Any:
        return await self._client_cas.renew(key_type=args.key_type, actor=ACTOR)

    async def _import_client_ca(self, args: _Chain) -> Any:
        return await self._client_cas.import_authority(args.chain.encode(), args.key.encode(), actor=ACTOR)

    async def _retire_client_ca(self, args: _RetireClientCa) -> Any:
        locked_out = await self._client_cas.retire(args.fingerprint, force=args.force, actor=ACTOR)
        return {"locked_out": locked_out, "client_cas": await self._client_cas.view()}
