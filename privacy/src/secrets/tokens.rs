//! Keys that name their issuer: a prefix, then a random body of known signs and length, as the issuers publish them.

use super::entropy::{Alphabet, entropy_bits, is_placeholder, is_typed};
use Alphabet::{Alphanumeric, Base64, Capitals, Dotted, Hexadecimal, Word};

/// A kind of key.
pub(super) struct Token {
    pub(super) rule: &'static str,
    /// What it begins with, in the case it is issued in.
    pub(super) prefixes: &'static [&'static str],
    body: Alphabet,
    shortest: usize,
    longest: usize,
}

const fn token(
    rule: &'static str,
    prefixes: &'static [&'static str],
    body: Alphabet,
    shortest: usize,
    longest: usize,
) -> Token {
    Token { rule, prefixes, body, shortest, longest }
}

/// Longer than any body that is issued, so that text without spaces is not taken for one.
const LONG: usize = 600;

#[rustfmt::skip]
pub(super) const TOKENS: &[Token] = &[
    // Clouds and hosts.
    token("aws-access-key", &["AKIA", "ASIA", "ABIA", "ACCA"], Capitals, 16, 16),
    token("google-api-key", &["AIza"], Word, 35, 35),
    token("google-oauth-secret", &["GOCSPX-"], Word, 28, 28),
    token("google-oauth-token", &["ya29."], Dotted, 30, LONG),
    token("google-refresh-token", &["1//0"], Word, 40, 120),
    token("digitalocean", &["dop_v1_", "doo_v1_", "dor_v1_"], Hexadecimal, 64, 64),
    token("alibaba-access-key", &["LTAI"], Alphanumeric, 17, 26),
    token("tencent-secret-id", &["AKID"], Alphanumeric, 32, 32),
    token("yandex-api-key", &["AQVN"], Word, 35, 38),
    token("yandex-secret-key", &["YC"], Word, 38, 38),
    token("heroku", &["HRKU-"], Word, 36, 70),
    token("fly-io", &["fo1_", "fm1_", "fm2_", "fm1r_", "fm1a_"], Base64, 43, LONG),
    token("netlify", &["nfp_"], Alphanumeric, 36, 40),
    token("cloudflare-origin-ca", &["v1.0-"], Word, 171, 171),
    token("scaleway", &["SCW"], Capitals, 17, 17),
    token("render", &["rnd_"], Alphanumeric, 28, 40),
    token("hashicorp-vault", &["hvs.", "hvb.", "hvr."], Word, 24, 200),
    token("doppler", &["dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit."], Dotted, 40, 60),
    token("pulumi", &["pul-"], Hexadecimal, 40, 40),
    token("tailscale", &["tskey-auth-", "tskey-api-", "tskey-client-", "tskey-scim-", "tskey-webhook-"], Word, 20, 80),
    token("openshift", &["sha256~"], Word, 43, 43),
    token("1password-service", &["ops_eyJ"], Base64, 200, 2_000),
    // Databases.
    token("planetscale", &["pscale_tkn_", "pscale_pw_", "pscale_oauth_"], Dotted, 32, 64),
    token("supabase", &["sbp_"], Hexadecimal, 40, 40),
    token("supabase-secret", &["sb_secret_"], Word, 22, 64),
    token("databricks", &["dapi"], Hexadecimal, 32, 32),
    token("neon", &["napi_"], Alphanumeric, 64, 64),
    token("prefect", &["pnu_", "pnb_"], Alphanumeric, 36, 36),
    // Watching.
    token("grafana", &["glsa_", "glc_"], Base64, 32, 400),
    token("new-relic", &["NRAK-", "NRII-", "NRAA-", "NRRA-", "NRSP-"], Word, 27, 44),
    token("sentry", &["sntrys_", "sntryu_"], Base64, 64, 400),
    token("dynatrace", &["dt0c01.", "dt0s01.", "dt0s16."], Dotted, 30, 110),
    token("honeycomb", &["hcaik_", "hcxik_", "hcamk_"], Alphanumeric, 58, 64),
    token("posthog", &["phx_"], Alphanumeric, 43, 50),
    // Code hosts, builds, packages.
    token("github", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], Alphanumeric, 36, 251),
    token("github-fine-grained", &["github_pat_"], Word, 82, 82),
    token("gitlab", &["glpat-", "gldt-", "glrt-", "glptt-", "glsoat-", "glagent-", "gloas-", "glimt-", "glffct-"], Dotted, 20, 100),
    token("gitlab-job", &["glcbt-", "glft-"], Word, 20, 100),
    token("gitlab-runner", &["GR1348941"], Word, 20, 20),
    token("bitbucket", &["ATBB"], Alphanumeric, 28, 40),
    token("atlassian", &["ATATT3", "ATCTT3"], Base64, 100, 400),
    token("circleci", &["CCIPAT_", "CCIPRJ_"], Word, 40, 100),
    token("buildkite", &["bkua_"], Hexadecimal, 40, 40),
    token("docker-hub", &["dckr_pat_", "dckr_oat_"], Word, 27, 40),
    token("npm", &["npm_"], Alphanumeric, 36, 36),
    token("pypi", &["pypi-AgEIcHlwaS5vcmc", "pypi-AgENdGVzdC5weXBpLm9yZw"], Word, 50, LONG),
    token("rubygems", &["rubygems_"], Hexadecimal, 48, 48),
    token("clojars", &["CLOJARS_"], Alphanumeric, 60, 60),
    token("crates-io", &["cio"], Alphanumeric, 32, 32),
    token("nuget", &["oy2"], Alphanumeric, 43, 43),
    token("artifactory", &["AKCp"], Alphanumeric, 69, 73),
    token("artifactory-reference", &["cmVmdGtu"], Alphanumeric, 56, 64),
    token("sonarqube", &["squ_", "sqp_", "sqa_"], Hexadecimal, 40, 40),
    token("sourcegraph", &["sgp_"], Word, 40, 60),
    token("postman", &["PMAK-"], Word, 59, 59),
    token("octopus-deploy", &["API-"], Capitals, 25, 32),
    // Models.
    token("openai", &["sk-proj-", "sk-svcacct-", "sk-admin-", "sk-None-"], Word, 40, 220),
    token("openai-style", &["sk-"], Alphanumeric, 32, 64),
    token("anthropic", &["sk-ant-api03-", "sk-ant-admin01-", "sk-ant-oat01-", "sk-ant-sid01-"], Word, 80, 130),
    token("openrouter", &["sk-or-v1-"], Hexadecimal, 64, 64),
    token("hugging-face", &["hf_", "api_org_"], Alphanumeric, 34, 40),
    token("groq", &["gsk_"], Alphanumeric, 48, 56),
    token("xai", &["xai-"], Alphanumeric, 70, 90),
    token("perplexity", &["pplx-"], Alphanumeric, 48, 56),
    token("replicate", &["r8_"], Alphanumeric, 37, 40),
    token("langsmith", &["lsv2_pt_", "lsv2_sk_"], Word, 40, 50),
    token("pinecone", &["pcsk_"], Word, 50, 90),
    token("nvidia", &["nvapi-"], Word, 60, 80),
    token("together", &["tgp_v1_"], Word, 40, 60),
    token("elevenlabs", &["sk_"], Hexadecimal, 48, 48),
    token("voyage", &["pa-"], Word, 43, 43),
    // Talk.
    token("slack", &["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxe-", "xoxe.xoxp-", "xoxe.xoxb-", "xapp-"], Word, 20, 255),
    token("twilio", &["SK"], Hexadecimal, 32, 32),
    token("facebook", &["EAA"], Alphanumeric, 80, 400),
    token("instagram", &["IGQV"], Word, 80, 400),
    token("x-bearer", &["AAAAAAAAAAAAAAAAAAAA"], Base64, 60, 120),
    // Payment and trade.
    token("stripe", &["sk_live_", "sk_test_", "rk_live_", "rk_test_", "rk_prod_", "sk_prod_"], Alphanumeric, 16, 255),
    token("stripe-webhook", &["whsec_"], Base64, 32, 64),
    token("square", &["EAAA"], Word, 60, 60),
    token("square-oauth", &["sq0atp-", "sq0csp-", "sq0idp-"], Word, 22, 43),
    token("shopify", &["shpat_", "shpca_", "shppa_", "shpss_", "shptka_"], Hexadecimal, 32, 32),
    token("razorpay", &["rzp_live_", "rzp_test_"], Alphanumeric, 14, 14),
    token("flutterwave", &["FLWSECK-", "FLWSECK_TEST-"], Word, 32, 45),
    token("plaid", &["access-production-", "access-sandbox-", "access-development-"], Word, 36, 36),
    token("easypost", &["EZAK", "EZTK"], Alphanumeric, 54, 54),
    token("shippo", &["shippo_live_", "shippo_test_"], Hexadecimal, 40, 40),
    token("duffel", &["duffel_live_", "duffel_test_"], Word, 43, 43),
    token("paddle", &["pdl_live_apikey_", "pdl_sdbx_apikey_"], Word, 40, 80),
    // Mail.
    token("sendgrid", &["SG."], Dotted, 66, 66),
    token("mailgun", &["key-", "pubkey-"], Hexadecimal, 32, 32),
    token("brevo", &["xkeysib-", "xsmtpsib-"], Word, 81, 81),
    token("resend", &["re_"], Word, 30, 40),
    token("klaviyo", &["pk_"], Hexadecimal, 34, 34),
    token("hubspot", &["pat-na1-", "pat-na2-", "pat-eu1-", "pat-ap1-"], Word, 36, 36),
    token("intercom", &["dG9rO"], Base64, 40, 80),
    // Work.
    token("notion", &["ntn_", "secret_"], Alphanumeric, 43, 50),
    token("linear", &["lin_api_", "lin_oauth_"], Alphanumeric, 40, 64),
    token("figma", &["figd_", "figu_"], Word, 40, 48),
    token("dropbox", &["sl."], Word, 130, LONG),
    token("typeform", &["tfp_"], Dotted, 40, 70),
    token("contentful", &["CFPAT-"], Word, 43, 43),
    token("frame-io", &["fio-u-"], Base64, 64, 64),
    token("readme", &["rdme_"], Alphanumeric, 70, 70),
    token("adobe", &["p8e-"], Alphanumeric, 32, 32),
    token("mapbox-secret", &["sk.eyJ"], Dotted, 60, 200),
    token("age-secret-key", &["AGE-SECRET-KEY-1"], Capitals, 58, 58),
];

