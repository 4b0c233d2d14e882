"""A datanode as a process."""

from __future__ import annotations

import asyncio
import logging
import signal

import uvloop

from seamlessfs.config.datanode import DatanodeSettings
from seamlessfs.datanode.daemon import Datanode
from seamlessfs.datanode.log import event
from seamlessfs.datanode.volume import VolumeFailed
from seamlessfs.log import configure
from seamlessfs.model.errors import ConfigurationError, CorruptStore, RegistrationRefused
from seamlessfs.net.listening import require_free


def run(settings: DatanodeSettings) -> int:
    """Runs a datanode until SIGTERM or SIGINT.

    Returns:
        Exit status: 0 after a clean stop, 1 when it cannot start, no namenode of its cluster wants it, or its volumes
        have failed.
    """
    configure(settings.log_format)
    return uvloop.run(serve(settings))


async def serve(settings: DatanodeSettings) -> int:
    """As `run`, inside an event loop and with the logging that there is."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        require_free(settings.host, settings.xfer_port, "xfer_port")
        require_free(settings.host, settings.ipc_port, "ipc_port")
        require_free(settings.host, settings.info_port, "info_port")
        datanode = Datanode(settings, stopping)
        await datanode.start()
    except (ConfigurationError, CorruptStore, RegistrationRefused, VolumeFailed, OSError) as error:
        event(logging.ERROR, "start_failed", error=error)
        return 1
    running = asyncio.create_task(datanode.wait())
    asked = asyncio.create_task(stopping.wait())
    await asyncio.wait((running, asked), return_when=asyncio.FIRST_COMPLETED)
    status = 0
    if running.done():
        status = 1
        reason = running.exception() or "the control streams ended"
        event(logging.ERROR, "volumes_failed" if isinstance(reason, VolumeFailed) else "refused", error=reason)
    running.cancel()
    asked.cancel()
    await datanode.stop()
    await asyncio.gather(running, asked, return_exceptions=True)
    return status
