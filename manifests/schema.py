"""The Arrow schema of every table of a run, with a sentence for every column.

The sentence is stored as the field's `comment` metadata, so any Parquet reader can show it.
"""

from __future__ import annotations

import pyarrow as pa

ID = pa.binary(16)


def _field(name: str, kind: pa.DataType, comment: str, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"comment": comment})


SIGNAL_PREFIX = "signal_"

DOCUMENTS = pa.schema([
    _field("doc_id", ID, "xxh3-128 of source name, origin_path and origin_offset: unique by construction"),
    _field("record_id", pa.string(), "WARC-Record-ID or the user's own id; may repeat", nullable=True),
    _field("source", pa.string(), "name of the recipe's source"),
    _field("url", pa.string(), "target URL as archived", nullable=True),
    _field("host", pa.string(), "lower-case host of the URL, without port", nullable=True),
    _field("date", pa.timestamp("ms", "UTC"), "when the page was fetched", nullable=True),
    _field("origin_path", pa.string(), "archive or input file, relative to the source's root"),
    _field("origin_offset", pa.int64(), "byte offset of the record in the file as stored, or row number"),
    _field("origin_length", pa.int64(), "bytes of the record in the file as stored; -1 where rows have none"),
    _field("language", pa.string(), "ISO 639 code by language identification, zxx for no language; null where it was "
           "off", nullable=True),
    _field("language_score", pa.float32(), "its probability, 0 to 1", nullable=True),
    _field("language_share", pa.float32(), "characters in lines that are not surely of another language; 1 where the "
           "text's windows are sure", nullable=True),
    _field("page_type", pa.string(), "kind of the web page: article, forum, listing, collection, service, product or "
           "documentation; null where nothing says", nullable=True),
    _field("page_type_score", pa.float32(), "its probability, 0 to 1", nullable=True),
    _field("text", pa.large_string(), "extracted text, Unicode"),
    _field("n_bytes", pa.int64(), "UTF-8 bytes of text"),
])
"""Extracted documents; `signal_*` float32 columns follow."""

SOURCE_COLUMNS = {field.name: field for field in (
    _field("title", pa.string(), "title of the page, question, paper or book", nullable=True),
    _field("author", pa.string(), "author of the book or paper", nullable=True),
    _field("tags", pa.list_(pa.string()), "tags of the question", nullable=True),
    _field("score", pa.int32(), "votes for the question less those against it", nullable=True),
    _field("licence", pa.string(), "licences of its texts, those of several parted by semicolons", nullable=True),
    _field("repository", pa.string(), "repository that the file is of", nullable=True),
    _field("path", pa.string(), "path of the file in its repository", nullable=True),
    _field("programming_language", pa.string(), "language of the file, as The Stack names it", nullable=True),
)}
"""Facts that some kinds of sources know of their documents: columns beside DOCUMENTS of clean documents, null where
their source has none, and of extracted ones whose source has them."""

EXCLUSIONS = pa.schema([
    _field("doc_id", ID, "id that the document would have"),
    _field("record_id", pa.string(), "WARC-Record-ID or the user's own id; may repeat", nullable=True),
    _field("source", pa.string(), "name of the recipe's source"),
    _field("url", pa.string(), "target URL as archived", nullable=True),
    _field("origin_path", pa.string(), "archive or input file, relative to the source's root"),
    _field("origin_offset", pa.int64(), "byte offset or row number"),
    _field("stage", pa.string(), "stage that dropped it"),
    _field("reason", pa.string(), "rule that dropped it"),
    _field("value", pa.float64(), "what the rule measured", nullable=True),
    _field("threshold", pa.float64(), "what the recipe asked for", nullable=True),
    _field("language", pa.string(), "ISO 639 code, where a language was looked for before it was dropped",
           nullable=True),
    _field("language_score", pa.float32(), "its probability, 0 to 1", nullable=True),
])
"""Documents that never reached the document table, and why."""

