//! Keys that have no prefix of their own, but a shape around a keyword; and those named by what stands before them.

use regex::bytes::{Regex, RegexBuilder};

use super::entropy::{entropy_bits, is_placeholder, is_typed};
use crate::entity::Entity;

/// A regular expression over ASCII that is looked at around its keywords only. Its first group, or all of it, is the key.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) rule: &'static str,
    pub(super) entity: Entity,
    pub(super) keywords: &'static [&'static str],
    pattern: &'static str,
    floor_bits: f32,
}

const fn shape(
    rule: &'static str,
    keywords: &'static [&'static str],
    pattern: &'static str,
    floor_bits: f32,
) -> Shape {
    Shape { rule, entity: Entity::ApiKey, keywords, pattern, floor_bits }
}

/// A name, perhaps with more words behind, quotes, `=` or `:`, and then the key of an issuer whose keys are plain.
macro_rules! assigned {
    ($name:literal, $key:literal) => {
        concat!(
            r#"(?i)(?:"#,
            $name,
            r#")[\w .-]{0,30}["'\]]{0,2}\s{0,3}(?:=>|:=|=|:)\s{0,3}["'`]?("#,
            $key,
            r#")(?:["'`,;\s]|$)"#
        )
    };
}

#[rustfmt::skip]
pub(super) const SHAPES: &[Shape] = &[
    shape("telegram-bot", &[":AA"], r"\b([0-9]{8,10}:AA[\w-]{33})(?:[^\w-]|$)", 4.0),
    shape("discord-bot", &["discord"], r"\b([MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,38})(?:[^\w-]|$)", 4.0),
    shape("discord-webhook", &["/api/webhooks/"], r"https://(?:\w+\.)?discord(?:app)?\.com/api/webhooks/[0-9]{17,20}/[\w-]{60,80}", 4.0),
    shape("slack-webhook", &["hooks.slack.com"], r"https://hooks\.slack\.com/(?:services|workflows|triggers)/[\w/-]{30,80}", 3.5),
    shape("teams-webhook", &[".webhook.office.com"], r"https://[\w-]+\.webhook\.office\.com/webhookb2/[\w@/-]{100,200}", 3.5),
    shape("mailchimp", &["-us"], r"\b([0-9a-f]{32}-us[0-9]{1,2})\b", 3.0),
    shape("airtable", &["pat"], r"\b(pat[A-Za-z0-9]{14}\.[0-9a-f]{64})\b", 3.5),
    shape("clickup", &["pk_"], r"\b(pk_[0-9]{6,10}_[A-Z0-9]{32})\b", 3.5),
    shape("maxmind", &["_mmk"], r"\b([A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk)\b", 4.0),
    shape("terraform-cloud", &[".atlasv1."], r"\b([A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,70})(?:[^\w-]|$)", 4.0),
    shape("braintree", &["access_token$"], r"\b(access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32})\b", 3.5),
    shape("azure-client-secret", &["Q~"], r"(?:^|[^\w~.-])([\w~.-]{3}[78]Q~[\w~.-]{31,34})(?:[^\w~.-]|$)", 4.0),
    shape("azure-storage-key", &["AccountKey="], r"AccountKey=([A-Za-z0-9+/]{86}==)", 4.5),
    shape("azure-shared-access-signature", &["sig="], r"[?&]sig=([A-Za-z0-9%+/]{40,60}(?:%3D|=))", 4.0),
    shape("azure-shared-access-key", &["SharedAccessKey="], r"SharedAccessKey=([A-Za-z0-9+/]{43}=)", 4.0),
    shape("firebase-messaging", &[":APA91b"], r"\b(AAAA[\w-]{7}:APA91b[\w-]{134})\b", 4.5),
    shape("launchdarkly", &["sdk-", "api-"], r"\b((?:sdk|api)-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})\b", 3.2),
    shape("authorization-bearer", &["bearer "], r#"(?i)\bbearer ([A-Za-z0-9._~+/-]{20,600}=*)(?:[^\w]|$)"#, 3.5),
    shape("authorization-basic", &["basic "], r#"(?i)authorization["']?\s*[:=]\s*["']?basic ([A-Za-z0-9+/]{8,200}={0,2})(?:[^\w+/=]|$)"#, 2.5),
    shape("aws-secret-key", &["aws", "secret_access_key", "secretaccesskey"], assigned!("secret|aws", "[A-Za-z0-9/+]{40}"), 4.2),
    shape("datadog", &["datadog", "dd_api_key", "dd_app_key", "dd-api-key"], assigned!("datadog|dd", "[0-9a-f]{32}|[0-9a-f]{40}"), 3.0),
    shape("cloudflare", &["cloudflare", "cf_api"], assigned!("cloudflare|cf_api", r"[\w-]{37,40}"), 3.5),
    shape("heroku-uuid", &["heroku"], assigned!("heroku", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), 3.0),
    shape("postmark", &["postmark"], assigned!("postmark", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), 3.0),
    shape("snyk", &["snyk"], assigned!("snyk", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), 3.0),
    shape("twilio-auth-token", &["twilio"], assigned!("twilio", "[0-9a-f]{32}"), 3.0),
    shape("wandb", &["wandb"], assigned!("wandb", "[0-9a-f]{40}"), 3.0),
    shape("mistral", &["mistral"], assigned!("mistral", "[A-Za-z0-9]{32}"), 3.5),
    shape("cohere", &["cohere", "co_api_key"], assigned!("cohere|co_api_key", "[A-Za-z0-9]{40}"), 3.5),
    shape("algolia", &["algolia"], assigned!("algolia", "[0-9a-f]{32}"), 3.0),
    shape("okta", &["okta"], assigned!("okta", r"00[\w-]{40}"), 4.0),
    shape("asana", &["asana"], assigned!("asana", r"[0-9a-f]{32}|[0-9]/[0-9]{16}:[0-9a-f]{32}"), 3.0),
    shape("zendesk", &["zendesk"], assigned!("zendesk", "[A-Za-z0-9]{40}"), 3.8),
    shape("travis-ci", &["travis"], assigned!("travis", r"[\w-]{22}"), 3.4),
    shape("codecov", &["codecov"], assigned!("codecov", "[0-9a-f-]{32,36}"), 3.0),
    shape("coinbase", &["coinbase"], assigned!("coinbase", r"[\w-]{64}"), 4.0),
    shape("gocardless", &["gocardless"], assigned!("gocardless", r"live_[\w-]{40}"), 4.0),
    shape("mailjet", &["mailjet", "mj_apikey"], assigned!("mailjet|mj_apikey", "[0-9a-f]{32}"), 3.0),
    shape("ngrok", &["ngrok"], assigned!("ngrok", r"[\w]{45,50}"), 4.0),
];

/// How far before a keyword its key can begin, and behind it end, in bytes: the longest shape and its name.
const BEFORE_BYTES: usize = 80;
pub(super) const BEHIND_BYTES: usize = 700;
/// How far is looked behind a keyword, so that its next mentions are looked around too.
const LOOKED_BYTES: usize = 4 * BEHIND_BYTES;

/// A shape with its expression built.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) shape: &'static Shape,
    regex: Regex,
}

impl Built {
    /// The shapes; an expression that cannot be built is left out, which a test sees to that none is.
    pub(super) fn all() -> Vec<Self> {
        let build = |shape: &'static Shape| {
            let regex = RegexBuilder::new(shape.pattern).unicode(false).build().ok()?;
            Some(Self { shape, regex })
        };
        SHAPES.iter().filter_map(build).collect()
    }

    /// The keys around a keyword at bytes `start..end` of `text`; returns up to where it has looked.
    pub(super) fn find(
        &self,
        text: &str,
        start: usize,
        end: usize,
        mut found: impl FnMut(usize, usize),
    ) -> usize {
        let from = text.floor_char_boundary(start.saturating_sub(BEFORE_BYTES));
        let to = text.floor_char_boundary(text.len().min(end + LOOKED_BYTES));
        let window = &text.as_bytes()[from..to];
        for captures in self.regex.captures_iter(window) {
            let Some(key) = captures.get(1).or_else(|| captures.get(0)) else { continue };
            let random = entropy_bits(key.as_bytes()) >= self.shape.floor_bits;
            let (start, end) = (from + key.start(), from + key.end());
            if random && text.get(start..end).is_some_and(|key| !is_placeholder(key) && !is_typed(key)) {
                found(start, end);
            }
        }
        to
    }
}
