"""A call depends on an earlier agent when it says so, refers back, or names what only that agent said."""

from __future__ import annotations

import time

import pytest

from fanout_hooks.gate import dependence
from fanout_hooks.gate.dependence import Earlier

EARLIER = "Explore the auth module\nExplore src/auth and report how sessions are kept."
ANSWER = (
    "Sessions live in src/auth/session_store.py (class SessionStore, line 142). Tokens expire after 3600 s. "
    'The comment says "never rotate in place". Redis is used by refreshToken().'
)
PROMPT = "Explain how auth, billing and search work in this repository, and find what is slow in billing."


WEIGHED = "the two may be one piece of work"

ALIKE = (
    pytest.param("Explore auth", "Explore billing", id="one word"),
    pytest.param("Explore src/auth.", "Explore src/billing.", id="one path"),
    pytest.param(
        "Review auth.py for leaks. List line numbers.",
        "Review mail.py for leaks. List line numbers.",
        id="a shared sentence",
    ),
    pytest.param(
        "Research Kafka as a queue: pros and cons.", "Research NATS as a queue: pros and cons.", id="a name"
    ),
    pytest.param(
        "Write unit tests for pkg/money/parse.go. Cover overflow.",
        "Write unit tests for pkg/dates/parse.go. Cover leap years.",
        id="changes in files of their own",
    ),
    pytest.param("List TODOs in src/ai, with age.", "List TODOs in src/ui, with age.", id="a folder"),
    pytest.param(
        "Migrate src/users.py to asyncpg as in src/orders.py.",
        "Migrate src/coupons.py to asyncpg as in src/orders.py.",
        id="one pattern that both read",
    ),
    pytest.param("Translate README.md to German.", "Translate README.md to Spanish.", id="one source"),
    pytest.param(
        "Review screens/Login for labels.",
        "Review screens/Cart for labels, both shown and hidden.",
        id="a place in both",
    ),
    pytest.param(
        "Describe logging in Go: libraries, format, levels.",
        "Describe logging in Rust: libraries, format, levels.",
        id="a noun that is a verb elsewhere",
    ),
)
FREE = (
    pytest.param(
        "Research push on web\nWhat is the state of web push on iOS, its quotas and rules?",
        "Research sync on Android\nWhich options are there for periodic work in the background?",
        "",
        id="one verb",
    ),
    pytest.param(
        "Check provider\nWhich of our resources break between 4.2 and 5.5 of the provider?",
        "Check exporter\nWhat doesn't work any more when dashboards go from 3.20 to 3.39?",
        "",
        id="parts of a number, and a plain word",
    ),
    pytest.param(
        "Research hosts\nWhere in Europe can it run: Fly, Hetzner or Gigalixir?",
        "Research copies\nHow are databases that run on Hetzner copied every night?",
        "it mentions",
        id="a name that was chosen",
    ),
    pytest.param(
        "Research push on web\nWhat is the state of web push on iOS, its quotas and rules?",
        "Research mail\nHow well do push messages and mails render in the clients that people have?",
        "it mentions",
        id="the first's subject",
    ),
    pytest.param(
        "Run load test\nSend 200 requests a second to the staging server for an hour.",
        "Run load test with pool 40\nSend 300 requests a second to another server for two hours.",
        "two of this kind",
        id="works that disturb each other",
    ),
    pytest.param(
        "Fix header\nThe header overlaps the status bar on tablets in split view.",
        "Fix prices\nPrices are sometimes one cent too low in the wallet view.",
        "",
        id="changes in places that aren't named",
    ),
    pytest.param(
        "Profile churn data\nList type, share of nulls and cardinality of each column of data/churn.parquet, "
        "and the rows that look like test accounts. Numbers only, and write no files.",
        "Map network\nWhich subnets, gateways and peerings does infra/network have, and what is open to all? "
        "For each rule give file and line.",
        "",
        id="inquiries without a form, a subject or a name in common",
    ),
    pytest.param(
        "Profile churn data\nGive type, share of nulls and cardinality of each column of "
        "churn.parquet, no files.",
        "Explain churn\nWhich of our customers left last year, in what regions, and what did they say to us?",
        "",
        id="inquiries with one subject",
    ),
    pytest.param(
        "Port Makefile\nConvert ./Makefile into a justfile with the same targets, and "
        "check that `just --list` works.",
        "Fix dead zone\nsrc/input/gamepad.cpp treats axes apart. Make ApplyDeadZone radial, with tests.",
        WEIGHED,
        id="changes without a form, a subject or a name in common",
    ),
    pytest.param(
        "Review network code\nReview Sources/Network for races and swallowed errors. At "
        "most 8 comments with lines.",
        "Review storage code\nReview Sources/Storage for slow writes on the main thread. "
        "Are shipped files edited again?",
        "",
        id="words that the prompt itself explains",
    ),
    pytest.param(
        "Write formatter\nWrite tests for core/money.kt beside it: signs, rounding. Run "
        "`./gradlew test` at the end.",
        "Write validator\nWrite tests for user/iban.kt beside it: lengths, mod 97. Run "
        "`./gradlew test` when done.",
        "",
        id="a file that both only run",
    ),
    pytest.param(
        "Add French\nCreate src/i18n/fr.ts from docs/fr.csv. Register the language in src/i18n/index.ts.",
        "Add Polish\nCreate src/i18n/pl.ts from docs/pl.csv. Register the language in src/i18n/index.ts.",
        "both work on src/i18n/index.ts",
        id="a file that both change in passing",
    ),
    pytest.param(
        "Read a\nRead the API.",
        "Read b\nWhat does the CLI print?",
        WEIGHED,
        id="short prompts",
    ),
)
CHANGED = (
    pytest.param(
        "Add a --timeout flag to cmd/main.go.", "Add a --retries flag to cmd/main.go.", id="one file"
    ),
    pytest.param("Add a logout button to the header.", "Add a search box to the header.", id="one place"),
    pytest.param("Write chapter 3 of the guide.", "Write chapter 4 of the guide.", id="the next chapter"),
    pytest.param(
        "Write migration 0042_tenants.sql.", "Write migration 0043_owners.sql.", id="the next migration"
    ),
    pytest.param(
        "Implement the service layer in shop/service.go.",
        "Implement the HTTP layer in shop/http.go, using the service.",
        id="what the first makes",
    ),
    pytest.param("Write the parser.", "Write the command line.", id="parts of one work"),
    pytest.param(
        "Refactor the eviction code of src/cache.py into small functions, with no changes to its interface.",
        "Refactor the expiry code of src/cache.py into small functions, with no changes to its interface.",
        id="an edit that leaves something as it is",
    ),
    *(
        pytest.param(
            f"Create src/i18n/fr.ts from docs/fr.csv{enters.format('French')}",
            f"Create src/i18n/pl.ts from docs/pl.csv{enters.format('Polish')}",
            id=name,
        )
        for name, enters in {
            "an index that both edit": ". Modify src/i18n/index.ts to load {0}.",
            "a pattern that both edit": " as in src/i18n/index.ts, and update src/i18n/index.ts accordingly.",
            "a table that both enter": ". Expose {0} in src/i18n/index.ts.",
        }.items()
    ),
    pytest.param("Scaffold the shop package.", "Scaffold the mail package.", id="a foundation"),
)
DISTURB = (
    pytest.param("Deploy auth to staging.", "Deploy billing to staging.", id="deployments"),
    pytest.param("Benchmark the encoder.", "Benchmark the decoder.", id="measurements"),
    pytest.param("Profile the data loader.", "Profile the image decoder.", id="profiles"),
    pytest.param("Merge branch fix-a.", "Merge branch fix-b.", id="merges"),
    pytest.param(
        "Try a learning rate of 0.1 and train.", "Try a learning rate of 0.5 and train.", id="experiments"
    ),
    pytest.param(
        "Check whether the leak comes from the cache.",
        "Check whether the leak comes from the socket.",
        id="suspects",
    ),
)


