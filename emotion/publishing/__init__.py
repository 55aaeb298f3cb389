"""Giving a run away: a slim folder without traces of the machine that made it, and its model card."""
