"""One layer: the job, what must come back, random ones, and records of runs."""
