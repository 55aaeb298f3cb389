"""What every part needs: errors and exit codes, files and locks, signals, progress, and facts about the machine."""
