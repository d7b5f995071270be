"""Checks Kubernetes recipes against the schemas of Kubernetes, unknown fields included, and prints
their documents as one JSON list.

    python validate.py VERSIONS FILE…     # such as 1.29,1.34
"""

import json
import sys

import kubernetes_validate
import yaml

versions, files = sys.argv[1].split(","), sys.argv[2:]
documents = []
for name in files:
    with open(name, encoding="utf-8") as file:
        documents += [(name, document) for document in yaml.safe_load_all(file)]
for name, document in documents:
    for version in versions:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(map(str, error.path))
            sys.exit(f"{name}: {document['kind']}, Kubernetes {version}: {path}: {error.message}")
print(json.dumps([document for _, document in documents]))
