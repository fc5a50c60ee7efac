"""Settings from arguments, the environment and `.env`, and errors that name the variable."""

import pytest
from pydantic import AliasChoices, Field, SecretStr, model_validator

from seedbed.errors import ConfigError
from seedbed.settings import ProjectSettings, Settings, load, variable


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SEEDBED_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_load_prefers_arguments_then_environment_then_dotenv(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("SEEDBED_MODEL=from-file\nSEEDBED_EMBEDDINGS=from-file\n")
    assert load(Settings).model == "from-file"
    monkeypatch.setenv("SEEDBED_MODEL", "from-environment")
    settings = load(Settings)
    assert (settings.model, settings.embeddings) == ("from-environment", "from-file")
    assert load(Settings, model="from-argument", embeddings=None).model == "from-argument"


def test_variable_that_is_set_to_nothing_counts_as_unset(monkeypatch):
    monkeypatch.setenv("SEEDBED_CACHE_DIR", "")
    monkeypatch.setenv("SEEDBED_MODEL_TIMEOUT", "")
    settings = load(Settings)
    assert (settings.cache_dir.name, settings.model_timeout) == ("seedbed", 60)


def test_invalid_value_is_one_line_with_variable_and_value(monkeypatch):
    monkeypatch.setenv("SEEDBED_OPEN", "perhaps")
    with pytest.raises(ConfigError) as excinfo:
        load(Settings)
    assert str(excinfo.value).startswith("SEEDBED_OPEN='perhaps': ")
    assert "\n" not in str(excinfo.value)


def test_invalid_value_names_the_alias(monkeypatch):
    class Config(ProjectSettings, env_prefix="DEMO_"):
        port: int = Field(1, validation_alias=AliasChoices("SEEDBED_PORT", "DEMO_PORT"))

    assert variable(Config, "port") == "SEEDBED_PORT"
    with pytest.raises(ConfigError, match=r"^SEEDBED_PORT='x': "):
        load(Config, port="x")
    monkeypatch.setenv("SEEDBED_PORT", "")  # set to nothing counts as unset
    assert (load(Config).port, load(Config, port=2).port) == (1, 2)


def test_invalid_secret_is_not_printed(monkeypatch):
    class Config(ProjectSettings, env_prefix="DEMO_"):
        key: SecretStr = Field(SecretStr(""), min_length=20)
        other: SecretStr = Field(SecretStr("-" * 20), min_length=20, validation_alias="OTHER_KEY")
        user: str = ""

        @model_validator(mode="after")
        def together(self):
            if not self.user:
                raise ValueError("a key needs a user")
            return self

    monkeypatch.setenv("DEMO_KEY", "very-secret")
    with pytest.raises(ConfigError, match=r"^DEMO_KEY: ") as short:
        load(Config)
    monkeypatch.setenv("DEMO_KEY", "very-secret, and long enough")
    with pytest.raises(ConfigError, match="a key needs a user") as alone:
        load(Config)
    monkeypatch.setenv("OTHER_KEY", "very-secret")
    with pytest.raises(ConfigError, match=r"^OTHER_KEY: ") as aliased:
        load(Config)
    assert "very-secret" not in str(short.value) + str(alone.value) + str(aliased.value)
