"""The shapes of providers' keys, as their owners publish them so that scanners can tell them.

Each row: the name that stands for the key, words of which one is in every such key and seldom elsewhere
(found by plain search, so that most texts cost no more than that), and the shape. Lengths are those published
or a little less, SHORTEST at least: a key that somebody cut is a key. What has no mark of its own (32
hexadecimal digits) is told by the words beside it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SHORTEST: Final = 15
"""Characters without a space between them in every key."""


class Shape(NamedTuple):
    """A kind of key."""

    name: str
    words: tuple[str, ...]
    pattern: str


SHAPES: Final = (
    Shape("age", ("AGE-SECRET-KEY-1",), r"\bAGE-SECRET-KEY-1[0-9A-Z]{50,}"),
    Shape(
        "aws",
        ("AKIA", "ASIA", "AIDA", "AROA", "ABSK"),
        r"\b(?:AKIA|ASIA|AIDA|AROA)[0-9A-Z]{16}\b|\bABSK[A-Za-z0-9+/]{80,}={0,2}",
    ),
    Shape(
        "github",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"\b(?:gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255})",
    ),
    Shape(
        "gitlab",
        ("glpat-", "glptt-", "gldt-", "glrt-", "glsoat-", "glcbt-", "glft-", "glimt-", "glagent-", "gloas-"),
        r"\bgl(?:pat|ptt|dt|rt|soat|cbt|ft|imt|agent|oas)-[A-Za-z0-9_-]{16,}",
    ),
    Shape(
        "slack",
        ("xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-", "hooks.slack"),
        (
            r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bxapp-\d-[A-Z0-9]{5,}-\d{5,}-[a-z0-9]{10,}"
            r"|hooks\.slack\.com/services/[A-Za-z0-9/]{20,}"
        ),
    ),
    Shape("anthropic", ("sk-ant-",), r"\bsk-ant-[A-Za-z0-9_-]{16,}"),
    Shape("openai", ("sk-",), r"\bsk-(?:proj-|or-v1-|svcacct-)?[A-Za-z0-9_-]{20,}"),
    Shape(
        "google",
        ("AIza", "ya29", "GOCSPX"),
        r"\bAIza[0-9A-Za-z_-]{30,}|\bya29\.[0-9A-Za-z_-]{20,}|\bGOCSPX-[0-9A-Za-z_-]{20,}",
    ),
    Shape(
        "stripe",
        ("_live_", "_test_", "whsec"),
        r"\b(?:sk|rk|pk)_(?:live|test)_[0-9A-Za-z]{16,}|\bwhsec_[0-9A-Za-z]{16,}",
    ),
    Shape("razorpay", ("rzp_",), r"\brzp_(?:live|test)_[A-Za-z0-9]{14,}"),
    Shape("square", ("sq0",), r"\bsq0[a-z]{3}-[A-Za-z0-9_-]{22,}"),
    Shape("npm", ("npm_",), r"\bnpm_[A-Za-z0-9]{30,}"),
    Shape("pypi", ("pypi-",), r"\bpypi-[A-Za-z0-9_-]{30,}"),
    Shape("rubygems", ("rubygems_",), r"\brubygems_[a-f0-9]{40,}"),
    Shape("docker", ("dckr_",), r"\bdckr_[a-z]{3}_[A-Za-z0-9_-]{20,}"),
    Shape("huggingface", ("hf_",), r"\bhf_[A-Za-z0-9]{24,}"),
    Shape("replicate", ("r8_",), r"\br8_[A-Za-z0-9]{30,}"),
    Shape("groq", ("gsk_",), r"\bgsk_[A-Za-z0-9]{40,}"),
    Shape("xai", ("xai-",), r"\bxai-[A-Za-z0-9]{60,}"),
    Shape("perplexity", ("pplx-",), r"\bpplx-[A-Za-z0-9]{40,}"),
    Shape("sendgrid", ("SG.",), r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    Shape("brevo", ("keysib-", "smtpsib-"), r"\bx(?:key|smtp)sib-[a-f0-9]{50,}(?:-[A-Za-z0-9]{10,})?"),
    Shape("digitalocean", ("dop_v1_", "doo_v1_", "dor_v1_"), r"\bdo[opr]_v1_[a-f0-9]{40,}"),
    Shape("shopify", ("shpat_", "shpca_", "shppa_", "shpss_"), r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{30,}"),
    Shape("vault", ("hvs.", "hvb.", "hvr."), r"\bhv[sbr]\.[A-Za-z0-9_-]{20,}"),
    Shape("terraform", (".atlasv1.",), r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{40,}"),
    Shape("linear", ("lin_api_", "lin_oauth_"), r"\blin_(?:api|oauth)_[A-Za-z0-9]{30,}"),
    Shape(
        "grafana",
        ("glsa_", "glc_"),
        r"\bglsa_[A-Za-z0-9]{24,}(?:_[a-f0-9]{8})?|\bglc_[A-Za-z0-9+/]{32,}={0,2}",
    ),
    Shape("databricks", ("dapi",), r"\bdapi[a-f0-9]{32}(?:-\d)?\b"),
    Shape("discord", ("/api/webhooks/",), r"/api/webhooks/\d{15,}/[A-Za-z0-9_-]{40,}"),
    Shape("telegram", (":AA",), r"\b\d{8,10}:AA[A-Za-z0-9_-]{32,}"),
    Shape("newrelic", ("NRAK-",), r"\bNRAK-[A-Z0-9]{20,}"),
    Shape("postman", ("PMAK-",), r"\bPMAK-[a-f0-9]{20,}-[a-f0-9]{30,}"),
    Shape("notion", ("ntn_",), r"\bntn_[A-Za-z0-9]{40,}"),
    Shape("atlassian", ("ATATT3", "ATCTT3"), r"\bAT[AC]TT3[A-Za-z0-9_=-]{60,}"),
    Shape("figma", ("figd_",), r"\bfigd_[A-Za-z0-9_-]{36,}"),
    Shape("doppler", ("dp.pt.", "dp.st.", "dp.ct.", "dp.sa."), r"\bdp\.(?:pt|st|ct|sa)\.[A-Za-z0-9_.-]{40,}"),
    Shape("netlify", ("nfp_", "nfc_", "nfo_", "nfb_"), r"\bnf[pcob]_[A-Za-z0-9_-]{36,}"),
    Shape("heroku", ("HRKU-",), r"\bHRKU-[A-Za-z0-9_-]{30,}"),
    Shape("fly", ("fm1_", "fm2_", "fo1_"), r"\bf(?:m[12]|o1)_[A-Za-z0-9+/=_-]{40,}"),
    Shape("sentry", ("sntrys_", "sntryu_"), r"\bsntry[su]_[A-Za-z0-9+/=_-]{50,}"),
    Shape("supabase", ("sbp_", "sb_secret_"), r"\bsbp_[a-f0-9]{40}|\bsb_secret_[A-Za-z0-9_-]{20,}"),
    Shape("planetscale", ("pscale_",), r"\bpscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.=-]{30,}"),
    Shape("pulumi", ("pul-",), r"\bpul-[a-f0-9]{40}\b"),
    Shape("dynatrace", ("dt0c", "dt0s"), r"\bdt0[cs]\d{2}\.[A-Z0-9]{24}\.[A-Z0-9]{60,}"),
    Shape("tailscale", ("tskey-",), r"\btskey-[a-z]{2,10}-[A-Za-z0-9-]{16,}"),
    Shape("sonarqube", ("squ_", "sqp_", "sqa_"), r"\bsq[upa]_[a-f0-9]{40}\b"),
    Shape("buildkite", ("bkua_",), r"\bbkua_[a-f0-9]{40}\b"),
    Shape("circleci", ("CCIPAT_",), r"\bCCIPAT_[A-Za-z0-9]{10,}_[a-f0-9]{30,}"),
    Shape("contentful", ("CFPAT-",), r"\bCFPAT-[A-Za-z0-9_-]{40,}"),
    Shape("posthog", ("phx_",), r"\bphx_[A-Za-z0-9]{40,}"),
    Shape("alibaba", ("LTAI",), r"\bLTAI[A-Za-z0-9]{16,24}\b"),
    Shape("openshift", ("sha256~",), r"\bsha256~[A-Za-z0-9_-]{40,}"),
    Shape("artifactory", ("AKCp",), r"\bAKCp[A-Za-z0-9]{60,}"),
    Shape("onepassword", ("ops_eyJ",), r"\bops_eyJ[A-Za-z0-9+/=_-]{100,}"),
    Shape("jwt", ("eyJ",), r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
)
"""What is told first is not told again."""
