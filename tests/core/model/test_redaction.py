"""Secrets in every usual spelling are gone, and all other text stays as it is."""

import base64
import html
import json
import re
import shlex
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stepwell.model.redaction import Redactor, here, is_secret_name, redacted

SECRET = 'p@ss/w+rd "quoted" \\ äöü €'
SECRET_NAMES = [
    *("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "DB_PASSWORD", "PGPASSWORD"),
    *("MYSQL_PWD", "apiKey", "APIKEY", "OPENAI_API_KEY", "ACCOUNT_KEY", "AccountKey", "PRIVATE_KEY"),
    *("AZURE_STORAGE_CONNECTION_STRING", "connectionString", "CONN_STR", "SAS", "SAS_TOKEN", "BLOB_SAS"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "client-secret", "SMTP_PASS", "ssh_passphrase", "tokens"),
    *("passwd", "SharedAccessKey", "sas2", "DEPLOY_KEY", "AZURE_SEARCH_KEY", "SSH_KEY", "GITHUB_PAT", "COOKIE"),
    *("SESSION_COOKIE", "BEARER", "AUTH", "NPM_AUTH", "DOCKER_AUTH_CONFIG", "SSH", "ID_RSA", "SLACK_WEBHOOK_URL"),
    *("webhook", "DISCORD_HOOK_URL", "Authorization", "MY-SECRET", "my.token", "DB_PW", "DB_CREDS", "SSHPASS", "pin"),
    *("SECRETKEY", "JSESSIONID", "csrf"),
]
OTHER_NAMES = [
    *("PWD", "OLDPWD", "PATH", "HOME", "TOKENIZERS_PARALLELISM", "SECRETARY", "KEYBOARD", "SASHA"),
    *("COMPASS", "BYPASS", "SSH_AUTH_SOCK", "PASSES", "X", "SSH_CONNECTION", "SSH_TTY", "XAUTHORITY", "GIT_SSH"),
    *("PRIMARY_KEY", "label_key", "sort_key", "PUBLIC_KEY", "CACHE_KEY", "KEY", "MONKEY", "HOTKEY", "COOKIECUTTER"),
    *("COOKIE_DOMAIN", "AUTHOR", "AUTH_TYPE", "PATH_INFO", "PATTERN", "pin_memory", "SACRED", "KEYWORDS", "PINS"),
]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_secret_names(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_other_names(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "spelling",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        repr(SECRET),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        re.sub("%..", lambda code: code[0].lower(), quote(SECRET, safe="")),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_spellings(spelling):
    assert Redactor([SECRET]).redact(f"a {spelling} z") in ("a *** z", 'a "***" z', "a '***' z")


SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=6, max_size=30)


@settings(max_examples=200, deadline=None)
@given(SECRETS, st.binary(max_size=7), st.binary(max_size=7), st.booleans())
def test_base64_at_any_place(secret, before, after, urlsafe):
    assume(Redactor([secret]).redact(secret) == "***")
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    data = before + secret.encode() + after
    left = Redactor([secret]).redact(encode(data).decode())
    assert "***" in left
    assert len(left) <= len(encode(data)) - 7 + 3


@settings(max_examples=200, deadline=None)
@given(st.lists(SECRETS, max_size=4), st.text(), st.text())
def test_no_value_survives(secrets, before, after):
    redactor = Redactor(secrets)
    for secret in secrets:
        if redactor.redact(secret) == "***":
            assert secret not in redactor.redact(f"{before}|{secret}|{after}").replace("***", "*")


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_characters="@", codec="utf-8")))
def test_other_text_is_unchanged(text):
    redactor = Redactor(["hunter2-hunter2", "correct horse battery"])
    assume("hunter2" not in text and "horse" not in text)
    assert redactor.redact(text) == text


def test_longest_first():
    assert Redactor(["abcdef", "abcdefgh", "abcdefghij"]).redact("abcdefghij abcdefgh abcdef") == "*** *** ***"


@pytest.mark.parametrize(
    "value", ["", "abc", "12345", "true", "localhost", "-1.234", "******", "      ", "PASSWORD", "-12345"]
)
def test_trivial_values_stay(value):
    text = f"is {value} here"
    assert Redactor([value]).redact(text) == text


def test_long_numbers_are_secrets():
    assert Redactor(["123456"]).redact("pin 123456") == "pin ***"


