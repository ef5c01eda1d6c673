"""Sharing models on the Hugging Face Hub, an extra, or as a folder of the same files."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from types import ModuleType

from reddit.checkpoint.card import card_of, public_settings
from reddit.checkpoint.format import CheckpointInfo, copy_public, read_info
from reddit.utils.errors import UserError, install
from reddit.utils.files import check_overwrite, is_file, is_folder, write_bytes, write_file
from reddit.utils.generated import is_unedited, stamped
from reddit.utils.text import reason, short

WEIGHTS, CARD, CONFIG = "model.safetensors", "README.md", "config.json"
PREFIX = "hf://"
"""Marks the name of a model on the Hub: hf://USER/MODEL, or hf://USER/MODEL@REVISION."""


def write_shared(
    model: CheckpointInfo, folder: Path, licence: str | None = None, name: str | None = None
) -> None:
    """Write the files of a shared model: the weights, a card, and the settings of the network.

    Folders of this machine are left out of the weights' configuration.

    Args:
        licence: identifier of the weights' licence, as the Hub knows it; None: the card names none.
        name: USER/MODEL on the Hub, for the card; None: USER/FOLDER.

    Raises:
        UserError: the folder holds other files of these names, another model, or a card that was edited; or
            it cannot be written.
    """
    _check_earlier(model, folder)
    write_file(folder / WEIGHTS, lambda temporary: copy_public(model, temporary))
    shared = read_info(folder / WEIGHTS)
    name = name or f"USER/{folder.resolve().name}"
    write_bytes(folder / CARD, stamped(CARD, card_of(shared, name, licence)))
    write_bytes(folder / CONFIG, json.dumps(public_settings(shared), indent=2).encode())


def _check_earlier(model: CheckpointInfo, folder: Path) -> None:
    """Refuse to overwrite the model itself, and files that are not an earlier share of such a model."""
    if is_file(folder / WEIGHTS) and (folder / WEIGHTS).samefile(model.path):
        raise UserError(f"-o {folder} holds the model itself: choose another folder")

    def same_model(path: Path) -> bool:  # and no copy by hand, which has no card
        info = read_info(path)
        return same_card(folder / CARD) and (info.family, info.method, info.steps) == (
            model.family,
            model.method,
            model.steps,
        )

    def same_card(path: Path) -> bool:
        return is_unedited(path) and read_info(folder / WEIGHTS).digest in path.read_text(encoding="utf-8")

    def same_settings(path: Path) -> bool:
        return bool(json.loads(path.read_text()) == public_settings(read_info(folder / WEIGHTS)))

    for file, ours in ((CARD, same_card), (WEIGHTS, same_model), (CONFIG, same_settings)):
        check_overwrite(folder / file, "-o", ours)


def push(model: CheckpointInfo, repository: str, *, private: bool = False, licence: str | None = None) -> str:
    """Upload a model to the Hub; creates the repository if there is none. Returns its address.

    Raises:
        UserError: the package is missing, you are not logged in, or the Hub refuses.
    """
    hub = _hub()
    with tempfile.TemporaryDirectory() as folder:
        write_shared(model, Path(folder), licence, repository)
        try:
            api = hub.HfApi()
            address = api.create_repo(repository, private=private, exist_ok=True)
            api.upload_folder(
                repo_id=repository, folder_path=folder, commit_message=f"{model.method}, {model.steps} steps"
            )
        except Exception as error:  # of many kinds: names, logins, networks
            raise UserError(
                f"cannot push to {short(repository)} ({reason(error)}): check the name USER/MODEL and log in "
                "with `hf auth login`"
            ) from error
    return str(address)


def fetch(name: str, revision: str | None = None) -> Path:
    """The weights of a shared model: of a folder, or downloaded from the Hub once.

    Args:
        name: a folder that `write_shared` wrote, or USER/MODEL.
        revision: a branch, tag or commit of the Hub; None: the newest.

    Raises:
        UserError: there is no such model, or it cannot be downloaded.
    """
    if is_folder(name):
        if not is_file(Path(name) / WEIGHTS):
            raise UserError(f"{name} holds no shared model: there is no {WEIGHTS}")
        return Path(name) / WEIGHTS
    hub = _hub()
    try:
        return Path(hub.hf_hub_download(name, WEIGHTS, revision=revision))
    except Exception as error:  # as above
        raise UserError(
            f"cannot download {short(name)} from the Hugging Face Hub ({reason(error)}): check the name "
            "USER/MODEL and the connection; private models need `hf auth login`"
        ) from error


def fetch_named(named: str) -> Path:
    """`fetch` for a name that begins with `PREFIX`."""
    name, _, revision = named.removeprefix(PREFIX).partition("@")
    return fetch(name, revision or None)


def _hub() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError(f"the Hugging Face Hub needs another package: {install('hub')}") from error
    return huggingface_hub
