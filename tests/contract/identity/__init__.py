"""Every scheme of identity against the one contract."""
