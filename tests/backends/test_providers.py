"""Providers as data: who may be asked, by which key, for which model; and several of them in one backend."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.scripted import verdict
from fakes.upstream import Rule, Upstream, serving
from fanout_mcp.backends.choose import choose, open_backend, providers_of
from fanout_mcp.backends.providers import maker_of, read, thinking_tokens
from fanout_mcp.edge.catalog import parse
from fanout_mcp.engine.limits import Limits
from fanout_mcp.errors import ContextTooSmall, InvalidInput, Rejected, SettingsError
from fanout_mcp.state import settings as reading
from fanout_mcp.state.settings import OPENROUTER_URL, Settings, with_setting
from fanout_mcp.tools.oracle_batch import TOOL
from fanout_mcp.tools.services import Services
from fanout_mcp.types import Job, Json, Prompt, Rate, no_progress

JOB = Job("judge", Prompt("You judge.", "Is it right?"))


def own_rows(config: Path, text: str) -> None:
    config.mkdir(parents=True, exist_ok=True)
    (config / "providers.toml").write_text(text)


@pytest.fixture
def bare(tmp_path: Path) -> Settings:
    (tmp_path / "project").mkdir()
    return Settings(
        root=tmp_path / "project", config_dir=tmp_path / "config", state_dir=tmp_path / ".claude" / "fanout"
    )


# --- the rows ---


def test_every_row_of_ours_can_be_reached_and_names_what_it_needs() -> None:
    rows = read(Path("none"))
    assert {"openrouter", "openai", "anthropic", "google", "xai", "deepseek", "mistral", "groq"} < set(rows)
    assert {"together", "fireworks", "azure", "ollama", "lmstudio", "vllm", "llamacpp"} < set(rows)
    for row in rows.values():
        assert row.client or row.name == "azure" or row.base_url.startswith(("https://", "http://127.0.0.1"))
        assert row.client or row.key or row.is_local
        assert row.is_local or row.client or row.name == "azure" or len(row.models_for("judge")) >= 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("openai = 3", "begin it with a line [openai]"),
        ("[Acme]", "small letters"),
        ("[acme]\nbase_ulr = 'x'", "no field base_ulr; did you mean base_url?"),
        ("[acme]\nbase_url = 3", "base_url of [acme] must be text in quotes"),
        ("[acme]\ntitle = 'Acme'", '[acme] needs base_url = "https://host/v1"'),
        ("[acme]\nbase_url = 'https://a/v1'\nlacks = ['wings']", "lacks of [acme] names 'wings'"),
        ("[acme]\nbase_url = 'https://a/v1'\nmodels.strong = 'x'", "must be lists of model names"),
        ("[acme]\nbase_url = 'https://a/v1'\nrequests_per_second = 'x'", "must be a number above 0"),
        ("[acme]\nbase_url = 'https://a/v1'\ntokens_per_minute = -1", "must be a number above 0"),
        ("[acme]\nbase_url = 'https://a/v1'\ntokens_per_minute = true", "must be a number above 0"),
        ("not toml", "can't be read"),
    ],
)
def test_a_wrong_row_is_named_with_what_to_do(tmp_path: Path, text: str, sentence: str) -> None:
    own_rows(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        read(tmp_path)
    assert sentence in str(caught.value)


def test_a_row_says_how_fast_its_models_may_be_asked(tmp_path: Path) -> None:
    own_rows(tmp_path, "[openai]\nrequests_per_second = 8\ntokens_per_minute = 2e6")
    assert read(tmp_path)["openai"].rate == Rate(8, 2_000_000)
    assert read(tmp_path)["openrouter"].rate == Rate()


def test_a_row_moved_to_another_host_takes_no_key_of_ours_along(tmp_path: Path) -> None:
    own_rows(tmp_path, '[openai]\nbase_url = "https://proxy.acme.example/v1"')
    assert read(tmp_path)["openai"].key is None
    own_rows(tmp_path, '[openai]\nbase_url = "https://proxy.acme.example/v1"\nkey = "ACME_KEY"')
    assert read(tmp_path)["openai"].key == "ACME_KEY"
    own_rows(tmp_path, '[openai]\nmodels.strong = ["mine"]')
    assert (read(tmp_path)["openai"].key, read(tmp_path)["openai"].models_for("judge")) == (
        "OPENAI_API_KEY",
        ("mine",),
    )


@pytest.mark.parametrize(
    ("model", "maker"),
    [
        ("~anthropic/claude-sonnet-latest", "anthropic"),
        ("openai:gpt-5.5", "openai"),
        ("groq:openai/gpt-oss-120b", "openai"),
        ("together:meta-llama/Llama-3.3-70B", "meta"),
        ("ollama:qwen3:8b", "alibaba"),
        ("acme/own-model", "acme"),
    ],
)
def test_the_maker_of_a_model_is_read_from_its_name(model: str, maker: str) -> None:
    assert maker_of(model) == maker


def test_families_that_think_get_an_output_budget_that_their_thinking_fits_into() -> None:
    assert thinking_tokens("gpt-5.5", "high") > thinking_tokens("gpt-5.5", "low") > 0
    assert thinking_tokens("llama-3.3-70b-versatile", "high") == 0
    assert thinking_tokens(None, "high") == 0


# --- agreeing ---


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'enabled = ["openai"]\n'),
        ("hedge = true\n", 'enabled = ["openai"]\nhedge = true\n'),
        (
            '# mine\nenabled = ["x"] # old\n[prices."m"]\nin = 1\nout = 2\n',
            '# mine\nenabled = ["openai"]\n[prices."m"]\nin = 1\nout = 2\n',
        ),
        ('enabled = [\n  "x",\n]\nhedge = true\n', 'enabled = ["openai"]\nhedge = true\n'),
        pytest.param(
            'enabled = [\r\n  "a",\r\n]\r\nhedge = true\r\n',
            'enabled = ["openai"]\r\nhedge = true\r\n',
            id="lines that end in CRLF",
        ),
        pytest.param(
            'enabled = ["a"]\r\nhedge = true\r\n',
            'enabled = ["openai"]\r\nhedge = true\r\n',
            id="CRLF, one line",
        ),
    ],
)
def test_agreeing_changes_one_line_of_the_users_file(before: str, after: str) -> None:
    assert with_setting(before, "enabled", ["openai"])[0] == after


@given(
    st.lists(st.sampled_from(["openai", "google", "ollama"]), unique=True),
    st.sampled_from(["", "hedge = true\n", "[prices.m]\nin = 1\nout = 1\n"]),
)
def test_every_agreement_is_read_back_and_nothing_else_changes(names: list[str], text: str) -> None:
    changed = tomllib.loads(with_setting(text, "enabled", names)[0])
    assert changed == {**tomllib.loads(text), "enabled": names}


def test_an_agreement_that_can_not_be_written_safely_says_what_to_write() -> None:
    with pytest.raises(SettingsError, match="Write the line yourself"):
        with_setting('backend = """\nenabled = ["a"]\n"""\n', "enabled", ["openai"])


def test_an_enabled_name_that_is_no_provider_is_an_error_with_the_nearest(bare: Settings) -> None:
    with pytest.raises(SettingsError, match="did you mean openai"):
        providers_of(replace(bare, enabled=("opnai",)), {})


def test_the_settings_hold_what_the_user_agreed_to(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "fanout").mkdir()
    (tmp_path / "fanout" / "config.toml").write_text('enabled = ["ollama", "openai", "ollama"]\n')
    env = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    assert reading.read(env, tmp_path / "work").enabled == ("ollama", "openai")
    (tmp_path / "fanout" / "config.toml").write_text("enabled = [1]\n")
    with pytest.raises(SettingsError, match="must be a list of names"):
        reading.read(env, tmp_path / "work")


@pytest.mark.parametrize(
    ("enabled", "env", "usable", "why"),
    [
        pytest.param(
            (), {"OPENAI_API_KEY": "k"}, [], "fanout providers enable openai", id="found, not enabled"
        ),
        pytest.param(("openai",), {}, [], "set OPENAI_API_KEY", id="enabled, without its key"),
        pytest.param(("openai",), {"OPENAI_API_KEY": "k"}, ["openai"], "", id="both"),
        pytest.param(
            (), {"OPENROUTER_API_KEY": "k"}, ["openrouter"], "set OPENAI_API_KEY", id="OpenRouter's key"
        ),
        pytest.param(
            ("azure",), {"AZURE_OPENAI_API_KEY": "k"}, [], "set OPENAI_API_KEY", id="Azure without a host"
        ),
    ],
)
def test_a_provider_is_used_when_the_user_agreed_and_its_key_is_there(
    bare: Settings, enabled: tuple[str, ...], env: Mapping[str, str], usable: list[str], why: str
) -> None:
    found = providers_of(replace(bare, enabled=enabled), env)
    assert list(found.usable) == usable
    assert found.missing(found.rows["openai"]) == why


def test_an_enabled_provider_alone_is_an_endpoint(bare: Settings) -> None:
    choice = choose(replace(bare, enabled=("openai",)), {"OPENAI_API_KEY": "k"})
    assert (choice.name, choice.why) == ("http", "you enabled OpenAI")
    assert choose(replace(bare, enabled=("openai",)), {}).name == "plan"


# --- names ---


@pytest.mark.parametrize(
    ("model", "provider", "rest"),
    [
        ("openai:gpt-5.5", "openai", "gpt-5.5"),
        ("ollama:qwen3:8b", "ollama", "qwen3:8b"),
        ("ollama", "ollama", ""),
        ("qwen3:8b", None, "qwen3:8b"),
        ("deepseek/deepseek-r1:free", None, "deepseek/deepseek-r1:free"),
        ("~openai/gpt-latest", None, "~openai/gpt-latest"),
        ("acme/m", None, "acme/m"),
    ],
)
def test_a_name_goes_to_its_provider_or_whole_to_the_endpoint(
    bare: Settings, model: str, provider: str | None, rest: str
) -> None:
    found = providers_of(replace(bare, enabled=("openai", "ollama")), {"OPENAI_API_KEY": "k"})
    row, name = found.split(model)
    assert (row.name if row else None, name) == (provider, rest)


def test_a_name_that_only_looks_like_a_providers_is_the_local_servers_own(bare: Settings) -> None:
    local = replace(bare, base_url="http://127.0.0.1:11434/v1")
    assert providers_of(local, {}).split("mistral:7b") == (None, "mistral:7b")


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("openai:gpt-5.5", "OpenAI is not in use yet: fanout providers enable openai. No one was asked."),
        ("google:x", "Google Gemini is not in use yet: set GEMINI_API_KEY"),
        ("olama:qwen3", "there is no provider 'olama'. Did you mean ollama:…?"),
    ],
)
def test_a_provider_that_may_not_be_asked_is_an_error_that_says_how(
    bare: Settings, model: str, sentence: str
) -> None:
    found = providers_of(replace(bare, enabled=("ollama",)), {"OPENAI_API_KEY": "k"})
    with pytest.raises(InvalidInput) as caught:
        found.split(model)
    assert sentence in str(caught.value)


# --- several in one backend ---


OTHERWISE = Rule("other", text=verdict("STOP", blocker="It loses data.", smallest_change="Copy it."))
"""One member disagrees, so that the vote stays open for the slowest."""


class Stage:
    """Two providers of the user's own on loopback, and what each of them saw."""

    def __init__(self, stack: ExitStack, settings: Settings, **rules: list[Rule]) -> None:
        self.acme: Upstream = stack.enter_context(serving(*rules.get("acme", [])))
        self.zeta: Upstream = stack.enter_context(serving(OTHERWISE))
        self.rows = f"""
            [acme]
            base_url = "{self.acme.url}"
            key = "ACME_KEY"
            maker = "acme"
            models.strong = ["acme-old", "acme-new", "acme-last"]
            [zeta]
            base_url = "{self.zeta.url}"
            maker = "zeta"
            models.strong = ["zeta-1"]
            """
        own_rows(settings.config_dir, self.rows)
        self.settings = replace(settings, enabled=("acme", "zeta"))
        self.env = {"ACME_KEY": "sk-9f3a-0123456789"}

    async def consult(self, **arguments: Json) -> dict[str, Json]:
        async with open_backend(self.settings, self.env) as backend:
            services = Services(self.settings, backend, Limits(50, route=backend.route))
            parsed = parse(TOOL.arguments, {"question": "Is it wise?", **arguments})
            with anyio.fail_after(30):
                result = await TOOL.call(services, parsed, no_progress)
        data: dict[str, Json] = result.data
        return data

    def models(self) -> tuple[list[str], list[str]]:
        return sorted(seen.model for seen in self.acme.log), sorted(seen.model for seen in self.zeta.log)


