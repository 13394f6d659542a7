"""What is built can be installed: the wheel carries everything that is not Python."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_wheel_carries_assets_data_and_migrations(tmp_path: Path) -> None:
    """Templates, catalogues, built assets, the replayed bars with their notice, migrations and the typing marker."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("tidewire-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "tidewire/py.typed",
        "tidewire/web/static/.vite/manifest.json",
        "tidewire/web/templates/admin_websockets.html",
        "tidewire/web/locales/en.json",
        "tidewire/feed/simulator/data/daily-bars.csv.gz",
        "tidewire/feed/simulator/data/NOTICE",
        "tidewire/store/migrations/versions/0001_first_tables.py",
        "tidewire/store/migrations/script.py.mako",
    ):
        assert wanted in names
    assert any(name.startswith("tidewire/web/static/assets/") and name.endswith(".js") for name in names)
    assert not [name for name in names if "node_modules" in name or name.startswith("tests/")]
