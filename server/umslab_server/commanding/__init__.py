# SPDX-License-Identifier: Apache-2.0
"""What devices are to do: selectors and views, commands and their results, jobs."""
