"""The schema of every config, the checks of its values, and the command line that composes it."""
