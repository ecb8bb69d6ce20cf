"""What can go wrong while catalogues are read; each of these ends one attempt, never the index."""

from gongshu.errors import Conflict, InvalidInput, NotFound, Unavailable


class PeerBusy(Unavailable):
    """The other party's node cannot answer now."""

    code = "share.peer_busy"
    template = "{party} cannot answer now (status {status_code}); it is asked again in {wait_s} s at the earliest."


class CatalogueBroken(Unavailable):
    """A catalogue that cannot be read to its end."""

    code = "share.catalogue_broken"
    template = "The catalogue of {party} was not taken over: {reason}. What stood before stays; it is read again."


class CrawlOvertaken(Conflict):
    """Another run took this party over, after a clock jumped or this run stood still."""

    code = "share.crawl_overtaken"
    template = "This run over the catalogue of {party} was taken over by another one. Nothing is to be done."


class CrawlBusy(Conflict):
    """A run over this party's catalogue is under way."""

    code = "share.crawl_busy"
    template = "The catalogue of {party} is being read already. See `gongshu share crawl --list`."


class NotFollowed(NotFound):
    """Nobody asked for this party's catalogue."""

    code = "share.not_followed"
    template = "The catalogue of {party} is not followed here. Add it with `gongshu share crawl {party} --follow`."


class IntervalInvalid(InvalidInput):
    """Too often, or hardly ever."""

    code = "share.interval_invalid"
    template = "A catalogue is read every {least_s} to {most_s} s, not every {interval_s} s. Choose one between."


class SearchEmpty(InvalidInput):
    """A search without a word."""

    code = "share.search_empty"
    template = "There is nothing to search for in {words!r}. Give a word, a Chinese term or its pinyin."