@pytest.mark.anyio
async def test_members_named_by_provider_are_asked_there_each_with_its_own_key(bare: Settings) -> None:
    with ExitStack() as stack:
        stage = Stage(stack, bare)
        data = await stage.consult(models=["acme:acme-new", "zeta:zeta-1", "zeta:other"])
        assert stage.models() == (["acme-new"], ["other", "zeta-1"])
        assert stage.acme.log[0].headers["authorization"] == "Bearer sk-9f3a-0123456789"
        assert all("authorization" not in seen.headers for seen in stage.zeta.log)
    assert [vote["model"] for vote in data["votes"]] == ["acme:acme-new", "zeta:zeta-1", "zeta:other"]


@pytest.mark.anyio
async def test_the_default_panel_takes_different_makers_from_what_is_enabled(bare: Settings) -> None:
    with ExitStack() as stack:
        stage = Stage(stack, bare)
        await stage.consult()
        assert stage.models() == (["acme-old", "acme-old"], ["zeta-1"])


@pytest.mark.anyio
async def test_a_retired_model_is_answered_for_by_the_next_of_its_row_and_the_receipt_says_so(
    bare: Settings,
) -> None:
    gone = Rule(
        "acme-old", "status", status=404, body='{"error": {"message": "No endpoints found for acme-old."}}'
    )
    with ExitStack() as stack:
        stage = Stage(stack, bare, acme=[gone])
        data = await stage.consult(models=["acme:acme-old", "zeta:zeta-1", "zeta:other"])
        assert stage.models()[0] == ["acme-new", "acme-old"]
    judge = data["votes"][0]
    assert (judge["model"], judge["instead_of"]) == ("acme:acme-new", "acme:acme-old")
    assert data["receipt"]["calls"] == 4
    (told,) = data["receipt"]["fallbacks"]
    assert (told["member"], told["asked"], told["answered"]) == ("judge", "acme:acme-old", "acme:acme-new")
    assert "No endpoints found for acme-old" in told["why"]


