"""Pictures from image search, folders, video and camera, on their way into a dataset: ``python -m emotion.collect``."""
