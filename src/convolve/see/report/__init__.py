"""The report of a run: one HTML file with everything inside, that a reviewer can read offline."""
