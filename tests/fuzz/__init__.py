"""Every parser of bytes from outside, each as a function that may raise only what it promises.

Run `make fuzz-wire SECONDS=60`: a coverage-guided fuzzer looks for an input that breaks a promise. What it finds is
saved to `inputs/<target>/` and is a test from then on.
"""
