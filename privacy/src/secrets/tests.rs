//! Keys made at run time, so that no file of the project holds a string that looks like a live one.

use std::sync::OnceLock;
use std::time::Instant;

use super::{Secrets, entropy, shapes, tokens};
use crate::entity::Entity;
use crate::finding::Finding;
use crate::scanner::heads::Heads;

/// As random as a key, and the same in every run.
fn random(signs: &str, length: usize, seed: &str) -> String {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    let signs: Vec<char> = signs.chars().collect();
    bytes.iter().map(|&byte| signs[usize::from(byte) % signs.len()]).collect()
}

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const HEXADECIMAL: &str = "0123456789abcdef";

fn alphanumeric(length: usize) -> String {
    random(LETTERS, length, "alphanumeric")
}

fn hexadecimal(length: usize) -> String {
    random(HEXADECIMAL, length, "hexadecimal")
}

fn find(text: &str) -> Vec<Finding> {
    static SECRETS: OnceLock<(Secrets, Heads)> = OnceLock::new();
    let (secrets, heads) = SECRETS.get_or_init(|| {
        let secrets = Secrets::new();
        let heads = Heads::new(secrets.keywords());
        (secrets, heads)
    });
    let mut hunt = secrets.hunt();
    heads.find(text, |index, start, end| hunt.at(index, text, start, end));
    hunt.done()
}

/// `text` holds `secret` and nothing else.
#[track_caller]
fn holds(text: &str, entity: Entity, secret: &str) {
    let found = find(text);
    let spans: Vec<(&str, Entity)> =
        found.iter().map(|finding| (&text[finding.start..finding.end], finding.entity)).collect();
    assert_eq!(spans, [(secret, entity)], "{text}");
}

#[track_caller]
fn clean(text: &str) {
    let found = find(text);
    let spans: Vec<(&str, &str)> =
        found.iter().map(|finding| (&text[finding.start..finding.end], finding.rule)).collect();
    assert!(spans.is_empty(), "{text}: {spans:?}");
}

#[test]
fn every_shape_is_built() {
    let secrets = Secrets::new();
    assert_eq!(secrets.shapes.len(), shapes::SHAPES.len());
    assert!(tokens::TOKENS.len() + shapes::SHAPES.len() >= 100);
}

#[test]
fn every_prefix_is_found_in_a_sentence_and_in_code() {
    for token in tokens::TOKENS {
        for prefix in token.prefixes {
            let key = format!("{prefix}{}", token.body_of(|signs, length| random(signs, length, prefix)));
            for text in [
                key.clone(),
                format!("Der Schlüssel ist {key}."),
                format!("x(\"{key}\")"),
                format!("ключ={key}\n"),
            ] {
                let found = find(&text);
                assert!(
                    found.iter().any(|finding| text[finding.start..finding.end] == key),
                    "{}: {text} {found:?}",
                    token.rule
                );
            }
            let inside = find(&format!("abc{key}"));
            assert!(inside.iter().all(|finding| finding.start != "abc".len()), "{}: {inside:?}", token.rule);
        }
    }
}

#[test]
fn a_key_that_is_too_short_too_long_or_not_random_is_none() {
    let prefix = concat!("gh", "p_");
    holds(&format!("{prefix}{}", alphanumeric(36)), Entity::ApiKey, &format!("{prefix}{}", alphanumeric(36)));
    clean(&format!("{prefix}{}", alphanumeric(30)));
    clean(&format!("{prefix}{}", alphanumeric(300)));
    clean(&format!("{prefix}{}", "x".repeat(36)));
    clean(&format!("{prefix}{}", "abcdefghijklmnopqrstuvwxyz0123456789"));
    clean(&format!("{prefix}{}EXAMPLE{}", alphanumeric(15), alphanumeric(14)));
    clean(&format!("{}{}", prefix.to_uppercase(), alphanumeric(36)));
    clean("risk-management-is-the-task-of-everyone-in-this-organisation re_calculate_the_sum_of_all_entries");
}

