"""What becomes of contracts when a party proves itself by another key than when they were made.

Nothing moves under them until they are retired, or one person asks and another one confirms that it is still the same
organisation. This area must not know how keys are checked.
"""
