"""Video and images in, faces found in them, frames shown in a window."""
