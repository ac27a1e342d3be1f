"""What ends a program that hangs."""

from __future__ import annotations

# seconds; nothing that works comes near it, on a slow and busy machine neither
LIMIT = 3600