LABELS = pa.schema([
    _field("doc_id", ID, "document"),
    _field("source", pa.string(), "source after derivation: a crawl page that links match may belong to `webtext`"),
    _field("label", pa.string(), "why it is a positive example: url, host, curated; null if it is none", nullable=True),
    _field("fold", pa.uint8(), "fold by hash(site): the model that has not seen this site"),
])
"""classifier/labels: one row a document, in the documents' order."""

EDIT = pa.struct([
    pa.field("start", pa.int64(), nullable=False), pa.field("end", pa.int64(), nullable=False),
    pa.field("replacement", pa.string(), nullable=True)])
"""UTF-8 bytes start:end of a text, as they are, or with another text in their place."""

EDITS = pa.list_(EDIT)

SELECT_DECISIONS = pa.schema([
    _field("doc_id", ID, "document"),
    _field("source", pa.string(), "source after derivation"),
    _field("quality_score", pa.float32(), "out-of-fold probability of being like WebText", nullable=True),
    _field("keep", pa.bool_(), "whether later stages see it"),
    _field("reason", pa.string(), "rule that dropped it; null where kept", nullable=True),
    _field("value", pa.float64(), "what the rule measured", nullable=True),
    _field("threshold", pa.float64(), "what the recipe asked for", nullable=True),
    _field("edits", EDITS, "what rules on lines and personal data leave of a kept text; null: all",
           nullable=True),
])

DEDUP_DECISIONS = pa.schema([
    _field("doc_id", ID, "document"),
    _field("keep", pa.bool_(), "false for duplicates and for documents that selection had dropped"),
    _field("reason", pa.string(), "url_duplicate, exact_duplicate or near_duplicate; not_selected; null where kept",
           nullable=True),
    _field("duplicate_of", ID, "the kept document it duplicates", nullable=True),
    _field("similarity", pa.float32(), "Jaccard of shingle sets with duplicate_of, or share of equal minima, as the "
           "recipe verifies; null for a URL's duplicate", nullable=True),
    _field("of_run", pa.int32(), "which run of the recipe's `dedup.against` duplicate_of is of, from 0; null: of this "
           "one", nullable=True),
    _field("cluster_id", ID, "documents that a chain of near-duplicate candidates joins have one; null for those that "
           "have no candidate", nullable=True),
])

REMOVED_SPAN = pa.struct([
    pa.field("start", pa.int64(), nullable=False), pa.field("end", pa.int64(), nullable=False),
    pa.field("kind", pa.string(), nullable=False), pa.field("duplicate_of", ID, nullable=True)])
"""UTF-8 bytes start:end of an extracted text that are removed because they are repeated; kind: the rule: paragraph,
sentences, bloom or substring; duplicate_of: the document that has them first (null where the rule cannot tell)."""

PASSAGE_DECISIONS = pa.schema([
    _field("doc_id", ID, "document"),
    _field("keep", pa.bool_(), "whether enough of it is left; false as well where an earlier stage dropped it"),
    _field("reason", pa.string(), "too_little_left or mostly_seen; not_selected; null where kept", nullable=True),
    _field("value", pa.float64(), "bytes left, or share of n-grams seen", nullable=True),
    _field("threshold", pa.float64(), "what the recipe asked for", nullable=True),
    _field("removed_spans", pa.list_(REMOVED_SPAN), "what is removed because it occurs earlier; null: nothing",
           nullable=True),
    _field("edits", EDITS, "what is left of the text, selection's edits included; null: all of it", nullable=True),
])

BOILERPLATE = pa.schema([
    _field("host", pa.string(), "host whose pages repeat the paragraph"),
    _field("n_pages", pa.int64(), "pages of the host that have it"),
    _field("n_occurrences", pa.int64(), "how often it occurs on them"),
    _field("n_bytes", pa.int64(), "bytes of the example"),
    _field("text", pa.large_string(), "the paragraph as the first of those pages has it, its first bytes"),
    _field("doc_id", ID, "that page"),
    _field("url", pa.string(), "its URL", nullable=True),
    _field("key", pa.uint64(), "first 64 bits of the SHA-1 of the paragraph's normal form"),
])
"""dedup/passage_decisions/boilerplate: what hosts put on many of their pages."""