#[test]
fn shapes_are_found_around_their_keywords() {
    let (mixed, hex) = (alphanumeric(80), hexadecimal(80));
    let uuid = format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[12..15], &hex[15..18], &hex[18..30]);
    let cases = [
        (format!("bot token 123456789:AA{}", &mixed[..33]), format!("123456789:AA{}", &mixed[..33])),
        (
            format!(
                "https://hooks.slack.com/services/T{}/B{}/{}",
                &mixed[..8],
                &mixed[8..16],
                &mixed[16..40]
            ),
            String::new(),
        ),
        (format!("https://discord.com/api/webhooks/123456789012345678/{}", &mixed[..68]), String::new()),
        (format!("list: {}-us12", &hex[..32]), format!("{}-us12", &hex[..32])),
        (format!("pat{}.{}", &mixed[..14], &hex[..64]), format!("pat{}.{}", &mixed[..14], &hex[..64])),
        (format!("AWS_SECRET_ACCESS_KEY={}", &mixed[..40]), mixed[..40].to_owned()),
        (format!("aws secret key: '{}'", &mixed[..40]), mixed[..40].to_owned()),
        (format!("DATADOG_API_KEY: {}", &hex[..32]), hex[..32].to_owned()),
        (format!("heroku_api_key = \"{uuid}\""), uuid.clone()),
        (format!("Authorization: Bearer {}", &mixed[..50]), mixed[..50].to_owned()),
        (
            format!("AccountName=a;AccountKey={}{}==;", &mixed, &mixed[..6]),
            format!("{}{}==", &mixed, &mixed[..6]),
        ),
        (format!("twilio_auth_token = {}", &hex[..32]), hex[..32].to_owned()),
        (format!("{}.atlasv1.{}", &mixed[..14], &mixed[..64]), String::new()),
    ];
    for (text, secret) in cases {
        holds(&text, Entity::ApiKey, if secret.is_empty() { &text } else { &secret });
    }
}

#[test]
fn private_keys_are_found_whole_and_cut_off() {
    let dashes = "-".repeat(5);
    for label in
        ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY", "PGP PRIVATE KEY BLOCK"]
    {
        let body = format!("{}\n{}", alphanumeric(64), random(LETTERS, 48, label));
        let block = format!("{dashes}BEGIN {label}{dashes}\n{body}\n{dashes}END {label}{dashes}");
        holds(&format!("Here: {block} – keep it"), Entity::PrivateKey, &block);
        let cut = format!("{dashes}BEGIN {label}{dashes}\n{body}");
        holds(&format!("{cut}\n\n„und weiter“"), Entity::PrivateKey, &cut);
    }
    let public =
        format!("{dashes}BEGIN PUBLIC KEY{dashes}\n{}\n{dashes}END PUBLIC KEY{dashes}", alphanumeric(64));
    clean(&public);
    clean(&format!("{dashes}BEGIN CERTIFICATE{dashes} {dashes}BEGIN {}", "a".repeat(100)));
}

#[test]
fn web_tokens_have_a_header_that_names_an_algorithm() {
    let header = concat!("ey", "JhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9");
    let token = format!("{header}.{}.{}", concat!("ey", "JzdWIiOiIxMjM0NTY3ODkwIn0"), alphanumeric(43));
    holds(&format!("Cookie: {token}; path=/"), Entity::JsonWebToken, &token);
    holds(&format!("token={token}."), Entity::JsonWebToken, &token);
    clean(&format!("{}.abcdef.ghijkl", concat!("ey", "Jhello")));
    clean("eyJ eyJ.eyJ eyJhbGciOiJIUzI1NiJ9");
}

#[test]
fn addresses_with_a_password_are_found() {
    let word = alphanumeric(12);
    let cases = [
        format!("postgres://user:{word}@db.internal:5432/shop"),
        format!("mongodb+srv://admin:{word}@cluster0.abc.mongodb.net/?retryWrites=true"),
        format!("https://bob:{word}@example.com/path"),
        format!("redis://:{word}@localhost:6379/0"),
        format!("amqp://gast:{word}!ü@10.0.0.1"),
    ];
    for address in cases {
        holds(&format!("Verbindung: {address}, bitte."), Entity::CredentialUri, &address);
        holds(&format!("url=\"{address}\""), Entity::CredentialUri, &address);
    }
    clean("https://example.com/a:b@c https://user@example.com ftp://example.com:21/ mailto://a@b ://x:y@z");
    clean("postgres://user:password@localhost postgres://user:${PASSWORD}@db postgres://user:<secret>@db");
}

