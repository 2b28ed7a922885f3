"""Settings of a search -> which is best, chosen on one part of the questions and reported on the other."""
