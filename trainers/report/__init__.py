"""Reports: one HTML file that tells what one run or several did, without scripts, for a colleague.

`collect.py` reads run folders and draws their plots, `page.py` makes the page. What moves is in `show`.
"""

from .collect import report_runs

__all__ = ["report_runs"]
