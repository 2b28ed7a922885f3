"""Files and folders on disk or on an object store: written as a whole, locked, and seen by their owner alone."""
