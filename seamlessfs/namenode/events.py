"""Events of the namenode, each module under a logger of its own."""

from seamlessfs.log import event

__all__ = ["event"]
