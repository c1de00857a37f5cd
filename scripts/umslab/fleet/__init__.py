# SPDX-License-Identifier: Apache-2.0
"""Runs of fleets for people: reports as text, pages and JUnit, runs side by side."""
