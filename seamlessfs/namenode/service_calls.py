"""Calls about the service itself: defaults, capacity, datanodes, policies, safe mode, HA state, groups."""

from __future__ import annotations

import logging

from seamlessfs.model.errors import RemoteIOError, UnsupportedOperation
from seamlessfs.model.path import PATH_CHARS_MAX, too_long
from seamlessfs.model.status import ServerDefaults
from seamlessfs.namenode.core import Core, mono_ms
from seamlessfs.namenode.events import event
from seamlessfs.net.rpc_server import CallContext
from seamlessfs.security.groups import GroupResolver
from seamlessfs.wire.convert.policy import hdfs_policies_to_pb, placement_policy_to_pb
from seamlessfs.wire.convert.status import fs_stats_to_pb, server_defaults_to_pb
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from seamlessfs.wire.pb.hadoop import (
    encryption_pb2,
    ha_service_pb2,
    security_pb2,
    user_mappings_pb2,
)

LOG = logging.getLogger(__name__)


class ServiceCalls:
    """ClientProtocol's calls that are about the cluster and not about a path."""

    def __init__(self, core: Core, groups: GroupResolver) -> None:
        self.core = core
        self.groups = groups

    def get_server_defaults(
        self, call: CallContext, request: pb.GetServerDefaultsRequestProto
    ) -> pb.GetServerDefaultsResponseProto:
        settings = self.core.settings
        defaults = ServerDefaults(
            block_size=settings.block_size,
            write_packet_size=settings.write_packet_bytes,
            trash_interval_min=settings.trash_interval_min,
        )
        return pb.GetServerDefaultsResponseProto(serverDefaults=server_defaults_to_pb(defaults))

    def get_fs_stats(self, call: CallContext, request: pb.GetFsStatusRequestProto) -> pb.GetFsStatsResponseProto:
        return fs_stats_to_pb(self.core.blocks.stats())

    def get_storage_policies(
        self, call: CallContext, request: pb.GetStoragePoliciesRequestProto
    ) -> pb.GetStoragePoliciesResponseProto:
        ours = [placement_policy_to_pb(policy) for policy in self.core.policies.values()]
        return pb.GetStoragePoliciesResponseProto(policies=[*ours, *hdfs_policies_to_pb()])

    def set_safe_mode(self, call: CallContext, request: pb.SetSafeModeRequestProto) -> pb.SetSafeModeResponseProto:
        """Everybody may ask for it, a superuser turns it on and off; the answer says whether it is on."""
        if request.action != pb.SAFEMODE_GET:
            self.core.require_superuser(call)
            if request.action == pb.SAFEMODE_ENTER:
                self.core.standstill.enter()
            else:
                self.core.standstill.leave(force=request.action == pb.SAFEMODE_FORCE_EXIT)
            event(LOG, "safe_mode", logging.WARNING, on=self.core.safe_mode, user=call.principal.user)
        return pb.SetSafeModeResponseProto(result=self.core.safe_mode)

    def msync(self, call: CallContext, request: pb.MsyncRequestProto) -> pb.MsyncResponseProto:
        return pb.MsyncResponseProto()

    def get_h_a_service_state(
        self, call: CallContext, request: pb.HAServiceStateRequestProto
    ) -> pb.HAServiceStateResponseProto:
        return pb.HAServiceStateResponseProto(state=ha_service_pb2.ACTIVE)

    def get_delegation_token(
        self, call: CallContext, request: security_pb2.GetDelegationTokenRequestProto
    ) -> security_pb2.GetDelegationTokenResponseProto:
        return security_pb2.GetDelegationTokenResponseProto()

    def get_data_encryption_key(
        self, call: CallContext, request: pb.GetDataEncryptionKeyRequestProto
    ) -> pb.GetDataEncryptionKeyResponseProto:
        return pb.GetDataEncryptionKeyResponseProto()

    def list_encryption_zones(
        self, call: CallContext, request: encryption_pb2.ListEncryptionZonesRequestProto
    ) -> encryption_pb2.ListEncryptionZonesResponseProto:
        self.core.require_superuser(call)
        return encryption_pb2.ListEncryptionZonesResponseProto(hasMore=False)

    def create_symlink(self, call: CallContext, request: pb.CreateSymlinkRequestProto) -> pb.CreateSymlinkResponseProto:
        if too_long(request.link):
            raise RemoteIOError(f"Symlink path exceeds {PATH_CHARS_MAX} character limit")
        raise UnsupportedOperation("Symlinks not supported")

    def get_groups_for_user(
        self, call: CallContext, request: user_mappings_pb2.GetGroupsForUserRequestProto
    ) -> user_mappings_pb2.GetGroupsForUserResponseProto:
        return user_mappings_pb2.GetGroupsForUserResponseProto(groups=self.groups.groups(request.user, mono_ms()))
