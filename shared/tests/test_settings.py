from pathlib import Path

import pytest
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from seedbed.errors import ConfigError
from seedbed.settings import Settings, load


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SEEDBED_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_defaults_need_nothing():
    settings = load(Settings)
    assert (settings.model, settings.embeddings, settings.open) == ("smollm2", "minilm", False)
    assert settings.cache_dir.name == "seedbed"
    assert not settings.log_content


def test_the_environment_wins_over_dotenv_and_arguments_over_both(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("SEEDBED_MODEL=from-file\nSEEDBED_EMBEDDINGS=from-file\n")
    assert load(Settings).model == "from-file"
    monkeypatch.setenv("SEEDBED_MODEL", "from-environment")
    settings = load(Settings)
    assert (settings.model, settings.embeddings) == ("from-environment", "from-file")
    assert load(Settings, model="from-argument", embeddings=None).model == "from-argument"


def test_a_wrong_value_is_one_line_naming_variable_and_value(monkeypatch):
    monkeypatch.setenv("SEEDBED_OPEN", "perhaps")
    with pytest.raises(ConfigError) as caught:
        load(Settings)
    assert str(caught.value).startswith("SEEDBED_OPEN='perhaps': ")
    assert "\n" not in str(caught.value)


def test_a_project_class_is_read_the_same_way(monkeypatch):
    class Config(BaseSettings):
        model_config = SettingsConfigDict(env_prefix="DEMO_")
        data_dir: Path = Field(Path("var"), description="Where data lives.")
        k: int = Field(4, ge=1, description="Passages.")

    monkeypatch.setenv("DEMO_K", "0")
    with pytest.raises(ConfigError, match="DEMO_K='0'"):
        load(Config)
    assert load(Config, k=2).k == 2


def test_keys_never_show_in_a_printed_settings_object(monkeypatch):
    monkeypatch.setenv("SEEDBED_API_KEYS", "alice=very-secret")
    settings = load(Settings)
    assert "very-secret" not in repr(settings) + str(settings.model_dump())
    assert settings.api_keys.get_secret_value() == "alice=very-secret"


def test_every_setting_is_described():
    assert all(field.description for field in Settings.model_fields.values())
