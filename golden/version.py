"""The version of the project, in its one place: packaging, results and emitted files take it from here."""

__version__ = "0.2.0.dev0"
