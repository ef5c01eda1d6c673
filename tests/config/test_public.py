from pathlib import Path

from reddit.config import resolve_config
from reddit.config.public import public


def test_folders_of_the_machine_are_left_out(tmp_path: Path) -> None:
    folders = [str(tmp_path / "own"), "photos/own"]
    mix = [{"dataset": "photos", "folder": folder} for folder in folders]
    data = {"root": str(tmp_path / "sets"), "mix": mix}
    config = resolve_config({"runs": str(tmp_path / "runs"), "data": data, "seed": 3}, source="test")

    shared = public(config)

    assert (shared.runs, shared.data.root, shared.seed) == ("runs", "sets", 3)
    assert [part.folder for part in shared.data.mix] == ["own", "photos/own"]
    assert str(tmp_path) not in shared.model_dump_json()
    assert config.data.root == str(tmp_path / "sets"), "the configuration itself is as it was"
    assert public(shared) == shared


def test_what_is_shared_can_be_read_again(tmp_path: Path) -> None:
    config = resolve_config({"runs": str(tmp_path)}, source="test")
    assert resolve_config(public(config).model_dump(mode="json"), source="test") == public(config)
