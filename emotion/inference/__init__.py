"""Running a model over images, in any of its file formats, and scoring its answers."""
