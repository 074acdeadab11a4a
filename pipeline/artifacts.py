"""Artifact types: what a stage reads and writes. Each documents its folder tree.

The type names, and the names of the inputs and outputs that carry them, are TFX's. A split `S` has a folder `Split-S`.
"""


class Artifact:
    """A folder with a documented tree. Only its type is declared here: the content is files."""


class Examples(Artifact):
    """Documents of each split, as text.

    Split-S/documents.txt    UTF-8; the documents of the split, one after the other, nothing between them
    Split-S/offsets.npy      int64 [documents + 1, 2]: the byte and the character at which each document starts in the
                             text, in order; the last row is their totals
    Split-S/digests.npy      uint64 [documents]: a hash of each document's bytes
    Split-S/documents.jsonl  one JSON object a document: its "id", and what else its source says of it
    bad_records.jsonl        with `on_bad_record: skip`: one JSON object a record that was left out: "file", "offset" (of
                             a byte of the decompressed file), "line" where it has one, "reason"
    """


class TransformGraph(Artifact):
    """What turns text into tokens and back.

    vocabulary.tsv           id, code point (negative for a special), readable name; one token a line, in order of id
    """


class TransformedExamples(Artifact):
    """The token stream of each split, cut into lanes of fixed-length windows.

    manifest.json                    counts, per split and overall (see components.transform.manifest.SplitManifest)
    Split-S/lane-BBBBB-of-NNNNN.tfrecord   lane b: TFRecords of `window_length + 1` little-endian token ids
    """


class Model(Artifact):
    """A trained Keras model, independent of the backend that trained it.

    model.json               architecture: the arguments of its constructor
    model.weights.h5         the weights of the epoch with the lowest eval bits_per_char
    history.jsonl            one line per logged step and per evaluation
    """


class ModelEvaluation(Artifact):
    """What the model reaches on held-out text.

    metrics.json             {split: {nats, bits_per_char, perplexity, tokens, baselines}}
    documents.json           {split: [{nats (summed), tokens}, …]} in the order of the split
    report.txt               for people: metrics, baselines, verdict
    """


class ModelBlessing(Artifact):
    """BLESSED or NOT_BLESSED: a file holding the reasons, one a line (empty when blessed)."""


class ExportedModel(Artifact):
    """A TensorFlow SavedModel: saved_model.pb, variables/, assets/vocabulary.tsv."""


class InfraBlessing(Artifact):
    """INFRA_BLESSED or INFRA_NOT_BLESSED: a file holding the reasons; sample.txt: a text the served model generated."""


class PushedModel(Artifact):
    """pushed.json: {"destination" (the version folder, seen from the root), "version"}."""
