"""Documents -> questions with a known answer, written by a model and filtered."""
