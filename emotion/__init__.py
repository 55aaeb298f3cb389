"""Train, compare and run facial-expression classifiers."""

__version__ = "0.1.0"
