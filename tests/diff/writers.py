"""What writers of files call: mostly in the right order and about their own files, now and then not."""

from __future__ import annotations

from typing import Any

from tests.diff.believed import BLOCK, HOLDERS, MODES, UMASKS, Believed, OpenFile
from tests.diff.program import Changed


def create(g: Believed) -> None:
    user, holder = g.user(), g.random.choice(HOLDERS)
    path = g.new_path() if g.chance(0.7) else g.known_path()
    flag = (
        g.random.choice((1, 1, 1, 1, 3, 3, 3, 3, 2, 129, 35))
        if g.chance(0.95)
        else g.random.choice((0, 4, 5, 17, 64, 7))
    )
    replication = g.random.choice((1, 2, 3)) if g.chance(0.93) else g.random.choice((0, 512, 513, 40_000, 65_537))
    size = BLOCK if g.chance(0.9) else g.random.choice((512, 1, 0, 1000, 1 << 20, 1 << 40, -1, 1 << 48))
    mode = g.random.choice(MODES) if g.chance(0.2) else 0o666 & ~g.random.choice(UMASKS)
    extra = {"unmasked": 0o666} if g.chance(0.3) else {}
    ref = g.change(
        user, "create", src=path, masked=mode, clientName=holder, createFlag=flag, createParent=g.chance(0.8),
        replication=replication, blockSize=size, **extra,
    )  # fmt: skip
    g.open.append(OpenFile(path, ref, user, holder, max(size, 1)))
    if g.chance(0.3):
        complete(g, g.open[-1])


def touched(g: Believed, one: OpenFile) -> dict[str, Any]:
    """Which file a writer means: mostly by id and path, sometimes by one of them, sometimes wrongly."""
    path = one.path if g.chance(0.9) else g.path()
    which = g.random.random()
    file_id: Any = one.step if which < 0.7 else 0 if which < 0.93 else g.some_file() if which < 0.97 else 99
    return {"src": path, "fileId": file_id}


def writer(g: Believed, one: OpenFile) -> tuple[str, str]:
    """Mostly the one that opened the file."""
    user = one.user if g.chance(0.9) else g.user()
    return user, one.holder if g.chance(0.93) else g.random.choice(HOLDERS)


def some_open(g: Believed) -> OpenFile | None:
    return g.random.choice(g.open[-5:]) if g.open else None


def last_of(g: Believed, one: OpenFile) -> Any:
    """The last block as the writer would name it; now and then another one, or none."""
    if not one.blocks:
        return None
    ref = one.blocks[-1]
    if g.chance(0.9):
        return Changed(ref, length=one.lengths.get(ref.name) or g.length())
    if one.wrote_last:
        return g.random.choice((None, Changed(ref, id=1_000_000), one.blocks[0]))
    return g.random.choice((None, ref, Changed(ref, stamp=-1), Changed(ref, id=1_000_000), one.blocks[0]))


def add_block(g: Believed, one: OpenFile | None = None) -> None:
    if (one := one or some_open(g)) is None:
        return
    user, holder = writer(g, one)
    extra: dict[str, Any] = {"excludeNodes": [one.blocks[0]]} if one.blocks and g.chance(0.03) else {}
    ref = g.add(user, "addBlock", clientName=holder, previous=last_of(g, one), **touched(g, one), **extra)
    one.blocks.append(ref)


def write(g: Believed) -> None:
    """A block with data, which therefore can be complete."""
    if (one := some_open(g)) is None or one.block_size > 4096:
        return
    if not one.blocks or g.chance(0.7):
        add_block(g, one)
    ref, length = one.blocks[-1], g.random.choice((1, 100, 511, 512, one.block_size))
    length = min(length, one.block_size)
    one.lengths[ref.name] = length
    g.add(one.user, "write", block=ref, clientName=one.holder, length=length)
    if g.chance(0.7):
        complete(g, one)


def complete(g: Believed, one: OpenFile | None = None) -> None:
    if (one := one or some_open(g)) is None:
        return
    user, holder = writer(g, one)
    g.add(user, "complete", clientName=holder, last=last_of(g, one), **touched(g, one))
    if g.chance(0.8):
        g.files.append(one.path)
        if g.chance(0.8):
            g.open.remove(one)


def abandon(g: Believed) -> None:
    if (one := some_open(g)) is None or not one.blocks:
        return
    user, holder = writer(g, one)
    block = g.random.choice((one.blocks[-1], one.blocks[-1], one.blocks[0], Changed(one.blocks[-1], stamp=-1)))
    fields = touched(g, one)
    g.add(user, "abandonBlock", b=block, holder=holder, **fields)
    if block == one.blocks[-1]:
        one.blocks.pop()


def fsync(g: Believed) -> None:
    if (one := some_open(g)) is None:
        return
    user, holder = writer(g, one)
    length = g.length() if g.chance(0.6) and not one.wrote_last else g.random.choice((-1, 0))
    g.add(user, "fsync", client=holder, lastBlockLength=length, **touched(g, one))


def new_stamp(g: Believed) -> None:
    """A pipeline is rebuilt, wholly or only half."""
    if (one := some_open(g)) is None or not one.blocks or one.wrote_last:
        return
    user, holder = writer(g, one)
    ref = one.blocks[-1]
    old: Any = ref if g.chance(0.9) else Changed(ref, stamp=g.random.choice((-1, 1000)))
    new = g.add(user, "updateBlockForPipeline", block=old, clientName=holder)
    if g.chance(0.7):
        changed = Changed(new, length=g.length(), stamp=0 if g.chance(0.9) else -1)
        g.change(
            user, "updatePipeline", clientName=holder, oldBlock=old, newBlock=changed, newNodes=ref, storageIDs=ref
        )
        if g.chance(0.6):
            one.blocks[-1] = new


def lease(g: Believed) -> None:
    holder = g.random.choice(HOLDERS)
    if g.chance(0.7):
        g.add(g.user(), "isFileClosed", src=g.path())
    else:
        g.add(g.user(), "renewLease", clientName=holder)


def recover(g: Believed) -> None:
    one = some_open(g)
    path = one.path if one is not None and g.chance(0.8) else g.path()
    g.add(g.user(), "recoverLease", src=path, clientName=g.random.choice(HOLDERS))
