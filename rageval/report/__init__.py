"""Report: from the tables of a run to values and a page."""