@pytest.mark.anyio
async def test_when_all_of_a_row_is_gone_every_model_is_named_with_its_reason(bare: Settings) -> None:
    gone = Rule("acme", "status", status=404, body='{"error": {"message": "The model does not exist"}}')
    with ExitStack() as stack:
        stage = Stage(stack, bare, acme=[gone])
        data = await stage.consult(models=["acme:acme-old", "zeta:zeta-1", "zeta:other"])
        assert stage.models()[0] == ["acme-last", "acme-new", "acme-old"]
    (lost,) = data["failed"]
    assert lost["reason"].startswith("acme:acme-old: 127.0.0.1:")


@pytest.mark.anyio
async def test_a_content_filter_is_asked_neither_again_nor_elsewhere(bare: Settings) -> None:
    with ExitStack() as stack:
        stage = Stage(stack, bare, acme=[Rule(finish="content_filter")])
        data = await stage.consult(models=["acme:acme-old", "zeta:zeta-1", "zeta:other"])
        assert stage.models()[0] == ["acme-old"]
    assert (data["receipt"]["calls"], [lost["member"] for lost in data["failed"]]) == (3, ["judge"])


@pytest.mark.anyio
async def test_a_key_alone_sends_nothing_beside_the_chosen_endpoint(bare: Settings) -> None:
    with serving() as local:
        settings = replace(bare, base_url=local.url)
        async with open_backend(settings, {"OPENROUTER_API_KEY": "k", "OPENAI_API_KEY": "k"}) as backend:
            seat = backend.seating()
            assert [seat(name) for name in ("judge", "critic", "skeptic")] == [None] * 3