def test_lines_of_a_private_key_are_secrets_each():
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQ==\n-----END PRIVATE KEY-----\n"
    redactor = Redactor.of_environment({"PRIVATE_KEY": key})
    assert redactor.redact("MIIEvQIBADANBg") == redactor.redact("kqhkiG9w0BAQ==") == "***"
    assert "MIIE" not in redactor.redact(json.dumps({"key": key}))
    assert redactor.redact("-----BEGIN CERTIFICATE-----") == "-----BEGIN CERTIFICATE-----"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://me:s3cr:et@db:5432/x", "postgres://***@db:5432/x"),
        ("git clone https://ghp_abc@github.com/a/b", "git clone https://***@github.com/a/b"),
        ('{"url": "https://u:p@h/x", "b": "c@d"}', '{"url": "https://***@h/x", "b": "c@d"}'),
        ("https://u:p@ss@host", "https://***@host"),
        ("see https://example.org/@name and a@b.c", "see https://example.org/@name and a@b.c"),
        ("http://[::1]:80/a b@c", "http://[::1]:80/a b@c"),
    ],
)
def test_user_information_of_urls(text, expected):
    assert Redactor([]).redact(text) == expected
    assert Redactor(["something"]).redact(expected) == expected


def test_values_of_the_environment():
    redactor = Redactor.of_environment(
        {
            "API_TOKEN": "tok-123456",
            "HOME": "/home/someone",
            "PWD": "/work/folder",
            "DATABASE_URL": "postgres://admin:sw0rd%2Ffish@db/x",
            "STORAGE": "AccountName=public1;AccountKey=a2V5a2V5a2V5==;EndpointSuffix=core.windows.net",
            "LINK": "https://x.blob.core.windows.net/c?sv=2020-08-04&sig=SiGnAtUrE%3D&se=2030",
        },
        extra=["told-as-well"],
    )
    text = (
        "tok-123456 /home/someone /work/folder sw0rd%2Ffish sw0rd/fish a2V5a2V5a2V5== public1 SiGnAtUrE= told-as-well"
    )
    assert redactor.redact(text) == "*** /home/someone /work/folder *** *** *** public1 *** ***"


def test_bytes_that_are_not_utf8():
    assert Redactor(["caf\udce9-secret", "\ud800-secret"]).redact("caf\udce9-secret") == "***"


def test_a_redactor_does_not_show_its_secrets():
    assert "hunter2" not in repr(Redactor(["hunter2-hunter2"]))


@pytest.mark.parametrize(
    "text", ["a" * 1_000_000, "://" * 300_000 + "@", "://" + "a" * 1_000_000, "a.b-" * 250_000 + "://@"]
)
def test_hostile_text_takes_linear_time(text):
    redactor = Redactor([f"{number:03}-secret-value" for number in range(50)])
    start = time.process_time()
    redactor.redact(text)
    assert time.process_time() - start < 5


# Parts of a secret ----------------------------------------------------------------------------------------------------

TOKEN = "tK9" + "q8W7e6R5" * 4


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("postgres://admin:hunter2-pw@db:5432/x", "hunter2-pw"),
        ("postgres://admin:hunter2-pw@db:5432/x", "admin:hunter2-pw"),
        ("postgres://admin:sw0rd%2Ffish@db/x", "sw0rd/fish"),
        ("postgres://admin:sla/sh-pw@db/x", "sla/sh-pw"),
        (f"https://{TOKEN}@github.com/a/b", TOKEN),
        (f"https://{TOKEN}:x-oauth-basic@github.com/a/b", TOKEN),
        (f"https://host/x?region=eu&token={TOKEN}#top", TOKEN),
        ("https://host/x?sv=2020&sig=SiGnAtUrE%3D", "SiGnAtUrE="),
        (f"https://maps/x?key={TOKEN}", TOKEN),
        (f"https://hooks/services/T00000000/B11111111/{TOKEN}", TOKEN),
        (f"Bearer {TOKEN}", TOKEN),
        ("Basic " + base64.b64encode(b"me:hunter2-pw").decode(), "hunter2-pw"),
        (base64.b64encode(b"hunter2-pw").decode(), "hunter2-pw"),
        (
            json.dumps({"user": "me", "auths": {"r": {"auth": base64.b64encode(b"me:hunter2-pw").decode()}}}),
            "hunter2-pw",
        ),
        ("Server=db;User Id=me;Password='hunter2-pw';", "hunter2-pw"),
        ("host=db user=me password=hunter2-pw", "hunter2-pw"),
    ],
)
def test_parts_of_a_declared_secret(secret, text):
    for redactor in (Redactor([secret]), Redactor([], [secret]), Redactor.of_environment({"DB_SECRET": secret})):
        assert "***" in redactor.redact(f"is {text} there")
        for spelling in (text, quote(text, safe=""), base64.b64encode(text.encode()).decode(), text.encode().hex()):
            assert spelling not in redactor.redact(f"is {spelling} there")
        assert redactor.redact("postgres admin region eu me host") == "postgres admin region eu me host"


