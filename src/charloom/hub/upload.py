"""The files of a model that are uploaded to the Hub, and the upload."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType

from charloom.errors import Argument, InputError, ModelFolderError, SettingsError
from charloom.hub.model_card import make_model_card
from charloom.hub.upload_files import CARD_FILE, collect_files, shorten_names
from charloom.models.folder import read_kind
from charloom.models.language_model import LanguageModel
from charloom_codec.arguments import PATH, check_type
from charloom_codec.io.hub import HUB_PREFIX, hub_client, is_repository
from charloom_codec.model.priming import PRIMING_FILE, Priming
from charloom_codec.named_models.finding import HUB_FILES, NAMED_MODELS, find_all_names, find_folder

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_DEFAULT_MESSAGE = "Upload with charloom"


@dataclass(frozen=True)
class Upload:
    """A model that is ready to be uploaded.

    Attributes:
        repository: Name of the repository, USER/NAME.
        files: Content of each file by name.
    """

    repository: str
    files: Mapping[str, bytes]

    def send(
        self,
        *,
        private: bool = False,
        revision: str | None = None,
        message: str | None = None,
        token: str | None = None,
    ) -> str:
        """Uploads the files in one commit; the arguments, result and errors are those of ``push_model``.

        The repository is created if necessary. Files of a model that this one lacks are deleted in the same commit, so
        that the files of two models are never mixed.
        """
        check_type(bool, private=private)
        check_type((str, NoneType), revision=revision, message=message, token=token)
        with hub_client(f"{HUB_PREFIX}{self.repository}"):
            from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

            api = HfApi(token=token, library_name="charloom")
            # None leaves the choice to the settings of an organization.
            api.create_repo(self.repository, private=private or None, exist_ok=True)
            if private and not api.model_info(self.repository).private:
                raise ModelFolderError(
                    f"{HUB_PREFIX}{self.repository}: the repository exists and is public; nothing was uploaded",
                    hint="choose another name, or make it private on its page first",
                )
            if revision is not None:
                api.create_branch(self.repository, branch=revision, exist_ok=True)
            present = set(api.list_repo_files(self.repository, revision=revision))
            commit = api.create_commit(
                self.repository,
                [
                    *(CommitOperationAdd(name, content) for name, content in self.files.items()),
                    *(CommitOperationDelete(name) for name in HUB_FILES if name in present - self.files.keys()),
                ],
                commit_message=message or _DEFAULT_MESSAGE,
                revision=revision,
            )
            return commit.commit_url


def prepare_upload(
    folder: str | Path,
    repository: str,
    *,
    license: str,  # noqa: A002 - the name of the field of a model card
    include_priming: bool | None = None,
    language: Sequence[str] = (),
) -> Upload:
    """Returns the files of a model that ``push_model`` uploads; nothing is sent.

    The arguments and errors are those of ``push_model``.
    """
    check_type(PATH, folder=folder)
    check_type(str, license=license)
    check_type((bool, NoneType), include_priming=include_priming)
    name = check_repository(repository)
    check_metadata(license, language)
    if str(folder) in (*NAMED_MODELS, *find_all_names()) and find_folder(folder) != Path(folder):
        raise InputError(f"{folder}: this model is part of charloom: everyone has it")
    if (kind := read_kind(Path(folder))) is not None:
        raise ModelFolderError(f"{folder}: a {kind:.40}; only language models can be uploaded")
    found = find_folder(folder)
    # Loading verifies the weights, whose hash is in the configuration.
    model = LanguageModel.load(found)
    priming = Priming.load(found)
    if priming.text and include_priming is None:
        raise SettingsError(
            f"must be True or False: {PRIMING_FILE} contains the end of the training text, "
            f"{len(priming.text):,} bytes, which everyone could read",
            setting="include_priming",
        )
    files = collect_files(found, model, priming if include_priming else Priming())
    model.provenance = shorten_names(model.provenance)
    card = make_model_card(model, name, license=license, language=language, files=files)
    return Upload(name, {**files, CARD_FILE: card.encode("utf-8")})


def push_model(
    folder: str | Path,
    repository: str,
    *,
    license: str,  # noqa: A002 - the name of the field of a model card
    include_priming: bool | None = None,
    language: Sequence[str] = (),
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
    token: str | None = None,
) -> str:
    """Uploads a language model to the Hugging Face Hub, with a model card; checkpoints are not uploaded.

    ``LanguageModel.load("hf:USER/NAME")`` loads it. Requires ``pip install 'charloom[hub]'``.

    Args:
        folder: Folder of the model.
        repository: Name of the repository, USER/NAME, which is created if necessary.
        license: Identifier of the license, such as ``mit`` or ``cc-by-4.0``.
        include_priming: Upload the priming, which contains the end of the training text: with it, files are compressed
            better, and to the same bytes as with the folder. Required if the folder has a priming.
        language: Codes of the language of the training text, such as ``en``.
        private: Create a private repository.
        revision: Branch, which is created if necessary. Default: the main branch.
        message: Message of the commit.
        token: Access token. Default: that of ``hf auth login`` or of the environment variable ``HF_TOKEN``.

    Returns:
        The address of the commit.

    Raises:
        SettingsError: The name, the license or a language is malformed, or ``include_priming`` is required.
        ModelFolderError: The folder has no language model; or the Hub cannot be reached or refuses the upload.
        InputError: An argument is of the wrong type, or the model is part of the package.
    """
    check_type(bool, private=private)
    check_type((str, NoneType), revision=revision, message=message, token=token)
    upload = prepare_upload(folder, repository, license=license, include_priming=include_priming, language=language)
    return upload.send(private=private, revision=revision, message=message, token=token)


def check_repository(repository: str) -> str:
    """Returns the name of a repository without a prefix ``hf:``. Raises SettingsError for a malformed one."""
    check_type(str, repository=repository)
    name = repository.removeprefix(HUB_PREFIX)
    if not is_repository(name):
        raise SettingsError("it must be USER/NAME", setting="repository", value=repository)
    return name


def check_metadata(license: str, language: Sequence[str]) -> None:  # noqa: A002 - the name of the field
    """Raises SettingsError if the license or a language is not an identifier as the Hub defines them."""
    if not _LICENSE.fullmatch(license):
        raise SettingsError(
            "it must be the identifier of a license in lowercase, such as mit, apache-2.0, cc-by-4.0 or other",
            setting="license",
            value=license,
        )
    if isinstance(language, str):
        raise InputError("must be a list: ", Argument("language", [language]))
    check_type(Sequence, language=language)
    for code in language:
        check_type(str, language=code)
        if not _LANGUAGE.fullmatch(code):
            raise SettingsError("it must be the code of a language, such as en or de", setting="language", value=code)
