"""A whole run: its estimate, its order, its workers, its end, what is removed."""
