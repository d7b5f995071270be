"""Validates exported results with two programs of others: `validate.py CRATE...`.

roc-validator checks RO-Crate 1.1 and Process Run Crate 0.5 (what is required), rocrate reads the crate
as its users do. Needs `pip install roc-validator==0.13.0 rocrate==0.16.0`; exits with 3 where they are
missing. Nothing is fetched: the JSON-LD contexts that the crate names are answered from the one that
rocrate brings, a later edition of the same, and from the terms of Workflow Run below.
"""

import json
import sys
from pathlib import Path

try:
    import rocrate
    from rocrate.rocrate import ROCrate
    from rocrate_validator import models, services
    from rocrate_validator.utils.http import HttpRequester
except ImportError as error:
    print(f"{error}: pip install roc-validator==0.13.0 rocrate==0.16.0")
    sys.exit(3)

WORKFLOW_RUN = "https://w3id.org/ro/terms/workflow-run"


def contexts():
    data = Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld"
    crate = json.loads(data.read_text())["@context"]
    names = ["md5", "sha1", "sha256", "sha512", "containerImage", "environment"]
    run = {name: f"{WORKFLOW_RUN}#{name}" for name in names}
    return {
        "https://w3id.org/ro/crate/1.1/context": {"@context": crate},
        f"{WORKFLOW_RUN}/context": {"@context": run},
    }


class Answer:
    status_code = 200
    headers = {"Content-Type": "application/ld+json"}

    def __init__(self, page):
        self.page = page
        self.text = json.dumps(page)
        self.content = self.text.encode()
        self.ok = True

    def json(self):
        return self.page

    def raise_for_status(self):
        pass


class Session:
    """In place of a connection."""

    def __init__(self, pages):
        self.pages = pages

    def get(self, url, **_):
        if url not in self.pages:
            raise RuntimeError(f"the validator asks for {url}")
        return Answer(self.pages[url])

    head = get


def validate(folder, pages):
    settings = services.ValidationSettings(
        rocrate_uri=folder,
        profile_identifier="process-run-crate",
        requirement_severity=models.Severity.REQUIRED,
    )
    # The settings open a session of their own.
    HttpRequester().session = Session(pages)
    return services.validate(settings)


def main(folders):
    pages = contexts()
    good = True
    for folder in folders:
        result = validate(folder, pages)
        issues = [issue.message for issue in result.get_issues()]
        print(f"{folder}: {len(result.executed_checks)} checks, {len(issues)} issues")
        for issue in issues:
            print(f"  {issue}")
        crate = ROCrate(folder)
        files = [entity for entity in crate.data_entities if entity.type == "File"]
        tables = [entity for entity in crate.data_entities if entity.type == "Dataset"]
        actions = crate.get_by_type("CreateAction")
        made = sum(len(action["result"]) for action in actions)
        print(f"  {len(files)} files, {len(tables)} tables, {len(actions)} actions, {made} made")
        good = good and not issues and len(result.executed_checks) > 0
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