@pytest.mark.parametrize(("first", "second"), ALIKE)
def test_two_of_one_form_could_have_gone_together(first: str, second: str) -> None:
    assert why_of(first, second) == ""


@pytest.mark.parametrize(("first", "second", "why"), FREE)
def test_two_that_are_worded_freely_could_have_gone_together_too(first: str, second: str, why: str) -> None:
    answer = "Hetzner is cheapest. 3 to change, 20 MB. It doesn't scale."
    found = dependence.why(second, Earlier(first, answer), "Please help me with this.")
    assert found.startswith(why) if why else found == ""


@pytest.mark.parametrize(("first", "second"), CHANGED)
def test_what_may_work_on_the_same_passes(first: str, second: str) -> None:
    assert why_of(first, second)


@pytest.mark.parametrize(("first", "second"), DISTURB)
def test_what_may_disturb_each_other_passes(first: str, second: str) -> None:
    assert why_of(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("Explore auth", "Review billing for bugs.", id="another verb"),
        pytest.param("Explore auth", "Explore auth with a focus on tokens", id="the same with an addition"),
        pytest.param("Explore auth", "Explore auth", id="the same again"),
        pytest.param("Explore auth", "Explore how billing talks to auth", id="the first's subject"),
        pytest.param(
            "Erkunde das Modul auth und die Tests", "Erkunde das Modul mail und die Tests", id="German"
        ),
        pytest.param("\u5206\u6790 auth \u6a21\u5757", "\u5206\u6790 mail \u6a21\u5757", id="Chinese"),
    ],
)
def test_what_is_not_clearly_one_form_passes(first: str, second: str) -> None:
    assert why_of(first, second)


