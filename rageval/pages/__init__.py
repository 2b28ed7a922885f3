"""What every page shares: its look, formats of values, plots, Markdown."""
