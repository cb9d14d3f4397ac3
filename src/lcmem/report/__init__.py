"""The report and its plots."""

from lcmem.report.html import render

__all__ = ["render"]
