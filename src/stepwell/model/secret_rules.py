"""What sounds like a secret and what looks like one: the rules, kept in one place.

The names are those that the keyword rules of detect-secrets and gitleaks ask for; the shapes are tokens with a fixed
beginning, as their makers document them. A secret that neither sounds nor looks so is known only if it is declared.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

MASK = "***"

_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_NOT_SECRET = {"PWD", "OLDPWD", "GIT_SSH"}
_SECRET_NAME = re.compile(
    # anywhere in the name, unless letters follow
    r"(?:PASSWORD|PASSWD|PSWD|PASSPHRASE|PASSCODE|PASSKEY|SECRET|TOKEN|CREDENTIAL|CONN(?:ECTION)?_?STR(?:ING)?|BEARER"
    r"|WEBHOOK|AUTHORIZATION|SESSIONID|SESSID)S?(?![A-Z])"
    r"|(?:API|ACCESS|ACCOUNT|PRIVATE|SHARED|MASTER|STORAGE|SIGNING|ENCRYPTION|SUBSCRIPTION)_?KEYS?(?![A-Z])"
    # a whole word
    r"|(?:^|_)(?:PWD|SAS|JWT|CREDS?|PSK|OTP|TOTP|HMAC|CSRF|XSRF)(?![A-Z])"
    r"|(?:^|_)COOKIES?(?!_(?:NAME|DOMAIN|PATH|AGE|MAX|SECURE|SAMESITE|HTTPONLY|CONSENT)|[A-Z])"
    r"|(?:^|_)AUTH_(?:HEADER|CODE|STRING|CONFIG|DATA|JSON|BASIC)(?![A-Z])"
    # the last word
    r"|(?:^|_)(?:PASS|PW|PIN|AUTH|SSH|SSH_ID(?:ENTITY)?|ID_(?:RSA|DSA|ECDSA|ED25519)|HOOK_URL|NETRC|HTPASSWD)$"
    r"|(?:SSH|DB|PG|USER|SUDO|ROOT|ADMIN|MYSQL|REDIS|SMTP|FTP)PASS$|_PATS?$"
    r"|(?:SECRET|AUTH|DEPLOY|SSH|SERVICE|CLIENT|APP|ADMIN)KEYS?$"
)
_KEY_NAME = re.compile(r"[A-Z0-9]_KEYS?$")
_KEY_OF_DATA = re.compile(
    r"(?:^|_)(?:"
    r"BLOB|BUCKET|CACHE|CANDIDATE|COL|COLUMN|CONFIG|DATA|DATE|DEDUP|DICT|FEATURE|FILE|FILTER|FOREIGN|"
    r"GROUP|HASH|HOT|ID|IDEMPOTENCY|IMAGE|INDEX|INPUT|ITEM|JOIN|JSON|LABEL|LOOKUP|MAP|MERGE|METRIC|"
    r"NATURAL|OBJECT|OUTPUT|PARTITION|PATH|PRIMARY|PUB|PUBLIC|RANGE|ROUTING|ROW|S3|SAMPLE|SHARD|SORT|"
    r"STATE|SURROGATE|TABLE|TARGET|TEXT|TIME|TRANSLATION|UNIQUE"
    r")_KEYS?$"
)
_QUERY_NAMES = {"sig", "signature", "x-amz-signature", "x-goog-signature", "hmac"}
_LONG_QUERY_NAMES = {"key", "code", "auth", "k", "t"}
_LONG = 16

_SHORTEST_TOKEN = 15
_SHORTEST_SHAPE = 7  # a part of a query of four characters, with a name of one
_LONGEST_REMEMBERED = 200
_SHAPES = tuple(
    (tuple(beginnings.split()), re.compile(pattern))
    for beginnings, pattern in (
        ("ghp_ gho_ ghu_ ghs_ ghr_", r"(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{36,255}"),
        ("github_pat_", r"(?<!\w)github_pat_\w{60,255}"),
        ("glpat- gldt- glrt- glptt- glcbt- glsoat-", r"(?<![\w-])gl(?:pat|dt|rt|ptt|cbt|soat)-[\w-]{20,300}"),
        ("AKIA ASIA ABIA ACCA", r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?![A-Za-z0-9])"),
        ("AIza", r"(?<![\w-])AIza[\w-]{35}(?![\w-])"),
        ("ya29.", r"(?<![\w-])ya29\.[\w-]{20,1000}"),
        ("GOCSPX-", r"(?<![\w-])GOCSPX-[\w-]{20,100}"),
        ("xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs-", r"(?<![\w-])xox[abeoprs]-[\w-]{10,300}"),
        ("xapp-", r"(?<![\w-])xapp-[\w-]{20,300}"),
        ("k_live_ k_test_ k_prod_", r"(?<![A-Za-z0-9])[srp]k_(?:live|test|prod)_[A-Za-z0-9]{16,255}"),
        ("whsec_", r"(?<!\w)whsec_[A-Za-z0-9+/=]{24,255}"),
        ("sk-", r"(?<![\w-])sk-(?:(?:proj|svcacct|admin|ant|or)-[\w-]{20,300}|[A-Za-z0-9]{32,255}(?![\w-]))"),
        ("hf_ api_org_", r"(?<!\w)(?:hf|api_org)_[A-Za-z0-9]{34,64}(?!\w)"),
        ("npm_", r"(?<!\w)npm_[A-Za-z0-9]{36}(?!\w)"),
        ("pypi-AgE", r"(?<![\w-])pypi-AgE[\w-]{50,1000}"),
        ("SG.", r"(?<![\w-])SG\.[\w-]{16,64}\.[\w-]{16,64}"),
        ("dop_v1_ doo_v1_ dor_v1_", r"(?<!\w)do[opr]_v1_[a-f0-9]{64}"),
        ("dckr_pat_ dckr_oat_", r"(?<![\w-])dckr_[po]at_[\w-]{20,100}"),
        ("shpat_ shpca_ shppa_ shpss_", r"(?<!\w)shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
        ("dapi", r"(?<!\w)dapi[a-f0-9]{32}(?:-\d)?(?!\w)"),
        ("hvs. hvb.", r"(?<![\w-])hv[sb]\.[\w-]{24,300}"),
        ("glsa_ glc_", r"(?<!\w)gl(?:sa|c)_[A-Za-z0-9_+/=]{32,400}"),
        ("gsk_ xai- r8_", r"(?<![\w-])(?:gsk_|xai-|r8_)[A-Za-z0-9]{32,100}(?![\w-])"),
        ("pnu_ pnb_", r"(?<!\w)pn[ub]_[A-Za-z0-9]{36}(?!\w)"),
        ("stw_", r"(?<!\w)stw_[0-9a-f]{12}_[\w-]{43}(?![\w-])"),
        (":AA", r"(?<!\w)\d{8,10}:AA[\w-]{32,35}(?![\w-])"),
        ("eyJ", r"(?<![\w-])eyJ[\w-]{8,8192}\.eyJ[\w-]{8,8192}(?:\.[\w-]{0,2048})?"),
        ("hooks.slack.com/", r"(?<=hooks\.slack\.com/)(?:services|workflows|triggers)/[\w/-]{10,300}"),
        ("/api/webhooks/", r"(?<=/api/webhooks/)\d{5,30}/[\w-]{20,200}"),
        (".office.com/webhook", r"(?<=\.office\.com/)webhookb?2?/[\w@/.-]{20,500}"),
        ("AccountKey= SharedAccessKey=", r"(?<=AccountKey=)[\w+/]{20,}={0,2}|(?<=SharedAccessKey=)[\w+/]{20,}={0,2}"),
    )
)
_MARKS = "_-./:="
"""What most beginnings hold: each is looked for once in a text, before the beginnings are."""

_SHAPES_WITH_SPACES = (
    (
        ("PRIVATE KEY-----", "PRIVATE KEY BLOCK-----"),
        re.compile(r"(?:(?<=PRIVATE KEY-----)|(?<=KEY BLOCK-----))[^-]{10,}"),
    ),
    (
        ("uthorization", "UTHORIZATION"),
        re.compile(r"(?i:(?<=authorization)[\"']?[:=] ?[\"']?(?:basic|token|digest) [^\s\"',]{6,})"),
    ),
    (("earer ", "EARER "), re.compile(r"(?i:(?<!\w)bearer) [A-Za-z0-9._~+/-]{20,}={0,2}")),
)
_QUERY = re.compile(r"""(?<=[?&])([\w.-]{1,64})=([^&\s"'<>#;\\]{4,})""")


def is_secret_name(name: str) -> bool:
    """Return whether a variable or parameter of that name holds a secret, to judge by its words."""
    if name in _NOT_SECRET:
        return False
    words = _WORD_BREAK.sub("_", name).upper()
    if _SECRET_NAME.search(words):
        return True
    return _KEY_NAME.search(words) is not None and _KEY_OF_DATA.search(words) is None


def is_secret_part(name: str, value: str) -> bool:
    """Return whether a part `name=value` of a URL or connection string is a secret."""
    plain = name.lower()
    return is_secret_name(name) or plain in _QUERY_NAMES or (plain in _LONG_QUERY_NAMES and len(value) >= _LONG)


def mask_shapes(text: str) -> str:
    """Return the text with `***` for whatever looks like a secret: known kinds of tokens, and tokens in query strings."""
    if len(text) < _SHORTEST_SHAPE:
        return text
    return _mask_shapes(text) if len(text) > _LONGEST_REMEMBERED else _remembered(text)


@lru_cache(maxsize=4096)  # a pipeline's steps say the same a thousand times
def _remembered(text: str) -> str:
    return _mask_shapes(text)


def _mask_shapes(text: str) -> str:
    long_words = " ".join([word for word in text.split() if len(word) >= _SHORTEST_TOKEN])  # most text has few
    marks = "".join([mark for mark in _MARKS if mark in long_words])
    for beginnings, pattern in _shapes_with(marks) if long_words else ():
        if any(beginning in long_words for beginning in beginnings):
            text = pattern.sub(MASK, text)
    for beginnings, pattern in _SHAPES_WITH_SPACES:
        if any(beginning in text for beginning in beginnings):
            text = pattern.sub(MASK, text)
    if "=" in text and ("?" in text or "&" in text):
        text = _QUERY.sub(_masked_part, text)
    return text


@cache
def _shapes_with(marks: str) -> tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]:
    """Return the shapes that a text may hold which has only these of the marks, each with the beginnings that it may have."""
    missing = set(_MARKS) - set(marks)
    possible = [(tuple(one for one in beginnings if missing.isdisjoint(one)), shape) for beginnings, shape in _SHAPES]
    return tuple((beginnings, shape) for beginnings, shape in possible if beginnings)


def _masked_part(found: re.Match[str]) -> str:
    return f"{found[1]}={MASK}" if is_secret_part(found[1], found[2]) else found[0]
