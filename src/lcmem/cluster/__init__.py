"""Encoding and scanning on a Ray cluster."""