#[test]
fn keys_are_found_by_their_names() {
    let key = alphanumeric(24);
    let cases = [
        format!("api_key = \"{key}\""),
        format!("\"clientSecret\": \"{key}\","),
        format!("export MY_SERVICE_TOKEN={key}"),
        format!("https://api.example.org/v1?apikey={key}&page=2"),
        format!("x-api-key: {key}"),
        format!("secret_key_base: '{key}'"),
        format!("config['auth_token'] = '{key}'"),
        format!("My API key: {key}"),
    ];
    for text in cases {
        holds(&text, Entity::ApiKey, &key);
    }
    clean("token = get_token_from_session(user) secret: config.secrets.api_key api_key = YOUR_API_KEY_HERE");
    clean("the secret: never_give_up_on_yourself token=abc api_key=\"\" token == other_token_value_12345");
    clean("max_tokens: 4096, tokenizer: bert-base-uncased, secretary: office-building-number-twelve");
}

#[test]
fn passwords_are_found_by_their_names() {
    let cases = [
        ("password: hunter2", "hunter2"),
        ("My password is Tr0ub4dor&3.", "Tr0ub4dor&3"),
        ("Passwort: Geheim!2024, danke", "Geheim!2024"),
        ("contraseña: abc12345", "abc12345"),
        ("DB_PASSWORD='s p a c e 1'", "s p a c e 1"),
        ("login: bob pass: q1w2e3r4", "q1w2e3r4"),
        ("pwd=correcthorse;", "correcthorse"),
        ("密码：mima2024", "mima2024"),
        ("{\"password\": \"öäü-1-ß\"}", "öäü-1-ß"),
    ];
    for (text, secret) in cases {
        holds(text, Entity::Password, secret);
    }
    clean(
        "password: string password = os.environ['DB_PASSWORD'] password: ${DB_PASSWORD} Password: required",
    );
    clean(
        "I forgot my password. Reset the password: see below. password=********, the password is incorrect",
    );
    clean("bypass: 12ab34cd compass=north1 password = self.password password(user) passwords are good");
}

#[test]
fn any_text_is_survived_and_spans_are_at_borders() {
    let pieces = [
        "password=",
        "ü",
        "é",
        "\u{0}",
        "secret: \"",
        "eyJ",
        "://",
        "a:b@",
        "-----BEGIN ",
        "PRIVATE KEY-----",
        "sk-",
        "👩‍👩‍👧",
        "'",
        "\n",
    ];
    for round in 0..2_000_u32 {
        let mut bytes = [0; 24];
        blake3::Hasher::new().update(&round.to_le_bytes()).finalize_xof().fill(&mut bytes);
        let text: String = bytes.iter().map(|&byte| pieces[usize::from(byte) % pieces.len()]).collect();
        let found = find(&text);
        assert!(
            found
                .iter()
                .all(|finding| text.get(finding.start..finding.end).is_some_and(|span| !span.is_empty()))
        );
        assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }
}

#[test]
fn time_grows_with_the_length_whatever_is_repeated() {
    for piece in [
        "password=",
        "aws ",
        "-----BEGIN PRIVATE KEY-----",
        "eyJ",
        "a://",
        "token=\"",
        "ya29.",
        "discord:",
        "AKIA",
        "-us",
    ] {
        let text = piece.repeat((1 << 20) / piece.len());
        let start = Instant::now();
        find(&text);
        // A mebibyte takes some tens of milliseconds; what is quadratic takes minutes.
        assert!(start.elapsed().as_secs() < 20, "{piece}: {:?}", start.elapsed());
    }
}

#[test]
fn entropy_is_shannons() {
    assert_eq!(entropy::entropy_bits(b""), 0.0);
    assert_eq!(entropy::entropy_bits(b"aaaa"), 0.0);
    assert!((entropy::entropy_bits(b"abababab") - 1.0).abs() < 1e-6);
    assert!((entropy::entropy_bits(b"0123456789abcdef") - 4.0).abs() < 1e-6);
}
