"""Values of a run, or of several -> what may be said of them: summary, comparisons, gate, history, blame, slices."""
