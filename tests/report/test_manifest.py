"""The fingerprint of a data set, and the revision of a checkout."""

import subprocess
from dataclasses import replace
from pathlib import Path

from dopsd.report.manifest import fingerprint, git_revision
from dopsd.task import Example

EXAMPLES = [Example(id=f"t/test/{i}", prompt=f"{i}?", solution=None, gold=i) for i in range(3)]


def test_a_fingerprint_is_that_of_ids_prompts_and_gold_answers_in_order() -> None:
    same = [replace(example, solution="worked") for example in EXAMPLES]
    assert fingerprint(same) == fingerprint(EXAMPLES)
    others = [
        EXAMPLES[:2],
        EXAMPLES[::-1],
        [replace(EXAMPLES[0], id="x"), *EXAMPLES[1:]],
        [replace(EXAMPLES[0], prompt="x"), *EXAMPLES[1:]],
        [replace(EXAMPLES[0], gold="x"), *EXAMPLES[1:]],
        [replace(EXAMPLES[0], id="t/test/00", prompt="?"), *EXAMPLES[1:]],
    ]
    assert len({fingerprint(examples) for examples in [EXAMPLES, *others]}) == 7


def test_a_revision_is_named_only_for_our_own_checkout(tmp_path: Path) -> None:
    package = tmp_path / "checkout" / "src" / "dopsd"
    package.mkdir(parents=True)
    assert git_revision(package) is None
    (package / "code.py").write_text("1")

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        command = ["git", "-C", str(tmp_path / "checkout"), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    assert git_revision(package) == {"revision": git("rev-parse", "HEAD"), "dirty": False}
    (package / "code.py").write_text("2")
    assert git_revision(package) == {"revision": git("rev-parse", "HEAD"), "dirty": True}
    elsewhere = tmp_path / "checkout" / "venv" / "dopsd"
    elsewhere.mkdir(parents=True)
    assert git_revision(elsewhere) is None
