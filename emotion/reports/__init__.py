"""The images of a run: confusion matrix, reliability, history, and contact sheets.

Every function returns the image as uint8 ``[H, W, 3]`` RGB, which is what TensorBoard takes, and writes a PNG as well
where it is given a path.
"""

from emotion.reports.calibration import reliability
from emotion.reports.confusion import confusion_matrix
from emotion.reports.sheet import image_grid
from emotion.reports.training import history

__all__ = ["confusion_matrix", "history", "image_grid", "reliability"]
