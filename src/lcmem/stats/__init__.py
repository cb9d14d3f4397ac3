"""Rates, calibration, thresholds, ROC and bootstrap: functions of arrays."""
