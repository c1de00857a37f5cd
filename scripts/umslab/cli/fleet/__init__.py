# SPDX-License-Identifier: Apache-2.0
"""`umslab fleet`: one module a verb."""