@pytest.mark.parametrize(
    "spelling",
    [
        lambda s: quote(quote(s, safe=""), safe=""),
        lambda s: quote(base64.b64encode(s.encode()).decode(), safe=""),
        lambda s: html.escape(s),
        lambda s: shlex.quote(s)[1:-1],
        lambda s: s.encode().hex().upper(),
    ],
)
def test_more_spellings(spelling):
    assert Redactor([SECRET + "'"]).redact(f"a {spelling(SECRET + chr(39))} z") == "a *** z"


def test_lines_of_base64():
    secret = "".join(f"{number:04}-" for number in range(40))
    for line in base64.encodebytes(secret.encode()).decode().splitlines():
        assert Redactor([secret]).redact(line) == "***"


def test_secrets_inside_other_variables():
    redactor = Redactor.of_environment(
        {"SETTINGS": json.dumps({"db": {"password": "hunter2-pw"}, "name": "plain-name"})}
    )
    assert redactor.redact("hunter2-pw plain-name") == "*** plain-name"


# Short ones -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["1234", "q-7x", "p4ss!"])
def test_short_declared_values_are_masked_as_words(value):
    redactor = Redactor([], [value])
    assert redactor.redact(f"pin {value}, 'x{value}x'") == f"pin ***, 'x{value}x'"
    assert redactor.redact(base64.b64encode(value.encode()).decode()) == "***"
    assert Redactor([value]).redact(value) == value


def test_too_short_to_mask():
    assert Redactor([], ["abc", "12", ""]).redact("abc 12") == "abc 12"


# What looks like a secret ---------------------------------------------------------------------------------------------


def _letters(count, letters="aB3dE6gH9jK2mN5pQ8sT1vW4yZ7"):
    return (letters * 10)[:count]


SHAPES = [
    *("ghp_" + _letters(36), "github_pat_" + _letters(70), "glpat-" + _letters(20), "AKIA" + "ABCDEFGH234567QR"),
    *("AIza" + _letters(35), "xoxb-" + _letters(30), "sk_live_" + _letters(24), "sk-proj-" + _letters(40)),
    *("sk-" + _letters(48), "hf_" + _letters(34), "npm_" + _letters(36), "SG." + _letters(22) + "." + _letters(43)),
    *("dckr_pat_" + _letters(27), "dapi" + "0123456789abcdef" * 2, "hvs." + _letters(90), "glsa_" + _letters(41)),
    *("eyJ" + _letters(20) + ".eyJ" + _letters(40) + "." + _letters(43), "stw_0123456789ab_" + _letters(43)),
    *("pypi-AgE" + _letters(80), "123456789:AA" + _letters(33), "Bearer " + _letters(32), "pnu_" + _letters(36)),
]


@pytest.mark.parametrize("token", SHAPES, ids=lambda token: token[:8])
def test_shapes(token):
    assert Redactor([]).redact(f"got {token}, then") == "got ***, then"
    assert Redactor([]).redact(json.dumps({"x": token})) == '{"x": "***"}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://hooks.slack.com/services/T0/B0/" + "x1" * 12, "https://hooks.slack.com/***"),
        ("https://discord.com/api/webhooks/123456789/" + "x1" * 30, "https://discord.com/api/webhooks/***"),
        ("GET /x?a=1&access_token=abcd1234&b=2", "GET /x?a=1&access_token=***&b=2"),
        ("GET /x?monkey=abcdefgh", "GET /x?monkey=abcdefgh"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEvQ\nIBADAN\n-----END", "-----BEGIN RSA PRIVATE KEY-----***-----END"),
        ("AccountKey=" + "aB+/" * 12 + "==;EndpointSuffix=x", "AccountKey=***;EndpointSuffix=x"),
        (
            "sk-learn-gradient-boosting-classifier-with-long-name",
            "sk-learn-gradient-boosting-classifier-with-long-name",
        ),
        ("task-sk-abc eyJust a word, npm_config_cache=/x", "task-sk-abc eyJust a word, npm_config_cache=/x"),
    ],
)
def test_tokens_in_text(text, expected):
    assert Redactor([]).redact(text) == expected


# Plain data -----------------------------------------------------------------------------------------------------------


def test_plain_data():
    redact = Redactor(["123456", "hunter2-pw"]).redact
    data = {"a hunter2-pw": [1, 2.5, 123456, 123456.0, -123456, True, None, "hunter2-pw"], "$float": "NaN"}
    assert redacted(data, redact) == {"a ***": [1, 2.5, "***", "***", -123456, True, None, "***"], "$float": "NaN"}
    assert redacted([1234.0, float("inf")], redact) == [1234.0, float("inf")]


def test_the_redactor_of_this_process_follows_its_environment(monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "first-value")
    assert here().redact("first-value second-value") == "*** second-value"
    assert here() is here()
    monkeypatch.setenv("SOME_TOKEN", "second-value")
    assert here().redact("first-value second-value") == "first-value ***"
