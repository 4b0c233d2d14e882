"""The demonstration: real data through a two-IDC cluster, each step with what was expected and what was measured."""
