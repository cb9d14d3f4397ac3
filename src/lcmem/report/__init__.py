"""The report, the audit card and the plots."""

from lcmem.report.card import audit_card
from lcmem.report.html import render

__all__ = ["audit_card", "render"]
