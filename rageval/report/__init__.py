"""Report: from the tables of a run to figures and a page."""
