//! A judge behind an OpenAI-compatible endpoint: asked only where it is named, and never twice for the same.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use reqwest::blocking::Client;
use rtune_metrics::judge::{
    Preference, Replies, Rubric, Scored, Shown, Verdict, preference_prompt, score_prompt, verdict,
};
use rtune_models::hub::shown;
use rtune_trainer::evaluate::golden::{Case, GoldenReport, Side};
use rtune_trainer::files::{sha256_of, write_whole};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::judge::JudgeArgs;
use crate::failure::BadInput;
use crate::reporter::Work;

/// How often a reply that is not as it should be, or none, is asked for.
const TRIALS: usize = 3;
/// The wait before the second trial of what may pass, doubled before each other.
const FIRST_PAUSE: Duration = Duration::from_millis(400);
/// The longest wait that an endpoint may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Bytes of a refusal that are read, and characters of it that are said.
const REFUSAL_BYTES: u64 = 16 << 10;
const REFUSAL_CHARACTERS: usize = 300;
/// A judge that thinks is slow; one that is gone stays gone.
const WAIT: Duration = Duration::from_secs(300);
/// The reason is one or two sentences.
const MOST_TOKENS: u64 = 1024;
/// A reply of so many tokens is some kB.
const MOST_REPLY_BYTES: u64 = 4 << 20;
/// After as many questions in a row that nobody answered, nobody will answer the next.
const MOST_UNANSWERED: usize = 5;

/// What a judge made of a golden set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct JudgeReport {
    /// Where it was asked, without a name and password that stood in the address.
    endpoint: String,
    model: String,
    rubric: String,
    /// Mean scores from 1 to 5, each by the weight of its case, over the cases in which both models were scored.
    base: Option<f64>,
    tuned: Option<f64>,
    /// Cases by verdict: base better, tuned better, as good, and those in which the order of the answers decided.
    base_better: usize,
    tuned_better: usize,
    ties: usize,
    by_order: usize,
    /// Questions without a usable reply.
    failed: usize,
    /// Why the judge was not asked any more; cases after that have no scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    given_up: Option<String>,
    cases: Vec<JudgedCase>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct JudgedCase {
    id: String,
    base: Option<Scored>,
    tuned: Option<Scored>,
    /// `first` is the base.
    verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

/// Asks the judge about every case.
pub(super) fn judge(judge: &Judge, report: &GoldenReport) -> JudgeReport {
    let mut work = Work::new("asking the judge");
    let mut cases = Vec::with_capacity(report.cases.len());
    let mut line = Line::default();
    for case in &report.cases {
        cases.push(judge.case(case, &mut line));
        work.show(cases.len(), report.cases.len());
    }
    work.finish();
    // What one model was scored in and the other was not says nothing of the two.
    let both = |case: &JudgedCase| case.base.is_some() && (report.tuned.is_none() || case.tuned.is_some());
    let mean = |of: fn(&JudgedCase) -> Option<&Scored>| {
        let weights = report.cases.iter().map(|case| case.weight);
        let scored = cases.iter().zip(weights).filter(|(case, _)| both(case));
        let (sum, all) = scored.fold((0.0, 0.0), |(sum, all), (case, weight)| match of(case) {
            Some(scored) => (sum + weight * f64::from(scored.score), all + weight),
            None => (sum, all),
        });
        (all > 0.0).then(|| sum / all)
    };
    let count = |wanted: Verdict| cases.iter().filter(|case| case.verdict == Some(wanted)).count();
    JudgeReport {
        endpoint: shown(&judge.endpoint),
        model: judge.model.clone(),
        rubric: judge.rubric.name.clone(),
        base: mean(|case| case.base.as_ref()),
        tuned: mean(|case| case.tuned.as_ref()),
        base_better: count(Verdict::First),
        tuned_better: count(Verdict::Second),
        ties: count(Verdict::Tie),
        by_order: count(Verdict::ByOrder),
        failed: cases.iter().map(|case| case.problems.len()).sum(),
        given_up: line.given_up(),
        cases,
    }
}

impl JudgeReport {
    /// What it comes to, for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mean = |score: Option<f64>| score.map_or_else(|| "-".to_owned(), |score| format!("{score:.2}"));
        let mut lines = vec![format!(
            "judge {} by the rubric {}: base {} of 5, tuned {} of 5",
            self.model,
            self.rubric,
            mean(self.base),
            mean(self.tuned)
        )];
        if self.tuned.is_some() {
            lines.push(format!(
                "asked in both orders: tuned better in {}, base in {}, as good in {}; in {} the order decided",
                self.tuned_better, self.base_better, self.ties, self.by_order
            ));
        }
        if self.failed > 0 {
            let first = self.cases.iter().find_map(|case| case.problems.first());
            let first = first.map_or_else(String::new, |reason| format!(": {reason}"));
            lines.push(format!("the judge gave no usable reply to {} questions{first}", self.failed));
        }
        lines
    }

    /// Why the judge was given up, if it was: what was asked before stands in the report.
    pub(super) fn given_up(&self) -> Option<String> {
        let said = |reason: &String| {
            let at = &self.endpoint;
            format!(
                "the judge at `{at}` was given up after {MOST_UNANSWERED} questions in a row without an answer: {reason}"
            )
        };
        self.given_up.as_ref().map(said)
    }

    /// What it goes by beside metrics.
    pub(super) fn name(&self) -> String {
        format!("judge {} ({})", self.model, self.rubric)
    }

    /// Its scores of base and tuned answer, case by case.
    pub(super) fn scores(&self) -> Vec<[Option<f64>; 2]> {
        let of = |scored: &Option<Scored>| scored.as_ref().map(|scored| f64::from(scored.score));
        self.cases.iter().map(|case| [of(&case.base), of(&case.tuned)]).collect()
    }
}

