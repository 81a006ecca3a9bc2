"""Secrets in every usual spelling are gone, and all other text stays as it is."""

import base64
import json
import re
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stepwell.model.redaction import Redactor, is_secret_name

SECRET = 'p@ss/w+rd "quoted" \\ äöü €'
SECRET_NAMES = [
    *("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "DB_PASSWORD", "PGPASSWORD"),
    *("MYSQL_PWD", "apiKey", "APIKEY", "OPENAI_API_KEY", "ACCOUNT_KEY", "AccountKey", "PRIVATE_KEY"),
    *("AZURE_STORAGE_CONNECTION_STRING", "connectionString", "CONN_STR", "SAS", "SAS_TOKEN", "BLOB_SAS"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "client-secret", "SMTP_PASS", "ssh_passphrase", "tokens"),
    *("passwd", "SharedAccessKey", "sas2"),
]
OTHER_NAMES = [
    *("PWD", "OLDPWD", "PATH", "HOME", "TOKENIZERS_PARALLELISM", "SECRETARY", "KEYBOARD", "SASHA"),
    *("COMPASS", "BYPASS", "SSH_AUTH_SOCK", "PASSES", "X"),
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
