"""Which settings are secrets, and that errors show none."""

from typing import Annotated

import pytest
from pydantic import AfterValidator, BaseModel, Field, SecretBytes, SecretStr, ValidationError

from songs_api.settings.parsing import is_secret
from songs_api.settings.service import ServiceSettings

_Checked = Annotated[SecretStr, AfterValidator(lambda value: value)]


class _Model(BaseModel):
    """Secrets in every wrapping, and what is none."""

    plain_secret: SecretStr
    bytes_secret: SecretBytes
    optional_secret: SecretStr | None = None
    checked_secret: _Checked
    optional_checked_secret: _Checked | None = None
    list_secret: list[SecretStr] = Field(default_factory=list)
    path: str = ""
    names: tuple[str, ...] = ()
    port: Annotated[int | None, Field(ge=0)] = None


@pytest.mark.parametrize(("name", "info"), _Model.model_fields.items(), ids=lambda value: str(value)[:30])
def test_a_secret_is_one_in_any_wrapping(name: str, info: object) -> None:
    """Optional, validated or in a list: it is masked and may come from a file."""
    assert is_secret(info) is name.endswith("_secret")  # type: ignore[arg-type]


@pytest.mark.parametrize("group", ServiceSettings.model_fields)
def test_a_group_that_is_wrong_is_not_shown(group: str) -> None:
    """Whoever builds the settings of the service from values reads in no error what the values are."""
    with pytest.raises(ValidationError) as caught:
        ServiceSettings.model_validate({group: "a secret in the wrong place"})

    assert "secret" not in str(caught.value)
