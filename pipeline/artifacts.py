"""Artifact types: what a stage reads and writes. Each documents its folder tree.

The type names, and the names of the inputs and outputs that carry them, are TFX's. A split `S` has a folder `Split-S`.
"""


class Artifact:
    """A folder with a documented tree. Only its type is declared here: the content is files."""


class Examples(Artifact):
    """Documents of each split: their text, arrays, and what else is known of them.

    features.json            feature → {"kind", and of an array "dtype" and "shape" (null where it varies, which only
                             the first dimension may)}, for the features that every document has: "text" (kind text),
                             "label" (class), "tags" (classes), "target" (text), "value" (number), "array" (array);
                             without this file the documents have "text"
    Split-S/documents.txt    UTF-8; the documents of the split, one after the other, nothing between them; without the
                             feature text every document's text is empty
    Split-S/offsets.npy      int64 [documents + 1, 2]: the byte and the character at which each document starts in the
                             text, in order; the last row is their totals
    Split-S/digests.npy      uint64 [documents]: a hash of each document's text and array, or, where it has neither, of
                             its fields but the id
    Split-S/documents.jsonl  one JSON object a document: its "id", its features "label", "tags" (list of str), "target"
                             (and "references", list of str, all right answers), "value", and what else its source says
    Split-S/arrays.bin       with array: the arrays, one after the other, little-endian, in C order
    Split-S/arrays.npy       int64 [documents + 1]: the byte at which each array starts; the last is their total
    bad_records.jsonl        with `on_bad_record: skip`: one JSON object a record that was left out: "file", "offset" (a
                             byte of the decompressed file), "line" where it has one, "reason"
    """


class ExampleStatistics(Artifact):
    """What the documents of each split are made of.

    Split-S/FeatureStats.pb  tensorflow_metadata's DatasetFeatureStatisticsList with one dataset (see
                             components.statistics_gen.statistics)
    statistics.html          the same for people: tables and plots, all splits side by side
    """


class Schema(Artifact):
    """What documents have to be.

    schema.pbtxt             tensorflow_metadata's Schema as text (see components.schema_gen.schema)
    """


class ExampleAnomalies(Artifact):
    """Where the documents are not what they have to be.

    Split-S/SchemaDiff.pb    tensorflow_metadata's Anomalies
    anomalies.txt            for people: one sentence for each; empty when there is none
    validation.json          {"accepted", "statistics" (digest of what was validated), "baseline" (digest of the
                             statistics it was compared with, or null), "anomalies": [{"severity": "warn" | "stop",
                             "check", "split", "feature", "sentence"}, …]}
    accepted/Split-S/FeatureStats.pb   the statistics, if nothing stopped them; a later run is compared with them
    """


class HyperParameters(Artifact):
    """What a search over the configuration found.

    best_config.yaml         the whole configuration with the best values and without the section `tuner`: a recipe. The
                             sections that decide no trial (evaluator, pusher and the like) are those of the search
    trials.jsonl             one line a trial (see components.tuner.trials.Trial)
    report.txt               for people: the best trials, and which keys mattered
    """


class TransformGraph(Artifact):
    """What turns features into numbers and back; each file is there if the documents have its feature.

    tokenizer.json           of `text`: kind, specials, options
    vocabulary.tsv           of `text`: id, bytes in hexadecimal (none for a special), readable name; one token a line,
                             by id
    target/                  the same two files of `target`
    label.txt, tags.txt      names of the classes in the train split, one a line, by id
    array.json               {"mean": [...], "std": [...]} of the train split's numbers: of each feature of a series
                             [timesteps, features], of all numbers of images and frames; std of a constant is 1
    """


class TransformedExamples(Artifact):
    """The tokens of each split: its stream, cut into lanes of fixed-length windows.

    manifest.json                    counts, per split and overall (see components.transform.manifest.SplitManifest)
    Split-S/lane-BBBBB-of-NNNNN.tfrecord   lane b: TFRecords of `window_length + 1` little-endian token ids

    or, with `transform.records: examples`, the features of each document, `text` as `tokens`, arrays as they are:

    manifest.json                    has "features", too: {name: {"kind", "dtype", "size" (ids), "shape"}}
    Split-S/FEATURE-IIIII-of-NNNNN.tfrecord   shard i: a TFRecord for each document, its little-endian numbers
    Split-S/FEATURE-IIIII-of-NNNNN.npy        int64 [records + 1]: the byte at which each starts, and their total
    Split-S/documents.jsonl                   what is known of each document, as in Examples
    """


class Model(Artifact):
    """A trained Keras model, independent of the backend that trained it.

    model.json               architecture: the arguments of its constructor
    model.weights.h5         the weights of the epoch with the lowest eval bits_per_char, or loss of a task of examples
    history.jsonl            one line per report of some steps, per evaluation and per step that was not finite (see
                             components.trainer.training)
    training.json            {"steps", "resumed_from_step": null or the step of the checkpoint gone on from,
                             "best": that lowest figure, "warm_start": null or the model that it began from}
    training.html            with `trainer.diagnostics`: curves, how far gradients reach, the spectrum of W, in one page
    tensorboard/             with `trainer.diagnostics`: the same numbers as an event file
    """


class ModelEvaluation(Artifact):
    """What the model reaches on the held-out splits.

    metrics.json             {split: {nats, bits_per_char, perplexity, tokens, intervals, baselines, slices}}; of a task
                             of examples {split: {its metrics, examples, intervals, baselines, slices; beside bleu its
                             bleu_signature}}; slices are {"DIMENSION=VALUE": {metric: value}}, but for documents
                             a figure is null where its split has nothing to be measured on
    documents.json           {split: [{nats (summed), tokens}, …]} in the order of the split; {} of a task of examples
    samples.json             what the model writes (see components.evaluator.samples)
    report.txt               for people: metrics, baselines
    """


class ModelBlessing(Artifact):
    """BLESSED or NOT_BLESSED: a file holding the reasons, one a line (empty when blessed).

    comparison.json          with thresholds on change: {"model", "baseline" (digests; null without a blessed model),
                             "metrics": {metric: {"value", "baseline", "difference", "interval"}}} on the eval split
    comparison.txt           the same for people
    """


class ExportedModel(Artifact):
    """A TensorFlow SavedModel: saved_model.pb, variables/, assets/vocabulary.tsv and assets/tokenizer.json.

    A second tokenizer's files are assets/target_vocabulary.tsv and assets/target_tokenizer.json. With it come

    assets.extra/tf_serving_warmup_requests   TFRecord of tensorflow_serving's PredictionLog: what TensorFlow Serving
                                              asks a model before its first client does
    MODEL_CARD.md                             for people: what the model is, what it was made from, how well it does
    """


class InfraBlessing(Artifact):
    """INFRA_BLESSED or INFRA_NOT_BLESSED: a file holding the reasons, one a line.

    sample.txt               a text that the served model generated, or the answers of a model of another task
    measured.json            {"latency_ms", "memory_mb"}: null where it did not come to that
    """


class PushedModel(Artifact):
    """pushed.json: see components.push_history.Push; where the version lies, its number, its digest."""