BENCHMARK_SPAN = pa.struct([
    pa.field("start", pa.int64(), nullable=False), pa.field("end", pa.int64(), nullable=False),
    pa.field("benchmark", pa.string(), nullable=False), pa.field("item", pa.string(), nullable=False)])

SPAN = pa.struct([pa.field("start", pa.int64(), nullable=False), pa.field("end", pa.int64(), nullable=False)])

SUBSTRING_DECISIONS = pa.schema([
    _field("doc_id", ID, "document"),
    _field("keep", pa.bool_(), "whether enough of it is left; false as well where an earlier stage dropped it"),
    _field("reason", pa.string(), "repeated_text; not_selected; null where kept", nullable=True),
    _field("edits", EDITS, "what is left of the text, selection's edits included; null: all of it", nullable=True),
    _field("removed_spans", pa.list_(REMOVED_SPAN), "what is removed because it occurs elsewhere, with the document "
           "that has the first run of its bytes first; null: nothing", nullable=True),
])

DECONTAMINATION_DECISIONS = pa.schema([
    _field("doc_id", ID, "document"),
    _field("keep", pa.bool_(), "whether any piece of it is left; false as well where an earlier stage dropped it"),
    _field("reason", pa.string(), "rule that dropped it; not_selected; null where kept", nullable=True),
    _field("removed_spans", pa.list_(BENCHMARK_SPAN), "what matched and is removed, with a window around it: start and "
           "end in UTF-8 bytes of the text, not in characters, from the first letter of the first word to behind the "
           "last; benchmark; item. N-grams that overlap are one"),
    _field("pieces", pa.list_(SPAN), "spans of the text that stay: start and end in UTF-8 bytes, not characters; the "
           "whole text where nothing matched"),
])

CLEAN_EXTRA = [
    _field("parent_id", ID, "the extracted document this is a piece of; null where it is whole", nullable=True),
    _field("edits", EDITS, "UTF-8 byte spans of the extracted text that make up this text, in order"),
    _field("group_id", ID, "its cluster_id in dedup/decisions, else the extracted document: what the val split holds "
           "out whole"),
]
"""Columns that clean documents have beyond DOCUMENTS."""

TOKENS = pa.schema([
    _field("doc_id", ID, "clean document"),
    _field("token_start", pa.int64(), "place of its first token in the .tokens file"),
    _field("n_tokens", pa.int64(), "its tokens, without any end-of-text token"),
    _field("group_id", ID, "what the val split holds out whole, as in the clean document; null: the document itself",
           nullable=True),
])

SPANS = pa.schema([
    _field("token_start", pa.uint64(), "place of the first token in the shard's payload"),
    _field("n_tokens", pa.uint32(), "tokens of the fragment, its own end-of-text token included where it ends here"),
    _field("doc_id", ID, "clean document"),
    _field("source_id", pa.uint16(), "row of sources.parquet"),
    _field("doc_token_offset", pa.uint32(), "place of the fragment's first token in its document"),
    _field("epoch", pa.uint16(), "which pass over the source this is, from 0"),
    _field("row", pa.uint32(), "row of the shard"),
    _field("truncated_left", pa.bool_(), "the document began before this fragment"),
    _field("truncated_right", pa.bool_(), "the document goes on after this fragment"),
])

TURN = pa.struct([
    pa.field("start", pa.uint32(), nullable=False), pa.field("n_tokens", pa.uint32(), nullable=False),
    pa.field("role", pa.string(), nullable=False), pa.field("loss", pa.bool_(), nullable=False),
    pa.field("weight", pa.float32(), nullable=False)])
