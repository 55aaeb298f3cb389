"""Emotion labels, the input contract, and reading, finding and cutting faces in images."""
