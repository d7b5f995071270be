#!/usr/bin/env bash
# Makes what the study `lm-evaluation` needs of two published packages, in third-party/lm-evaluation,
# which git ignores:
#   words.json      word lists of HELM (crfm-helm, Apache-2.0): contractions, misspellings, fillers, …
#   profanity.json  weights of alt-profanity-check (MIT), a linear classifier of abusive words
# Both packages are checked by hash and never imported or installed; the study compares what is made of
# them with its own hash. Needs Python 3.11 or later with venv; root on Debian or Ubuntu gets venv installed.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/venv.sh

helm=0.5.16
helm_hash=e15190fc43ed61c648c6b3844eb4f3e434728630fb28184d2dc00f4607febe7d
profanity=1.9.1
profanity_hash=cccb8ce072306bac21188670777a25cfb1de978aa8c7a93c8e4a43c03b3945c3
folder=third-party/lm-evaluation
# Written last, so that an interrupted run is done again.
stamp=$folder/complete
contents="crfm-helm $helm alt-profanity-check $profanity"

fail() {
    echo "setup-lm-evaluation: $1" >&2
    exit 1
}

if [[ -f $stamp && $(<"$stamp") == "$contents" && -f $folder/words.json && -f $folder/profanity.json ]]; then
    exit 0
fi

download=$(mktemp -d)
trap 'rm -rf "$download"' EXIT
# To read the arrays inside the classifier.
cat >"$download/requirements.txt" <<REQUIREMENTS
cloudpickle==3.1.3
joblib==1.6.0
numpy==2.4.6
REQUIREMENTS
venv "$download/venv" "$download/requirements.txt"
cat >"$download/packages.txt" <<PACKAGES
crfm-helm==$helm --hash=sha256:$helm_hash
alt-profanity-check==$profanity --hash=sha256:$profanity_hash
PACKAGES
"$download/venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
    --only-binary=:all: --dest "$download" --requirement "$download/packages.txt" ||
    fail "could not fetch crfm-helm $helm and alt-profanity-check $profanity, or their hashes differ"

mkdir -p "$folder"
rm -f "$stamp"
"$download/venv/bin/python" - "$download" "$folder" <<'PYTHON'
import ast
import io
import json
import sys
import zipfile
from pathlib import Path

from joblib import numpy_pickle

download, folder = Path(sys.argv[1]), Path(sys.argv[2])


def archive(package):
    (wheel,) = download.glob(f"{package}-*.whl")
    return zipfile.ZipFile(wheel)


def save(name, value):
    # No line breaks and no choices, so that everybody gets the same bytes.
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    (folder / name).write_bytes(text.encode())


helm = archive("crfm_helm")


def syntax(path):
    return ast.parse(helm.read(f"helm/benchmark/{path}"))


def constants(path):
    """The literals that a file of HELM's assigns at its top level; names inside them are looked up."""
    found = {}

    def literal(node):
        if isinstance(node, ast.Name):
            return found[node.id]
        if isinstance(node, ast.Dict):
            return {literal(key): literal(value) for key, value in zip(node.keys, node.values)}
        return ast.literal_eval(node)

    for node in syntax(path).body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            try:
                found[target.id] = literal(node.value)
            except (ValueError, KeyError):
                pass
    return found


keyboard = {}
for node in ast.walk(syntax("augmentations/typos_perturbation.py")):
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        keyboard[node.targets[0].slice.value] = node.value.value
fillers = constants("augmentations/filler_words_perturbation.py")
gender = constants("augmentations/gender_perturbation.py")
bias = constants("metrics/bias_word_lists.py")
save(
    "words.json",
    {
        "contractions": constants("augmentations/contraction_expansion_perturbation.py")["CONTRACTION_MAP"],
        "misspellings": json.loads(helm.read("helm/benchmark/augmentations/correct_to_misspelling.json")),
        "keyboard": keyboard,
        "fillers": {
            "speaker": fillers["SPEAKER_PHRASES"],
            "uncertain": fillers["UNCERTAIN_PHRASES"],
            "fill": fillers["FILL_PHRASE"],
        },
        "gender_terms": gender["GENDER_TERM_MAPPINGS"],
        "gender_pronouns": gender["GENDER_PRONOUN_MAPPINGS"],
        "bias": {
            "gender": bias["GENDER_TO_WORD_LISTS"],
            "race": bias["RACE_TO_NAME_LISTS"],
            "adjectives": bias["ADJECTIVE_LIST"],
            "professions": bias["PROFESSION_LIST"],
        },
    },
)


class Stored:
    """Stands for any class of scikit-learn: what was stored of an object, and nothing that runs."""

    def __init__(self, *_):
        pass


class Arrays(numpy_pickle.NumpyUnpickler):
    def find_class(self, module, name):
        if module.partition(".")[0] in ("numpy", "joblib"):
            return super().find_class(module, name)
        return Stored


def stored(name):
    content = archive("alt_profanity_check").read(f"profanity_check/data/{name}.joblib")
    file = io.BytesIO(content)
    return Arrays("", file, ensure_native_byte_order=True).load()


vectorizer, model = stored("vectorizer"), stored("model")
parts = model.calibrated_classifiers_
for part in parts:
    assert part.method == "sigmoid" and part.estimator.coef_.shape == (1, len(vectorizer.vocabulary_))
assert vectorizer.norm == "l2" and vectorizer.lowercase and not vectorizer.sublinear_tf
frequencies = vectorizer._tfidf.idf_ if hasattr(vectorizer._tfidf, "idf_") else vectorizer._tfidf._idf_diag.data
save(
    "profanity.json",
    {
        "classifiers": [
            {
                "intercept": float(part.estimator.intercept_[0]),
                "slope": float(part.calibrators[0].a_),
                "offset": float(part.calibrators[0].b_),
            }
            for part in parts
        ],
        "words": {
            word: [float(frequencies[place])] + [float(part.estimator.coef_[0, place]) for part in parts]
            for word, place in sorted(vectorizer.vocabulary_.items())
        },
    },
)
PYTHON
echo "$contents" >"$stamp"
