"""Side-by-side measurements. They record; they never assert a time."""