/// Why there is no usable reply.
enum Trouble {
    /// The endpoint was not reached, or refused, and may answer another time: after as long as it says, if it does.
    Unanswered(String, Option<Duration>),
    /// It refused what was asked, and always will.
    Refused(String),
    /// What it replied is not what was asked for.
    Unusable(String),
}

/// What became of the connection with the judge so far.
#[derive(Default)]
struct Line {
    /// Questions in a row that were not answered, and why the last was not.
    unanswered: usize,
    reason: String,
}

impl Line {
    fn given_up(&self) -> Option<String> {
        (self.unanswered >= MOST_UNANSWERED).then(|| self.reason.clone())
    }
}

/// A judge that was named.
pub(super) struct Judge {
    client: Client,
    endpoint: String,
    model: String,
    key: Option<String>,
    rubric: Rubric,
    replies: Replies,
    cache: PathBuf,
}

impl Judge {
    /// The judge of the flags, if there is one; nothing is asked yet.
    pub(super) fn named(args: &JudgeArgs, cache: &Path) -> anyhow::Result<Option<Self>> {
        let (Some(endpoint), Some(model)) = (&args.judge, &args.judge_model) else { return Ok(None) };
        let rubric = match Rubric::named(&args.judge_rubric) {
            Some(rubric) => rubric,
            None => {
                let text = std::fs::read_to_string(&args.judge_rubric).map_err(|error| {
                    let problem = format!("`{}` is no rubric: {error}", args.judge_rubric);
                    BadInput::new(problem).with_hint(
                        "name support, summary, relevancy, groundedness, or a text file with the criteria",
                    )
                })?;
                Rubric { name: args.judge_rubric.clone(), text: text.trim().to_owned() }
            }
        };
        let key = args.judge_key_file.as_deref().map(|file| {
            std::fs::read_to_string(file)
                .map(|key| key.trim().to_owned())
                .map_err(|error| BadInput::new(format!("`{}`: {error}", file.display())))
        });
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            let hint = "such as http://localhost:8080/v1";
            return Err(BadInput::new(format!("`{}` is no address of a judge", shown(endpoint)))
                .with_hint(hint)
                .into());
        }
        // The key is for this endpoint, and for no other that it may point to.
        let client = Client::builder().timeout(WAIT).redirect(reqwest::redirect::Policy::none()).build()?;
        let replies = Replies::new().context("the judge's schemas")?;
        std::fs::create_dir_all(cache).with_context(|| format!("cannot create `{}`", cache.display()))?;
        let (key, cache) = (key.transpose()?, cache.to_owned());
        let (endpoint, model) = (endpoint.trim_end_matches('/').to_owned(), model.clone());
        Ok(Some(Self { client, endpoint, model, key, rubric, replies, cache }))
    }

    fn case(&self, case: &Case, line: &mut Line) -> JudgedCase {
        let context: Vec<&str> = case.context.iter().map(String::as_str).collect();
        let reference = case.expected.first().map_or("", String::as_str);
        let mut judged = JudgedCase { id: case.id.clone(), ..JudgedCase::default() };
        let mut score = |side: &Side, problems: &mut Vec<String>| {
            // Each answer on the history that it was given to, which is the model's own.
            let asked = case.asked_of(side);
            let prompt = score_prompt(
                &self.rubric,
                &Shown { asked: &asked, context: &context, reference },
                &side.answer,
            );
            let found = self.ask(&prompt, line, |reply| self.replies.score(reply));
            found.map_err(|problem| problems.extend(problem)).ok()
        };
        judged.base = score(&case.base, &mut judged.problems);
        if let Some(tuned) = &case.tuned {
            judged.tuned = score(tuned, &mut judged.problems);
            let asked = case.asked_of(tuned);
            let shown = Shown { asked: &asked[..case.shared_messages()], context: &context, reference };
            let (base, tuned) = (continued(case, &case.base), continued(case, tuned));
            let mut prefer = |first: &str, second: &str| -> Option<Preference> {
                if first == second {
                    return Some(Preference::Tie);
                }
                let prompt = preference_prompt(&self.rubric, &shown, first, second);
                let found = self.ask(&prompt, line, |reply| self.replies.preference(reply));
                found.map_err(|problem| judged.problems.extend(problem)).ok()
            };
            let shown = prefer(&base, &tuned);
            let exchanged = prefer(&tuned, &base);
            judged.verdict = shown.zip(exchanged).map(|(shown, exchanged)| verdict(shown, exchanged));
        }
        judged
    }

    /// A reply that can be read: from the cache, or from the judge. Without one the reason, if it was asked at all.
    fn ask<T>(
        &self,
        prompt: &str,
        line: &mut Line,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Option<String>> {
        let body = json!({
            "model": self.model,
            "temperature": 0,
            "max_tokens": MOST_TOKENS,
            "messages": [{"role": "user", "content": prompt}],
        })
        .to_string();
        let name = sha256_of(format!("{}\n{body}", self.endpoint).as_bytes());
        let kept = self.cache.join(format!("{name}.txt"));
        if let Some(known) = std::fs::read_to_string(&kept).ok().and_then(|reply| read(&reply).ok()) {
            return Ok(known);
        }
        if line.given_up().is_some() {
            return Err(None);
        }
        let mut trouble = Trouble::Refused(String::new());
        let mut pause = FIRST_PAUSE;
        for trial in 1..=TRIALS {
            let reply = self.reply(&body).and_then(|reply| {
                let value = read(&reply).map_err(Trouble::Unusable)?;
                Ok((value, reply))
            });
            match reply {
                Ok((value, reply)) => {
                    *line = Line::default();
                    // Without a cache the judge is asked again; nothing is lost.
                    let _ = write_whole(&kept, reply.as_bytes());
                    return Ok(value);
                }
                Err(found) => trouble = found,
            }
            match &trouble {
                _ if trial == TRIALS => {}
                Trouble::Refused(_) => break,
                Trouble::Unanswered(_, said) => {
                    std::thread::sleep(said.unwrap_or(pause));
                    pause *= 2;
                }
                Trouble::Unusable(_) => {}
            }
        }
        Err(Some(match trouble {
            Trouble::Unanswered(reason, _) | Trouble::Refused(reason) => {
                *line = Line { unanswered: line.unanswered + 1, reason: reason.clone() };
                reason
            }
            Trouble::Unusable(reason) => {
                *line = Line::default();
                reason
            }
        }))
    }

    fn reply(&self, body: &str) -> Result<String, Trouble> {
        let address = format!("{}/chat/completions", self.endpoint);
        let mut request =
            self.client.post(address).header("content-type", "application/json").body(body.to_owned());
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let lost = |reason: String| Trouble::Unanswered(reason, None);
        let answer = request.send().map_err(|error| lost(whole(&error.without_url())))?;
        let status = answer.status();
        if !status.is_success() {
            let wait = answer.headers().get("retry-after").and_then(|said| said.to_str().ok()?.parse().ok());
            let may_pass = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
            let reason = format!("the judge answered {status}{}", self.said(answer));
            return Err(match may_pass {
                true => Trouble::Unanswered(reason, wait.map(|s| Duration::from_secs(s).min(LONGEST_PAUSE))),
                false => Trouble::Refused(reason),
            });
        }
        let mut text = Vec::new();
        let read = answer.take(MOST_REPLY_BYTES + 1).read_to_end(&mut text);
        read.map_err(|error| lost(error.to_string()))?;
        if text.len() as u64 > MOST_REPLY_BYTES {
            let most = MOST_REPLY_BYTES >> 20;
            return Err(Trouble::Unusable(format!("expected a reply of at most {most} MiB, found more")));
        }
        let value: Value = serde_json::from_slice(&text)
            .map_err(|error| Trouble::Unusable(format!("the judge sent no JSON: {error}")))?;
        let content = value["choices"][0]["message"]["content"].as_str();
        content.map(str::to_owned).ok_or_else(|| {
            Trouble::Unusable("the judge's reply has no choices[0].message.content".to_owned())
        })
    }
}

