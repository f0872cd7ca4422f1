"""Configuration of the quality classifier: its links, labels, training and scores."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from curate.classifier.scorers import SCORERS
from curate.sources.dates import Days

IGNORED_HOSTS = (
    # Reddit itself: a link to it recommends a discussion, not a page.
    "reddit.com", "redd.it", "redditmedia.com", "redditstatic.com", "redditenhancementsuite.com",
    # Pictures, video and sound: there is no text to learn from.
    "imgur.com", "gfycat.com", "giphy.com", "tenor.com", "flickr.com", "staticflickr.com", "photobucket.com",
    "tinypic.com", "imageshack.us", "twitpic.com", "yfrog.com", "min.us", "minus.com", "quickmeme.com",
    "memegenerator.net", "instagram.com", "pinterest.com", "youtube.com", "youtu.be", "vimeo.com", "dailymotion.com",
    "liveleak.com", "streamable.com", "twitch.tv", "soundcloud.com", "spotify.com", "bandcamp.com", "netflix.com",
    "pornhub.com", "xhamster.com", "xvideos.com", "redtube.com",
    # Short posts and redirections: the page is elsewhere.
    "twitter.com", "x.com", "t.co", "facebook.com", "fb.com", "bit.ly", "tinyurl.com", "goo.gl", "ow.ly",
    # WebText left Wikipedia out, because other data sets hold it (Radford et al. 2019, section 2.1).
    "wikipedia.org")

SHARED_HOSTS = (
    # Anyone can publish there, so a link speaks for its page and not for the host.
    "medium.com", "github.com", "gist.github.com", "pastebin.com", "sites.google.com", "docs.google.com",
    "drive.google.com", "plus.google.com", "groups.google.com", "google.com", "geocities.com", "angelfire.com",
    "tripod.com", "livejournal.com", "blogger.com", "wordpress.com", "tumblr.com", "scribd.com", "dropbox.com",
    "web.archive.org", "archive.org", "archive.is", "archive.today", "webcache.googleusercontent.com",
    # Shops and classified advertisements: what is linked is a bargain or a curiosity.
    "amazon.com", "amazon.co.uk", "ebay.com", "etsy.com", "craigslist.org", "store.steampowered.com", "kickstarter.com",
    "change.org", "petitions.whitehouse.gov", "zillow.com")


class LinksConfig(BaseModel):
    """Which Reddit submissions count as a recommendation of a page."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_score: int = Field(3, ge=-1_000_000, le=1_000_000, description=(
        "Smallest score (up-votes less down-votes) of a submission whose link counts; 3 is WebText's (Radford et al. "
        "2019, section 2.1)."))
    since: date | None = Field(None, description="First day, in UTC, whose submissions count.")
    until: date | None = Field(None, description=(
        "Last day whose submissions count; 2017-12-31 is WebText's (Radford et al. 2019, section 2.1)."))
    undated: Literal["keep", "drop"] = Field("keep", description=(
        "Whether submissions without a date count, where there is `since` or `until`; they are counted either way."))
    ignored_hosts: tuple[str, ...] = Field(IGNORED_HOSTS, description=(
        "Hosts, with all their subdomains, whose links never count: Reddit's own, those without text, and Wikipedia."))

    @property
    def days(self) -> Days:
        """The days whose submissions count."""
        return Days(since=self.since, until=self.until, undated=self.undated)

    @model_validator(mode="after")
    def _days_in_order(self) -> Self:
        _ = self.days
        return self