"""Tokens of a fragment, counted from its first, that one side of a dialogue says; learned where loss is true, each
token's loss counted `weight` times."""

CHAT_SPANS = pa.schema([
    *SPANS,
    _field("group_id", ID, "prompt whose answers are compared; null where there is one answer", nullable=True),
    _field("rank", pa.uint8(), "place among the answers, 0 is preferred; null where there is one", nullable=True),
    _field("turns", pa.list_(pa.field("item", TURN, nullable=False)),
           "who says what; the tokens of turns without loss, and of none, are no targets"),
    _field("label", pa.bool_(), "KTO's verdict: whether the answer is a desired one; null where there is none",
           nullable=True),
    _field("readout", pa.uint32(), "token, counted from the fragment's first, at which a reward or a class is read; "
           "null where there is none", nullable=True),
    _field("target", pa.string(), "class, score, or whether the choice is right (1, 0): what is read there; null where "
           "there is none", nullable=True),
])
"""Spans of dialogues (`curate tokenizer chat`), whose packing is best_fit or pad: SPANS and what to learn in them."""

CHAT_DOCUMENTS = pa.schema([
    _field("doc_id", ID, "dialogue, as in the spans"),
    _field("record_id", pa.string(), "the line's own id, else its number"),
    _field("source", pa.string(), "name of the source"),
    _field("origin_path", pa.string(), "input file, relative to the inputs' common folder"),
    _field("origin_offset", pa.int64(), "line of the file, from 0"),
    _field("rank", pa.uint8(), "place among the answers of the line; null where there is one", nullable=True),
    _field("split", pa.string(), "train or val"),
])
"""Where the dialogues of a packed dataset came from."""

PACKED_MANIFEST = pa.schema([
    _field("split", pa.string(), "train or val"),
    _field("shard_index", pa.uint32(), "number of the shard in its split"),
    _field("phase", pa.uint16(), "phase of the mixture that its rows are of, from 0; 0 in val"),
    _field("path", pa.string(), "shard file, relative to packed/"),
    _field("n_bytes", pa.int64(), "bytes of the shard file, header included"),
    _field("dtype", pa.string(), "uint16 or uint32, little-endian"),
    _field("n_tokens", pa.int64(), "tokens of the payload: span tokens + 1 at its start + padding"),
    _field("n_rows", pa.int64(), "rows of row_length tokens"),
    _field("row_length", pa.uint32(), "tokens of a row: the training context"),
    _field("packing", pa.string(), "concat, best_fit or pad"),
    _field("n_documents", pa.int64(), "documents with a fragment in the shard"),
    _field("n_spans", pa.int64(), "rows of the spans file"),
    _field("padding_tokens", pa.int64(), "tokens behind the documents of a row; 0 in concat"),
    _field("utilisation", pa.float64(), "span tokens / tokens of the payload"),
    _field("truncated_documents", pa.int64(), "documents that some row of the shard holds only a part of"),
    _field("eot_id", pa.uint32(), "end-of-text token"),
    _field("vocab_size", pa.uint32(), "ids are below this"),
    _field("tokenizer_sha256", pa.string(), "of tokenizer.json"),
    _field("payload_xxh3", pa.string(), "xxh3-128 of the tokens' bytes"),
    _field("spans_path", pa.string(), "spans file, relative to packed/"),
    _field("spans_xxh3", pa.string(), "xxh3-128 of the spans file"),
    _field("first_row", pa.int64(), "number of the shard's first row in its split"),
    _field("tokens_by_source", pa.map_(pa.string(), pa.int64()), "span tokens of each source"),
    _field("dropped_tokens", pa.int64(), "tail of the split or phase that fills no row; on its last shard"),
    _field("seed", pa.int64(), "seed of the run"),
    _field("recipe_sha256", pa.string(), "of the resolved recipe"),
    _field("format_version", pa.uint32(), "of this manifest; 1 has no column below this one"),
    _field("rows_path", pa.string(), "row index, relative to packed/"),
    _field("rows_xxh3", pa.string(), "xxh3-128 of the row index"),
    _field("most_segments", pa.uint32(), "segments (documents and gaps) of the row that has most"),
    _field("special_tokens", pa.map_(pa.string(), pa.uint32()), "ids of the tokenizer's special tokens, by name",
           nullable=True),
])