def why_of(first: str, second: str) -> str:
    made, then = (f"{' '.join(text.split()[:4])}\n{text}" for text in (first, second))
    return dependence.why(then, Earlier(made, "Done.", "general-purpose"), "Please help me with this.")


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(
            "Look closer\nRead src/auth/session_store.py and explain locking.", id="path from the answer"
        ),
        pytest.param("Look closer\nExplain SessionStore in detail.", id="identifier from the answer"),
        pytest.param("Look closer\nWhy is expiry 3600?", id="number from the answer"),
        pytest.param(
            "Look closer\nWho wrote 'never rotate in place' and why?", id="quoted phrase from the answer"
        ),
        pytest.param(
            "Look closer\nHow is Redis configured for us, and how is Redis closed?",
            id="a name from the answer",
        ),
        pytest.param("Fix\nFix the problem found in auth.", id="found"),
        pytest.param("Fix\nFix the bugs identified by the explorer.", id="identified by"),
        pytest.param("Plan\nBased on the exploration, write a plan.", id="based on"),
        pytest.param("Plan\nGiven the findings, decide what to change first.", id="given the findings"),
        pytest.param("Second opinion\nDouble-check the earlier answer.", id="the earlier answer"),
        pytest.param("Next\nNow that we know how sessions work, design the cache.", id="now that"),
        pytest.param("Next\nImplement the plan.", id="implement the plan"),
        pytest.param("Next\nContinue with the remaining modules.", id="continue"),
        pytest.param("Next\nReview the changes for mistakes.", id="the changes"),
        pytest.param("Next\nVerify that this is right.", id="verify that"),
        pytest.param("Next\nExplain those functions in depth.", id="those functions"),
        pytest.param("Next\ndepends on: Explore the auth module\nRead billing.", id="it says so"),
        pytest.param("Next\nUse the results to write docs.", id="use the results"),
        pytest.param("Next\nAs reported above, billing is slow. Profile it.", id="as reported above"),
    ],
)
def test_a_dependent_task_is_recognised(task: str) -> None:
    assert dependence.why(task, Earlier(EARLIER, ANSWER), PROMPT)


