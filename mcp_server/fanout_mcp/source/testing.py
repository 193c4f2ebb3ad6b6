"""Which files are test code: by their folders and names, as test runners of all languages find them."""

from __future__ import annotations

import posixpath
import re
from typing import Final

_FOLDERS: Final = frozenset(
    {"test", "tests", "testing", "__tests__", "spec", "specs", "testdata", "fixtures"}
)
_NAME: Final = re.compile(r"^(?:test_.*|.*_tests?|conftest|.*[.-](?:test|spec)|.*Tests?)\.\w+$")


def is_test(path: str) -> bool:
    folder, name = posixpath.split(path)
    return not _FOLDERS.isdisjoint(folder.lower().split("/")) or bool(_NAME.match(name))