@pytest.mark.anyio
async def test_a_local_name_that_a_provider_would_have_is_refused_with_a_hint(bare: Settings) -> None:
    gone = Rule(kind="status", status=404, body='{"error": {"message": "model not found"}}')
    with serving(gone) as local:
        async with open_backend(replace(bare, base_url=local.url), {"OPENAI_API_KEY": "k"}) as backend:
            with pytest.raises(Rejected, match="If OpenAI was meant: fanout providers enable openai"):
                await backend.ask(replace(JOB, model="openai:gpt-5.5"))


@pytest.mark.anyio
async def test_the_hint_leaves_what_the_engine_decides_by(bare: Settings) -> None:
    body = (
        '{"error": {"message": "maximum context length is 4096 tokens. However, you requested 9000 tokens"}}'
    )
    with serving(Rule(kind="status", status=400, body=body)) as local:
        async with open_backend(replace(bare, base_url=local.url), {"OPENAI_API_KEY": "k"}) as backend:
            with pytest.raises(ContextTooSmall, match="If OpenAI was meant") as caught:
                await backend.ask(replace(JOB, model="openai:gpt-5.5"))
    assert caught.value.limit == 4096


@pytest.mark.anyio
async def test_no_question_waits_for_prices_where_no_dollars_are_counted(bare: Settings) -> None:
    with serving() as local:
        async with open_backend(replace(bare, base_url=local.url)) as backend:
            await backend.ask(replace(JOB, model="a"))
        assert (len(local.log), local.model_lists) == (1, 0)


