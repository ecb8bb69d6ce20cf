"""count on from the time that was seen before."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Apply. A node that holds received data and has never counted begins at the latest time it saw, at most at now.

    No process of this version has written that time: it is from the version before, which destroyed by it. Where the
    clock is set forward now, the earlier of the two is what was seen; where it was once, the clock is.
    """
    held = "EXISTS (SELECT 1 FROM share_kept_keys WHERE state = 'held')"
    uncounted = "NOT EXISTS (SELECT 1 FROM share_counted_time)"
    count = (
        "INSERT INTO share_counted_time (id, at, basis) "
        "SELECT 1, CASE WHEN at < :now THEN at ELSE :now END, 'the clock went on with the machine' "
        f"FROM share_high_time WHERE {held} AND {uncounted}"
    )
    op.get_bind().execute(sa.text(count).bindparams(sa.bindparam("now", time.time_ns() // 1000, sa.BigInteger)))


def downgrade() -> None:
    """Take back: a count that was begun is right for the version before, too."""
