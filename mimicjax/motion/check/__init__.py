"""What is wrong with a motion clip before anything is trained on it: figures, a verdict and what mends it."""

from mimicjax.motion.check.figures import Figure
from mimicjax.motion.check.report import Report, check, report

__all__ = ["Figure", "Report", "check", "report"]
