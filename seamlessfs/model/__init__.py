"""Value types, ids, errors and units: what every other package talks about. Imports nothing of the project."""
