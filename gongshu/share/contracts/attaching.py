"""Files on offers: what can be attached, and how it is kept; one content is stored once, whatever its names."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from gongshu.prepared import Prepared
from gongshu.share.contract import Attachment
from gongshu.share.contract_tables import share_attachments, share_offer_attachments
from gongshu.share.errors import AttachmentInvalid

ATTACHMENT_BYTES_MAX = 4 * 1024 * 1024
"""Largest attachment; it travels as one answer of a node. Chosen by us."""
ATTACHMENTS_MAX = 16
_MINE = share_offer_attachments.c
_ATTACHED = Prepared(
    sa.select(
        share_offer_attachments.c.name,
        share_attachments.c.media_type,
        share_attachments.c.sha256,
        sa.func.length(share_attachments.c.content).label("size_bytes"),
    )
    .select_from(
        sa.join(
            share_offer_attachments,
            share_attachments,
            share_offer_attachments.c.sha256 == share_attachments.c.sha256,
        )
    )
    .where(share_offer_attachments.c.offer_id == sa.bindparam("asked_id"))
    .order_by(share_offer_attachments.c.name)
)


@dataclass(frozen=True, slots=True)
class NewAttachment:
    """A file that is to go with an offer."""

    name: str
    media_type: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Hash of the content."""
        return hashlib.sha256(self.content).hexdigest()


def require_attachable(new: NewAttachment) -> None:
    """Return if a file can be attached. Raises: AttachmentInvalid."""
    name, kind = new.name, new.media_type
    is_name = 0 < len(name) <= 200 and name.isprintable() and not set(name) & set('/\\"')
    if not is_name or not 0 < len(kind) <= 200 or not kind.isprintable():
        raise AttachmentInvalid(name=name[:200], reason="its name or media type is odd")
    if not 0 < len(new.content) <= ATTACHMENT_BYTES_MAX:
        raise AttachmentInvalid(name=name, reason=f"it has 1 to {ATTACHMENT_BYTES_MAX} bytes")


def insert_attachment(connection: sa.Connection, offer_id: str, new: NewAttachment, at: datetime) -> None:
    """Attach a file to an offer within the caller's transaction. Raises: AttachmentInvalid."""
    require_attachable(new)
    names = list(connection.execute(sa.select(_MINE.name).where(_MINE.offer_id == offer_id)).scalars())
    if new.name in names or len(names) >= ATTACHMENTS_MAX:
        raise AttachmentInvalid(name=new.name, reason=f"an offer has {ATTACHMENTS_MAX} of different names at most")
    keep_content(connection, new.sha256, new.media_type, new.content, at)
    values = {"offer_id": offer_id, "name": new.name, "sha256": new.sha256}
    connection.execute(sa.insert(share_offer_attachments).values(**values))


def keep_content(connection: sa.Connection, digest: str, media_type: str, content: bytes, at: datetime) -> None:
    """Keep the bytes of a file, if they are not here yet."""
    kept = share_attachments.c
    if connection.execute(sa.select(kept.sha256).where(kept.sha256 == digest)).first() is None:
        values = {"sha256": digest, "media_type": media_type, "content": content, "added_at": at}
        connection.execute(sa.insert(share_attachments).values(**values))


def attachments_of(connection: sa.Connection, offer_id: str) -> tuple[Attachment, ...]:
    """Return the files that contracts made from an offer hold."""
    rows = _ATTACHED.all(connection, {"asked_id": offer_id})
    return tuple(Attachment(row.name, row.media_type, row.sha256, row.size_bytes) for row in rows)
