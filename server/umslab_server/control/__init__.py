# SPDX-License-Identifier: Apache-2.0
"""What `umslab ctl` can ask of a running server: one module an area, one table of commands in all."""