impl Judge {
    /// What a refusal says, on one line and without the key, should it repeat it.
    fn said(&self, refusal: reqwest::blocking::Response) -> String {
        let mut bytes = Vec::new();
        // What cannot be read is not said.
        let _ = refusal.take(REFUSAL_BYTES).read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        let places = [&value["error"]["message"], &value["error"], &value["message"], &value["detail"]];
        let said = places.into_iter().find_map(Value::as_str).unwrap_or(&text);
        let said = self.key.as_ref().map_or_else(|| said.to_owned(), |key| said.replace(key, "(the key)"));
        let words: Vec<&str> = said.split(|c: char| c.is_whitespace() || c.is_control()).collect();
        let words = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        let shown: String = words.chars().take(REFUSAL_CHARACTERS).collect();
        if shown.is_empty() { String::new() } else { format!(": {shown}") }
    }
}

/// An error with its causes: what a request failed of stands in them.
fn whole(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}

/// What a model said from its first answer on: of several turns all of them, with what the user said between.
fn continued(case: &Case, side: &Side) -> String {
    let said = case.asked_of(side);
    let own = &said[case.shared_messages()..];
    if own.is_empty() {
        return side.answer.clone();
    }
    let turns = own.iter().copied().chain(std::iter::once(("assistant", side.answer.as_str())));
    turns.map(|(role, text)| format!("{role}: {text}")).collect::<Vec<_>>().join("\n\n")
}
