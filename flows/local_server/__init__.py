"""The Prefect server of a run for which none is configured: started, found again by the next run, shown, ended."""
