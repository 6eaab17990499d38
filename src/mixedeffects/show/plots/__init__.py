"""Plots of a fit: functions of arrays that draw on matplotlib's Axes, one plot a file."""
