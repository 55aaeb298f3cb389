"""Train, compare and run facial-expression classifiers."""

import os

# TensorFlow reads this when it is first imported: keep its notices about CPU features off the terminal.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

__version__ = "0.1.0"
