"""Statistics: how sure a statistic is."""
