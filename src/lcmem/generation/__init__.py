"""Generating pictures from real ones, measuring what was generated, and refusing what gives its training set away."""
