"""Calls about names and attributes: status, listing, making, moving, deleting, permissions, times, policies."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable

from seamlessfs.model.errors import FileNotFound, InvalidPath
from seamlessfs.model.ids import PolicyId
from seamlessfs.namenode.core import Core
from seamlessfs.namenode.locate import Locator
from seamlessfs.namenode.statuses import Pages, encode_found
from seamlessfs.namespace.context import Context
from seamlessfs.namespace.ops.reading import Found, Page
from seamlessfs.net.rpc_server import CallContext
from seamlessfs.store.api import Transaction
from seamlessfs.wire.convert.integers import to_short, to_unsigned
from seamlessfs.wire.convert.policy import placement_policy_to_pb
from seamlessfs.wire.convert.status import content_summary_to_pb, file_status_to_pb, listing_to_pb
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from seamlessfs.wire.pb.hadoop import encryption_pb2, erasurecoding_pb2


class PathCalls:
    """ClientProtocol's calls on the tree. A handler carries the method's name on the wire."""

    def __init__(self, core: Core, locator: Locator) -> None:
        self.core = core
        self.locator = locator
        self.pages = Pages()
        core.writer.after_commit.append(self.pages.forget)

    def get_file_info(
        self, call: CallContext, request: pb.GetFileInfoRequestProto
    ) -> pb.GetFileInfoResponseProto | bytes:
        found = self.core.namespace.find(self.core.view(), self.core.context(call), request.src)
        if isinstance(found, Found):
            return encode_found(found)
        return pb.GetFileInfoResponseProto(fs=file_status_to_pb(found) if found is not None else None)

    def get_file_link_info(
        self, call: CallContext, request: pb.GetFileLinkInfoRequestProto
    ) -> pb.GetFileLinkInfoResponseProto:
        status = self.core.namespace.get_file_info(self.core.view(), self.core.context(call), request.src)
        return pb.GetFileLinkInfoResponseProto(fs=file_status_to_pb(status) if status is not None else None)

    def get_listing(self, call: CallContext, request: pb.GetListingRequestProto) -> pb.GetListingResponseProto | bytes:
        context, view, most = self.core.context(call), self.core.view(), self.core.limits.listing_page
        if request.needLocation:
            listing = self.core.namespace.get_listing(view, context, request.src, request.startAfter, most)
            if listing is None:
                return pb.GetListingResponseProto()
            return pb.GetListingResponseProto(dirList=listing_to_pb(self.locator.with_locations(view, listing, call)))
        found = self.core.namespace.find_page(view, context, request.src, request.startAfter, most)
        if isinstance(found, Page):
            return self.pages.encoded(view, found)
        return pb.GetListingResponseProto(dirList=listing_to_pb(found) if found is not None else None)

    def get_content_summary(
        self, call: CallContext, request: pb.GetContentSummaryRequestProto
    ) -> pb.GetContentSummaryResponseProto:
        summary = self.core.namespace.get_content_summary(self.core.view(), self.core.context(call), request.path)
        return pb.GetContentSummaryResponseProto(summary=content_summary_to_pb(summary))

    def get_quota_usage(
        self, call: CallContext, request: pb.GetQuotaUsageRequestProto
    ) -> pb.GetQuotaUsageResponseProto:
        summary = self.core.namespace.get_quota_usage(self.core.view(), self.core.context(call), request.path)
        answer = pb.GetQuotaUsageResponseProto()
        answer.usage.fileAndDirectoryCount = summary.files + summary.directories
        answer.usage.spaceConsumed = summary.space_consumed
        answer.usage.quota, answer.usage.spaceQuota = to_unsigned(summary.quota), to_unsigned(summary.space_quota)
        return answer

    def get_erasure_coding_policy(
        self, call: CallContext, request: erasurecoding_pb2.GetErasureCodingPolicyRequestProto
    ) -> erasurecoding_pb2.GetErasureCodingPolicyResponseProto:
        """Everything is replicated: no path has a policy."""
        self.core.namespace.check_readable(self.core.view(), self.core.context(call), request.src, must_exist=True)
        return erasurecoding_pb2.GetErasureCodingPolicyResponseProto()

    def get_e_z_for_path(
        self, call: CallContext, request: encryption_pb2.GetEZForPathRequestProto
    ) -> encryption_pb2.GetEZForPathResponseProto:
        """Nothing is encrypted: no path is in a zone."""
        self.core.namespace.check_readable(self.core.view(), self.core.context(call), request.src, must_exist=False)
        return encryption_pb2.GetEZForPathResponseProto()

    def check_access(self, call: CallContext, request: pb.CheckAccessRequestProto) -> pb.CheckAccessResponseProto:
        self.core.namespace.check_access(self.core.view(), self.core.context(call), request.path, request.mode)
        return pb.CheckAccessResponseProto()

    def get_preferred_block_size(
        self, call: CallContext, request: pb.GetPreferredBlockSizeRequestProto
    ) -> pb.GetPreferredBlockSizeResponseProto:
        size = self.core.namespace.get_preferred_block_size(self.core.view(), self.core.context(call), request.filename)
        return pb.GetPreferredBlockSizeResponseProto(bsize=size)

    def mkdirs(self, call: CallContext, request: pb.MkdirsRequestProto) -> Awaitable[pb.MkdirsResponseProto]:
        return self.core.change(
            call,
            lambda tx, context: pb.MkdirsResponseProto(
                result=self.core.namespace.mkdirs(tx, context, request.src, request.masked.perm, request.createParent)
            ),
        )

    def delete(self, call: CallContext, request: pb.DeleteRequestProto) -> Awaitable[pb.DeleteResponseProto | bytes]:
        """The check of everything below runs over a snapshot, before the delete enters the writer."""
        if not self.core.context(call).privileged:
            with contextlib.suppress(FileNotFound, InvalidPath):
                if self.core.namespace.is_deep(self.core.view(), request.src):
                    return self._delete_deep(call, request)
        return self._delete(call, request, checked=False)

    async def _delete_deep(self, call: CallContext, request: pb.DeleteRequestProto) -> bytes:
        context, path, checked = self.core.context(call), request.src, False
        if not self.core.is_answered(call):
            with contextlib.suppress(FileNotFound, InvalidPath):
                await self.core.writer.with_snapshot(lambda view: self.core.namespace.check_delete(view, context, path))
                checked = True
        return await self._delete(call, request, checked=checked)

    def _delete(self, call: CallContext, request: pb.DeleteRequestProto, *, checked: bool) -> Awaitable[bytes]:
        return self.core.change_once(
            call,
            lambda tx, context: pb.DeleteResponseProto(
                result=self.core.namespace.delete(tx, context, request.src, request.recursive, subtree_checked=checked)
            ),
        )

    def rename(self, call: CallContext, request: pb.RenameRequestProto) -> Awaitable[pb.RenameResponseProto | bytes]:
        return self.core.change_once(
            call,
            lambda tx, context: pb.RenameResponseProto(
                result=self.core.namespace.rename(tx, context, request.src, request.dst)
            ),
        )

    def rename2(self, call: CallContext, request: pb.Rename2RequestProto) -> Awaitable[pb.Rename2ResponseProto | bytes]:
        def run(tx: Transaction, context: Context) -> pb.Rename2ResponseProto:
            self.core.namespace.rename2(
                tx, context, request.src, request.dst, request.overwriteDest, request.moveToTrash
            )
            return pb.Rename2ResponseProto()

        return self.core.change_once(call, run)

    async def set_permission(
        self, call: CallContext, request: pb.SetPermissionRequestProto
    ) -> pb.SetPermissionResponseProto:
        await self.core.change(
            call,
            lambda tx, context: self.core.namespace.set_permission(tx, context, request.src, request.permission.perm),
        )
        return pb.SetPermissionResponseProto()

    async def set_owner(self, call: CallContext, request: pb.SetOwnerRequestProto) -> pb.SetOwnerResponseProto:
        owner = request.username if request.HasField("username") else None
        group = request.groupname if request.HasField("groupname") else None
        await self.core.change(
            call, lambda tx, context: self.core.namespace.set_owner(tx, context, request.src, owner, group)
        )
        return pb.SetOwnerResponseProto()

    async def set_times(self, call: CallContext, request: pb.SetTimesRequestProto) -> pb.SetTimesResponseProto:
        modified, accessed = _signed(request.mtime), _signed(request.atime)
        await self.core.change(
            call, lambda tx, context: self.core.namespace.set_times(tx, context, request.src, modified, accessed)
        )
        return pb.SetTimesResponseProto()

    async def set_replication(
        self, call: CallContext, request: pb.SetReplicationRequestProto
    ) -> pb.SetReplicationResponseProto:
        result = await self.core.change(
            call,
            lambda tx, context: self.core.namespace.set_replication(
                tx, context, request.src, to_short(request.replication)
            ),
        )
        return pb.SetReplicationResponseProto(result=result)

    async def set_storage_policy(
        self, call: CallContext, request: pb.SetStoragePolicyRequestProto
    ) -> pb.SetStoragePolicyResponseProto:
        await self.core.change(
            call,
            lambda tx, context: self.core.namespace.set_storage_policy(tx, context, request.src, request.policyName),
        )
        return pb.SetStoragePolicyResponseProto()

    async def unset_storage_policy(
        self, call: CallContext, request: pb.UnsetStoragePolicyRequestProto
    ) -> pb.UnsetStoragePolicyResponseProto:
        await self.core.change(
            call, lambda tx, context: self.core.namespace.unset_storage_policy(tx, context, request.src)
        )
        return pb.UnsetStoragePolicyResponseProto()

    def get_storage_policy(
        self, call: CallContext, request: pb.GetStoragePolicyRequestProto
    ) -> pb.GetStoragePolicyResponseProto:
        policy_id = self.core.namespace.get_storage_policy(self.core.view(), self.core.context(call), request.path)
        return pb.GetStoragePolicyResponseProto(
            storagePolicy=placement_policy_to_pb(self.core.policies[PolicyId(policy_id)])
        )


def _signed(value: int) -> int:
    """An unsigned 64-bit field that carries -1 for "leave as it is"."""
    return value - (1 << 64) if value >= 1 << 63 else value
