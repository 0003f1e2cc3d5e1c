"""The Hugging Face Hub: networks fetched from it as `hf://owner/name`, and pushed to it.

Of a repository one file is fetched, model.safetensors in the zoo's own format, which holds no code. No other file of it
can say which class is built: neither its config.json nor a pickle is ever asked for.

Source: huggingface_hub 2.4 (github.com/huggingface/huggingface_hub), whose HF_ENDPOINT, HF_TOKEN, HF_HOME and
HF_HUB_OFFLINE hold here too.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from torch import nn

from zoo.checkpoint import read_file
from zoo.errors import CheckpointError, ConfigError, OutputError, short
from zoo.pretrained import PUBLISHED, built, load_network
from zoo.weight_files import packed, unpacked

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when the package is imported
try:
    import huggingface_hub as hub
    from huggingface_hub.errors import GatedRepoError, RemoteEntryNotFoundError, RevisionNotFoundError
    from huggingface_hub.utils import HFValidationError, validate_repo_id
except ImportError as missing:
    raise CheckpointError(f"the Hugging Face Hub needs a package: pip install huggingface_hub ({missing})") from missing

ADDRESS = re.compile(r"hf://([^@]+)(?:@(?!.*\.\.)(\w[\w./-]*))?", re.ASCII)  # repository, revision
SHA256 = re.compile(r"[0-9a-f]{64}")
FILES = [PUBLISHED, "README.md", "config.json"]  # what `zoo publish` makes
LOGIN = "log in with `hf auth login`, or set HF_TOKEN"
SECONDS = 10.0  # patience with a server that sends nothing


class HubNetwork(nn.Module, hub.ModelHubMixin, library_name="lecture-zoo"):
    """A network of `zoo.load` with the verbs of the Hub: from_pretrained, save_pretrained, push_to_hub.

    Not a PyTorchModelHubMixin: that one reads pytorch_model.bin where a repository has no safetensors.
    Raises ConfigError for a network without a card.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.card = getattr(network, "card", None)
        if self.card is None:
            raise ConfigError("a network without a card cannot be shared; take one of zoo.load")
        self.network = network
        self.train(network.training)

    def forward(self, *inputs: Any) -> Any:
        """What the network gives."""
        return self.network(*inputs)

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write model.safetensors, to the last bit, and its two pages; the mixin adds none of its own to them."""
        from zoo.publish import write_folder

        write_folder(save_directory, packed(self.network, self.card))

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, *, revision: str | None = None, **options: Any
    ) -> "HubNetwork":
        """The network of `owner/name` or of a folder, in eval mode. Raises CheckpointError, ConfigError.

        The mixin's own method is not asked: it reads config.json first, and hands what stands there to the class.
        options: token, cache_dir, force_download, local_files_only, as `fetched` takes them.
        """
        source = str(pretrained_model_name_or_path)
        if os.path.isdir(source):
            path = Path(source) / PUBLISHED
            return cls(built(unpacked(read_file(path), str(path)), path))
        address = f"hf://{source}@{revision}" if revision else f"hf://{source}"
        return cls(built(unpacked(read_file(fetched(address, **options)), address), address))


def fetched(
    address: str,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
) -> Path:
    """The file model.safetensors of `hf://owner/name` or `hf://owner/name@revision`, in the cache of the Hub.

    Where the Hub cannot be reached it is the file that was fetched before. The options are those of hf_hub_download.
    Raises CheckpointError.
    """
    parts = ADDRESS.fullmatch(address)
    if parts is None or not is_repository(parts[1]):
        raise CheckpointError(
            f"{address!r} is no address of the Hub; valid: hf://owner/name, hf://owner/name@revision (letters, digits, "
            f"- _ .)"
        )
    asked = {"repo_id": parts[1], "filename": PUBLISHED, "revision": parts[2]}
    try:
        if not local_files_only:  # ask once: hf_hub_download asks a server that does not answer for minutes
            hub.get_hf_file_metadata(hub.hf_hub_url(**asked), token=token, timeout=SECONDS)
        path = hub.hf_hub_download(
            **asked, token=token, cache_dir=cache_dir, force_download=force_download, local_files_only=local_files_only
        )
    except Exception as error:  # of the package, its transport, its Rust: they have no class in common
        refused = (status_of(error) or 500) < 500
        kept = None if refused or force_download else hub.try_to_load_from_cache(**asked, cache_dir=cache_dir)
        if not isinstance(kept, str):
            raise CheckpointError(f"cannot fetch {address} from {hub.constants.ENDPOINT}: {reason(error)}") from error
        path = kept
    return checked(Path(path), address)


def is_repository(text: str) -> bool:
    """Whether it is `owner/name`, in letters that the Hub allows."""
    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return "/" in text


def status_of(error: Exception) -> int | None:
    """The status of the Hub's answer; None where it gave none."""
    return getattr(getattr(error, "response", None), "status_code", None)


def reason(error: Exception) -> str:
    """Why the Hub did not do it, in one line."""
    error = error.__cause__ or error if isinstance(error, RuntimeError) else error  # of a file of several, the file's
    status = status_of(error)
    if isinstance(error, GatedRepoError):
        return f"the repository is gated: ask for access on its page, then {LOGIN}"
    if isinstance(error, RevisionNotFoundError):
        return "the repository has no such revision"
    if isinstance(error, RemoteEntryNotFoundError):
        return f"the repository has no {PUBLISHED}, and no other file of it is read"
    if status in (401, 403, 404):
        return f"the server answered {status}: there is no such repository, or not for you; {LOGIN}"
    if status is not None:
        told = getattr(error, "server_message", None)
        return f"the server answered {status}" + (f" ({short(told)})" if told else "")
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def checked(path: Path, address: str) -> Path:
    """The file, if it is whole: the cache calls it by the SHA-256 that the Hub keeps of it. Raises CheckpointError."""
    blob = path.resolve()
    if SHA256.fullmatch(blob.name) and hashlib.sha256(read_file(blob)).hexdigest() != blob.name:
        raise CheckpointError(f"{address} is damaged: {blob} has another SHA-256; delete it to have it fetched again")
    return path


def push(folder: str | Path, repository: str, private: bool | None = None) -> str:
    """Push a folder that `zoo publish` has made to `owner/name`, which is made if need be; gives its URL.

    private: of a new repository; None: as its owner's default is.
    Raises CheckpointError, ConfigError for a folder that cannot be loaded; OutputError where the Hub does not take it.
    """
    folder = Path(folder)
    if not is_repository(repository):
        raise CheckpointError(f"{repository!r} is no repository; valid: owner/name (letters, digits, - _ .)")
    load_network(folder / PUBLISHED)  # what cannot be loaded is not pushed
    if lacking := [name for name in FILES if not (folder / name).is_file()]:
        raise CheckpointError(f"{folder} is not what `zoo publish` makes: it lacks {', '.join(lacking)}")
    try:
        if hub.get_token() is None:
            raise ValueError(f"no token is known; {LOGIN}")
        api = hub.HfApi()
        url = api.create_repo(repository, private=private, exist_ok=True)
        # Not the mixin's push_to_hub, which writes the files anew: these are the bytes that were tested and published.
        message = "Push what zoo publish has made"
        api.upload_folder(repo_id=url.repo_id, folder_path=folder, allow_patterns=FILES, commit_message=message)
    except Exception as error:  # as above
        raise OutputError(f"cannot push {folder} to {hub.constants.ENDPOINT}/{repository}: {reason(error)}") from error
    return str(url)