class LabelsConfig(BaseModel):
    """Which documents are positive examples, and which fold each site falls in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_host_links: int = Field(5, ge=1, le=1_000_000_000, description=(
        "Distinct linked pages from which a whole host counts as recommended; one lucky link says nothing of a shop's "
        "thousand other pages. Raise it as the dumps grow."))
    shared_hosts: tuple[str, ...] = Field(SHARED_HOSTS, description=(
        "Hosts on which anyone publishes: links count for their pages, never for the host. Subdomains are hosts of "
        "their own."))
    folds: int = Field(5, ge=2, le=64, description=(
        "Parts into which sites are split by hash; every page is scored by a model that has not seen its site."))
    fold_by: Literal["domain", "host"] = Field("domain", description=(
        "What a site is. domain: the registered domain by the public suffix list, so that a newspaper's subdomains all "
        "share a fold, while two blogs of one platform need not. host: the host without `www.`."))


class ClassifierConfig(BaseModel):
    """How the model is trained; the defaults were measured on 5,700 crawled and 2,500 curated pages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(next(iter(SCORERS)), json_schema_extra={"enum": list(SCORERS)}, description=". ".join(
        f"{kind.name}: {kind.what}" for kind in SCORERS.values()) + ".")
    max_documents: int = Field(50_000, ge=10, le=5_000_000, description=(
        "Most training examples of each kind: linked pages, curated documents, unfiltered crawl. The memory of "
        "training is about three times this by max_bytes_per_document."))
    near_duplicates: float | None = Field(0.8, ge=0.05, le=0.99, description=(
        "Jaccard similarity of 5-word shingles from which an example is left out beside a better one: a template that "
        "a thousand pages share would be learnt by heart. Null keeps all."))
    max_bytes_per_document: int = Field(2048, ge=64, le=1_000_000, description=(
        "UTF-8 bytes of the normalised text, from its start, that the classifier reads of a document, in training and "
        "in scoring; 2,048 separates as well as 8,192 in half the time."))
    max_class_ratio: float = Field(4.0, ge=1, le=1000, description=(
        "Most examples of the larger class for each one of the smaller; the surplus is left out by hash."))
    max_curated_ratio: float = Field(4.0, ge=0, le=1000, description=(
        "Most curated positives for each linked page among the positives, so that an encyclopedia does not drown them; "
        "no limit where no page is linked."))
    dim: int = Field(16, ge=1, le=1000, description="Dimensions of the word vectors; two classes need few.")
    epochs: int = Field(4, ge=1, le=1000, description="Passes over the training examples.")
    learning_rate: float = Field(0.7, gt=0, le=10, description="fastText's initial learning rate; it falls to zero.")
    word_ngrams: int = Field(2, ge=1, le=5, description="Longest run of words that is a feature of its own.")
    buckets: int = Field(200_000, ge=1000, le=20_000_000, description=(
        "Hash buckets that word n-grams share; a model file takes about 4 x dim x (buckets + words) bytes."))
    min_count: int = Field(3, ge=1, le=1_000_000, description="Rarer words have no vector of their own.")
    min_chars: int = Field(0, ge=0, le=20, description="Shortest character n-gram that is a feature; 0 with max_chars.")
    max_chars: int = Field(0, ge=0, le=20, description="Longest character n-gram that is a feature; 0 for none.")
    hashed_features: int = Field(1 << 18, ge=16, le=1 << 28, description=(
        "Columns of hashed_lr; Spark's HashingTF has 2**18 by default. Best a power of two."))
    hashed_regularisation: float = Field(0.01, ge=0, le=1000, description=(
        "L2 penalty of hashed_lr's weights, against the mean loss of an example. Spark's default of 0 learns a few "
        "thousand examples by heart."))
    hashed_iterations: int = Field(100, ge=1, le=10_000, description="Most L-BFGS steps of hashed_lr; Spark's default.")

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        if kind not in SCORERS:
            raise ValueError(f"no kind of classifier is called {kind!r}; there are {', '.join(SCORERS)}")
        return kind


class OtherClassifier(BaseModel):
    """A classifier that somebody else trained: how it is fed, and which of its labels is the score."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str | None = Field(None, description=(
        "The positive label, with or without `__label__`; null for `positive`, `hq`, `1` or `pos`, whichever it has."))
    max_bytes: int | None = Field(None, ge=64, le=1_000_000_000, description=(
        "Null: the text as it is, on one line, as DCLM's classifier is fed. A number: the project's own normalised "
        "line, cut there."))


class ReadClassifier(OtherClassifier):
    """What scores of a classifier depend on, beside its files. facts: of the plug-in that scores, where one does."""

    facts: dict[str, Any] | None = None


class ScoresConfig(BaseModel):
    """Which classifiers score every document beside the run's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classifiers: dict[str, ReadClassifier] = Field(default_factory=dict, description="Other classifiers by name.")
