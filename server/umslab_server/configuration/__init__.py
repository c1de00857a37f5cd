# SPDX-License-Identifier: Apache-2.0
"""What devices are to have: directories, profiles, apps, files, who gets which of them, and how it reaches them."""
