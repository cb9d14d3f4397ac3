"""DICOM and NIfTI as a viewer shows them; needs the extra ``medical``.

Slices of a NIfTI volume and frames of a DICOM file are named with ``#slice=`` and a number from 0.
"""
