"""The HTTP edge: one small server of GET pages that a daemon composes from a table.

It promises bounds on everything that a peer can make grow: connections, bytes of a request, silence, answers left
unread. What a page says is the daemon's: `namenode.pages` and `datanode.pages`.
"""