SOURCES = pa.schema([
    _field("source_id", pa.uint16(), "as in the spans"),
    _field("name", pa.string(), "as in the recipe"),
    _field("requested_weight", pa.float64(), "target share of all training tokens, before caps, summing to 1"),
    _field("available_tokens", pa.int64(), "tokens of the clean training documents, one end-of-text each"),
    _field("selected_tokens", pa.int64(), "tokens the mixture took"),
    _field("epochs", pa.float64(), "selected / available"),
    _field("realised_share", pa.float64(), "actual share: packed tokens of this source / all of the training split"),
])

STAGE_MANIFEST = pa.schema([
    _field("task", pa.string(), "task of the stage"),
    _field("role", pa.string(), "what the file is to the stage, such as documents or exclusions"),
    _field("path", pa.string(), "file, relative to the run"),
    _field("n_bytes", pa.int64(), "its size"),
    _field("n_rows", pa.int64(), "its rows; -1 where it is no table"),
    _field("xxh3", pa.string(), "xxh3-128 of its bytes"),
    _field("seal", pa.string(), "16 bytes of it that stand for all and are compared when it is opened; empty where it "
                                "is compared whole"),
])
"""STAGE/manifest.parquet: every file of a stage that is done, by task."""

INPUT_FILES = pa.schema([
    _field("field", pa.string(), "source, or field of the recipe, that names the file"),
    _field("relative", pa.string(), "path below its root"),
    _field("n_bytes", pa.int64(), "its size; -1 where a server does not say"),
    _field("digest", pa.string(), "xxh3-128 of its bytes, or of its size and version where it is behind a URL"),
])
"""_records/inputs.parquet: every input file of the run, in the order in which it is read."""

REMOVALS = pa.schema([
    _field("doc_id", ID, "extracted document, or page that extraction had excluded"),
    _field("source", pa.string(), "name of the recipe's source it was extracted from"),
    _field("url", pa.string(), "target URL as archived", nullable=True),
    _field("request", pa.uint32(), "number of the removal that took it out, from 1"),
    _field("clean_ids", pa.list_(ID), "clean documents that were made of it: itself, or its pieces"),
])
"""removals/documents.parquet: what `curate remove` took out of a run, and what no stage brings back."""

REMOVAL_CHANGES = pa.schema([
    _field("request", pa.uint32(), "number of the removal, from 1"),
    _field("path", pa.string(), "file that was rewritten, relative to the run"),
    _field("change", pa.string(), "text_blanked, documents_removed, tokens_overwritten or spans_removed"),
    _field("n_documents", pa.int64(), "removed documents that it held"),
    _field("n_tokens", pa.int64(), "tokens that became the end-of-text token; 0 where it holds none"),
])
"""removals/changes.parquet: every file that a removal rewrote, beside records and manifests."""

SUCCESSION = pa.schema([
    _field("request", pa.uint32(), "number of the removal, from 1"),
    _field("dataset", pa.string(), "digest of the dataset after it"),
    _field("supersedes", pa.string(), "digest of the dataset before it"),
    _field("split", pa.string(), "train or val"),
    _field("shard_index", pa.uint32(), "shard that was rewritten"),
    _field("rows", pa.list_(pa.uint32()), "rows of the shard that lost tokens; all others are as they were"),
    _field("n_tokens", pa.int64(), "tokens that lost their span and became the end-of-text token"),
])
"""packed/succession.parquet: one row a rewritten shard. The rows of a dataset keep their numbers, so a checkpoint of
the superseded one may go on with its successor."""
