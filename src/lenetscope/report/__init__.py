"""The report of a run: one HTML page that works offline, with the network in it."""

from lenetscope.report.build import write_report

__all__ = ["write_report"]
