"""What users read: plots as PNG and SVG, HTML pages and Markdown from templates."""
