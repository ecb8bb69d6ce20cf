"""HTTP of streams that are followed and of addresses for data; the work is done by `flows` and its parts."""
