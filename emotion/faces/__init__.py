"""Emotion labels, the model's contract, and reading images, detecting faces and cropping them."""
