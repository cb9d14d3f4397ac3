"""Calibration, holdout control, memorization rate."""

from lcmem.auditing.calibration import Calibration
from lcmem.auditing.rates import Rate, excess, wilson
from lcmem.auditing.result import AuditResult
from lcmem.auditing.run import audit

__all__ = ["AuditResult", "Calibration", "Rate", "audit", "excess", "wilson"]
