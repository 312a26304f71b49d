"""Watch what a model learns while it learns it: callbacks for a stock Lightning Trainer.

AttributionCallback
    attributions of a fixed set of sequences at the end of each validation epoch
SeqletCallback
    the seqlets in them
LogoCallback
    pictures of them, in every logger that takes pictures
"""

from seqlight_callbacks.attribution import AttributionCallback as AttributionCallback
from seqlight_callbacks.attribution import AttributionRecord as AttributionRecord
from seqlight_callbacks.figures import LogoCallback as LogoCallback
from seqlight_callbacks.seqlets import SeqletCallback as SeqletCallback

__all__ = ["AttributionCallback", "AttributionRecord", "LogoCallback", "SeqletCallback"]
