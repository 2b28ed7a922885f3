"""Statistics: how sure a figure is."""