impl Token {
    /// The end of the key whose prefix, the `prefix`-th, stands at byte `start`; none if what follows is no body.
    pub(super) fn end(&self, text: &str, start: usize, prefix: usize) -> Option<usize> {
        let bytes = text.as_bytes();
        let prefix = self.prefixes.get(prefix)?.as_bytes();
        // The keywords are found in any case; keys have one.
        if !bytes[start..].starts_with(prefix)
            || start.checked_sub(1).is_some_and(|before| is_word(bytes[before]))
        {
            return None;
        }
        let from = start + prefix.len();
        // One more than the longest, so that a run that is too long is seen to be.
        let length = self.body.run(&bytes[from..bytes.len().min(from + self.longest + 2)]);
        let to = from + length;
        let ends = bytes.get(to).is_none_or(|&after| !is_word(after));
        let fits = (self.shortest..=self.longest).contains(&length) && ends;
        (fits && self.is_random(&text[from..to])).then_some(to)
    }

    /// A body of the right signs and length, drawn by `random` from the signs given.
    #[cfg(test)]
    pub(super) fn body_of(&self, random: impl Fn(&str, usize) -> String) -> String {
        let signs = match self.body {
            Hexadecimal => "0123456789abcdef",
            Capitals => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
            _ => "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
        };
        random(signs, self.shortest)
    }

    /// Random as a key is: signs spread, a digit among the letters, no word of a template.
    fn is_random(&self, body: &str) -> bool {
        let digits = body.bytes().any(|byte| byte.is_ascii_digit());
        // Thirty signs out of 62 have no digit in one of 190; in those, capitals stand among small letters.
        let mixed = digits || mixes_cases(body);
        mixed
            && entropy_bits(body.as_bytes()) >= self.body.floor_bits(body.len())
            && !is_placeholder(body)
            && !is_typed(body)
    }
}

/// Capitals within: `aBcD`, not `Abcd` nor `abcd`.
fn mixes_cases(body: &str) -> bool {
    let turns = body
        .as_bytes()
        .windows(2)
        .filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    turns.count() >= 3
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
