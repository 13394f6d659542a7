"""Writes the bill of materials, CycloneDX 1.6 JSON, from the two locks: the same locks give the same bytes.

Source: CycloneDX 1.6 JSON reference; ASVS 5.0 15.1.2.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from locks import ROOT, Package, npm_packages, python_packages


def bill(packages: list[Package], version: str) -> dict[str, Any]:
    """Return the document for ``packages`` in Tidewire ``version``."""
    components = [_component(package) for package in sorted(packages, key=lambda package: package.purl)]
    # No clock and no chance in it, so that anybody can make the same file again.
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([version, components]))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": f"pkg:pypi/tidewire@{version}",
                "name": "tidewire",
                "version": version,
                "purl": f"pkg:pypi/tidewire@{version}",
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": components,
    }


def _component(package: Package) -> dict[str, Any]:
    group, _, name = package.name.rpartition("/")
    return {
        "type": "library",
        "bom-ref": package.purl,
        **({"group": group} if group else {}),
        "name": name,
        "version": package.version,
        "scope": "excluded" if package.development else "optional" if package.conditional else "required",
        "purl": package.purl,
        "hashes": [{"alg": algorithm, "content": digest} for algorithm, digest in package.hashes],
    }


def main() -> None:
    """Write the bill to the file named as the argument."""
    found = re.search(r'__version__ = "([^"]+)"', (ROOT / "src" / "tidewire" / "__init__.py").read_text())
    if found is None:
        sys.exit("src/tidewire/__init__.py names no version: mend it; no bill is written.")
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    document = bill([*python_packages(), *npm_packages()], found[1])
    target.write_text(json.dumps(document, indent=1) + "\n")
    sys.stdout.write(f"{target}: {len(document['components'])} components\n")


if __name__ == "__main__":
    main()