@pytest.mark.anyio
async def test_an_azure_deployment_is_asked_by_its_path_version_and_header(bare: Settings) -> None:
    with serving() as azure:
        base = azure.url.removesuffix("/v1") + "/openai"
        own_rows(bare.config_dir, f'[azure]\nbase_url = "{base}"\nkey = "AZURE_OPENAI_API_KEY"')
        settings = replace(bare, enabled=("azure",))
        async with open_backend(settings, {"AZURE_OPENAI_API_KEY": "abc123"}) as backend:
            await backend.ask(replace(JOB, model="azure:my deployment"))
    (seen,) = azure.log
    assert seen.target == "/openai/deployments/my%20deployment/chat/completions?api-version=2024-10-21"
    assert (seen.headers["api-key"], "authorization" in seen.headers) == ("abc123", False)
    assert seen.body["max_completion_tokens"] == JOB.max_tokens


@pytest.mark.anyio
async def test_openrouters_default_models_need_no_provider_in_their_names(bare: Settings) -> None:
    settings = replace(bare, base_url=OPENROUTER_URL, api_key="k")
    async with open_backend(settings, {}) as backend:
        seat = backend.seating()
        panel = [seat(name) for name in ("judge", "critic", "skeptic")]
        assert panel == ["~anthropic/claude-sonnet-latest", "~openai/gpt-latest", "x-ai/grok-4.5"]
        assert backend.route(panel[0]).fallbacks[0] == "~anthropic/claude-opus-latest"
        assert backend.default_model("summary") == "~google/gemini-flash-latest"


@pytest.mark.anyio
async def test_a_wrong_key_is_answered_for_by_another_provider_that_the_user_agreed_to(
    bare: Settings,
) -> None:
    wrong = Rule(kind="status", status=401, body='{"error": {"message": "Incorrect API key provided"}}')
    with ExitStack() as stack:
        stage = Stage(stack, bare, acme=[wrong])
        data = await stage.consult(models=["acme:acme-old", "zeta:zeta-1", "zeta:other"])
        assert stage.models() == (["acme-old"], ["other", "zeta-1", "zeta-1"]), (
            "the key is the same for acme-new"
        )
    assert [vote["model"] for vote in data["votes"]] == ["zeta:zeta-1", "zeta:zeta-1", "zeta:other"]
    (stand_in,) = data["receipt"]["fallbacks"]
    assert (stand_in["asked"], stand_in["answered"]) == ("acme:acme-old", "zeta:zeta-1")
    assert "Incorrect API key provided" in stand_in["why"]


@pytest.mark.anyio
async def test_a_provider_that_was_not_agreed_to_stands_in_for_no_other(bare: Settings) -> None:
    wrong = Rule(kind="status", status=401, body='{"error": {"message": "Incorrect API key provided"}}')
    with ExitStack() as stack:
        stage = Stage(stack, bare, acme=[wrong])
        stage.settings = replace(stage.settings, enabled=("acme",))
        data = await stage.consult(models=["acme:acme-old", "acme:acme-new", "acme:acme-last"])
        assert stage.models()[1] == []
    assert len(data["failed"]) == 3


@pytest.mark.anyio
async def test_a_member_with_a_small_context_gets_what_fits_and_says_so(bare: Settings) -> None:
    (bare.root / "long.md").write_text("A line of the plan.\n" * 2_000 + "end of the plan\n")
    too_long = "This model's maximum context length is 4096 tokens, your messages resulted in 14000 tokens."
    small = Rule("end of the plan", "status", status=400, body=json.dumps({"error": {"message": too_long}}))
    with ExitStack() as stack:
        stage = Stage(stack, bare, acme=[small])
        only = ["acme:unlisted", "zeta:zeta-1", "zeta:other"]
        own_rows(bare.config_dir, stage.rows.replace(LISTED, ""))
        data = await stage.consult(models=only, files=["long.md"])
        first, second = stage.acme.log
    assert "end of the plan" in first.prompt
    assert "was left out: it does not fit into this model's context" in second.prompt
    assert second.prompt.count("A line of the plan.") > 100
    assert data["votes"][0]["summary"].endswith("(judged a shortened prompt, its context is small)")


LISTED = 'models.strong = ["acme-old", "acme-new", "acme-last"]'