def test_what_the_human_named_before_may_stand_in_an_answer_too() -> None:
    prompt = "Look at src/auth/session_store.py and at src/billing/invoice.py."
    earlier = Earlier("Store\nExplain src/auth/store.py.", "See src/billing/invoice.py too.")
    assert not dependence.why("Invoice\nExplain src/billing/invoice.py.", earlier, prompt)
    assert dependence.why("Invoice\nExplain src/billing/invoice.py.", earlier, "Look at src/auth/store.py.")


def test_what_answers_before_the_last_one_say_counts_too() -> None:
    earlier = Earlier("Explain auth\nExplain auth.", "Fine.")
    assert dependence.why("Ledger\nExplain ledger.", earlier, "Explain.", "The ledger is slow.")


@pytest.mark.parametrize(
    "answer",
    [
        "API Error: 529 overloaded",
        "I could not access the page.",
        "No match in src/.",
        "I read all of it. There is no such place.",
        "",
    ],
)
def test_after_a_failure_the_next_attempt_passes(answer: str) -> None:
    earlier = Earlier("Search src\nSearch src for the limit.", answer)
    assert bool(dependence.why("Search lib\nSearch lib for the limit.", earlier, "")) == bool(answer)


@pytest.mark.parametrize(
    "prompt",
    [
        "Look at them one by one.",
        "First auth, then billing.",
        "Don't run them at the same time, wait for each.",
    ],
)
def test_an_order_that_the_person_asked_for_is_kept(prompt: str) -> None:
    assert dependence.why("Mail\nExplore mail", Earlier("Auth\nExplore auth", "Fine."), prompt)


def test_all_of_what_an_answer_lists_depends_on_it() -> None:
    earlier = Earlier(
        "Find hot loops\nFind hot loops in src/decoder, with their share of time.", "Parse, blit, hash."
    )
    second = (
        "Find {0}\nFind {0} in src/encoder that are slow, with their share of time and what each {1} costs."
    )
    assert dependence.why(second.format("loops", "blit"), earlier, PROMPT).startswith("it names")
    assert not dependence.why(second.format("loops", "round"), earlier, PROMPT)


def test_a_small_number_counts_where_the_second_says_what_it_is_about() -> None:
    earlier = Earlier(
        "Triage bugs\nFind open issues in our tracker that are regressions since last release.",
        "Issues 47 and 52 are regressions.",
    )
    second = "Triage {0}\nSay who should own {0} in our tracker and what fixing it would take."
    assert dependence.why(second.format("issue 47"), earlier, PROMPT)


def test_a_pattern_of_folders_names_nothing() -> None:
    tasks = (
        "Fix the parser in parse.go and run `go test ./...`.",
        "Fix the lexer in lex.go and run `go test ./...`.",
    )
    assert why_of(*tasks) == ""


def test_names_are_matched_as_whole_words() -> None:
    earlier = Earlier("Line 40\nExplain line 40 of billing.", "There are 1423 lines.")
    assert not dependence.why("Line 62\nExplain line 62 of billing.", earlier, PROMPT)


@pytest.mark.parametrize("link", ["a-", "a--", "a@", "a_", "toolongword.", "toolongword.-", "-"])
def test_a_long_chain_of_words_is_read_in_linear_time(link: str) -> None:
    def took_s(size: int) -> float:
        began = time.thread_time()
        dependence.why(f"Check\n{link * (size // len(link))}", Earlier(EARLIER, ANSWER), PROMPT)
        return time.thread_time() - began

    once, four_times = (min(took_s(size) for _ in range(3)) for size in (5_000, 20_000))
    assert four_times < 8 * once  # 16 would be quadratic


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see --my-file.json and -x.py", ["my-file.json", "x.py"]),
        ("a..b-c.py, .eslintrc.json", ["b-c.py", "eslintrc.json"]),
        ("foo-bar.run() of a-b.c-d.toml", ["a-b.c-d.toml"]),
        ("@scope/some-package, x@host/y", ["@scope/some-package", "x@host/y"]),
    ],
)
def test_names_begin_where_their_first_word_does(text: str, found: list[str]) -> None:
    assert list(dependence.names(text)) == found
