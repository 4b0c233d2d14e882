"""The router of the demo cluster: the only way between its IDCs, with the delay, rate, cuts and counts of a DCI.

Each ordered pair of IDCs is a link with a TUN device of its own, `a>b` say. The kernel routes what comes from a's
network and goes to b's into that device, this process counts it, holds it as long as the link would, and writes it
back; then the kernel routes it on. Where the kernel has netem, netem on that device holds it for the delay.

Read `shaper.py` (when a packet arrives; pure), `packet.py` (what a packet counts for; pure), `link.py` (the device),
`routes.py` (addresses and routes), `router.py` (the process and its socket), `command.py` (what a person types).
"""
