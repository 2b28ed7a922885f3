"""The request engine: pacing, concurrency, budgets, attempts, hedging, spending, prices, batches."""
