# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl`: one module an area."""
