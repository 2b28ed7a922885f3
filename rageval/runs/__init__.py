"""The folder of a run: tables, parts, journals, repair, manifest."""
